"""What the tests share: a Graph made of bytes, and a gateway in front of it."""

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from hypothesis import HealthCheck, settings

from attachment_gateway.server.gateway import Gateway, running
from attachment_gateway.settings import Settings
from graphattachments.v1.attachment_pb2 import PostRef
from graphattachments.v1.attachment_service_pb2_grpc import AttachmentServiceStub
from tests.support.calls import QUICK, AsyncStub, Start
from tests.support.grpcurl import path_with_grpcurl
from tests.support.raw_graph import RawGraph, raw_graph

# No test asserts a time, so none fails for want of it on a busy machine.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """What the tests start can be interrupted, also where the tests run in the background.

    A shell lets its background jobs ignore SIGINT, and their children inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _state_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A state directory that isn't the user's, for gateways that run as they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def post() -> PostRef:
    """A post, by the short route."""
    return PostRef(group_id="g-1", thread_id="AAQkAD=", post_id="AAMkAG_-=")


@pytest.fixture
async def graph() -> AsyncIterator[RawGraph]:
    """A Graph made of bytes."""
    async with raw_graph() as running_graph:
        yield running_graph


@pytest.fixture
async def start(graph: RawGraph, tmp_path: Path) -> AsyncIterator[Start]:
    """Start a gateway in front of `graph`, on a unix socket, with settings by name."""
    async with AsyncExitStack() as stack:

        async def started(**settings: Any) -> Gateway:
            usual = {"listen": f"unix:{tmp_path}/gw", "graph_url": graph.url, **QUICK}
            made = Settings(**{**usual, **settings})
            return await stack.enter_async_context(running(made))

        yield started


@pytest.fixture
async def stub(start: Start) -> AsyncIterator[AsyncStub]:
    """A client of a gateway with the default settings."""
    gateway = await start()
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        yield AttachmentServiceStub(channel)


@pytest.fixture(scope="session")
def path() -> str:
    """A PATH that has grpcurl; without one, and without Go, what asks for it skips."""
    return path_with_grpcurl()
