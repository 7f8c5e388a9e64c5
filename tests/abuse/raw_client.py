"""An HTTP/2 client whose user writes each frame, also those that no library would send."""

import asyncio
import struct
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import hpack

from tests.abuse import frames
from tests.abuse.frames import FRAME_BYTES, WINDOW_BYTES, Flag, Frame, Kind, Setting

Fields = Sequence[tuple[str, str]]

# An answer may be this large before the client's window closes, unless it says otherwise.
OPEN_WINDOW_BYTES = 64 * 1024 * 1024

# Header blocks of one connection that the client decodes may be this large.
_DECODED_BYTES = 1024 * 1024


@dataclass(slots=True, kw_only=True)
class Stream:
    """What came on a stream."""

    fields: dict[str, str] = field(default_factory=dict)
    """Headers and trailers, by name."""
    received_bytes: int = 0
    sent_bytes: int = 0
    """The payload of DATA frames that was written."""
    reset_code: int | None = None
    ended_s: float = 0.0
    """When it ended, by CLOCK_MONOTONIC; 0 before that."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def status(self) -> str:
        """How the stream ended: the number of gRPC's status, or what came instead."""
        if "grpc-status" in self.fields:
            return self.fields["grpc-status"]
        if self.reset_code is not None:
            return f"reset {self.reset_code}"
        return "lost" if self.ended.is_set() else "open"

    def end(self) -> None:
        """Note the end."""
        if not self.ended.is_set():
            self.ended_s = time.monotonic()
            self.ended.set()


class RawClient:
    """A connection. It answers SETTINGS and PING by itself, and obeys windows only in `send`."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._authority = authority
        self._encoder = hpack.Encoder()
        self._decoder = hpack.Decoder(max_header_list_size=_DECODED_BYTES)
        self._credits: defaultdict[int, int] = defaultdict(self._initial)
        self._credits[0] = WINDOW_BYTES
        self._initial_bytes = WINDOW_BYTES
        self._more = asyncio.Event()
        self._next_stream = 1
        self.written_bytes = 0
        self.streams: defaultdict[int, Stream] = defaultdict(Stream)
        self.gone = asyncio.Event()
        """Set when the server has ended the connection, or said GOAWAY with an error."""
        self.goaway: tuple[int, bytes] | None = None
        self.most_streams: int | None = None
        """The server's limit of streams at once, once it has told it."""

    def _initial(self) -> int:
        return self._initial_bytes

    # -- writing

    async def write(self, data: bytes) -> None:
        """Write bytes. Raises ConnectionError if the connection has ended."""
        if self._writer.is_closing():
            raise ConnectionResetError
        self.written_bytes += len(data)
        self._writer.write(data)
        await self._writer.drain()

    def block(self, path: str, fields: Fields = ()) -> bytes:
        """Return the header block of a call."""
        usual = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", self._authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
        ]
        return self._encoder.encode([*usual, *fields])

    @property
    def opened(self) -> int:
        """The number of streams that were begun."""
        return self._next_stream // 2

    def new_stream(self) -> int:
        """Return the number of the next stream."""
        self._next_stream += 2
        return self._next_stream - 2

    def opening(self, path: str, fields: Fields = ()) -> tuple[int, bytes]:
        """Return a new stream and its HEADERS frame, to be written before the next is made."""
        stream = self.new_stream()
        block = self.block(path, fields)
        return stream, frames.frame(Kind.HEADERS, block, flags=Flag.END_HEADERS, stream=stream)

    async def open(self, path: str, fields: Fields = ()) -> int:
        """Begin a call; return its stream."""
        stream, data = self.opening(path, fields)
        await self.write(data)
        return stream

    async def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """Write DATA frames as the windows allow; stop when the stream or connection ends."""
        left, its = memoryview(data), self.streams[stream]
        while left and not its.ended.is_set():
            size = min(len(left), self._credits[stream], self._credits[0])
            if size <= 0:
                await self._credited()
                continue
            await self._data(stream, left[:size])
            left = left[size:]
        if end and not its.ended.is_set():
            await self.write(frames.frame(Kind.DATA, flags=Flag.END_STREAM, stream=stream))

    async def _data(self, stream: int, data: memoryview) -> None:
        self._credits[stream] -= len(data)
        self._credits[0] -= len(data)
        self.streams[stream].sent_bytes += len(data)
        pieces = (data[at : at + FRAME_BYTES] for at in range(0, len(data), FRAME_BYTES))
        await self.write(
            b"".join(frames.frame(Kind.DATA, bytes(piece), stream=stream) for piece in pieces)
        )

    async def _credited(self) -> None:
        """Wait until a window has grown, or the stream or the connection has ended."""
        if self.gone.is_set():
            raise ConnectionResetError
        self._more.clear()
        await self._more.wait()

    # -- reading

    async def read(self) -> None:
        """Take what the server sends until it ends the connection."""
        try:
            while True:
                length, its = frames.parsed_head(await self._reader.readexactly(frames.HEAD_BYTES))
                payload = await self._reader.readexactly(length) if length else b""
                await self._take(Frame(its.kind, its.flags, its.stream, payload))
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone.set()
        finally:
            for stream in self.streams.values():
                stream.end()
            self._more.set()

    async def _take(self, got: Frame) -> None:
        match got.kind:
            case Kind.HEADERS:
                self._take_headers(got)
            case Kind.DATA:
                await self._take_data(got)
            case Kind.RST_STREAM:
                its = self.streams[got.stream]
                its.reset_code = int.from_bytes(got.payload, "big")
                its.end()
                self._more.set()
            case Kind.SETTINGS if not got.flags & Flag.ACK:
                self._take_settings(got.payload)
                await self.write(frames.frame(Kind.SETTINGS, flags=Flag.ACK))
            case Kind.PING if not got.flags & Flag.ACK:
                await self.write(frames.frame(Kind.PING, got.payload, flags=Flag.ACK))
            case Kind.WINDOW_UPDATE:
                self._credits[got.stream] += int.from_bytes(got.payload, "big")
                self._more.set()
            case Kind.GOAWAY:
                _, code = struct.unpack(">LL", got.payload[:8])
                self.goaway = code, got.payload[8:]

    def _take_headers(self, got: Frame) -> None:
        its = self.streams[got.stream]
        for name, value in self._decoder.decode(got.payload):
            its.fields[str(name)] = str(value)
        if got.flags & Flag.END_STREAM:
            its.end()
            self._more.set()

    async def _take_data(self, got: Frame) -> None:
        self.streams[got.stream].received_bytes += len(got.payload)
        if got.payload:
            await self.write(frames.window_update(0, len(got.payload)))

    def _take_settings(self, payload: bytes) -> None:
        for number, value in frames.parsed_settings(payload):
            if number == Setting.MAX_CONCURRENT_STREAMS:
                self.most_streams = value
            if number == Setting.INITIAL_WINDOW_SIZE:
                for stream in [each for each in self._credits if each]:
                    self._credits[stream] += value - self._initial_bytes
                self._initial_bytes = value
        self._more.set()


@asynccontextmanager
async def raw_client(
    address: str, *, window_bytes: int = OPEN_WINDOW_BYTES, reads: bool = True
) -> AsyncIterator[RawClient]:
    """Connect; without `reads` nothing that the server sends is taken from the socket."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=2**20)
    client = RawClient(reader, writer, address)
    reading = asyncio.create_task(client.read() if reads else asyncio.Event().wait())
    try:
        await client.write(
            frames.PREFACE + frames.settings({Setting.INITIAL_WINDOW_SIZE: window_bytes})
        )
        yield client
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        writer.transport.abort()
