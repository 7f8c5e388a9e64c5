"""When a call asks for a baseline before it sends. Pure: times are passed in."""

from collections import OrderedDict, deque
from enum import StrEnum

from attachment_gateway.graph.request import ITEM

# What this process has seen counts for this time.
MEMORY_S = 600.0

# A baseline is asked for while more than this share of the attempts was unclear.
UNCLEAR_SHARE = 0.01

# The attempts are counted in portions of this time.
_PORTION_S = 60.0


class BaselineSetting(StrEnum):
    """The setting `baseline`."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class BaselinePolicy:
    """Decides by the setting, and for `auto` by what this process has seen of Graph lately."""

    def __init__(self, setting: BaselineSetting) -> None:
        self.setting = setting
        self._portions = deque[tuple[float, list[int]]]()
        self._unclear = OrderedDict[str, float]()
        self._bad_stamp_at = float("-inf")

    def wants(self, kind: str, mailbox: str, now: float) -> bool:
        """Return whether a call with a new request id asks for a baseline."""
        if self.setting is not BaselineSetting.AUTO:
            return self.setting is BaselineSetting.ALWAYS
        return (
            kind == ITEM  # rarely recognised by its content
            or self._bad_stamp_at > now - MEMORY_S
            or mailbox in self._recently_unclear(now)
            or self._is_often_unclear(now)
        )

    def note_attempt(self, mailbox: str, now: float, *, unclear: bool) -> None:
        """Note how an attempt ended."""
        if not self._portions or self._portions[-1][0] <= now - _PORTION_S:
            self._portions.append((now, [0, 0]))
            self._forget(now)
        counts = self._portions[-1][1]
        counts[0] += 1
        if unclear:
            counts[1] += 1
            self._unclear[mailbox] = now
            self._unclear.move_to_end(mailbox)

    def note_stamps(self, *, identify: bool, now: float) -> None:
        """Note whether a stamp has shown when its attachment was stored."""
        if not identify:
            self._bad_stamp_at = now

    def _is_often_unclear(self, now: float) -> bool:
        self._forget(now)
        attempts, unclear = (sum(counts[each] for _, counts in self._portions) for each in (0, 1))
        return unclear > attempts * UNCLEAR_SHARE

    def _recently_unclear(self, now: float) -> OrderedDict[str, float]:
        while self._unclear and next(iter(self._unclear.values())) <= now - MEMORY_S:
            self._unclear.popitem(last=False)
        return self._unclear

    def _forget(self, now: float) -> None:
        while self._portions and self._portions[0][0] <= now - MEMORY_S - _PORTION_S:
            self._portions.popleft()
