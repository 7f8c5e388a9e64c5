"""When a call asks for a baseline before it sends. Pure: times are passed in."""

from collections import OrderedDict, deque
from dataclasses import dataclass
from enum import StrEnum

from attachment_gateway.graph.request import ITEM

# What this process has seen counts for this time.
MEMORY_S = 600.0

# A baseline is asked for while more than this share of the attempts was unclear, or got a stamp
# that doesn't show when the attachment was stored. Clocks that differ by some milliseconds make a
# few such stamps, at the turn of a second.
BAD_SHARE = 0.01

# The attempts are counted in portions of this time.
_PORTION_S = 60.0


class BaselineSetting(StrEnum):
    """The setting `baseline`."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(slots=True)
class _Portion:
    """The attempts of one portion of time."""

    began_at: float
    attempts: int = 0
    unclear: int = 0
    bad_stamps: int = 0


class BaselinePolicy:
    """Decides by the setting, and for `auto` by what this process has seen of Graph lately."""

    def __init__(self, setting: BaselineSetting) -> None:
        self.setting = setting
        self._portions = deque[_Portion]()
        self._unclear = OrderedDict[str, float]()

    def wants(self, kind: str, mailbox: str, now: float) -> bool:
        """Return whether a call with a new request id asks for a baseline."""
        if self.setting is not BaselineSetting.AUTO:
            return self.setting is BaselineSetting.ALWAYS
        # An item is rarely recognised by its content.
        return kind == ITEM or mailbox in self._recently_unclear(now) or self._is_often_bad(now)

    def note_attempt(self, mailbox: str, now: float, *, unclear: bool) -> None:
        """Note how an attempt ended."""
        portion = self._portion(now)
        portion.attempts += 1
        if unclear:
            portion.unclear += 1
            self._unclear[mailbox] = now
            self._unclear.move_to_end(mailbox)

    def note_stamp(self, now: float, *, identifies: bool) -> None:
        """Note whether the stamp of what an attempt has created shows when it was stored."""
        if not identifies:
            self._portion(now).bad_stamps += 1

    def _portion(self, now: float) -> "_Portion":
        if not self._portions or self._portions[-1].began_at <= now - _PORTION_S:
            self._forget(now)
            self._portions.append(_Portion(now))
        return self._portions[-1]

    def _is_often_bad(self, now: float) -> bool:
        self._forget(now)
        most = BAD_SHARE * sum(each.attempts for each in self._portions)
        return (
            sum(each.unclear for each in self._portions) > most
            or sum(each.bad_stamps for each in self._portions) > most
        )

    def _recently_unclear(self, now: float) -> OrderedDict[str, float]:
        while self._unclear and next(iter(self._unclear.values())) <= now - MEMORY_S:
            self._unclear.popitem(last=False)
        return self._unclear

    def _forget(self, now: float) -> None:
        while self._portions and self._portions[0].began_at <= now - MEMORY_S - _PORTION_S:
            self._portions.popleft()
