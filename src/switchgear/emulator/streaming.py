"""What of a streamed answer is due at a moment. Pure: takes the time, gives bytes."""

import math
from typing import NamedTuple

from switchgear.emulator.behaviour import Behaviour, Breakage
from switchgear.emulator.driver import Progress
from switchgear.emulator.shapes import Writer


class Due(NamedTuple):
    """Bytes to send now; the breakage that has come due after them; when more is due (infinite: not known yet)."""

    data: bytes
    broken: Breakage | None
    next_s: float


def due_s(behaviour: Behaviour, started_s: float, made_s: float) -> float:
    """When a token is sent that the engine made at `made_s`, in a call that started at `started_s`."""
    return started_s + behaviour.delay_s + behaviour.multiplier * (made_s - started_s)


class Streaming:
    """The events of one answer, in the order in which the engine makes its tokens."""

    def __init__(self, writer: Writer, progress: Progress, behaviour: Behaviour) -> None:
        self.sent_tokens = 0
        self.begun_s: float | None = None
        self._writer = writer
        self._progress = progress
        self._behaviour = behaviour
        self._breakage = behaviour.breakage
        self._total = writer.answer.completion_tokens
        self._sent = [0] * len(progress.ended)
        self._open = list(range(len(progress.ended)))
        self._events: list[bytes] = []

    @property
    def ended(self) -> bool:
        """Whether every choice has got its finish reason."""
        return not self._open

    def due(self, now_s: float) -> Due:
        """Advance to `now_s`."""
        next_s = math.inf
        for choice in tuple(self._open):
            wait_s = self._advance(choice, now_s)
            if wait_s is None:
                return Due(self._taken(), self._breakage, math.inf)
            next_s = min(next_s, wait_s)
        return Due(self._taken(), None, next_s)

    def _advance(self, choice: int, now_s: float) -> float | None:
        """Write what is due of a choice. Returns when more of it is due, or None where the answer breaks here."""
        times_s = self._progress.times_s[choice]
        while self._sent[choice] < len(times_s):
            at_s = self._due_s(times_s[self._sent[choice]])
            if at_s > now_s:
                return at_s
            self._begin(now_s)
            if self._breaks():
                return None
            self._events.append(self._piece(choice, self._sent[choice]))
            self._sent[choice] += 1
            self.sent_tokens += 1
        if self._progress.ended[choice]:
            at_s = self._due_s(self._progress.ended_s[choice])
            if at_s > now_s:
                return at_s
            self._begin(now_s)
            if self._breaks() and len(self._open) == 1:
                return None
            self._open.remove(choice)
            self._events.append(self._writer.ended(choice))
        return math.inf

    def _taken(self) -> bytes:
        joined = b"".join(self._events)
        self._events.clear()
        return joined

    def _begin(self, now_s: float) -> None:
        """The first token is due, or the end of an answer that has none."""
        if self.begun_s is None:
            self.begun_s = now_s
            self._events.append(self._writer.opening())

    def _breaks(self) -> bool:
        """Whether the answer breaks before its next token; a break beyond its end comes before its finish reason."""
        breakage = self._breakage
        if breakage is None or breakage.kind == "malformed_event":
            return False
        return self.sent_tokens >= min(breakage.after_tokens, self._total)

    def _piece(self, choice: int, position: int) -> bytes:
        event, breakage = self._writer.piece(choice, position), self._breakage
        if breakage is None or breakage.kind != "malformed_event":
            return event
        if self.sent_tokens != min(breakage.after_tokens, self._total - 1):
            return event
        return event[: len(event) * 2 // 3].rstrip(b"\n") + b"\n\n"

    def _due_s(self, made_s: float) -> float:
        return due_s(self._behaviour, self._progress.started_s, made_s)
