"""`plan pilot`: which three to five workloads to try on local hardware first, from the company's own records, and what to measure.

A workload is what shares a key, a team and a model. Three gains are looked at: time (today's duration against what the local
place would take), privacy (calls that leave for a cloud although their data should rather not), cost (what the cloud charges
against the local price). Each is brought to the best workload's; the score is their weighted mean. Only calls that a cloud
answered count: what is local already gains nothing.
"""

import math
from array import array
from collections.abc import Iterable, Mapping
from statistics import NormalDist
from typing import Annotated, Final

import msgspec
import numpy as np

from switchgear.core.data_class import DataClass
from switchgear.core.record import Outcome, Record
from switchgear.planner.money_errors import MoneyError, NothingToShow

_MONTH_S: Final = 365 / 12 * 86_400
_WEIGHTS_OF_CLASS: Final[dict[str, float]] = {
    DataClass.PUBLIC: 0.0,
    DataClass.INTERNAL: 0.25,
    DataClass.CONFIDENTIAL: 0.75,
    DataClass.RESTRICTED: 1.0,
}
_UNKNOWN_CLASS: Final = 1.0
"""A call that nobody classified counts like the strictest: missing evidence never makes anything look safer."""
_SENSITIVE: Final[tuple[str, ...]] = (DataClass.CONFIDENTIAL.value, DataClass.RESTRICTED.value)

_MOST_WEIGHT: Final = 1e6

Positive = Annotated[float, msgspec.Meta(gt=0)]


