"""The log: one JSON object a line, on standard error. Nothing that befalls it changes an answer."""

import logging
import os
import sys
from pathlib import Path
from typing import TextIO

import structlog
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer

from attachment_gateway import metrics


def to_standard_error(level: str) -> None:
    """Send the log there; to nowhere if the process was started without one."""
    stream = _standard_error()
    logging.basicConfig(stream=stream, format="%(message)s")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Without locals: requests and tokens are among them.
            ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: LineLogger(stream),
        cache_logger_on_first_use=True,
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
        except (OSError, ValueError):  # the second: the stream is closed
            metrics.LOG_EVENTS_DROPPED.inc()

    log = debug = info = warning = warn = error = critical = exception = fatal = failure = msg


def _standard_error() -> TextIO:
    """Return standard error, or the null device where the process was started without one.

    It gets the lowest descriptor that is free, which is standard error's: so no connection gets it,
    to which libraries would write what is meant for standard error.
    """
    stream: TextIO | None = sys.stderr
    return stream or Path(os.devnull).open("w", encoding="utf-8")
