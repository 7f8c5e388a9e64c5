"""The assembly of a gateway from its parts, and its draining."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc.aio
from grpc_health.v1 import health

from attachment_gateway.admission import Admission
from attachment_gateway.delivery.baseline_policy import BaselinePolicy, BaselineSetting
from attachment_gateway.delivery.resources import Resources
from attachment_gateway.delivery.runner import Runner
from attachment_gateway.errors import SettingError
from attachment_gateway.graph.client import (
    RESPONSE_ALLOWANCE_BYTES,
    GraphClient,
    GraphClientLimits,
)
from attachment_gateway.graph.paths import GraphRoot
from attachment_gateway.ledger.opening import open_ledger
from attachment_gateway.ledger.redis_client import redis_client
from attachment_gateway.ledger.urls import is_redis
from attachment_gateway.mailbox import Mailboxes, MailboxLimits
from attachment_gateway.mailbox.local import LocalMailboxes
from attachment_gateway.mailbox.redis import RedisMailboxes
from attachment_gateway.rpc.active_calls import ActiveCalls
from attachment_gateway.rpc.call import CallLimits
from attachment_gateway.rpc.deserialization import DeserializingServer
from attachment_gateway.rpc.idle_timeout import PaceLimits
from attachment_gateway.rpc.servicer import RequestLimits, Servicer
from attachment_gateway.server.malloc import give_back_when_idle
from attachment_gateway.server.operator_calls import AdmittingServer
from attachment_gateway.server.options import server_options
from attachment_gateway.server.reflection import add_health, add_reflection
from attachment_gateway.settings import Settings
from graphattachments.v1.attachment_service_pb2_grpc import add_AttachmentServiceServicer_to_server

# How often to look whether gRPC's server still takes calls.
LOOK_EVERY_S = 0.25

# The calls still in flight are answered this long before the grace period ends.
ANSWER_BEFORE_STOP_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A running gateway; `address` is HOST:PORT or unix:PATH."""

    address: str
    calls: ActiveCalls
    runner: Runner
    health: health.aio.HealthServicer
    server: grpc.aio.Server

    async def failed(self) -> None:
        """Return when gRPC's server takes no calls any more, although nobody has stopped it.

        One call with a path that isn't UTF-8 ends the loop in which grpc.aio (1.85) takes calls,
        and gRPC reports it only when the calls in flight have ended.
        """
        server: Any = self.server
        while server._server.is_running():  # noqa: ASYNC110, SLF001 nothing public tells it
            await asyncio.sleep(LOOK_EVERY_S)

    async def drain(self, grace_s: float) -> None:
        """Refuse new calls, let the others finish, and answer them before `grace_s` is over."""
        await self.health.enter_graceful_shutdown()
        self.calls.drain()
        loop = asyncio.get_running_loop()
        answer_at = loop.call_later(
            max(grace_s - ANSWER_BEFORE_STOP_S, grace_s / 2), self.calls.expire_all
        )
        end = loop.time() + grace_s
        await self.server.stop(grace_s)
        answer_at.cancel()
        await self.runner.finish(within_s=end - loop.time())


@asynccontextmanager
async def running(settings: Settings, *, share_port: bool = False) -> AsyncIterator[Gateway]:
    """Assemble a gateway and run it until the context is left. Raises SettingError."""
    async with _resources(settings) as resources:
        runner = Runner(resources)
        call_limits = CallLimits(
            default_deadline_s=settings.default_deadline_s,
            max_deadline_s=settings.max_deadline_s,
            max_message_bytes=settings.max_message_bytes,
            pace=PaceLimits(idle_s=settings.stream_idle_s, least_rate=settings.least_upload_rate),
        )
        calls = ActiveCalls(
            call_limits, max_calls=settings.max_calls, max_connections=settings.max_connections
        )
        limits = RequestLimits(
            max_request_bytes=settings.max_request_bytes,
            max_message_bytes=settings.max_message_bytes,
            stream_window_bytes=settings.stream_window_bytes,
        )
        admission = Admission(settings.upload_memory_bytes)
        server = grpc.aio.server(options=server_options(settings, share_port=share_port))
        add_AttachmentServiceServicer_to_server(
            Servicer(
                calls=calls,
                admission=admission,
                runner=runner,
                root=resources.graph.root,
                limits=limits,
            ),
            DeserializingServer(  # type: ignore[arg-type]  # it has the methods that are called
                server, max_message_bytes=settings.max_message_bytes
            ),
        )
        operators = AdmittingServer(
            server, call_limits, max_message_bytes=settings.max_message_bytes
        )
        add_reflection(operators)
        gateway = Gateway(
            address=_bind(server, settings.listen),
            calls=calls,
            runner=runner,
            health=await add_health(operators),
            server=server,
        )
        giving_back = asyncio.create_task(give_back_when_idle(admission))
        try:
            await server.start()
            yield gateway
        finally:
            giving_back.cancel()
            await server.stop(None)
            await runner.finish(within_s=0)


@asynccontextmanager
async def _resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open the resources of deliveries, and close them when the context is left."""
    graph = GraphClient(
        GraphRoot.parse(settings.graph_url),
        GraphClientLimits(
            timeout_s=settings.graph_timeout_s,
            max_connections=settings.graph_connections,
            max_response_bytes=settings.max_request_bytes + RESPONSE_ALLOWANCE_BYTES,
        ),
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(graph.close)
        ledger = await open_ledger(
            settings.ledger, settle_s=settings.settle_s, retention_s=settings.ledger_retention_s
        )
        stack.push_async_callback(ledger.close)
        mailboxes = _mailboxes(settings)
        stack.push_async_callback(mailboxes.close)
        yield Resources(
            graph=graph,
            ledger=ledger,
            mailboxes=mailboxes,
            settle_s=settings.settle_s,
            timeout_s=settings.graph_timeout_s,
            clock_skew_s=settings.clock_skew_s,
            baselines=BaselinePolicy(BaselineSetting(settings.baseline)),
        )


def _mailboxes(settings: Settings) -> Mailboxes:
    """Return the mailboxes, shared by all gateways with the same Redis."""
    limits = MailboxLimits(
        concurrent=settings.mailbox_concurrent, upload_bytes=settings.mailbox_upload_bytes
    )
    if is_redis(settings.ledger):
        return RedisMailboxes(redis_client(settings.ledger), limits)
    return LocalMailboxes(limits)


def _bind(server: grpc.aio.Server, listen: str) -> str:
    """Bind the address and return it with the actual port. Raises SettingError."""
    try:
        port = server.add_insecure_port(listen)
    except RuntimeError:
        raise SettingError(f"listen is {listen!r}, which can't be bound; is it in use?") from None
    if listen.startswith("unix:"):
        return listen
    host, _, _ = listen.rpartition(":")
    return f"{host}:{port}"
