"""What a threshold is fitted from: answers whose confidence stands on a record and whose outcome is known."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO
from typing import Any

import msgspec

from switchgear.confidence.errors import NoFit
from switchgear.core.decoding import UNREADABLE
from switchgear.core.escalation import Confidence

SIGNALS = ("mean_logprob", "min_logprob", "margin", "min_margin")
"""Numbers that a threshold can be fitted for: the smaller, the less sure."""
FORCED = ("refusal", "format_failure")
"""An answer that has one of these is escalated whatever its numbers are."""
_TRUE = ("1", "true", "yes", "good", "right", "pass")
_FALSE = ("0", "false", "no", "bad", "wrong", "fail")


class Outcome(msgspec.Struct, frozen=True):
    """What somebody found out about a call's answers."""

    good: bool
    """Whether the small model's answer was good enough."""
    large_good: bool | None = None
    """The same of the large model's; None: not known."""


class Sample(msgspec.Struct, frozen=True):
    """One answer of the small model."""

    signals: dict[str, float]
    """Its numbers by name; those that it lacks are left out."""
    forced: bool
    good: bool
    large_good: bool | None
    cost_usd: float | None
    large_cost_usd: float | None


def read_outcomes(text: str, name: str) -> dict[str, Outcome]:
    """Outcomes by call, from CSV with a header or from JSON lines: `call`, `good`, and `large_good` where it is known. Raises NoFit."""
    rows = _json_rows(text, name) if text.lstrip().startswith("{") else _csv_rows(text, name)
    outcomes = {}
    for line, row in rows:
        call = row.get("call")
        if not isinstance(call, str) or not call:
            raise NoFit(f"{name}, line {line}: no call. Write its id, as in the header x-switchgear-call.")
        good = _truth(row.get("good"), f"{name}, line {line}: good")
        if good is None:
            raise NoFit(
                f"{name}, line {line}: no good. Write 1 where the small model's answer was good enough, else 0."
            )
        outcomes[call] = Outcome(good, _truth(row.get("large_good"), f"{name}, line {line}: large_good"))
    if not outcomes:
        raise NoFit(f"{name} holds no outcome. Write CSV with the header call,good, or JSON lines with these names.")
    return outcomes


def _json_rows(text: str, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            yield number, msgspec.json.decode(line, type=dict[str, Any])
        except UNREADABLE as error:
            raise NoFit(f"{name}, line {number}: no JSON object: {error}.") from error


def _csv_rows(text: str, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    rows = csv.DictReader(StringIO(text.removeprefix("\N{BYTE ORDER MARK}")))
    missing = {"call", "good"} - set(rows.fieldnames or ())
    if missing:
        raise NoFit(
            f"{name} has no column {' and '.join(sorted(missing))}. Its first line must be: call,good or call,good,large_good."
        )
    for row in rows:
        yield rows.line_num, row


def _truth(value: object, where: str) -> bool | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise NoFit(f"{where} is neither true nor false. Write 1 or 0.")


def samples_of(records: Iterable[Mapping[str, Any]], outcomes: Mapping[str, Outcome], model: str = "") -> list[Sample]:
    """A sample of each record (as `switchgear records --export jsonl` writes it) that has a confidence and a known outcome.

    `model`: only calls of this alias.
    """
    found = []
    for record in records:
        outcome = outcomes.get(record.get("call", ""))
        if outcome is None or (model and record.get("model") != model):
            continue
        attempts = [attempt for attempt in record.get("attempts") or () if attempt.get("outcome") in _ANSWERED]
        judged = next((place for place, attempt in enumerate(attempts) if attempt.get("confidence") is not None), None)
        if judged is not None:
            after = attempts[judged + 1] if judged + 1 < len(attempts) else None
            found.append(_sample(attempts[judged], after, outcome))
    return found


_ANSWERED = ("ok", "unsure")
"""Outcomes of attempts that had a whole answer: it went to the caller, or it was unsure."""


def _sample(small: Mapping[str, Any], large: Mapping[str, Any] | None, outcome: Outcome) -> Sample:
    confidence = small["confidence"]
    if isinstance(confidence, list):  # as it stands in a record: without names
        confidence = dict(zip(Confidence.__struct_fields__, confidence, strict=False))
    return Sample(
        signals={name: confidence[name] for name in SIGNALS if confidence.get(name) is not None},
        forced=any(confidence.get(name) for name in FORCED),
        good=outcome.good,
        large_good=outcome.large_good,
        cost_usd=small.get("cost_usd"),
        large_cost_usd=large.get("cost_usd") if large is not None else None,
    )
