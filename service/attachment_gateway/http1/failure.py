"""The reasons why there is no response, each with its sentence."""

from enum import Enum


class Failure(Enum):
    """The value completes the sentence "no response: …"."""

    NO_FREE_CONNECTION = "no connection became free in time"
    CONNECT_TIMEOUT = "the connection was not made in time"
    CONNECT_FAILED = "the connection could not be made"
    WRITE_TIMEOUT = "the server did not take the request in time"
    WRITE_FAILED = "the connection broke while the request was written"
    WITHHELD = "the last part of the request was withheld"
    RESPONSE_TIMEOUT = "the response did not begin in time"
    CONNECTION_LOST = "the connection ended without a response of HTTP/1.1"
    EARLY_SUCCESS = "a success came before the request was complete"
    NO_SUCH_PATH = "the path cannot be written as a URL"


class NoResponseError(Exception):
    """There is no response."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure
