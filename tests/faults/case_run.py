"""A case that is run: its post, its faults, its calls and the count."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

from graph_emulator.faults import Fault
from graph_emulator.posts import AttachmentDraft, Post, StoredAttachment, new_id
from graphattachments.v1.attachment_pb2 import PostRef
from tests.faults import history, shown, verdict
from tests.faults.caller import Ended, WantedAttachment, call
from tests.faults.cases import Case
from tests.faults.contents import Content
from tests.faults.environments import Environment
from tests.faults.gateways import Gateway
from tests.faults.timing import (
    CLOCK_SKEW_S,
    QUIET_AT_MOST_S,
    QUIET_S,
    REPEAT_AFTER_AT_MOST_S,
    REPEAT_AFTER_S,
    REPEAT_FOR_S,
    SETTLE_S,
)
from tests.faults.traffic import Hook, Traffic
from tests.faults.verdict import Intent
from tests.faults.wire_faults import WireFault

# The gateway's reasons for a refusal of Graph's after which the request can be sent again.
_FOR_NOW = {"GRAPH_UNAVAILABLE", "GRAPH_CONFLICT", "GRAPH_THROTTLED", "GRAPH_NOT_FOUND"}


@dataclass(slots=True, kw_only=True)
class CaseRun:
    """The state of a case that is run. `again` is whether the gateway remembers request ids."""

    case: Case
    environment: Environment
    again: bool = False
    post: Post = field(default_factory=Post)
    intents: list[Intent] = field(default_factory=list)
    placed: list[str] = field(default_factory=list)
    stored: list[StoredAttachment] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    first: Ended | None = None
    exceptions: int = 0
    """The number of twins that were taken for the caller's own, as the rules let them."""

    @property
    def traffic(self) -> Traffic:
        return self.environment.proxy.of(self.post.post_id)

    async def set_up(self) -> None:
        """Add the post and its attachments to the emulator, and inject the faults."""
        random = Random(self.case.seed + "/post")
        group = str(UUID(int=random.getrandbits(128), version=4))
        self.post = Post(group_id=group, post_id=new_id())
        await self.environment.ask_emulator(lambda control: control.add_post(self.post))
        content = self.case.content()
        await self._place_others(content, random)
        self.intend(content)
        for fault in self.case.faults:
            if isinstance(fault, WireFault):
                self.traffic.faults.append(fault)
            else:
                await self._inject(replace(fault, post_id=self.post.post_id))

    async def _inject(self, fault: Fault) -> None:
        await self.environment.ask_emulator(lambda control: control.inject(fault))

    async def place(self, draft: AttachmentDraft, at: datetime) -> None:
        placed = await self.environment.ask_emulator(
            lambda control: control.place(draft, self.post, at)
        )
        self.placed.append(placed.id)

    async def _place_others(self, content: Content, random: Random) -> None:
        drafts: list[tuple[float, AttachmentDraft]] = [
            (twin.ago_s, content.draft(content.name if twin.same_name else "twin.bin"))
            for twin in self.case.twins
            if twin.ago_s >= 0
        ]
        for number in range(self.case.neighbours):
            name = content.name if number == 0 else f"neighbour {number}"
            draft = AttachmentDraft(kind="file", name=name, content=random.randbytes(100))
            drafts.append((CLOCK_SKEW_S + random.uniform(10, 60), draft))
        offset_s = self.environment.spec.emulator.get("clock_offset_s", 0.0)
        for ago_s, draft in drafts:
            await self.place(draft, datetime.now(UTC) + timedelta(seconds=offset_s - ago_s))

    async def place_later(self) -> None:
        """Place the twins that come after the first POST has been passed on, each in its time."""
        content = self.case.content()
        for twin in self.case.twins:
            if twin.ago_s < 0:
                await self.traffic.posted.wait()
                await asyncio.sleep(-twin.ago_s)
                draft = content.draft(content.name if twin.same_name else "twin.bin")
                await self.place(draft, datetime.now(UTC))

    def intend(self, content: Content, *, with_id: bool | None = None) -> Intent:
        """Add an intent for one more attachment with this content."""
        with_id = self.case.with_id if with_id is None else with_id
        random = Random(f"{self.case.seed}/{len(self.intents)}/{new_id()}")
        request_id = str(UUID(int=random.getrandbits(128), version=4)) if with_id else ""
        self.intents.append(Intent(content=content, request_id=request_id))
        return self.intents[-1]

    def on_hook(self, hook: Hook) -> None:
        """Call the hook once, at the point of the first wire fault that calls it."""

        async def once() -> None:
            self.traffic.hook = None
            await hook()

        self.traffic.hook = once

    async def call(self, gateway: Gateway, intent: Intent | None = None, **how: Any) -> Ended:
        """Make a call for an intent, by default the case's first, and record how it ended."""
        intent = intent or self.intents[0]
        reference = PostRef(
            group_id=self.post.group_id,
            conversation_id=self.post.conversation_id if self.case.long_route else "",
            thread_id=self.post.thread_id,
            post_id=self.post.post_id,
        )
        wanted = WantedAttachment(
            post=reference,
            content=intent.content,
            rpc=self.case.rpc,
            request_id=intent.request_id,
        )
        ended = await call(gateway.stub, wanted, **{"deadline_s": self.case.deadline_s, **how})
        intent.ends.append(ended)
        if self.first is None or ended.began_at < self.first.began_at:
            self.first = ended
        return ended

    async def clear_faults(self) -> None:
        """Remove every fault of this post."""
        self.traffic.faults.clear()
        await self.environment.ask_emulator(lambda control: control.clear_faults(self.post))

    async def until_definite(self, gateway: Gateway, intent: Intent | None = None) -> None:
        """Repeat a call until it ends definitely, which without faults is as created."""
        loop = asyncio.get_running_loop()
        end = loop.time() + REPEAT_FOR_S
        while True:
            ended = await self.call(gateway, intent, deadline_s=20.0)
            if ended.says == "created" or self.case.truth == "never":
                return
            if ended.says == "nothing" and ended.reason not in _FOR_NOW:
                self.found.append(f"a repeat on a Graph that behaves ended as {ended}")
                return
            delay_s = ended.retry_delay_s or REPEAT_AFTER_S
            if loop.time() + delay_s >= end:
                self.found.append(f"never ended: the last repeat was {ended}: {ended.message}")
                return
            await asyncio.sleep(min(delay_s, REPEAT_AFTER_AT_MOST_S))

    async def wait_until_quiet(self) -> None:
        """Wait until the post has had no traffic for `QUIET_S`, at most `QUIET_AT_MOST_S`."""
        end = time.time() + QUIET_AT_MOST_S
        while True:
            quiet_in_s = min(self.traffic.last_at + QUIET_S, end) - time.time()
            if quiet_in_s <= 0:
                return
            await asyncio.sleep(quiet_in_s)

    async def check(self) -> None:
        """Count what is stored now, and keep the violations."""
        self.count(await self.environment.ask_emulator(lambda control: control.stored(self.post)))

    def count(self, stored: Sequence[StoredAttachment]) -> None:
        """Compare what is stored on the post with what callers were told; keep the violations."""
        self.stored = list(stored)
        claimable = self.placed if self.case.may_claim_a_twin else []
        answered = {one for intent in self.intents for one in intent.ids}
        self.exceptions = len(answered & set(claimable))
        for violation in verdict.violations(self.intents, self.placed, stored, claimable):
            if violation not in self.found:
                self.found.append(violation)

    @property
    def graph_was_in_time(self) -> bool:
        """Whether every request took effect within `SETTLE_S`."""
        emulator = self.environment.spec.emulator
        lag_s = max(emulator.get("lag_s", 0.0), emulator.get("list_lag_s", 0.0))
        sent = [
            one.sent_at
            for one in self.traffic.passages
            if one.method == "POST" and one.sent_at is not None
        ]
        effects = [at for at, _ in self._effects()]
        return verdict.in_time(sent, effects, settle_s=SETTLE_S - lag_s)

    @property
    def could_be_known(self) -> bool:
        """Whether Graph's responses told the first call, which had a baseline, its outcome."""
        case = self.case
        if self.first is None or case.baseline != "always" or not case.with_id:
            return False
        ended_at = self.first.ended_at + history.since_epoch_s()
        content = self.intents[0].content
        return shown.outcome_is_told(
            [each for each in self.traffic.passages if each.began_at < ended_at],
            name=content.name,
            data=content.data if content.item is None else None,
            settle_s=SETTLE_S,
        )

    def history(self) -> list[str]:
        """Return a line for each event, in the order of time."""
        return list(history.lines(self.intents, self.traffic.passages, self._effects()))

    def _effects(self) -> list[tuple[float, str]]:
        offset_s = self.environment.spec.emulator.get("clock_offset_s", 0.0)
        return history.effects(self.stored, self.placed, offset_s=offset_s)

    @property
    def gateways(self) -> Sequence[Gateway]:
        """The environment's gateways with the case's baseline."""
        return self.environment.gateways[self.case.baseline]

    def forget_bodies(self) -> None:
        """Free the responses that the traffic kept."""
        for passage in self.traffic.passages:
            passage.body = b""

    def own_gateway(
        self, ledger: str, clock: Path | None = None
    ) -> AbstractAsyncContextManager[Gateway]:
        """Run a gateway that only this case uses."""
        return self.environment.run(ledger, self.case.baseline, clock)
