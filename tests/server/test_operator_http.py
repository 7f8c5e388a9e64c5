"""Tests of server/operator_http.py, and of the metrics that it serves."""

import re
import socket
import urllib.error
import urllib.request

import pytest
from prometheus_client import REGISTRY

from attachment_gateway.errors import SettingError
from attachment_gateway.server.operator_http import exposed
from graphattachments.v1.attachment_pb2 import PostRef
from tests.support.calls import BEARER, AsyncStub, failure, upload
from tests.support.raw_graph import RawGraph, error


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"attachment_gateway_{name}_total", labels) or 0.0


async def test_calls_attempts_and_look_ups_are_counted(
    stub: AsyncStub, graph: RawGraph, post: PostRef
) -> None:
    """Calls are counted by code and reason, attempts by the next step, look-ups by their result."""
    refused = {"code": "NOT_FOUND", "reason": "GRAPH_NOT_FOUND", "method": "UploadFileAttachment"}
    made = {"code": "OK", "reason": "", "method": "UploadFileAttachment"}
    before = [counted("calls", **refused), counted("calls", **made)]
    unclear, saw = counted("attempts", next="look_up"), counted("look_ups", result="absent")
    graph.script = [error(404, "x"), error(504, "x")]
    await failure(stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER))
    await stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER)
    after = [counted("calls", **refused), counted("calls", **made)]
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 1]
    assert counted("attempts", next="look_up") == unclear + 1
    assert counted("look_ups", result="absent") >= saw + 2


def test_metrics_are_served_while_the_server_runs() -> None:
    """Metrics are served in Prometheus's format until the server ends."""
    url = f"127.0.0.1:{free_port()}"
    with exposed(url):
        shown = urllib.request.urlopen(f"http://{url}/metrics").read().decode()
    assert re.search(r"^attachment_gateway_surplus_total \d", shown, re.MULTILINE)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://{url}/metrics")


def test_metrics_need_not_be_served() -> None:
    """With an empty address nothing is served."""
    with exposed(""):
        pass


def test_a_port_in_use_is_a_setting_error() -> None:
    """A port in use raises SettingError."""
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(SettingError, match="which can't be bound; is it in use"),
        exposed(f"127.0.0.1:{taken.getsockname()[1]}"),
    ):
        pass
