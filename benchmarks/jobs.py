"""The jobs of a caller's process and their results, each as a line of JSON."""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

READY = "ready"

# How many failures a caller reports; there may be thousands.
_MAX_FAILURES = 5

Upload = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`uploads` uploads of one size to a server (for the SDK: to Graph), `concurrency` at once.

    `is_item`: they are messages with a text of that size.
    """

    target: str
    uploads: int
    size_bytes: int
    chunk_bytes: int
    concurrency: int
    with_request_id: bool = False
    is_item: bool = False
    timeout_s: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A job's result: `cpu_s` is the caller's CPU time; `failures` are the first errors."""

    wall_s: float
    cpu_s: float
    latencies_s: Sequence[float]
    failed: int
    failures: Sequence[str]


def work(prepared: Callable[[Job], Sequence[Upload]]) -> None:
    """Do the jobs from standard input until it ends.

    `prepared` makes a job's uploads; that isn't measured.
    """
    # Each upload at once may need a connection.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(_work(prepared))


async def _work(prepared: Callable[[Job], Sequence[Upload]]) -> None:
    print(READY, flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        job = Job(**json.loads(line))
        done = await _done(prepared(job), job.concurrency)
        print(json.dumps(asdict(done)), flush=True)


async def _done(uploads: Sequence[Upload], concurrency: int) -> Done:
    latencies_s: list[float] = []
    failures: list[str] = []
    waiting = iter(uploads)
    began, cpu_began = time.perf_counter(), time.process_time()
    await asyncio.gather(*(_one_by_one(waiting, latencies_s, failures) for _ in range(concurrency)))
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
    return Done(
        wall_s=wall_s,
        cpu_s=cpu_s,
        latencies_s=latencies_s,
        failed=len(failures),
        failures=failures[:_MAX_FAILURES],
    )


async def _one_by_one(
    waiting: Iterator[Upload], latencies_s: list[float], failures: list[str]
) -> None:
    for upload in waiting:
        began = time.perf_counter()
        try:
            await upload()
        except Exception as error:  # noqa: BLE001 any error counts as a failure
            failures.append(str(error))
        else:
            latencies_s.append(time.perf_counter() - began)
