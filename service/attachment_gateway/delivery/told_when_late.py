"""What a caller is told whose time is over while the delivery goes on, or is stopped.

The state of the delivery determines it: nothing more is claimed than the state says is known.
"""

from attachment_gateway.delivery.state import Progress, State
from attachment_gateway.errors import GatewayError, OutcomeUnknown, RequestInProgress

# The retry delay for a request id that another call of the same process is working on.
IN_PROGRESS_RETRY_S = 1.0


def told_when_late(progress: Progress, expired: GatewayError) -> GatewayError:
    """Return the error for a caller whose time is over.

    `expired`: the error of the deadline, returned if nothing can have been created.
    """
    match progress.state:
        case State.JOINING:
            return RequestInProgress(retry_delay_s=IN_PROGRESS_RETRY_S)
        case State.QUEUED | State.SENDING:
            return expired
        case State.WAITING | State.RESENDING:
            return progress.last_error or expired
        case State.OFFERED | State.UNCLEAR | State.INHERITED:
            return OutcomeUnknown("time ran out before the outcome was settled")
        case State.REPLAYING | State.UNNAMED | State.CREATED:
            # CREATED is for the log only: a known attachment is the response.
            return OutcomeUnknown("time ran out before Graph showed the attachment", created=True)
