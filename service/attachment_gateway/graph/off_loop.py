"""Runs functions on large inputs beside the event loop, on a thread.

Other calls go on meanwhile: Python lets the event loop's thread run after at most 5 ms, unless one
call of a C function takes longer. There is one thread for all, so that the loop competes with one,
and that what large inputs take of memory is taken once.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

# JSON up to this size is read on the event loop, as a hop to a thread and back takes 0.1 ms.
# Measured: the worst JSON of 16 KiB takes 10 ms from bytes to protobuf, usual JSON 0.5 ms.
ON_LOOP_BYTES = 16 * 1024

_P = ParamSpec("_P")
_T = TypeVar("_T")


class OffLoop:
    """A thread for large inputs. Close it when done."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="large-inputs")

    async def run(
        self, size_bytes: int, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Return what a pure function returns, called on the thread if its input is large.

        `size_bytes` is the input's size.
        """
        if size_bytes <= ON_LOOP_BYTES:
            return function(*args, **kwargs)
        call = partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def close(self) -> None:
        """End the thread when the present call ends; calls that wait are cancelled."""
        self._thread.shutdown(wait=False, cancel_futures=True)
