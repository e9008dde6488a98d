"""From runs to physics: fits the runs of the fitted shapes, and says how well that predicts the shapes held out.

Of each shape the median over its rounds is taken, first token by first token and end by end in their order, so that a round in which the
machine did something else does not count. A burst's calls start together, so what is in each step is known (`hardware.fit_steps`).
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from switchgear.hardware.fit import Errors, Fit, Parameter, errors, widened
from switchgear.hardware.fit_serving import factors_of
from switchgear.hardware.fit_steps import Burst, Stretch, Stretches, burst_loads, fit_stretches
from switchgear.hardware.roofline import Placement, StepCost
from switchgear.hardware.serving import Factors, ideal
from switchgear.profiling.basis import Basis, Rates
from switchgear.profiling.errors import TooFewRuns
from switchgear.profiling.model import Call, Run, Shape

_RESAMPLES = 20
LEAST_SHAPES = 6
"""Fitted shapes that five figures need at least."""


@dataclass(frozen=True, slots=True)
class Middle:
    """The median of a shape's runs: its calls in order, each with the median of its times and lengths."""

    shape: Shape
    calls: tuple[Call, ...]
    rounds: int

    @property
    def ttft_s(self) -> float:
        return statistics.median(call.first_s for call in self.calls)

    @property
    def call_s(self) -> float:
        return statistics.median(call.last_s for call in self.calls)


@dataclass(frozen=True, slots=True)
class Prediction:
    """One shape, measured and predicted: medians over its calls."""

    shape: Shape
    rounds: int
    ttft_s: float
    call_s: float
    predicted_ttft_s: float
    predicted_call_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """How well a fit predicts shapes."""

    shapes: tuple[Prediction, ...]
    ttft: Errors
    call: Errors


@dataclass(frozen=True, slots=True)
class Estimated:
    """What was fitted, and what it is worth."""

    fit: Fit
    factors: Factors
    fitted: Verdict
    held_out: Verdict


def middles(runs: Mapping[Shape, Sequence[Run]]) -> dict[Shape, Middle]:
    """The median run of each shape."""
    return {
        shape: Middle(
            shape,
            tuple(_middle([run.calls[rank] for run in members]) for rank in range(shape.concurrency)),
            len(members),
        )
        for shape, members in runs.items()
        if members
    }


def rates(middle: Sequence[Middle], cost: StepCost) -> Rates:
    """What was reached, roughly. `cost` at full efficiency tells the operations and bytes where its peaks are one a second."""
    longest = max(middle, key=lambda one: (one.calls[0].prompt_tokens, -one.shape.concurrency))
    first = burst_loads([(longest.calls[0].prompt_tokens, 1)]).loads[0]
    decoding = [
        (call.last_s - call.first_s) / (call.output_tokens - 1)
        for one in middle
        for call in one.calls
        if call.output_tokens > 1 and call.last_s > call.first_s
    ]
    if not decoding:
        raise TooFewRuns("no answer has two tokens that came apart; sweep longer answers")
    step_s = min(decoding)
    return Rates(
        flop_per_s=float(cost.arithmetic_s(first)) / longest.calls[0].first_s,
        bytes_per_s=float(cost.weights_s) / step_s,
        step_s=step_s,
        front_s=min(call.first_s for one in middle for call in one.calls),
    )


def need_enough(fitted: Sequence[Middle], held_out: Sequence[Middle]) -> None:
    """Raises TooFewRuns where the sweep ended before there was enough to fit, or anything to judge by."""
    if len(fitted) < LEAST_SHAPES or not held_out:
        raise TooFewRuns(
            f"{len(fitted)} shapes were measured to fit and {len(held_out)} to hold out, and {LEAST_SHAPES} and 1 are needed; raise "
            "--max-seconds, --max-tokens or --max-usd, or sweep shorter"
        )


def estimate(
    basis: Basis, fitted: Sequence[Middle], held_out: Sequence[Middle], rates: Rates, *, seats: int, step_tokens: int
) -> Estimated:
    """Fit and judge. Raises TooFewRuns where the sweep ended before there was enough of either."""
    need_enough(fitted, held_out)
    bursts = {one.shape: _burst(one, seats, step_tokens) for one in (*fitted, *held_out)}
    groups = [_stretches(one, bursts[one.shape], basis.placement) for one in fitted]
    parameters = basis.parameters(rates)
    found = _fit(groups, parameters)
    factors = factors_of(found)
    return Estimated(
        found,
        factors,
        judge(basis.placement, factors, fitted, bursts),
        judge(basis.placement, factors, held_out, bursts),
    )


def _fit(groups: Sequence[Sequence[Stretch]], parameters: Sequence[Parameter]) -> Fit:
    """Fit all shapes, and resamples of them for the intervals: the calls of one burst are not independent of each other."""
    found = fit_stretches([stretch for group in groups for stretch in group], parameters)
    random = Random(0)  # noqa: S311  resampling, not a secret
    refits = []
    for _ in range(_RESAMPLES):
        chosen = random.choices(groups, k=len(groups))
        refits.append(fit_stretches([stretch for group in chosen for stretch in group], parameters))
    return widened(found, refits)


def judge(placement: Placement, factors: Factors, middle: Sequence[Middle], bursts: Mapping[Shape, Burst]) -> Verdict:
    """How well the factors predict the shapes."""
    predictions = []
    for one in middle:
        predicted = Stretches(_stretches(one, bursts[one.shape], placement)).predict_s(factors)
        firsts, lasts = predicted[0::2], predicted[1::2]
        predictions.append(
            Prediction(one.shape, one.rounds, one.ttft_s, one.call_s, float(np.median(firsts)), float(np.median(lasts)))
        )

    def of(predicted: str, measured: str) -> Errors:
        return errors(
            np.array([getattr(one, predicted) for one in predictions]),
            np.array([getattr(one, measured) for one in predictions]),
        )

    return Verdict(tuple(predictions), of("predicted_ttft_s", "ttft_s"), of("predicted_call_s", "call_s"))


def unit_cost(placement: Placement) -> StepCost:
    """`ideal` with peaks of one operation and one byte a second: counts instead of times."""
    return ideal(placement)


def _middle(calls: Sequence[Call]) -> Call:
    def median(name: str) -> float:
        return statistics.median(float(getattr(call, name)) for call in calls)

    return replace(
        calls[0],
        first_s=median("first_s"),
        last_s=median("last_s"),
        prompt_tokens=round(median("prompt_tokens")),
        output_tokens=round(median("output_tokens")),
        cached_tokens=round(median("cached_tokens")),
    )


def _burst(one: Middle, seats: int, step_tokens: int) -> Burst:
    return burst_loads(
        [(call.prompt_tokens, call.output_tokens) for call in one.calls],
        cached=[call.cached_tokens for call in one.calls],
        seats=seats,
        step_tokens=step_tokens,
    )


def _stretches(one: Middle, burst: Burst, placement: Placement) -> list[Stretch]:
    """For each call its time to the first and to the last token."""
    rows = []
    for call, first, last in zip(one.calls, burst.first_after, burst.last_after, strict=True):
        rows.append(Stretch(placement, burst.loads[:first], call.first_s, requests=1.0))
        rows.append(Stretch(placement, burst.loads[:last], call.last_s, requests=1.0))
    return rows
