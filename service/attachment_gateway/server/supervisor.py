"""Workers that share a port: they are started, watched, replaced when they die, and drained.

The kernel distributes connections to the workers (SO_REUSEPORT). Each worker is a complete gateway,
started as a new program, because gRPC doesn't work after a fork.
"""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import fields, replace

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from attachment_gateway.errors import SettingError
from attachment_gateway.ledger.urls import is_redis
from attachment_gateway.server.operator_http import exposed
from attachment_gateway.settings import ENVIRONMENT_PREFIX, Settings

# The wait before a dead worker is replaced, so that a worker that dies at once doesn't use all CPU.
REPLACED_AFTER_S = 1.0

# A worker that hasn't ended this long after `drain_s` is killed.
ENDED_WITHIN_S = 10.0

# The variable that names the folder of the workers' counters, which the supervisor adds up.
_METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"

Process = asyncio.subprocess.Process

log: structlog.stdlib.BoundLogger = structlog.get_logger("attachment_gateway")


class WorkerFailed(Exception):
    """A worker ended before it accepted calls; it has printed the reason itself."""


async def supervise(settings: Settings) -> None:
    """Run the workers until SIGTERM or SIGINT. Raises SettingError, or WorkerFailed."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with _reserved(settings.listen) as address, _counted(settings.metrics_listen) as counting:
        environment = {**os.environ, **counting, **_environment(_share(settings, address))}
        keepers = [_Keeper(environment, stop, settings.drain_s) for _ in range(settings.workers)]
        async with _kept(keepers, stop):
            if not stop.is_set():
                print(f"listening on {address}", flush=True)  # noqa: T201 the one line of stdout
            await stop.wait()
    log.info("stopped")


@asynccontextmanager
async def _kept(keepers: list["_Keeper"], stop: asyncio.Event) -> AsyncIterator[None]:
    """Start all workers and wait until they are ready; end them when the context is left."""
    tasks = [asyncio.create_task(keeper.keep()) for keeper in keepers]
    ready = asyncio.create_task(_all_ready(keepers))
    try:
        await asyncio.wait({ready, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done() and not stop.is_set():
            raise WorkerFailed
        yield
    finally:
        stop.set()
        ready.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _all_ready(keepers: list["_Keeper"]) -> None:
    for keeper in keepers:
        await keeper.ready.wait()


class _Keeper:
    """Keeps one worker running until `stop` is set."""

    def __init__(self, environment: Mapping[str, str], stop: asyncio.Event, drain_s: float) -> None:
        self._stop = stop
        self.ready = asyncio.Event()
        self._environment = environment
        self._drain_s = drain_s

    async def keep(self) -> None:
        """Run a worker, replaced when it dies. Raises WorkerFailed if the first never is ready."""
        stopped = asyncio.create_task(self._stop.wait())
        while not self._stop.is_set():
            worker = await self._started()
            ended = asyncio.create_task(worker.wait())
            await self._get_ready(worker)
            await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
            if self._stop.is_set():
                await self._drained(worker, ended)
                return
            if not self.ready.is_set():
                raise WorkerFailed
            log.error("worker_died", pid=worker.pid, exit_code=worker.returncode)
            await asyncio.wait({stopped}, timeout=REPLACED_AFTER_S)

    async def _started(self) -> Process:
        # A worker stops when its standard input ends, which happens even if this process is killed.
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "attachment_gateway", "worker"),
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C then reaches only the supervisor
        )

    async def _get_ready(self, worker: Process) -> None:
        assert worker.stdout is not None  # noqa: S101 it is a pipe
        if await worker.stdout.readline():
            self.ready.set()

    async def _drained(self, worker: Process, ended: "asyncio.Task[int]") -> None:
        if worker.returncode is None:
            worker.terminate()
        await asyncio.wait({ended}, timeout=self._drain_s + ENDED_WITHIN_S)
        if worker.returncode is None:
            worker.kill()
        await ended


@contextmanager
def _reserved(listen: str) -> Iterator[str]:
    """Bind the port without listening, so that all workers get the same. Raises SettingError."""
    host, _, port = listen.rpartition(":")
    bare = host.strip("[]")
    try:
        [family, kind, *_, address] = socket.getaddrinfo(bare, int(port), type=socket.SOCK_STREAM)[
            0
        ]
        with socket.socket(family, kind) as reserved:
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            reserved.bind(address)
            yield f"{host}:{reserved.getsockname()[1]}"
    except OSError:
        raise SettingError(f"listen is {listen!r}, which can't be bound; is it in use?") from None


@contextmanager
def _counted(listen: str) -> Iterator[Mapping[str, str]]:
    """Serve the sums of the workers' counters; yields the variables that the workers need."""
    if not listen:
        yield {}
        return
    with tempfile.TemporaryDirectory() as folder:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]
        with exposed(listen, registry):
            yield {_METRICS_FOLDER: folder}


def _share(settings: Settings, address: str) -> Settings:
    """Return a worker's settings, with its part of the limits that the workers don't share."""
    number = settings.workers
    shared = replace(
        settings,
        listen=address,
        workers=1,
        metrics_listen="",
        upload_memory_bytes=_part(settings.upload_memory_bytes, number),
    )
    if is_redis(settings.ledger):
        return shared
    return replace(
        shared,
        mailbox_concurrent=_part(settings.mailbox_concurrent, number),
        mailbox_upload_bytes=_part(settings.mailbox_upload_bytes, number),
    )


def _part(whole: int, number: int) -> int:
    """Return one worker's part of a limit: at least 1, or 0 if the limit is 0, which means none."""
    return max(whole // number, 1) if whole else 0


def _environment(settings: Settings) -> dict[str, str]:
    """Return the settings as environment variables; a flag would show the ledger's password."""
    return {
        ENVIRONMENT_PREFIX + setting.name.upper(): str(getattr(settings, setting.name))
        for setting in fields(settings)
    }