class Local(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the local place is expected to do, from `plan size` or `profile`. Raises MoneyError."""

    ttft_s: Positive = 0.4
    tokens_per_second: Positive = 60.0
    """Of one stream, after the first token."""
    usd_per_mtok: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """What a million tokens cost there beyond the hardware itself: energy, mostly."""

    def __post_init__(self) -> None:
        for name, value in (("seconds to the first token", self.ttft_s), ("tokens a second", self.tokens_per_second)):
            if not 0 < value < math.inf:
                raise MoneyError(f"{value:g} {name} cannot be expected of a place; give a number above zero")
        if not 0 <= self.usd_per_mtok < math.inf:
            raise MoneyError(f"{self.usd_per_mtok:g} dollars a million tokens is no price; give zero or more")


class Weights(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much each gain counts; brought to a sum of 1. Raises MoneyError."""

    latency: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    privacy: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    cost: Annotated[float, msgspec.Meta(ge=0)] = 1.0

    def __post_init__(self) -> None:
        for value in (self.latency, self.privacy, self.cost):
            if not 0 <= value <= _MOST_WEIGHT:
                raise MoneyError(f"a weight of {value:g} weighs nothing up; give numbers from 0 to {_MOST_WEIGHT:,.0f}")


class Gain(msgspec.Struct, frozen=True, kw_only=True):
    """One of the three gains, and its part of the score."""

    value: float
    unit: str
    of_best: float
    """Between 0 and 1."""


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to measure in the pilot."""

    what: str
    today: str
    wanted: str
    how: str


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A workload, with why it should be tried first."""

    key: str
    team: str
    model: str
    score: float
    calls: int
    """That a cloud answered, in the records."""
    calls_per_month: float
    tokens_per_call: float
    cloud_usd_per_month: float | None
    """None: no call has a price."""
    unpriced_calls: int
    ttft_p50_s: float | None
    ttft_p95_s: float | None
    duration_p50_s: float
    classes: dict[str, float]
    """Share of calls by data class; `unknown` is not classified."""
    latency: Gain
    privacy: Gain
    cost: Gain
    measure: list[Measure]


class Pilot(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `plan pilot`."""

    days: float
    """Between the first and the last record."""
    records: int
    cloud_calls: int
    clouds: list[str]
    local: Local
    candidates: list[Candidate]
    others: int
    """Workloads that were looked at and are not among them."""
    warnings: list[str]


class _Workload:
    """What is counted of one workload."""

    def __init__(self) -> None:
        self.calls = 0
        self.unpriced = 0
        self.cost_usd = 0.0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.privacy = 0.0
        self.saved_s = 0.0
        self.ttft_s = array("d")
        self.duration_s = array("d")
        self.classes: dict[str, int] = {}

    def add(self, record: Record, local: Local) -> None:
        self.calls += 1
        self.prompt_tokens += record.prompt_tokens
        self.completion_tokens += record.completion_tokens
        if record.cost_usd is None:
            self.unpriced += 1
        else:
            self.cost_usd += record.cost_usd
        name = record.data_class or "unknown"
        self.classes[name] = self.classes.get(name, 0) + 1
        self.privacy += _WEIGHTS_OF_CLASS.get(name, _UNKNOWN_CLASS)
        self.duration_s.append(record.duration_s)
        if record.ttft_s is not None:
            self.ttft_s.append(record.ttft_s)
        there = local.ttft_s + record.completion_tokens / local.tokens_per_second
        self.saved_s += record.duration_s - there


def pilot(
    records: Iterable[Record],
    kinds: Mapping[str, str],
    *,
    local: Local | None = None,
    weights: Weights | None = None,
    most: int = 5,
    least_calls: int = 30,
) -> Pilot:
    """Choose workloads from records. `kinds` says of each backend whether it is a cloud (`cloud`) or local (any other kind).

    Raises NothingToShow where no cloud answered anything, MoneyError for weights or limits that say nothing.
    """
    expected, weighing = local or Local(), weights or Weights()
    if not 1 <= most <= 20:
        raise MoneyError(f"{most} workloads are no pilot; ask for 1 to 20, three to five is usual")
    if weighing.latency + weighing.privacy + weighing.cost <= 0:
        raise MoneyError("all three weights are zero; give at least one above zero")
    found, seen, first_s, last_s, unknown = _counted(records, kinds, expected)
    cloud_calls = sum(workload.calls for workload in found.values())
    if not cloud_calls:
        raise NothingToShow(_nothing(seen, unknown, kinds))
    span_s = max(last_s - first_s, 1.0)
    scale = _MONTH_S / span_s
    enough = {key: workload for key, workload in found.items() if workload.calls >= least_calls}
    if not enough:
        raise NothingToShow(f"no workload has {least_calls} calls; record for longer, or lower --least-calls")
    gains = {key: _gains(workload, expected, scale) for key, workload in enough.items()}
    best = [max(max(gain[index] for gain in gains.values()), 0.0) for index in range(3)]
    ranked = sorted(enough, key=lambda key: (-_score(gains[key], best, weighing), key))
    return Pilot(
        days=span_s / 86_400,
        records=seen,
        cloud_calls=cloud_calls,
        clouds=sorted(name for name, kind in kinds.items() if kind == "cloud"),
        local=expected,
        candidates=[_candidate(key, enough[key], gains[key], best, weighing, expected, scale) for key in ranked[:most]],
        others=len(found) - min(most, len(ranked)),
        warnings=_warnings(span_s, found, unknown, cloud_calls),
    )


_Key = tuple[str, str, str]


def _counted(
    records: Iterable[Record], kinds: Mapping[str, str], local: Local
) -> tuple[dict[_Key, _Workload], int, float, float, dict[str, int]]:
    found: dict[_Key, _Workload] = {}
    unknown: dict[str, int] = {}
    seen, first_s, last_s = 0, math.inf, -math.inf
    for record in records:
        seen += 1
        first_s, last_s = min(first_s, record.at_s), max(last_s, record.at_s)
        if record.outcome is not Outcome.OK:
            continue
        kind = kinds.get(record.backend)
        if kind is None:
            unknown[record.backend] = unknown.get(record.backend, 0) + 1
        elif kind == "cloud":
            found.setdefault((record.principal, record.team, record.model), _Workload()).add(record, local)
    return found, seen, first_s, last_s, unknown


def _nothing(seen: int, unknown: Mapping[str, int], kinds: Mapping[str, str]) -> str:
    if not seen:
        return "there is no record; let the gateway serve for some days, or name another --state-dir"
    if unknown:
        return f"nothing says what kind of place {', '.join(sorted(unknown))} is; give --config, or --cloud NAME"
    return (
        f"no cloud answered a call ({', '.join(sorted(kinds)) or 'no place is known'}); there is nothing to bring home"
    )


def _gains(workload: _Workload, local: Local, scale: float) -> tuple[float, float, float]:
    """Hours, weighted calls, and dollars gained in a month."""
    priced = workload.calls - workload.unpriced
    tokens = (workload.prompt_tokens + workload.completion_tokens) * (priced / workload.calls)
    cost = workload.cost_usd - tokens * local.usd_per_mtok / 1e6
    return workload.saved_s / 3600 * scale, workload.privacy * scale, cost * scale


def _share(gain: float, best: float) -> float:
    return max(gain, 0.0) / best if best > 0 else 0.0


def _score(gains: tuple[float, float, float], best: list[float], weights: Weights) -> float:
    parts = zip(gains, best, (weights.latency, weights.privacy, weights.cost), strict=True)
    whole = weights.latency + weights.privacy + weights.cost
    return sum(_share(gain, top) * weight for gain, top, weight in parts) / whole


def _candidate(
    key: _Key,
    workload: _Workload,
    gains: tuple[float, float, float],
    best: list[float],
    weights: Weights,
    local: Local,
    scale: float,
) -> Candidate:
    units = ("h of waiting a month", "calls a month that leave, weighted by class", "USD a month")
    latency, privacy, cost = (
        Gain(value=gain, unit=unit, of_best=_share(gain, top))
        for gain, unit, top in zip(gains, units, best, strict=True)
    )
    p50, p95 = np.percentile(workload.ttft_s, (50, 95)).tolist() if workload.ttft_s else (None, None)
    candidate = Candidate(
        key=key[0],
        team=key[1],
        model=key[2],
        score=_score(gains, best, weights),
        calls=workload.calls,
        calls_per_month=workload.calls * scale,
        tokens_per_call=(workload.prompt_tokens + workload.completion_tokens) / workload.calls,
        cloud_usd_per_month=None if workload.unpriced == workload.calls else workload.cost_usd * scale,
        unpriced_calls=workload.unpriced,
        ttft_p50_s=p50,
        ttft_p95_s=p95,
        duration_p50_s=float(np.median(workload.duration_s)),
        classes={name: number / workload.calls for name, number in sorted(workload.classes.items())},
        latency=latency,
        privacy=privacy,
        cost=cost,
        measure=[],
    )
    return msgspec.structs.replace(candidate, measure=_measures(candidate, local))


def answers_to_compare(agreement: float = 0.9, margin: float = 0.03, alpha: float = 0.05, power: float = 0.8) -> int:
    """Answers of each place that show a local share of good ones to be at most `margin` lower.

    Non-inferiority of two proportions, n = 2 p (1 - p) (z_alpha + z_power)^2 / margin^2 (Chow, Shao and Wang, Sample Size
    Calculations in Clinical Research, chapter 4).
    """
    z = NormalDist().inv_cdf(1 - alpha) + NormalDist().inv_cdf(power)
    return math.ceil(2 * agreement * (1 - agreement) * z * z / margin**2)


def _measures(candidate: Candidate, local: Local) -> list[Measure]:
    answers = answers_to_compare()
    sensitive = sum(share for name, share in candidate.classes.items() if name in _SENSITIVE)
    unclassified = candidate.classes.get("unknown", 0.0)
    cost = "unpriced" if candidate.cloud_usd_per_month is None else f"{candidate.cloud_usd_per_month:,.2f} USD a month"
    ttft = "not known" if candidate.ttft_p95_s is None else f"TTFT p95 {candidate.ttft_p95_s:.2f} s"
    return [
        Measure(
            what="answers are as good",
            today=f"{candidate.model} in the cloud",
            wanted="share of good answers at most 3 points lower",
            how=f"{answers:,} answers of each place, judged blind",
        ),
        Measure(
            what="time",
            today=f"{ttft}, duration p50 {candidate.duration_p50_s:.2f} s",
            wanted=f"TTFT p95 at most {local.ttft_s:.2f} s at the busiest hour's load",
            how="records of both places, same hours; at least 1,000 calls each for a p95",
        ),
        Measure(
            what="data that leaves",
            today=f"{sensitive:.0%} confidential or restricted, {unclassified:.0%} not classified",
            wanted="none of them",
            how="records by backend and data class; classify what is unknown first",
        ),
        Measure(
            what="cost",
            today=cost,
            wanted="below it, with hardware, energy and people counted",
            how="plan compare with the pilot's measured tokens a second and kilowatts",
        ),
        Measure(
            what="it stays up",
            today="share of calls that ended ok in the cloud",
            wanted="not lower, fallback to the cloud counted as a miss",
            how="records: outcome and attempts, for at least two weeks and one update",
        ),
    ]


def _warnings(
    span_s: float, found: Mapping[_Key, _Workload], unknown: Mapping[str, int], cloud_calls: int
) -> list[str]:
    warnings = []
    if span_s < 7 * 86_400:
        warnings.append(
            f"the records span {span_s / 86_400:.1f} days: a month is extrapolated, and no whole week is in it"
        )
    unpriced = sum(workload.unpriced for workload in found.values())
    if unpriced:
        warnings.append(
            f"{unpriced:,} of {cloud_calls:,} calls have no price: their cost is left out, not zero; give the backend `prices`"
        )
    unclassified = sum(workload.classes.get("unknown", 0) for workload in found.values())
    if unclassified:
        warnings.append(
            f"{unclassified:,} of {cloud_calls:,} calls are not classified: they count like restricted ones"
        )
    for name, calls in sorted(unknown.items()):
        warnings.append(
            f"{calls:,} calls of {name or 'no backend'} are left out: nothing says what kind of place it is"
        )
    return warnings
