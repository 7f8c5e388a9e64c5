"""What a caller is told whose time is over while the delivery goes on, or is stopped.

The state of the delivery determines it: nothing more is claimed than the state says is known.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from attachment_gateway.delivery.state import Progress, State
from attachment_gateway.errors import GatewayError, OutcomeUnknown, RequestInProgress

# The retry delay for a request id that another call of the same process is working on.
IN_PROGRESS_RETRY_S = 1.0
_Told = Callable[[Progress, GatewayError], GatewayError]


def _in_progress(_: Progress, __: GatewayError) -> GatewayError:
    return RequestInProgress(retry_delay_s=IN_PROGRESS_RETRY_S)


def _expired(_: Progress, expired: GatewayError) -> GatewayError:
    return expired


def _last_error(progress: Progress, expired: GatewayError) -> GatewayError:
    return progress.last_error or expired


def _unknown(_: Progress, __: GatewayError) -> GatewayError:
    return OutcomeUnknown("time ran out before the outcome was settled")


def _unnamed(_: Progress, __: GatewayError) -> GatewayError:
    return OutcomeUnknown("time ran out before Graph showed the attachment", created=True)


_TABLE: Mapping[State, _Told] = MappingProxyType(
    {
        State.JOINING: _in_progress,
        State.QUEUED: _expired,
        State.REPLAYING: _unnamed,
        State.SENDING: _expired,
        State.WAITING: _last_error,
        State.RESENDING: _last_error,
        State.OFFERED: _unknown,
        State.UNCLEAR: _unknown,
        State.INHERITED: _unknown,
        State.UNNAMED: _unnamed,
        State.CREATED: _unnamed,  # for the log only: a known attachment is the response
    }
)


def told_when_late(progress: Progress, expired: GatewayError) -> GatewayError:
    """Return the error for a caller whose time is over.

    `expired`: the error of the deadline, returned if nothing can have been created.
    """
    return _TABLE[progress.state](progress, expired)
