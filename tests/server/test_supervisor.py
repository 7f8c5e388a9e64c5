"""Tests of server/supervisor.py: several worker processes that share a port."""

import asyncio
import os
import signal
import socket
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc.aio
import pytest

from attachment_gateway.server.supervisor import _share
from attachment_gateway.settings import Settings
from graphattachments.v1.attachment_pb2 import PostRef
from graphattachments.v1.attachment_service_pb2_grpc import AttachmentServiceStub
from tests.support.calls import BEARER, upload
from tests.support.processes import Process, run, started
from tests.support.raw_graph import RawGraph, answer

WORKERS = 2


def children(pid: int) -> set[int]:
    """Return the ids of the processes that this one has started."""
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def written(pid: int) -> int:
    """Return the number of bytes that a process has written, to the ledger among others."""
    [line] = [line for line in Path(f"/proc/{pid}/io").read_text().splitlines() if "wchar" in line]
    return int(line.split()[1])


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 there is no event for it
            await asyncio.sleep(0.05)


@contextmanager
def serving(graph: RawGraph, folder: Path, *options: str) -> Iterator[tuple[Process, str]]:
    """Run a gateway of WORKERS workers, and yield its process and its address."""
    command = (
        *("serve", "--listen=127.0.0.1:0", f"--workers={WORKERS}", f"--graph-url={graph.url}"),
        *(f"--ledger=sqlite:///{folder}/ledger", "--drain-s=10", *options),
    )
    with started(*command) as (process, line):
        assert line.startswith("listening on 127.0.0.1:")
        yield process, line.split()[-1]


async def call(address: str, post: PostRef) -> str:
    """Upload one file over a new connection, which the kernel gives to any worker."""
    alone = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(address, options=alone) as channel:
        stub = AttachmentServiceStub(channel)
        made = await stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER)
        return made.attachment.id


async def ended(process: Process) -> int:
    await asyncio.to_thread(process.wait, 60)
    return process.returncode


async def test_every_worker_gets_calls_and_metrics_are_summed(
    graph: RawGraph, post: PostRef, tmp_path: Path
) -> None:
    """Every worker gets some of the calls, and the metrics are the sum of all workers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with serving(graph, tmp_path, f"--metrics-listen=127.0.0.1:{port}") as (process, address):
        before = {pid: written(pid) for pid in children(process.pid)}
        assert len(before) == WORKERS
        for _ in range(24):
            assert await call(address, post) == "AAMkAD="
        url = f"http://127.0.0.1:{port}/metrics"
        shown = (await asyncio.to_thread(urllib.request.urlopen, url)).read().decode()
        assert all(written(pid) > before[pid] for pid in children(process.pid))
        assert 'attachment_gateway_attempts_total{next="created"} 24.0' in shown
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0


async def test_a_killed_worker_is_replaced(graph: RawGraph, post: PostRef, tmp_path: Path) -> None:
    """A killed worker is replaced by another one at the same port."""
    with serving(graph, tmp_path) as (process, address):
        before = children(process.pid)
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        await until(lambda: len(children(process.pid) - {victim}) == WORKERS)
        for _ in range(8):
            assert await call(address, post) == "AAMkAD="
        assert len(children(process.pid) & before) == WORKERS - 1


async def test_sigterm_drains_all_workers(graph: RawGraph, post: PostRef, tmp_path: Path) -> None:
    """After SIGTERM all calls in progress are answered, and no worker is left."""
    graph.script = [answer(delay_s=1)] * 4
    with serving(graph, tmp_path) as (process, address):
        workers = children(process.pid)
        posts = [PostRef(group_id="g", thread_id="t", post_id=f"p{at}") for at in range(4)]
        calls = [asyncio.create_task(call(address, post)) for post in posts]
        await until(lambda: len(graph.received) == 4)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.gather(*calls) == ["AAMkAD="] * 4
        assert await ended(process) == 0
        assert not any(map(alive, workers))


async def test_no_worker_outlives_its_supervisor(graph: RawGraph, tmp_path: Path) -> None:
    """Workers end when their supervisor is killed."""
    with serving(graph, tmp_path) as (process, _):
        workers = children(process.pid)
        process.kill()
        await until(lambda: not any(map(alive, workers)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--listen=unix:/tmp/x", "--workers=2"), "listen is 'unix:/tmp/x' for 2 workers"),
        (("--ledger=memory:", "--workers=2"), "ledger is 'memory:' for 2 workers"),
        (("--listen=192.0.2.1:1", "--workers=2"), "can't be bound"),
    ],
)
def test_a_setting_that_workers_cannot_share_is_a_usage_error(
    options: tuple[str, ...], words: str
) -> None:
    """A setting that several workers can't share is a usage error before any worker starts."""
    finished = run("serve", *options)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert words in finished.stderr


def test_workers_that_cannot_start_end_the_supervisor() -> None:
    """If the workers can't start, the process ends with 1 and prints their error and no address."""
    finished = run("serve", "--listen=127.0.0.1:0", "--workers=2", "--ledger=sqlite:////proc/x/y")
    assert (finished.returncode, finished.stdout) == (1, "")
    assert "ledger" in finished.stderr


def test_each_worker_has_its_share_of_a_limit() -> None:
    """A limit that isn't kept in a shared ledger is divided by the workers, and 0 stays 0."""
    whole = Settings(workers=3, mailbox_concurrent=4, mailbox_upload_bytes=0)
    share = _share(whole, "127.0.0.1:7")
    assert (share.listen, share.workers) == ("127.0.0.1:7", 1)
    assert (share.mailbox_concurrent, share.mailbox_upload_bytes) == (1, 0)
    shared = Settings(workers=3, mailbox_concurrent=4, ledger="redis://h/0")
    assert _share(shared, "127.0.0.1:7").mailbox_concurrent == 4
