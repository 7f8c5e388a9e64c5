"""A case: what is sent, what goes wrong, and when its outcome can be known."""

from dataclasses import dataclass
from random import Random
from typing import Literal

from graph_emulator.faults import Fault
from tests.faults import contents
from tests.faults.contents import Content, Kind
from tests.faults.timing import DEADLINE_S
from tests.faults.wire_faults import WireFault

Rpc = Literal["upload", "create"]

# When the outcome can be known: by the first call within its deadline, by a repeat without faults,
# or never, when Graph rewrites what it stored or acknowledged what it didn't store.
Truth = Literal["known", "later", "never"]


Baseline = Literal["auto", "always", "never"]

BASELINES: tuple[Baseline, ...] = ("auto", "always", "never")


@dataclass(frozen=True, slots=True)
class Twin:
    """The same content, put there by another client: `ago_s` before the case begins.

    A negative `ago_s` is a time after the first POST was passed on to Graph.
    """

    ago_s: float
    same_name: bool

    def __str__(self) -> str:
        when = f"{self.ago_s:g}s ago" if self.ago_s >= 0 else f"{-self.ago_s:g}s after the POST"
        return f"{'twin' if self.same_name else 'renamed twin'} {when}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A case; its id is `family/number`, and its seed makes its content."""

    family: str
    number: int
    seed: str
    environment: str = "plain"
    script: str = "plain"

    baseline: Baseline = "auto"
    rpc: Rpc = "upload"
    kind: Kind = "file"
    size_bytes: int = 1000
    rich: bool = False
    with_id: bool = True
    long_route: bool = False
    deadline_s: float = DEADLINE_S

    faults: tuple[WireFault | Fault, ...] = ()
    twins: tuple[Twin, ...] = ()
    neighbours: int = 0
    """The number of other clients' attachments with other content."""
    at: str = ""
    """The point at which a script sends its signal or cancels."""
    moments: tuple[float, ...] = ()
    """When a script cancels, in seconds after each call's beginning."""

    truth: Truth = "known"
    again: bool = False
    """Whether a call that ended created is repeated too."""

    @property
    def id(self) -> str:
        """The case's id, for `--only`."""
        return f"{self.family}/{self.number:04}"

    @property
    def may_claim_a_twin(self) -> bool:
        """Whether the rules let a call take a twin's attachment for its own.

        They do if it came within the window, under the same name or with a baseline, or if Graph
        left it out of the baseline's list.
        """
        is_partial = any(isinstance(fault, Fault) and fault.partial for fault in self.faults)
        if is_partial and self.baseline != "never":
            return True
        return any(
            twin.ago_s < 1 and (twin.same_name or self.baseline != "never") for twin in self.twins
        )

    def content(self) -> Content:
        """Return the content that is sent."""
        return contents.made(
            self.kind, Random(self.seed), size_bytes=self.size_bytes, rich=self.rich
        )

    def __str__(self) -> str:
        what = f"{self.size_bytes}B" if self.kind == "file" else "rich" if self.rich else "plain"
        flags = [
            "id" if self.with_id else "no id",
            *(["long route"] if self.long_route else []),
            *([f"deadline {self.deadline_s:g}s"] if self.deadline_s != DEADLINE_S else []),
            *([f"{self.script} at {self.at}"] if self.at else []),
            *([f"{self.script} after {self.moments}"] if self.moments else []),
            *map(str, self.twins),
            *([f"{self.neighbours} neighbours"] if self.neighbours else []),
            *map(described, self.faults),
        ]
        where = f"[{self.environment}, {self.baseline}]"
        return f"{self.id} {where} {self.rpc} {self.kind} {what}, {'; '.join(flags)}"


def described(fault: WireFault | Fault) -> str:
    """Return a fault in few words."""
    if isinstance(fault, WireFault):
        return str(fault)
    words = [fault.method]
    if fault.answer is not None:
        words.append(f"{'early ' if fault.early else ''}{fault.answer.status}")
        words += [fault.answer.code] if fault.answer.code else []
    if fault.broken != "none":
        words.append(fault.broken)
    if fault.elements:
        words.append(f"elements: {fault.elements}")
    if fault.cut != "none":
        words.append(f"{fault.cut}{' by RST' if fault.reset else ''}")
    if fault.delay_s:
        words.append(f"after {fault.delay_s:g}s")
    if fault.method == "POST":
        words.append({"never": "not stored", "before": "stored"}.get(fault.store, ""))
        words += [f"stored {fault.store_after_s:g}s later"] if fault.store == "after" else []
    words += [f"{name}: {value}" for name, value in fault.headers.items()]
    words += [f"x{fault.times}"] if fault.times != 1 else []
    return " ".join(word for word in words if word)
