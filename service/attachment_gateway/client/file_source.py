"""A file, read as the messages of an upload."""

import os
from collections.abc import Iterator
from pathlib import Path

from graphattachments.v1.attachment_service_pb2 import UploadFileAttachmentRequest, UploadHeader


class FileSource:
    """A file as the messages of an upload; each attempt reads it again."""

    def __init__(self, path: Path, chunk_bytes: int) -> None:
        with path.open("rb"):  # raises OSError before the first call
            self._path = path
        self._chunk_bytes = chunk_bytes
        self._error: OSError | None = None

    def requests(self, header: UploadHeader) -> Iterator[UploadFileAttachmentRequest]:
        """Yield the header and the chunks; the declared size reveals a changed file."""
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
        """Raise the OSError of reading the file, if any; gRPC's own error doesn't name it."""
        if self._error is not None:
            raise self._error
