"""The target `frames`: HTTP/2 frames that are sent to a gateway process, and its answers."""

import asyncio
import base64
from urllib.parse import unquote_to_bytes

import grpc

from tests.fuzz.draws import CANARY
from tests.fuzz.frame_draws import Connection
from tests.fuzz.http2 import ACK, PING, Answers, Frame
from tests.fuzz.target import Outcome
from tests.fuzz.wire_status import Received

_CODES = {code.value[0]: code.name for code in grpc.StatusCode}


async def run(address: str, connection: Connection) -> Answers:
    """Send the bytes, and read until every stream has ended, or for as long as is drawn."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    answers = Answers()
    try:
        writer.write(connection.wire)
        if connection.half_closes:
            writer.write_eof()
        async with asyncio.timeout(connection.read_s):
            while data := await reader.read(65_536):
                frames = answers.feed(data)
                if {1, 3} & (answers.ended | answers.reset):
                    break
                if not connection.half_closes:
                    _answer_pings(frames, writer)
    except TimeoutError:
        answers.is_open = True
    except OSError:
        pass  # the gateway has ended a connection that it doesn't understand
    finally:
        writer.transport.abort()
    return answers


def _answer_pings(frames: list[Frame], writer: asyncio.StreamWriter) -> None:
    for frame in frames:
        if frame.kind == PING and not frame.flags & ACK:
            writer.write(frame._replace(flags=ACK).encoded())


def received(headers: dict[str, str]) -> Received | None:
    """Return the status in a stream's headers; None if there is none."""
    code = headers.get("grpc-status")
    if code is None:
        return None
    message = unquote_to_bytes(headers.get("grpc-message", "")).decode("utf-8", "replace")
    trailers: list[tuple[str, str | bytes]] = []
    for name, value in headers.items():
        if name.endswith("-bin"):
            trailers.append((name, base64.b64decode(value + "=" * (-len(value) % 4))))
        elif not name.startswith(":") and name not in ("grpc-status", "grpc-message"):
            trailers.append((name, value))
    return Received(
        code=_CODES.get(int(code), f"code {code}"), message=message, trailers=tuple(trailers)
    )


def _without_status(connection: Connection, answers: Answers) -> str:
    """Return how a connection without a status ended; a call that is never whole has none."""
    if answers.reset:
        return "stream reset"
    if answers.is_gone:
        return "connection refused"
    if not answers.is_open:
        return "connection ended"
    return f"no end within {connection.read_s:g} s"


def judged(connection: Connection, answers: Answers, posts: int) -> Outcome:
    """Return how a connection ended, with the rules that it breaks."""
    statuses = [found for each in answers.headers.values() if (found := received(each))]
    judgements = [status.judged() for status in statuses]
    outcome = Outcome(judgements[0].word if judgements else _without_status(connection, answers))
    outcome.violations = [what for each in judgements for what in each.violations]
    outcome.expect(answers.fault, holds=not answers.fault)
    # Another call of the same connection may have been accepted, or may have no answer.
    begun = connection.wire.count(f" {CANARY}.frames.".encode())
    if statuses and len(statuses) >= begun and all(each.is_refusal for each in statuses):
        outcome.expect(f"{posts} POSTs of what is refused", holds=posts == 0)
    return outcome
