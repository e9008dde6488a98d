"""Whether a sketch, sent again, ended as its original did."""

import math
from enum import StrEnum

import msgspec

from switchgear.core.record import Outcome
from switchgear.sketches.model import Ending

_FACTOR = 4.0
"""Times and lengths are of one class when neither is more than so many times the other."""
_SHORTEST_S = 0.25
_FEWEST = 16


class Verdict(StrEnum):
    """What the comparison says."""

    SAME = "same"
    """It ended as the original did: what went wrong is in what a sketch keeps, or in the target."""
    OTHER = "other"
    """It went wrong in another way, or where the original did not."""
    GONE = "gone"
    """It went well where the original did not: the text itself, or the moment, was the cause."""


class Point(msgspec.Struct, frozen=True):
    """One thing that was compared."""

    name: str
    original: str
    replayed: str
    same: bool
    decides: bool
    """Whether the verdict depends on it; times and lengths only tell more."""


class Comparison(msgspec.Struct, frozen=True):
    """A sketch's original held against its replay."""

    verdict: Verdict
    points: tuple[Point, ...]


def compare(original: Ending, replayed: Ending) -> Comparison:
    """Hold two endings against each other. A backend's own status stands for the caller's where that was made by the gateway."""
    points = (
        Point("ended", _way(original), _way(replayed), _way(original) == _way(replayed), decides=True),
        _words("error", _error(original), _error(replayed)),
        _words("finish reason", original.finish_reason, replayed.finish_reason),
        _times("first token", original.ttft_s, replayed.ttft_s),
        _times("duration", original.duration_s, replayed.duration_s),
        _counts("prompt tokens", original.prompt_tokens, replayed.prompt_tokens),
        _counts("completion tokens", original.completion_tokens, replayed.completion_tokens),
    )
    if all(point.same for point in points if point.decides):
        verdict = Verdict.SAME
    else:
        well = _way(replayed) == "well" and _way(original) != "well"
        verdict = Verdict.GONE if well else Verdict.OTHER
    return Comparison(verdict, points)


def _way(ending: Ending) -> str:
    """`well`, or how not."""
    if ending.outcome == Outcome.OK:
        return "well"
    return "broken" if ending.outcome == Outcome.BROKEN else "failed"


def _error(ending: Ending) -> str:
    return "" if ending.outcome == Outcome.OK else ending.attempt_error or ending.error


def _words(name: str, one: str, other: str) -> Point:
    return Point(name, one or "-", other or "-", one == other, decides=True)


def _times(name: str, one: float | None, other: float | None) -> Point:
    if one is None or other is None:
        return Point(name, _seconds(one), _seconds(other), one is other, decides=False)
    same = _close(max(one, _SHORTEST_S), max(other, _SHORTEST_S))
    return Point(name, _seconds(one), _seconds(other), same, decides=False)


def _counts(name: str, one: int, other: int) -> Point:
    return Point(name, str(one), str(other), _close(max(one, _FEWEST), max(other, _FEWEST)), decides=False)


def _close(one: float, other: float) -> bool:
    return abs(math.log(one / other)) <= math.log(_FACTOR)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
