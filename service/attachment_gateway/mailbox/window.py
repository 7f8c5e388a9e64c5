"""The bytes begun in a sliding window of time."""

from dataclasses import dataclass

from attachment_gateway.mailbox import MailboxLimits

# The bytes that begin within a 300th of the window (1 s of 5 minutes) are one entry. It leaves the
# window as a whole, with its last byte, so the count is never too low.
GRAINS = 300


@dataclass(slots=True)
class _Entry:
    first_s: float
    last_s: float
    size_bytes: int


class UploadWindow:
    """The bytes begun in the last `upload_window_s`, in at most GRAINS + 2 entries.

    Times are readings of one clock that never goes back. A size above the limit counts as the
    limit: it fits into an empty window, and fills it.
    """

    __slots__ = ("_entries", "_limit_bytes", "_sum_bytes", "_window_s")

    def __init__(self, limits: MailboxLimits) -> None:
        self._limit_bytes = limits.upload_bytes
        self._window_s = limits.upload_window_s
        self._entries: list[_Entry] = []  # the oldest first
        self._sum_bytes = 0

    def counted(self, size_bytes: int) -> int:
        """Return how many of the bytes count."""
        return min(size_bytes, self._limit_bytes)

    def fits_in_s(self, size_bytes: int, now_s: float) -> float:
        """Return how long it takes until `size_bytes` counted bytes fit; 0.0 means now.

        For the sum of a queue, it is how long it takes until the last of the queue can begin, if
        all before it begin as early as possible.
        """
        if not self._limit_bytes or not size_bytes:
            return 0.0
        windows, rest = divmod(size_bytes - 1, self._limit_bytes)
        return windows * self._window_s + self._room_in_s(rest + 1, now_s)

    def _room_in_s(self, size_bytes: int, now_s: float) -> float:
        self._let_go(now_s)
        excess = self._sum_bytes + size_bytes - self._limit_bytes
        opens_s = now_s
        for entry in self._entries:
            if excess <= 0:
                break
            excess -= entry.size_bytes
            opens_s = entry.last_s + self._window_s
        return opens_s - now_s

    def add(self, size_bytes: int, now_s: float) -> None:
        """Count bytes that begin now."""
        if not size_bytes:
            return
        self._sum_bytes += size_bytes
        last = self._entries[-1] if self._entries else None
        if last is not None and now_s - last.first_s < self._window_s / GRAINS:
            last.last_s = now_s
            last.size_bytes += size_bytes
        else:
            self._entries.append(_Entry(now_s, now_s, size_bytes))

    def take_back(self, size_bytes: int, began_s: float) -> None:
        """Stop counting bytes that were added at `began_s` but not used."""
        for index in reversed(range(len(self._entries))):
            entry = self._entries[index]
            if entry.first_s <= began_s <= entry.last_s:
                entry.size_bytes -= size_bytes
                self._sum_bytes -= size_bytes
                if not entry.size_bytes:
                    del self._entries[index]
                return

    def is_empty(self, now_s: float) -> bool:
        """Tell whether nothing began in the last window."""
        self._let_go(now_s)
        return not self._entries

    def _let_go(self, now_s: float) -> None:
        gone = 0
        for entry in self._entries:
            if entry.last_s + self._window_s > now_s:
                break
            self._sum_bytes -= entry.size_bytes
            gone += 1
        if gone:
            del self._entries[:gone]
