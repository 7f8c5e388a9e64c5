"""The target `calls`: messages that a real gRPC client sends, and odd answers of Graph's."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import grpc
import grpc.aio

from tests.fuzz import draws, large, messages, upload_streams
from tests.fuzz.draws import chance
from tests.fuzz.protobuf_bytes import mutated_message
from tests.fuzz.target import Outcome
from tests.fuzz.wire_graph import token
from tests.fuzz.wire_status import Received

SERVICE = "/graphattachments.v1.AttachmentService"
UPLOAD = f"{SERVICE}/UploadFileAttachment"
CREATE = f"{SERVICE}/CreateAttachment"
_OTHERS = (
    *("/grpc.health.v1.Health/Check", f"{SERVICE}/NoSuchMethod", "/a/b", f"{SERVICE}/"),
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)

# The cap of the gateway, small so that sizes at the cap cost little.
CAP_BYTES = 60_000

# A call without an end after this time hangs: all of the gateway's own times are shorter.
HANG_S = 15.0

# The client's own deadline must not be the reason why a call ends.
_TIMEOUTS_S = (0.02, *(1.0, 2.0, 3.0) * 4, None)

# What the asyncio client of gRPC tells if it writes to a call that the server has ended.
_CLIENTS_OWN = "Internal error from Core"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call: its messages as bytes, and how it is made."""

    path: str
    messages: tuple[bytes, ...]
    metadata: tuple[tuple[str, str | bytes], ...]
    timeout_s: float | None
    compression: grpc.Compression
    cancelled_after_s: float | None


def draw(random: Random, input_id: str) -> Call:
    """Draw a call: a valid one, or one with something changed."""
    path = random.choice((UPLOAD, UPLOAD, UPLOAD, CREATE, CREATE))
    if chance(random, 0.05):
        path = random.choice(_OTHERS)
    return Call(
        path=path,
        messages=_messages(random, path),
        metadata=_metadata(random, input_id),
        timeout_s=random.choice(_TIMEOUTS_S),
        compression=grpc.Compression.Gzip
        if chance(random, 0.1)
        else grpc.Compression.NoCompression,
        cancelled_after_s=random.choice((0.0, 0.003, 0.05)) if chance(random, 0.05) else None,
    )


def _messages(random: Random, path: str) -> tuple[bytes, ...]:
    if path == UPLOAD:
        return upload_streams.draw(random, CAP_BYTES).messages
    if path == CREATE and chance(random, 0.002):
        return (large.draw(random).message,)
    message = messages.create_request(random).SerializeToString()
    if path != CREATE:
        return (random.randbytes(random.choice((0, 1, 20))),)
    return (mutated_message(random, message) if chance(random, 0.3) else message,)


def _metadata(random: Random, input_id: str) -> tuple[tuple[str, str | bytes], ...]:
    bearer = ("authorization", f"Bearer {token(input_id)}")
    if chance(random, 0.95):
        return (bearer,)
    return random.choice(
        (
            (),
            (bearer, bearer),
            (("authorization", f"bearer   {token(input_id)}"),),
            (("authorization", f"Bearer {token(input_id)} x"),),
            (("authorization", f"Basic {token(input_id)}"),),
            (("authorization-bin", b"\xff\0"), bearer),
            (("traceparent", draws.CANARY), bearer),
            (*((f"x-{number}", "x" * 1000) for number in range(40)), bearer),
        )
    )


async def run(channel: grpc.aio.Channel, call: Call) -> Received:
    """Make a call, and return its status. Raises TimeoutError if it doesn't end."""
    made = _made(channel, call)
    if call.cancelled_after_s is not None:
        asyncio.get_running_loop().call_later(call.cancelled_after_s, made.cancel)
    try:
        async with asyncio.timeout(HANG_S):
            await made
    except grpc.aio.AioRpcError as error:
        trailing = tuple((name, value) for name, value in error.trailing_metadata() or ())
        return Received(code=error.code().name, message=error.details() or "", trailers=trailing)
    except asyncio.CancelledError:
        return Received(code=grpc.StatusCode.CANCELLED.name, message="")
    return Received(code=grpc.StatusCode.OK.name, message="")


def _made(channel: grpc.aio.Channel, call: Call) -> Any:
    options: Mapping[str, Any] = {
        "metadata": call.metadata,
        "timeout": call.timeout_s,
        "compression": call.compression,
    }

    async def sent() -> AsyncIterator[bytes]:
        for message in call.messages:
            yield message

    if call.path == UPLOAD:
        upload: Callable[..., Any] = channel.stream_unary(call.path)
        return upload(sent(), **options)
    method: Callable[..., Any] = channel.unary_unary(call.path)
    return method(call.messages[0], **options)


def judged(call: Call, received: Received, posts: int) -> Outcome:
    """Return how a call ended, with the rules that it breaks. `posts`: how often Graph got it."""
    outcome = received.judged()
    if received.message == _CLIENTS_OWN and received.info is None:
        return Outcome(f"{received.code}, the client's own")
    if call.path in (UPLOAD, CREATE):
        is_accepted = received.code == grpc.StatusCode.OK.name
        outcome.expect("created without a POST", holds=posts > 0 or not is_accepted)
        outcome.expect(
            f"{posts} POSTs of what is refused", holds=not (received.is_refusal and posts)
        )
    return outcome
