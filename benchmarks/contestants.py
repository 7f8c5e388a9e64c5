"""The contestants, and the commands that start them."""

import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.traffic import ROOT

GATEWAY = "gateway"
GATEWAY_ID = "gateway-id"
GATEWAY_MEMORY = "gateway-memory"
FLOOR = "floor"
PLAIN = "plain"
SDK = "sdk"
AGAINST = "against"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A contestant; `server` names the server process, None if the caller sends to Graph itself."""

    about: str
    server: str | None
    with_request_id: bool = False


CONTESTANTS = {
    GATEWAY: Contestant(
        about="attachment-gateway as it comes: ledger in a SQLite file, no request_id",
        server=GATEWAY,
    ),
    GATEWAY_ID: Contestant(
        about="the same process, each upload with a request_id",
        server=GATEWAY,
        with_request_id=True,
    ),
    GATEWAY_MEMORY: Contestant(
        about="attachment-gateway, ledger in memory, no request_id", server=GATEWAY_MEMORY
    ),
    AGAINST: Contestant(about="another tree's gateway, as the first", server=AGAINST),
    FLOOR: Contestant(
        about="grpc.aio on uvloop that throws the stream away and sends ready-made bytes",
        server=FLOOR,
    ),
    PLAIN: Contestant(
        about="grpc.aio, join, base64, JSON, httpx: what one would write in an afternoon",
        server=PLAIN,
    ),
    SDK: Contestant(about="msgraph-sdk in the caller's process, no server", server=None),
}


def command_of(name: str, graph: str, place: Path) -> tuple[str, ...]:
    """Return the command of a server in front of the Graph at HOST:PORT; its files go to `place`.

    A gateway has its default settings, except that it has no mailbox limits, which would slow it
    down on purpose, and doesn't log every call.
    """
    graph_url = f"http://{graph}{ROOT}"
    if name in {FLOOR, PLAIN}:
        return ("-m", f"benchmarks.{name}", "--graph-url", graph_url)
    ledger = "memory:" if name == GATEWAY_MEMORY else f"sqlite:///{place}/{name}.sqlite"
    flags = {
        "listen": "127.0.0.1:0",
        "graph-url": graph_url,
        "ledger": ledger,
        "mailbox-concurrent": 0,
        "mailbox-upload-bytes": 0,
        "log-level": "warning",
    }
    return ("-m", "attachment_gateway", "serve", *(f"--{flag}={v}" for flag, v in flags.items()))


@cache
def knows(flag: str) -> bool:
    """Tell whether the gateway has a flag."""
    told = subprocess.run(
        [sys.executable, "-m", "attachment_gateway", "serve", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    return flag in told.stdout.split()
