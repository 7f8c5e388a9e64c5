"""The lifecycle of a process: start, serve until a signal, drain."""

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, NoReturn

import structlog
import uvloop

from attachment_gateway.server.gateway import Gateway, running
from attachment_gateway.server.malloc import keep_pages
from attachment_gateway.server.operator_http import exposed
from attachment_gateway.settings import Settings

log: structlog.stdlib.BoundLogger = structlog.get_logger("attachment_gateway")


# How long deliveries may take after gRPC's server has failed; their callers are gone.
FAILED_FINISH_S = 5.0

# Connections of callers and to Graph, each with one descriptor. The usual soft limit is 1,024, for
# the sake of programs that call select(2).
DESCRIPTORS = 65_536


def run(settings: Settings, *, worker: bool = False) -> None:
    """Run the gateway on uvloop until it has stopped. Raises SettingError."""
    keep_pages()
    allow_descriptors()
    uvloop.run(serve(settings, worker=worker))


def allow_descriptors() -> None:
    """Raise this process's limit of open files to DESCRIPTORS, or to what it may have at most."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(ValueError, OSError):  # the kernel may have a lower limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def serve(settings: Settings, *, worker: bool = False) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    A `worker` shares its port. It also stops when its standard input ends, as its supervisor does.
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


async def _first(*events: Coroutine[Any, Any, object]) -> None:
    """Wait for the first of some events."""
    waiting = [asyncio.create_task(each) for each in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        each.cancel()


async def _end_failed(gateway: Gateway) -> NoReturn:
    """End the process after gRPC's server has failed, so that another can replace it.

    What is being delivered has FAILED_FINISH_S to be settled. The server itself can't be stopped.
    """
    log.critical("server_failed")
    await gateway.runner.finish(within_s=FAILED_FINISH_S)
    os._exit(1)


async def _serve_until(stop: asyncio.Event, settings: Settings, *, share_port: bool) -> None:
    loop = asyncio.get_running_loop()
    async with running(settings, share_port=share_port) as gateway:
        print(f"listening on {gateway.address}", flush=True)  # noqa: T201 the one line of stdout
        await _first(stop.wait(), gateway.failed())
        if not stop.is_set():
            await _end_failed(gateway)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)  # a second signal ends the process at once
        log.info("draining", grace_s=settings.drain_s)
        await gateway.drain(settings.drain_s)
