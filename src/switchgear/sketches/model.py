"""What a sketch is."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from switchgear.core.record import AttemptOutcome, Outcome, Record
from switchgear.core.sketching import SketchRule, SketchWhen


class Found(Protocol):
    """One place in a text that holds data of a type: from character `start` to before `end`."""

    @property
    def type(self) -> str: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


class Finder(Protocol):
    """Finds what must not be in a sketch. `policy.detect.Detectors` is one. Used by one thread."""

    def find(self, text: str, number: int = 0) -> Sequence[Found]:
        """The findings of a text, in order, none overlapping another."""
        ...


class Ending(msgspec.Struct, frozen=True):
    """How a call ended, as far as another one can be held against it."""

    outcome: str
    status: int
    error: str = ""
    attempt_error: str = ""
    """What went wrong with the last attempt that went wrong: the call's own error may only say that all did."""
    finish_reason: str = ""
    ttft_s: float | None = None
    duration_s: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Sketch(msgspec.Struct, frozen=True):
    """A call without what it said. All of it is sealed on disk."""

    call: str
    """Id of the call, and of the sketch."""
    at_s: float
    """When the call arrived, Unix time."""
    when: str
    """The `SketchWhen` of the rule that kept it."""
    endpoint: str
    """Path below `/v1/`."""
    model: str
    """The alias that was called."""
    streamed: bool
    body: bytes
    """JSON: the request to send, but for images, which are described (see `images.py`)."""
    ending: Ending
    snapshot: str = ""
    principal: str = ""
    """Name of the key that called; policies may ask for it where the sketch is sent."""
    team: str = ""
    data_class: str = ""
    """What the call carried. The sketch carries none of it."""
    backend: str = ""
    """Who answered, or was asked last."""
    text_bytes: int = 0
    """UTF-8 of all texts of the original."""
    words: int = 0
    """Runs of letters in them."""
    languages: tuple[str, ...] = ()
    """What they are written in, commonest first: codes of ISO 639-1, or names of scripts."""
    findings: dict[str, int] = {}
    """How many of each type were replaced."""
    unproven: int = 0
    """Of them, those whose stand-in the detector does not take for the same type."""


class Job(msgspec.Struct, frozen=True):
    """A call that a sketch is to be made of: on its way from where it ended to where that is done."""

    when: SketchWhen
    fields: dict[str, bytes]
    """The top level of its body: names, and values as JSON."""
    record: Record

    @property
    def size(self) -> int:
        """Bytes of its body, about."""
        return sum(len(value) for value in self.fields.values())


def ending_of(record: Record) -> Ending:
    """How a call ended, by its record."""
    wrong = [attempt.error for attempt in record.attempts if attempt.error]
    return Ending(
        outcome=record.outcome.value,
        status=record.status,
        error=record.error,
        attempt_error=wrong[-1] if wrong else "",
        finish_reason=record.finish_reason,
        ttft_s=record.ttft_s,
        duration_s=record.duration_s,
        prompt_tokens=record.prompt_tokens,
        completion_tokens=record.completion_tokens,
    )


_OUTCOMES = {
    SketchWhen.FAILED: Outcome.FAILED,
    SketchWhen.BROKEN: Outcome.BROKEN,
    SketchWhen.REFUSED: Outcome.REFUSED,
    SketchWhen.CANCELLED: Outcome.CANCELLED,
}


def is_for(rule: SketchRule, record: Record) -> bool:
    """Whether a rule is for a call that left this record. Chance is not asked."""
    if rule.models is not None and record.model not in rule.models:
        return False
    if rule.errors is not None and record.error not in rule.errors:
        return False
    outcome = _OUTCOMES.get(rule.when)
    if outcome is not None:
        return record.outcome is outcome
    if rule.when is SketchWhen.DEGRADED:
        return bool(record.degraded)
    return any(
        attempt.outcome is AttemptOutcome.UNSURE or (attempt.confidence is not None and attempt.confidence.unsure)
        for attempt in record.attempts
    )
