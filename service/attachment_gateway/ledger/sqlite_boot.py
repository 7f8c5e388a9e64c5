"""The anchor of a ledger's file: which boot its times belong to; and their move to another boot.

Times in the file are on the clock of one boot. The anchor is that boot's id, and what its clock and
the wall clock read when it was written: at opening, at closing and at each upkeep. It also marks
whether a process has the file open.
"""

import sqlite3
from typing import NamedTuple

from attachment_gateway.ledger.boot_clock import BootClock
from attachment_gateway.ledger.packing import packed, unpacked
from attachment_gateway.ledger.rules import Attempt

ANCHOR = "SELECT boot_id, boot_s, wall_s FROM anchor"
MARK = "SELECT boot_id, is_open FROM anchor"
PUT_ANCHOR = "REPLACE INTO anchor VALUES (1, ?, ?, ?, ?)"

# Rows that were gone are no longer of use: whoever has looked at them ran in the earlier boot.
DROP_GONE = "DELETE FROM queue WHERE lease_until IS NULL AND gone_at <= :anchor_s"
MOVE_QUEUE = """UPDATE queue SET
  lease_until = CASE WHEN lease_until IS NULL THEN NULL ELSE :lease_until END,
  gone_at = :gone_at"""

# `created_at`: the wall clock doesn't count here, so an attachment is rather too young.
MOVE_ENTRIES = """UPDATE entries SET
  created_at = :now - max(0.0, :anchor_s - created_at),
  expires_at = expires_at + :shift_s"""
MOVE_CLAIMED = "UPDATE claimed SET expires_at = expires_at + :shift_s"

WITH_ATTEMPTS = "SELECT request_id, attempts FROM entries WHERE attempts != x''"
PUT_ATTEMPTS = "UPDATE entries SET attempts = ? WHERE request_id = ?"


class Spans(NamedTuple):
    """How long a lease lasts, and how long Graph may act on what its holder has sent."""

    lease_s: float
    settle_s: float

    @property
    def unsettled_s(self) -> float:
        """How long what a holder has sent is unsettled if the holder dies now."""
        return self.lease_s + self.settle_s


def put_anchor(connection: sqlite3.Connection, clock: BootClock, *, is_open: bool = True) -> None:
    """Write what the clocks read now, in the present transaction.

    `is_open`: this process still has the file open; another may, in any case, which then marks it.
    """
    connection.execute(PUT_ANCHOR, (clock.boot_id, clock.now_s(), clock.wall_s(), is_open))


def move_to_boot(connection: sqlite3.Connection, clock: BootClock, spans: Spans) -> None:
    """Move all times to the present boot if they belong to an earlier one, and write the anchor.

    It is done in the present transaction. How long the machine was off is not known for certain, so
    everything that isn't settled is settled anew from now. Only the expiry of what has ended goes
    by the wall clock, which may have stepped meanwhile; it never counts backwards.
    """
    anchor = connection.execute(ANCHOR).fetchone()
    now = clock.now_s()
    if anchor is not None:
        boot_id, anchor_s, wall_s = anchor
        if boot_id != clock.boot_id or now < anchor_s:
            _move(connection, now, anchor_s, max(0.0, clock.wall_s() - wall_s), spans)
    put_anchor(connection, clock)


def _move(
    connection: sqlite3.Connection, now: float, anchor_s: float, off_s: float, spans: Spans
) -> None:
    values = {
        "now": now,
        "anchor_s": anchor_s,
        "shift_s": now - anchor_s - off_s,
        "lease_until": now + spans.lease_s,
        "gone_at": now + spans.unsettled_s,
    }
    for statement in (DROP_GONE, MOVE_QUEUE, MOVE_ENTRIES, MOVE_CLAIMED):
        connection.execute(statement, values)
    for request_id, attempts in connection.execute(WITH_ATTEMPTS).fetchall():
        moved = tuple(_moved(each, now, anchor_s, spans) for each in unpacked(attempts))
        connection.execute(PUT_ATTEMPTS, (packed(moved), request_id))


def _moved(attempt: Attempt, now: float, anchor_s: float, spans: Spans) -> Attempt:
    """Return the attempt in the present boot; its age is the least that is known."""
    began_at = now - max(0.0, anchor_s - attempt.began_at)
    acts_s = attempt.settled_at - attempt.began_at
    settled_at = began_at + acts_s if attempt.absent else now + max(acts_s, spans.unsettled_s)
    return attempt._replace(began_at=began_at, settled_at=settled_at, wall_s=None)
