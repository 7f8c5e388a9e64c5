"""The server's life: start, serve, drain."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files

import grpc.aio
import structlog
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from attachment_gateway.admission import Admission
from attachment_gateway.rpc.call import Calls
from attachment_gateway.delivery.runner import Runner
from attachment_gateway.server.operator_http import exposed
from attachment_gateway.graph.client import ANSWER_ALLOWANCE_BYTES, Graph, GraphClientLimits
from attachment_gateway.http1.origin import GraphRoot
from attachment_gateway.ledger.opening import open_ledger
from attachment_gateway.ledger.redis_client import redis_client
from attachment_gateway.ledger.urls import is_redis
from attachment_gateway.mailbox import Mailboxes, MailboxLimits
from attachment_gateway.mailbox.local import LocalMailboxes
from attachment_gateway.mailbox.redis import RedisMailboxes
from attachment_gateway.rpc.deserialization import ReadingServer
from attachment_gateway.rpc.servicer import RequestLimits, Servicer
from attachment_gateway.settings import SettingError, Settings
from attachment_gateway.delivery.resources import Resources
from graphattachments.v1 import attachment_service_pb2
from graphattachments.v1.attachment_service_pb2_grpc import add_AttachmentServiceServicer_to_server

SERVICE = attachment_service_pb2.DESCRIPTOR.services_by_name["AttachmentService"].full_name

# Microsoft's tokens have some thousand characters, and a gRPC server takes 8 KiB of metadata by
# default, all together.
MAX_METADATA_BYTES = 32 * 1024

# A caller that is gone without a word is noticed in this time; one that pings as often is let.
PING_EVERY_S = 60
PING_ANSWERED_WITHIN_S = 20
PINGED_AT_MOST_EVERY_S = 10

# How long before the end of the grace the calls still in flight are answered.
ANSWER_BEFORE_STOP_S = 0.5

# The contract with its JSON names, which generated code doesn't keep, and Google's error details.
DESCRIPTORS = files("graphattachments.v1") / "graphattachments.protoset"

log: structlog.stdlib.BoundLogger = structlog.get_logger("attachment_gateway")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A gateway that takes calls at `address`: HOST:PORT, or unix:PATH."""

    address: str
    calls: Calls
    runner: Runner
    health: health.aio.HealthServicer
    server: grpc.aio.Server

    async def drain(self, grace_s: float) -> None:
        """Take no more calls, let those in flight finish, and answer them before the grace ends."""
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
    """Assemble a gateway, bottom up, and run it until the context is left."""
    async with _resources(settings) as resources:
        runner = Runner(resources)
        calls = Calls(default_deadline_s=settings.default_deadline_s)
        limits = RequestLimits(
            max_request_bytes=settings.max_request_bytes,
            stream_window_bytes=settings.stream_window_bytes,
            stream_idle_s=settings.stream_idle_s,
        )
        server = grpc.aio.server(options=_options(settings, share_port=share_port))
        add_AttachmentServiceServicer_to_server(
            Servicer(
                calls=calls,
                admission=Admission(settings.upload_memory_bytes),
                runner=runner,
                root=resources.graph.root,
                limits=limits,
            ),
            ReadingServer(server),  # type: ignore[arg-type]  # it has what is called
        )
        gateway = Gateway(
            address=_bind(server, settings.listen),
            calls=calls,
            runner=runner,
            health=await _add_health_and_reflection(server),
            server=server,
        )
        try:
            await server.start()
            yield gateway
        finally:
            await server.stop(None)
            await runner.finish(within_s=0)


@asynccontextmanager
async def _resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open what calls work with, and close it."""
    graph = Graph(
        GraphRoot.parse(settings.graph_url),
        GraphClientLimits(
            timeout_s=settings.graph_timeout_s,
            max_connections=settings.graph_connections,
            max_answer_bytes=settings.max_request_bytes + ANSWER_ALLOWANCE_BYTES,
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
        )


def _mailboxes(settings: Settings) -> Mailboxes:
    """Return the mailboxes, shared by all that share a Redis."""
    limits = MailboxLimits(
        concurrent=settings.mailbox_concurrent, upload_bytes=settings.mailbox_upload_bytes
    )
    if is_redis(settings.ledger):
        return RedisMailboxes(redis_client(settings.ledger), limits)
    return LocalMailboxes(limits)


async def serve(settings: Settings, *, worker: bool = False) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    A `worker` shares its port, and stops, too, when its standard input ends: with its supervisor.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    if worker:
        loop.add_reader(sys.stdin.fileno(), stop.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with exposed(settings.metrics_listen):
        await _serve_until(stop, settings, share_port=worker)
    log.info("stopped")


async def _serve_until(stop: asyncio.Event, settings: Settings, *, share_port: bool) -> None:
    loop = asyncio.get_running_loop()
    async with running(settings, share_port=share_port) as gateway:
        print(f"listening on {gateway.address}", flush=True)  # noqa: T201 the one line of stdout
        await stop.wait()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)  # a second one ends it at once
        log.info("draining", grace_s=settings.drain_s)
        await gateway.drain(settings.drain_s)


def _options(settings: Settings, *, share_port: bool) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_metadata_size", MAX_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
        ("grpc.keepalive_time_ms", PING_EVERY_S * 1000),
        ("grpc.keepalive_timeout_ms", PING_ANSWERED_WITHIN_S * 1000),
        ("grpc.http2.min_ping_interval_without_data_ms", PINGED_AT_MOST_EVERY_S * 1000),
        # Otherwise gRPC widens the windows by itself, and streams that wait for memory fill it.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", settings.stream_window_bytes),
        # By default a second gateway on the same port would silently share its calls.
        ("grpc.so_reuseport", int(share_port)),
        *_age(settings.connection_age_s),
    ]


def _age(connection_age_s: float) -> list[tuple[str, int]]:
    """Return the option that ends a connection of that age; the calls on it go on to their ends."""
    return (
        [("grpc.max_connection_age_ms", round(connection_age_s * 1000))] if connection_age_s else []
    )


def _bind(server: grpc.aio.Server, listen: str) -> str:
    """Bind the address and return it, with the port that it got."""
    try:
        port = server.add_insecure_port(listen)
    except RuntimeError:
        raise SettingError(f"listen is {listen!r}, which can't be bound; is it in use?") from None
    if listen.startswith("unix:"):
        return listen
    host, _, _ = listen.rpartition(":")
    return f"{host}:{port}"


async def _add_health_and_reflection(server: grpc.aio.Server) -> health.aio.HealthServicer:
    """Add what every gRPC server is asked for."""
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    for name in (health.OVERALL_HEALTH, SERVICE):
        await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    reflection.enable_server_reflection(
        (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server, pool=_reflected()
    )
    return servicer


def _reflected() -> DescriptorPool:
    """Return what reflection tells: by it, too, a field's JSON name is its name in Graph."""
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file:
        pool.Add(file)
    for module in (health_pb2, reflection_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    return pool
