"""mailbox.window: the bytes begun in a sliding window of time."""

from hypothesis import given
from hypothesis import strategies as st

from attachment_gateway.mailbox import MailboxLimits
from attachment_gateway.mailbox.window import GRAINS, UploadWindow

MINUTE = MailboxLimits(upload_bytes=10**6, upload_window_s=60.0)
TEN = MailboxLimits(upload_bytes=10, upload_window_s=300.0)


def window(*begun: tuple[int, float], limits: MailboxLimits = TEN) -> UploadWindow:
    made = UploadWindow(limits)
    for size_bytes, at_s in begun:
        made.add(size_bytes, at_s)
    return made


def test_the_whole_limit_may_begin_at_once() -> None:
    """All bytes of the limit may begin at once."""
    assert window().fits_in_s(10, 5.0) == 0.0
    assert window((4, 5.0), (4, 5.0)).fits_in_s(2, 5.0) == 0.0


def test_bytes_fit_when_enough_have_left_the_window() -> None:
    """Bytes leave the window a window's length after they began, the oldest first."""
    begun = window((4, 0.0), (4, 100.0), (2, 200.0))
    assert begun.fits_in_s(3, 250.0) == 50.0
    assert begun.fits_in_s(5, 250.0) == 150.0
    assert begun.fits_in_s(10, 250.0) == 250.0
    assert begun.fits_in_s(4, 299.5) == 0.5
    assert begun.fits_in_s(4, 300.0) == 0.0


def test_bytes_of_one_grain_leave_with_its_last() -> None:
    """Bytes that began within one grain leave the window together, with the last of them."""
    begun = window((4, 0.0), (4, 0.75), (2, 1.5))
    assert begun.fits_in_s(1, 250.0) == 50.75
    assert begun.fits_in_s(9, 250.0) == 51.5
    assert begun.fits_in_s(1, 300.5) == 0.25
    assert begun.fits_in_s(8, 300.75) == 0.0
    assert not begun.is_empty(301.0)


def test_more_bytes_than_the_limit_count_as_the_limit() -> None:
    """More bytes than the limit count as the limit, and fit into an empty window."""
    begun = window((1, 100.0))
    assert begun.counted(1000) == 10
    assert begun.counted(3) == 3
    assert begun.fits_in_s(10, 150.0) == 250.0
    assert begun.fits_in_s(10, 400.0) == 0.0


def test_a_queue_takes_as_many_windows_as_it_fills() -> None:
    """For the sum of a queue, `fits_in_s` returns the earliest moment for its last request."""
    assert window().fits_in_s(11, 0.0) == 300.0
    assert window().fits_in_s(20, 0.0) == 300.0
    assert window((4, 0.0)).fits_in_s(17, 50.0) == 550.0
    assert window((4, 0.0)).fits_in_s(16, 50.0) == 300.0


def test_no_bytes_or_no_limit_means_no_wait() -> None:
    """Without bytes or without a limit there is no wait."""
    assert window((10, 0.0)).fits_in_s(0, 1.0) == 0.0
    unlimited = MailboxLimits(upload_bytes=0)
    assert window(limits=unlimited).counted(1 << 40) == 0
    assert window(limits=unlimited).fits_in_s(1 << 40, 1.0) == 0.0


def test_bytes_taken_back_count_no_more() -> None:
    """Bytes that are taken back no longer count, wherever in an entry they were."""
    begun = window((3, 0.0), (4, 0.5), (2, 100.0))
    begun.take_back(2, 100.0)
    assert begun.fits_in_s(3, 100.0) == 0.0
    begun.take_back(4, 0.5)
    assert begun.fits_in_s(7, 100.0) == 0.0
    begun.take_back(3, 0.0)
    assert begun.is_empty(100.0)
    begun.take_back(3, 0.0)
    assert begun.is_empty(100.0)


def test_the_window_is_empty_when_all_bytes_have_left() -> None:
    """The window is empty when all bytes have left it; a slot without bytes isn't recorded."""
    begun = window((1, 0.0), (0, 200.0))
    assert not begun.is_empty(299.0)
    assert begun.is_empty(300.0)


def test_the_number_of_entries_is_bounded() -> None:
    """A window keeps at most `GRAINS` + 2 entries."""
    limits = MailboxLimits(upload_bytes=10**9, upload_window_s=300.0)
    begun = window(*((1, count / 50) for count in range(50_000)), limits=limits)
    assert begun.fits_in_s(1, 1000.0) == 0.0
    assert len(begun._entries) <= GRAINS + 2
    assert begun.fits_in_s(10**9, 1000.0) <= 300.0


@given(
    st.lists(st.tuples(st.floats(0, 40, width=16), st.integers(0, 12), st.booleans()), max_size=40)
)
def test_no_window_holds_more_than_the_limit(steps: list[tuple[float, int, bool]]) -> None:
    """No window holds more than the limit, and no wait is longer than needed by over a grain."""
    limits = MailboxLimits(upload_bytes=10, upload_window_s=60.0)
    grain_s = limits.upload_window_s / GRAINS
    begun, kept, now_s = UploadWindow(limits), list[tuple[float, int]](), 0.0

    def inside(at_s: float) -> int:
        return sum(size for began_s, size in kept if began_s > at_s - limits.upload_window_s)

    for pause_s, size, taken_back in steps:
        now_s += pause_s
        counted = begun.counted(size)
        wait_s = begun.fits_in_s(counted, now_s)
        if wait_s > grain_s:
            assert inside(now_s + wait_s - 1.01 * grain_s) + counted > 10
        now_s += wait_s
        while begun.fits_in_s(counted, now_s) > 0:  # for the last bit of a sum
            now_s += 1e-9
        begun.add(counted, now_s)
        kept.append((now_s, counted))
        assert inside(now_s) <= 10
        if taken_back:
            begun.take_back(counted, now_s)
            kept.pop()


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12), st.integers(0, 3)), max_size=60))
def test_the_sum_is_that_of_what_was_taken(steps: list[tuple[int, int, int]]) -> None:
    """The sum is that of the bytes in the window that weren't taken back, and no entry is empty.

    In each step time passes, some bytes begin, and the bytes of an earlier step are taken back,
    which may have left the window. A whole second is longer than a grain, so entries are exact.
    """
    begun, kept, now_s = UploadWindow(MINUTE), list[tuple[float, int]](), 0.0
    for pause_s, size_bytes, back in steps:
        now_s += pause_s
        begun.add(size_bytes, now_s)
        kept.append((now_s, size_bytes))
        if back and len(kept) >= back:
            began_s, taken_bytes = kept.pop(-back)
            begun.take_back(taken_bytes, began_s)
        begun.is_empty(now_s)
        taken = [size for began_s, size in kept if began_s > now_s - 60]
        assert begun._sum_bytes == sum(taken)
        assert sum(entry.size_bytes for entry in begun._entries) == sum(taken)
        assert all(entry.size_bytes > 0 for entry in begun._entries)
