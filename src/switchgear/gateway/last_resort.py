"""What a call gets when no target can answer it: a kept answer whose time is over, a smaller model's, a fixed message (docs/cache.md)."""

import random
from collections.abc import Mapping
from math import inf
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING

from switchgear.backends.openai_shapes import lenient
from switchgear.cache.fixed import fixed_answer
from switchgear.cache.last_resort import Choice, Situation, choose
from switchgear.confidence.format import wanted_format
from switchgear.core.authorization import Purpose
from switchgear.core.caching import Degraded, LastResort, Reuse
from switchgear.core.record import AttemptKind
from switchgear.gateway.caching import reply_streamed
from switchgear.gateway.detour import Way, way_to
from switchgear.gateway.errors import CallError

if TYPE_CHECKING:
    from switchgear.gateway.care import Care

_NO_HEADERS: Mapping[bytes, bytes] = MappingProxyType({})
_FREE = (None, "auto", "none")
"""Values of `tool_choice` that ask for no tool call."""


class LastResorts:
    """One call's: each is tried once, in their order."""

    def __init__(self, care: "Care", resorts: tuple[LastResort, ...], rng: random.Random) -> None:
        self._care = care
        self._call = care.call
        self._resorts = resorts
        self._random = rng
        self._next = 0
        self._ways: dict[str, Way] = {}
        self.first: CallError | None = None
        """The error of the model itself, in whose place they are."""

    def instead(self, error: CallError) -> bool:
        """Answer the call, or have it go on, in place of an error. False: the error is the answer."""
        call, care = self._call, self._care
        error = self.first = self.first or error
        while self._next < len(self._resorts):
            choice = choose(self._resorts, self._situation(error), self._usable, self._next)
            if choice is None:
                break
            self._next = choice.next_begin
            call.stop(lost=True)
            care.degraded = choice.degraded
            if self._take(choice):
                return True
        care.degraded = ""
        return False

    def _situation(self, error: CallError) -> Situation:
        call, sharing = self._call, self._care.sharing
        entry = sharing.stale(inf) if sharing is not None else None
        return Situation(
            endpoint=call.endpoint,
            code=error.code,
            committed=call.committed,
            constrained=self._constrained(),
            expired_s=entry.expired_s(call.desk.now_s()) if entry is not None else None,
            time_left=monotonic() < call.deadline_s,
        )

    def _constrained(self) -> bool:
        """Whether the answer must be JSON or a tool call."""
        fields = self._care.asked.fields
        wanted = lenient(fields["tool_choice"]) if "tool_choice" in fields else None
        return wanted not in _FREE or wanted_format(self._call.endpoint, fields) is not None

    def _usable(self, name: str) -> bool:
        care = self._care
        way = way_to(self._call, care.asked, name, Purpose.FALLBACK, care.max_cost_usd, self._random)
        if way is not None:
            self._ways[name] = way
        return way is not None

    def _take(self, choice: Choice) -> bool:
        resort, care = choice.resort, self._care
        if choice.degraded is Degraded.STALE_CACHE:
            entry = care.sharing.stale(resort.stale_s or 0.0) if care.sharing is not None else None
            return entry is not None and care.sharing is not None and care.sharing.give(entry.answer, Reuse.STALE)
        if choice.degraded is Degraded.SMALLER_MODEL:
            return care.go(self._ways[resort.model or ""], AttemptKind.FALLBACK) is None
        return self._say(resort.message or "")

    def _say(self, message: str) -> bool:
        call, head = self._call, self._care.asked
        answer = fixed_answer(call.endpoint, head.model, message, call.id.removeprefix("call_"), call.desk.now_s())
        call.finish_reason = "stop"
        if head.streamed:
            return reply_streamed(call, head, None, answer)
        call.reply_whole(None, answer, _NO_HEADERS)
        return True
