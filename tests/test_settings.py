"""Tests of settings.py: every limit and name that an operator can set."""

from typing import Any

import pytest

from attachment_gateway.errors import SettingError
from attachment_gateway.settings import Settings


def test_the_defaults_are_those_of_the_contract() -> None:
    """The defaults are those of the contract."""
    settings = Settings()
    assert settings.listen == "127.0.0.1:50051"
    assert settings.graph_url == "https://graph.microsoft.com/v1.0"
    assert settings.max_request_bytes == 4194304
    assert settings.graph_timeout_s == 60
    assert settings.max_message_bytes == 8 * 1024 * 1024


def test_the_message_limit_grows_with_the_cap() -> None:
    """The limit on a message is twice the cap on a request, and at least 8 MiB."""
    assert Settings(max_request_bytes=10_000_000).max_message_bytes == 20_000_000


@pytest.mark.parametrize(
    "url",
    [
        "https://graph.microsoft.us/v1.0",
        "http://127.0.0.1:8080/v1.0",
        "http://127.1.2.3",
        "http://[::1]:8080",
        "http://localhost/v1.0",
    ],
)
def test_graph_is_reached_by_https_or_on_loopback(url: str) -> None:
    """Graph's URL is https, or http on this machine."""
    assert Settings(graph_url=url).graph_url == url


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"graph_url": "http://graph.microsoft.com/v1.0"}, "plain http to loopback only"),
        ({"graph_url": "http://10.0.0.1/v1.0"}, "plain http to loopback only"),
        ({"graph_url": "graph.microsoft.com"}, "give an https URL"),
        ({"graph_url": "ftp://graph.microsoft.com"}, "give an https URL"),
        ({"graph_url": "https://"}, "give an https URL"),
        ({"graph_url": "https://u:p@graph.microsoft.com"}, "remove the rest"),
        ({"graph_url": "https://graph.microsoft.com/v1.0?x=1"}, "remove the rest"),
        ({"listen": "50051"}, "listen is '50051'"),
        ({"listen": "127.0.0.1:x"}, "give host:port or unix:path"),
        ({"listen": "127.0.0.1:65536"}, "give host:port or unix:path"),
        ({"listen": ":50051"}, "give host:port or unix:path"),
        ({"listen": "unix:"}, "name the socket's path"),
        ({"max_request_bytes": 0}, "max_request_bytes is 0"),
        ({"max_request_bytes": -5}, "max_request_bytes is -5"),
        ({"graph_timeout_s": 0.0}, "graph_timeout_s is 0.0"),
        ({"stream_idle_s": float("inf")}, "stream_idle_s is inf"),
        ({"drain_s": float("nan")}, "drain_s is nan"),
        ({"log_level": "loud"}, "log_level is 'loud'"),
        ({"workers": 5}, r"mailbox_concurrent is 4 for 5 workers, .* give 4 workers at most"),
        ({"workers": 2, "mailbox_concurrent": 1}, "mailbox_concurrent is 1 for 2 workers"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], words: str) -> None:
    """A wrong setting is named, with what was got and what is wanted."""
    with pytest.raises(SettingError, match=words):
        Settings(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"workers": 4},
        {"workers": 8, "mailbox_concurrent": 0},
        {"workers": 8, "mailbox_concurrent": 8},
        {"workers": 8, "ledger": "redis://127.0.0.1/0"},
    ],
)
def test_workers_keep_the_mailboxes_limit(settings: dict[str, Any]) -> None:
    """Any number of workers is allowed that keeps the limit of a mailbox, or has none."""
    assert Settings(**settings).workers == settings["workers"]
