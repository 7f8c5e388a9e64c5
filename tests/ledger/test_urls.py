"""ledger.urls and ledger.opening: the URLs that an operator sets, and the ledgers they open."""

from pathlib import Path

import pytest

from attachment_gateway.errors import SettingError
from attachment_gateway.ledger.memory import MemoryLedger
from attachment_gateway.ledger.opening import open_ledger
from attachment_gateway.ledger.redis import RedisLedger
from attachment_gateway.ledger.sqlite import SqliteLedger
from attachment_gateway.ledger.urls import default_url, ledger_fault, redis_url, sqlite_path
from tests.support.redis_server import free_port


@pytest.mark.parametrize(
    "url",
    [
        "",
        "memory:",
        "sqlite:///ledger.sqlite3",
        "sqlite:////var/lib/attachment-gateway/ledger.sqlite3",
        "sqlite:////var/lib/with space & 100%",
        "redis://localhost",
        "redis://10.0.0.7:6380/3",
        "redis://[::1]:6379",
        "redis://:s3cret%2F@redis.internal",
        "rediss://gateway:s3cret@redis.internal:6380/0",
        "rediss://redis.internal?ssl_ca_certs=/etc/ca.pem",
        "rediss://redis.internal/1?ssl_certfile=/etc/own.pem&ssl_keyfile=/etc/own.key",
        "valkey://localhost",
        "valkeys://localhost?ssl_ca_certs=/etc/ca.pem",
    ],
)
def test_a_url_that_names_a_ledger_has_no_fault(url: str) -> None:
    """A URL that names a ledger has no fault."""
    assert ledger_fault(url) is None


FORMS = "memory:, sqlite:///path (an absolute one makes four slashes), redis://… or rediss://…"


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("memory", f"isn't of a kind that is known; it is one of {FORMS}"),
        ("memory://", f"isn't of a kind that is known; it is one of {FORMS}"),
        ("/var/lib/ledger.db", f"isn't of a kind that is known; it is one of {FORMS}"),
        ("postgresql://u:s3cret@db/x", f"isn't of a kind that is known; it is one of {FORMS}"),
        ("REDIS://u:s3cret@db/x", f"isn't of a kind that is known; it is one of {FORMS}"),
        (
            "sqlite://ledger.db",
            (
                "is 'sqlite://ledger.db', which names no file; give sqlite:///path, or "
                "sqlite:////absolute/path"
            ),
        ),
        (
            "sqlite:////",
            (
                "is 'sqlite:////', which names no file; give sqlite:///path, or "
                "sqlite:////absolute/path"
            ),
        ),
        (
            "sqlite:///:memory:",
            "is 'sqlite:///:memory:'; what follows sqlite:/// is a path and nothing else",
        ),
        (
            "sqlite:///ledger.db?mode=ro",
            "is 'sqlite:///ledger.db?mode=ro'; what follows sqlite:/// is a path and nothing else",
        ),
        ("redis:///0", "is a Redis URL without a host; give redis://host:port/0"),
        ("redis:localhost", "is a Redis URL without a host; give redis://host:port/0"),
        (
            "redis://:s3cret@host:port",
            "is a Redis URL whose host or port can't be read; give redis://host:port/0",
        ),
        (
            "redis://:s3cret@[::1",
            "is a Redis URL whose host or port can't be read; give redis://host:port/0",
        ),
        (
            "redis://:s3cret@host/main",
            "is a Redis URL with the database 'main'; it is a number",
        ),
        (
            "rediss://:s3cret@host?ssl_cert_reqs=none&socket_timeout=9",
            (
                "is a Redis URL with ['socket_timeout', 'ssl_cert_reqs']; of options it takes "
                "['ssl_ca_certs', 'ssl_certfile', 'ssl_keyfile']"
            ),
        ),
        (
            "redis://host?ssl_ca_certs=/etc/ca.pem",
            "is a Redis URL without TLS, with ['ssl_ca_certs']; give rediss://…",
        ),
    ],
)
async def test_a_url_that_names_no_ledger_is_refused(url: str, fault: str) -> None:
    """Another URL is refused with a sentence about the setting, without the password."""
    assert ledger_fault(url) == f"ledger {fault}"
    with pytest.raises(SettingError) as caught:
        await open_ledger(url, settle_s=15, retention_s=1000)
    assert str(caught.value) == f"ledger {fault}"
    assert "s3cret" not in fault


def test_the_path_follows_three_slashes() -> None:
    """The path of an SQLite URL follows its three slashes."""
    assert sqlite_path("sqlite:///ledger.db") == "ledger.db"
    assert sqlite_path("sqlite:////var/ledger.db") == "/var/ledger.db"


@pytest.mark.parametrize(
    ("url", "known"),
    [
        ("redis://h", "redis://h"),
        ("rediss://h", "rediss://h"),
        ("valkey://h:1/2", "redis://h:1/2"),
        ("valkeys://u:p@h", "rediss://u:p@h"),
    ],
)
def test_valkey_urls_become_redis_urls(url: str, known: str) -> None:
    """A Valkey URL becomes the Redis URL that the client library knows."""
    assert redis_url(url) == known


async def test_the_default_is_a_file_in_the_state_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default ledger is a file in the state directory, which is created."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    file = tmp_path / "state/attachment-gateway/ledger.sqlite3"
    assert default_url() == f"sqlite:///{file}"
    ledger = await open_ledger("", settle_s=15, retention_s=1000)
    assert isinstance(ledger, SqliteLedger)
    assert file.is_file()
    await ledger.close()


async def test_each_kind_of_url_opens_its_ledger(tmp_path: Path) -> None:
    """Each kind of URL opens its ledger, also a Redis that is unavailable."""
    for url, kind in (
        ("memory:", MemoryLedger),
        (f"sqlite:///{tmp_path}/ledger.sqlite3", SqliteLedger),
        (f"redis://127.0.0.1:{free_port()}", RedisLedger),
    ):
        ledger = await open_ledger(url, settle_s=15, retention_s=1000)
        assert isinstance(ledger, kind)
        await ledger.close()
