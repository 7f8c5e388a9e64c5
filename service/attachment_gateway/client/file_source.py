"""A file as the messages of an upload."""

import os
from collections.abc import Iterator
from pathlib import Path

from graphattachments.v1.attachment_service_pb2 import UploadFileAttachmentRequest, UploadHeader


class FileSource:
    """A file as the messages of an upload, as often as they are asked for."""

    def __init__(self, path: Path, chunk_bytes: int) -> None:
        with path.open("rb"):  # what can't be opened is told before anything is called
            self._path = path
        self._chunk_bytes = chunk_bytes
        self._error: OSError | None = None

    def requests(self, header: UploadHeader) -> Iterator[UploadFileAttachmentRequest]:
        """Give header and chunks; the size tells the gateway if the file changes meanwhile."""
        try:
            with self._path.open("rb") as file:
                header.size_bytes = os.fstat(file.fileno()).st_size
                yield UploadFileAttachmentRequest(header=header)
                while chunk := file.read(self._chunk_bytes):
                    yield UploadFileAttachmentRequest(chunk=chunk)
        except OSError as error:
            self._error = error
            raise

    def raise_own_error(self) -> None:
        """Raise what went wrong with the file; gRPC only says that the messages ended badly."""
        if self._error is not None:
            raise self._error
