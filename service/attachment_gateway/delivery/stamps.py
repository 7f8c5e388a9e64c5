"""The times that Graph gives its attachments, and what they tell of the moment of a send.

Graph's front end writes `Date`, its store writes the stamps, and the gateway has a clock of its
own. None of them is the truth: a stamp counts only while they agree.
"""

import math
from dataclasses import dataclass
from datetime import datetime

# Three clocks that differ by more than this don't agree.
AGREE_WITHIN_S = 5.0

# The resolution of `Date` and of most stamps.
SECOND = 1.0

# 2000-01-01: no attachment of Graph's is older, and 0001-01-01 stands for "none".
_OLDEST_S = 946_684_800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SendClocks:
    """The clocks when a request was sent: the wall clock, and the clock since this boot."""

    wall_s: float
    boot_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadClocks:
    """The clocks when a list was read; `date_s` is its `Date`, in seconds since the epoch.

    The list was received at `read_at` on the clock since this boot, and at `wall_s` on the wall
    clock. `date_s` is None if Graph gave none.
    """

    date_s: float | None
    read_at: float
    wall_s: float

    @property
    def graph_s(self) -> float | None:
        """Graph's time at `read_at`, as `Date` has it: to half a second."""
        return None if self.date_s is None else self.date_s + SECOND / 2

    def usable(self, stamp: object) -> float | None:
        """Return a stamp in seconds since the epoch; None if it can't be a time of storing.

        It can't without a zone, before 2000, or in the future.
        """
        if self.date_s is None or not isinstance(stamp, str):
            return None
        try:
            at = datetime.fromisoformat(stamp)
            stored_s = at.timestamp() if at.tzinfo else -math.inf
        except (ValueError, OverflowError):
            return None
        return stored_s if _OLDEST_S <= stored_s < self.date_s + 2 * SECOND else None

    def second_of(self, sent: SendClocks | None) -> float | None:
        """Return the second of a send on Graph's clock; None unless the three clocks agree.

        It is the later of the two that `Date` and the wall clock give. `sent` is None if the
        request was sent on another machine, or before this one's last start.
        """
        if self.date_s is None or self.graph_s is None or sent is None:
            return None
        clocks = (self.graph_s, self.wall_s, sent.wall_s + self.read_at - sent.boot_s)
        if max(clocks) - min(clocks) > AGREE_WITHIN_S:
            return None
        return second_of_send(self.date_s, sent, took_s=self.read_at - sent.boot_s)

    def window_end(self, settles_in_s: float, clock_skew_s: float) -> float | None:
        """Return the end of a send's window on Graph's clock, `settles_in_s` after `read_at`.

        `Date` has no fraction, so the end may be up to a second late, which is the resolution of
        most stamps. None if `Date` and the wall clock differ by more than `clock_skew_s`: then no
        stamp shows what is outside the window.
        """
        if self.graph_s is None or abs(self.graph_s - self.wall_s) > clock_skew_s:
            return None
        return self.graph_s + SECOND / 2 + settles_in_s


def second_of_send(date_s: float, sent: SendClocks, *, took_s: float) -> float:
    """Return the second of a send: the later of those by the wall clock and by a later `Date`.

    `took_s`: from the send to the response with that `Date`, whose fraction is cut off.
    """
    return math.floor(max(sent.wall_s, date_s - took_s))


def stamp_identifies(
    stamp_s: float | None, date_s: float | None, sent: SendClocks, *, took_s: float
) -> bool:
    """Return whether the stamp in the answer to a create shows when the attachment was stored.

    It doesn't if it is from before the second of the send, or from after the answer's `Date`, or
    if one of them is missing. `took_s`: from the send to the answer.
    """
    if stamp_s is None or date_s is None:
        return False
    clocks_agree = abs(date_s + SECOND / 2 - sent.wall_s - took_s) <= AGREE_WITHIN_S
    second = second_of_send(date_s, sent, took_s=took_s)
    return clocks_agree and second <= stamp_s < date_s + 2 * SECOND
