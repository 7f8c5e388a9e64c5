"""Tests of delivery/stamps.py: what stamps and clocks tell of a send."""

import pytest

from attachment_gateway.delivery.stamps import ReadClocks, SendClocks, stamp_identifies

NOON = 1_773_144_000.0  # 2026-03-10T12:00:00Z

# Sent at noon and 0.2 s; a list was read 4 s later, all clocks agree.
SENT = SendClocks(wall_s=NOON + 0.2, boot_s=500.0)
READ = ReadClocks(date_s=NOON + 4, read_at=504.0, wall_s=NOON + 4.2)


@pytest.mark.parametrize(
    ("stamp", "usable"),
    [
        ("2026-03-10T12:00:00Z", NOON),
        ("2026-03-10T13:00:00.5000000+01:00", NOON + 0.5),
        ("2026-03-10T12:00:05Z", NOON + 5),
        ("2026-03-10T12:00:06Z", None),
        ("2026-03-10T12:00:00", None),
        ("0001-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59-23:59", None),
        ("soon", None),
        ("", None),
        (None, None),
        (1_773_144_000, None),
    ],
)
def test_a_stamp_is_usable_if_it_can_be_a_time_of_storing(
    stamp: object, usable: float | None
) -> None:
    """A stamp without a zone, of the year one, or in the future, is none."""
    assert READ.usable(stamp) == usable


def test_without_a_date_no_stamp_counts() -> None:
    """Before Graph has given a `Date`, no stamp is usable and no second is known."""
    clocks = ReadClocks(date_s=None, read_at=504.0, wall_s=NOON + 4.2)
    assert clocks.usable("2026-03-10T12:00:00Z") is None
    assert clocks.second_of(SENT) is None
    assert clocks.window_end(10.0, 300.0) is None


@pytest.mark.parametrize(
    ("date_s", "wall_s", "sent_wall_s", "second"),
    [
        (NOON + 4, NOON + 4.2, NOON + 0.2, NOON),
        (NOON + 4, NOON + 4.9, NOON + 0.9, NOON),
        (NOON + 6, NOON + 4.2, NOON + 0.2, NOON + 2),  # Graph's clock is ahead
        (NOON + 2, NOON + 4.2, NOON + 0.2, NOON),  # and behind
        (NOON + 10, NOON + 4.2, NOON + 0.2, None),  # by too much
        (NOON - 2, NOON + 4.2, NOON + 0.2, None),
        (NOON + 4, NOON + 124.2, NOON + 0.2, None),  # the wall clock stepped after the send
        (NOON + 4, NOON + 4.2, NOON - 119.8, None),
    ],
)
def test_the_second_of_a_send_is_known_while_three_clocks_agree(
    date_s: float, wall_s: float, sent_wall_s: float, second: float | None
) -> None:
    """The later of the two seconds counts; none does if a clock differs by more than 5 s."""
    clocks = ReadClocks(date_s=date_s, read_at=504.0, wall_s=wall_s)
    assert clocks.second_of(SendClocks(wall_s=sent_wall_s, boot_s=500.0)) == second


def test_a_send_on_another_machine_has_no_second() -> None:
    """The clocks of another machine, or of an earlier start, are not compared."""
    assert READ.second_of(None) is None


def test_the_window_ends_on_graphs_clock() -> None:
    """The end of the window is `Date` and the time to settling, if `Date` is near our clock."""
    assert READ.window_end(10.0, 300.0) == NOON + 15
    assert READ.window_end(-60.0, 300.0) == NOON - 55
    far = ReadClocks(date_s=NOON + 4, read_at=504.0, wall_s=NOON + 400)
    assert far.window_end(10.0, 300.0) is None


@pytest.mark.parametrize(
    ("stamp_s", "date_s", "identifies"),
    [
        (NOON, NOON, True),
        (NOON + 1, NOON, True),
        (NOON - 1, NOON, False),
        (NOON + 2, NOON, False),
        (None, NOON, False),
        (NOON, None, False),
        (NOON + 60, NOON + 60, False),
    ],
)
def test_a_creates_stamp_shows_whether_stamps_identify(
    stamp_s: float | None, date_s: float | None, identifies: bool
) -> None:
    """A stamp from before the send or after the answer, or clocks that differ, identify nothing."""
    assert stamp_identifies(stamp_s, date_s, SENT, took_s=0.1) is identifies
