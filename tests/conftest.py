"""Fixtures that the tests share: a raw Graph, and a gateway in front of it."""

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

# No property asserts a time, so a slow example on a busy machine is no failure.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Let SIGINT interrupt the programs that the tests start, also in a shell's background job.

    A shell lets its background jobs ignore SIGINT, and their children inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _state_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Set a state directory that isn't the user's, for gateways with the default ledger."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def post() -> PostRef:
    """A post that is reached by the short route."""
    return PostRef(group_id="g-1", thread_id="AAQkAD=", post_id="AAMkAG_-=")


@pytest.fixture
async def graph() -> AsyncIterator[RawGraph]:
    """A raw Graph."""
    async with raw_graph() as running_graph:
        yield running_graph


@pytest.fixture
async def start(graph: RawGraph, tmp_path: Path) -> AsyncIterator[Start]:
    """A function that starts a gateway in front of `graph` on a unix socket, with settings."""
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
    """A PATH that has grpcurl; the test is skipped without grpcurl and Go."""
    return path_with_grpcurl()
