"""The Python client of the gateway."""

from attachment_gateway.client.clock import Clock, SystemClock
from attachment_gateway.client.errors import AttachmentError
from attachment_gateway.client.sync import CHUNK_BYTES, TIMEOUT_S, AttachmentClient

__all__ = [
    "CHUNK_BYTES",
    "TIMEOUT_S",
    "AttachmentClient",
    "AttachmentError",
    "Clock",
    "SystemClock",
]
