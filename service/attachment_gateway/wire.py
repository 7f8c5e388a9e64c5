"""A chunk, as it stands in its message's bytes: taken from there, it isn't copied.

protobuf would copy it twice, once into the message and once out of it. Both encode it the same way,
so what isn't exactly one chunk is left to protobuf.
"""

from collections.abc import Callable
from typing import Any

from graphattachments.v1.attachment_service_pb2 import UploadFileAttachmentRequest

# Protobuf's encoding: a tag of field number and wire type, here of length and bytes; the length in
# groups of seven bits, the lowest first, the eighth telling that more follow.
_LENGTH_DELIMITED = 2
_CHUNK = UploadFileAttachmentRequest.CHUNK_FIELD_NUMBER << 3 | _LENGTH_DELIMITED
_MORE = 0x80

# The groups of the largest message that gRPC carries, whose length has 32 bits.
_MAX_GROUPS = 5


def chunk_of(message: bytes) -> memoryview | None:
    """Return the chunk of a message that holds nothing else; None if it isn't such a one."""
    if not message or message[0] != _CHUNK:
        return None
    length = 0
    for at, group in enumerate(message[1 : 1 + _MAX_GROUPS]):
        length |= (group & ~_MORE) << 7 * at
        if group < _MORE:
            begin = at + 2
            return memoryview(message)[begin:] if length == len(message) - begin else None
    return None


def chunk_or(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Return what reads a message as its chunk, if it is nothing else, or as `read` has it."""

    def read_either(message: bytes) -> Any:
        chunk = chunk_of(message)
        return read(message) if chunk is None else chunk

    return read_either
