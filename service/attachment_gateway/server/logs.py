"""The log: one JSON object a line, on standard error. A failure to write changes no response."""

import logging
import os
import sys
from pathlib import Path
from typing import TextIO

import structlog
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer

from attachment_gateway import metrics

log: structlog.stdlib.BoundLogger = structlog.get_logger("attachment_gateway")


def to_standard_error(level: str) -> None:
    """Write the log to standard error; drop it if the process was started without one."""
    stream = _standard_error()
    logging.basicConfig(handlers=[LibraryHandler()], level=logging.WARNING, force=True)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Local variables are left out, because they include requests and tokens.
            ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: LineLogger(stream),
        cache_logger_on_first_use=True,
    )


class LibraryHandler(logging.Handler):
    """Logs that a library has logged something, and where, without its words.

    gRPC logs a header that it can't decode, which may be a caller's token.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write one event for a record."""
        kind = record.exc_info[0] if record.exc_info else None
        log.warning(
            "library",
            logger=record.name,
            at=f"{record.module}:{record.lineno}",
            error=kind.__name__ if kind else "",
        )


class LineLogger:
    """Writes lines to a stream. A line that can't be written is dropped, and counted."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        """Write a line."""
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # ValueError if the stream is closed
            metrics.LOG_EVENTS_DROPPED.inc()

    log = debug = info = warning = warn = error = critical = exception = fatal = failure = msg


def _standard_error() -> TextIO:
    """Return standard error, or the null device if the process was started without it.

    The null device gets the lowest free descriptor, which is that of standard error. Otherwise a
    connection could get it, and libraries would write their errors into that connection.
    """
    stream: TextIO | None = sys.stderr
    return stream or Path(os.devnull).open("w", encoding="utf-8")
