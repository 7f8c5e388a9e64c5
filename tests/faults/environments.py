"""Where cases run: an emulated Graph, a proxy in front of it, and gateways."""

import asyncio
import itertools
import os
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal, Protocol, TypeVar

from graph_emulator.control import ConfigChanges, EmulatorClient
from tests.faults.cases import BASELINES, Baseline
from tests.faults.children import START_S, child, started
from tests.faults.gateways import Gateway, gateway
from tests.faults.proxy import ConnectionFault, FaultProxy

LedgerKind = Literal["sqlite", "redis"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentSpec:
    """The parts of an environment; `connection_faults` gives each fault its share."""

    emulator: ConfigChanges = field(default_factory=ConfigChanges)
    replicas: int = 1
    ledger: LedgerKind = "sqlite"
    connection_faults: Mapping[ConnectionFault, int] = field(default_factory=dict)


class Run(Protocol):
    """Runs a gateway on a ledger; `clock` is the file of its wall clock's steps."""

    def __call__(
        self, ledger: str, baseline: Baseline, clock: Path | None = None
    ) -> AbstractAsyncContextManager[Gateway]:
        """Return the gateway as a context."""


HOUR_S = 3600.0
LAG_S = 0.4

ENVIRONMENTS: Mapping[str, EnvironmentSpec] = {
    "plain": EnvironmentSpec(),
    "lag": EnvironmentSpec(emulator={"lag_s": LAG_S}),
    "pages of 1": EnvironmentSpec(emulator={"page_size": 1}),
    "pages of 2": EnvironmentSpec(emulator={"page_size": 2}),
    "pages of 3": EnvironmentSpec(emulator={"page_size": 3}),
    "verbatim": EnvironmentSpec(emulator={"rewrite_items": False, "created_status": 200}),
    "ahead": EnvironmentSpec(emulator={"clock_offset_s": HOUR_S}),
    "behind": EnvironmentSpec(emulator={"clock_offset_s": -HOUR_S}),
    "connections": EnvironmentSpec(
        connection_faults={"none": 5, "reset": 1, "close": 1, "hang": 1, "slow": 1}
    ),
    "odd": EnvironmentSpec(emulator={"odd_items": True, "odd_types": True}),
    "odd names": EnvironmentSpec(emulator={"odd_items": True, "odd_names": True}),
    "odd bytes": EnvironmentSpec(emulator={"odd_bytes": True, "odd_types": True}),
    "odd ids": EnvironmentSpec(emulator={"odd_ids": True}),
    "no content": EnvironmentSpec(emulator={"value_missing": True}),
    "stamps behind": EnvironmentSpec(emulator={"stamp_offset_s": -2.0}),
    "stamps ahead": EnvironmentSpec(emulator={"stamp_offset_s": 2.0}),
    "date behind": EnvironmentSpec(emulator={"date_offset_s": -10.0}),
    "date ahead": EnvironmentSpec(emulator={"date_offset_s": 10.0}),
    "no stamps": EnvironmentSpec(emulator={"stamps": "mixed"}),
    "list lag": EnvironmentSpec(emulator={"list_lag_s": LAG_S}),
    "shuffled": EnvironmentSpec(emulator={"page_size": 2, "page_shuffle": True}),
    "cached": EnvironmentSpec(emulator={"list_age_s": 5}),
    "replicas": EnvironmentSpec(replicas=2),
    "replicas on redis": EnvironmentSpec(replicas=2, ledger="redis"),
}


@dataclass(slots=True, kw_only=True)
class Environment:
    """An environment that is running."""

    spec: EnvironmentSpec
    control: EmulatorClient
    proxy: FaultProxy
    gateways: Mapping[Baseline, Sequence[Gateway]]
    """By the setting `baseline`; all share a ledger."""
    new_ledger: Callable[[], str]
    run: Run
    """Run a gateway for one case, as a context."""

    async def ask_emulator(self, ask: Callable[[EmulatorClient], T]) -> T:
        """Call a method of the emulator's control client in a thread."""
        return await asyncio.to_thread(ask, self.control)


@asynccontextmanager
async def environment(
    name: str,
    *,
    folder: Path,
    logs: Path,
    tree: Path | None = None,
    baselines: Iterable[Baseline] = BASELINES,
) -> AsyncIterator[Environment]:
    """Set up an environment; `folder` is for its ledgers, `logs` for its processes' logs.

    It has gateways with each of the `baselines`.
    """
    spec = ENVIRONMENTS[name]
    slug = name.replace(" ", "-")
    numbers = itertools.count()

    def new_ledger() -> str:
        return f"sqlite:///{folder / slug}-{next(numbers)}.db"

    def run(
        ledger: str, baseline: Baseline, clock: Path | None = None
    ) -> AbstractAsyncContextManager[Gateway]:
        url = f"http://127.0.0.1:{proxy.port}/v1.0"
        log = logs / f"{slug}.log"
        return gateway(url, ledger=ledger, baseline=baseline, tree=tree, log=log, clock=clock)

    async with AsyncExitStack() as stack:
        emulator = await stack.enter_async_context(
            child("graph_emulator", log=logs / "emulator.log")
        )
        host, port = emulator.address.split(":")
        control = stack.enter_context(EmulatorClient(f"http://{emulator.address}/emulator"))
        await asyncio.to_thread(lambda: control.configure(**spec.emulator))
        proxy = await stack.enter_async_context(FaultProxy(host, int(port)))
        _add_connection_faults(proxy, spec)
        shared = await _ledger(spec.ledger, new_ledger, stack)
        gateways: dict[Baseline, Sequence[Gateway]] = {
            baseline: [
                await stack.enter_async_context(run(shared, baseline)) for _ in range(spec.replicas)
            ]
            for baseline in baselines
        }
        yield Environment(
            spec=spec,
            control=control,
            proxy=proxy,
            gateways=gateways,
            new_ledger=new_ledger,
            run=run,
        )


def _add_connection_faults(proxy: FaultProxy, spec: EnvironmentSpec) -> None:
    if spec.connection_faults:
        random = Random(0)
        names, weights = list(spec.connection_faults), list(spec.connection_faults.values())
        proxy.connection_fault = lambda: random.choices(names, weights)[0]
        proxy.one_request_a_connection = True


async def _ledger(kind: LedgerKind, new_ledger: Callable[[], str], stack: AsyncExitStack) -> str:
    return new_ledger() if kind == "sqlite" else await stack.enter_async_context(_redis())


def redis_server() -> str | None:
    """Return the path of redis-server; None if there is none."""
    return shutil.which("redis-server")


@asynccontextmanager
async def _redis() -> AsyncIterator[str]:
    """Run a Redis without persistence."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = redis_server()
    assert program is not None
    command = (program, "--port", str(port), "--bind", "127.0.0.1", "--save", "")
    process = started(command, env=None, log=Path(os.devnull))
    try:
        await _listening(port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.communicate()


async def _listening(port: int) -> None:
    async with asyncio.timeout(START_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
