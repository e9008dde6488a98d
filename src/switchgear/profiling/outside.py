"""The view from outside, for a backend whose model nobody knows: how long it takes, not why."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from switchgear.hardware.fit import Errors, errors
from switchgear.hardware.model import Figure, Observed
from switchgear.profiling.errors import TooFewRuns
from switchgear.profiling.estimate import Middle, Prediction, Verdict
from switchgear.profiling.model import Run

_RESAMPLES = 400


@dataclass(frozen=True, slots=True)
class Outside:
    """What was seen, and how well it alone predicts the shapes held out."""

    observed: Observed
    held_out: Verdict


def look(runs: Sequence[Run], held_out: Sequence[Middle], seconds: float, source: str) -> Outside:
    """Medians over the calls of `runs`, each with its 95 % interval.

    Raises TooFewRuns where there is no call to look at, or no shape to judge by.
    """
    found = _seen(runs)
    if found is None or not held_out:
        raise TooFewRuns("too few answers to look at; raise --max-seconds, or sweep longer answers")
    again = _resampled(runs) or [found]

    def figure(which: int) -> Figure:
        low, high = np.quantile([one[which] for one in again], (0.025, 0.975)).tolist()
        value = found[which]
        return Figure(value, source, low=min(low, value), high=max(high, value))

    observed = Observed(
        ttft_median_s=figure(0),
        ttft_p95_s=figure(1),
        decode_tokens_per_s=figure(2),
        requests_per_minute=Figure(
            max(1.0, 60 * sum(len(run.calls) for run in runs) / seconds),
            "as many as the sweep made; the backend may allow more",
            assumed=True,
        ),
    )
    rate = observed.decode_tokens_per_s.value
    shapes = tuple(_prediction(one, observed.ttft_median_s.value, rate) for one in held_out)
    return Outside(observed, Verdict(shapes, _errors(shapes, "ttft_s"), _errors(shapes, "call_s")))


def _seen(runs: Sequence[Run]) -> tuple[float, float, float] | None:
    """Median and 95th percentile of the first token, seconds, and tokens a second after it; None where no answer had two tokens."""
    calls = [call for run in runs for call in run.calls]
    decoding = [
        (call.output_tokens - 1) / (call.last_s - call.first_s)
        for call in calls
        if call.output_tokens > 1 and call.last_s > call.first_s
    ]
    if not decoding:
        return None
    firsts = sorted(call.first_s for call in calls)
    return statistics.median(firsts), firsts[min(len(firsts) - 1, int(0.95 * len(firsts)))], statistics.median(decoding)


def _resampled(runs: Sequence[Run]) -> list[tuple[float, float, float]]:
    """The same of bursts drawn with replacement (Efron 1979): calls of one burst are not independent of each other."""
    random = Random(0)  # noqa: S311  resampling, not a secret
    drawn = (_seen(random.choices(runs, k=len(runs))) for _ in range(_RESAMPLES))
    return [one for one in drawn if one is not None]


def _prediction(one: Middle, ttft_s: float, rate: float) -> Prediction:
    tokens = statistics.median(call.output_tokens for call in one.calls)
    return Prediction(one.shape, one.rounds, one.ttft_s, one.call_s, ttft_s, ttft_s + (tokens - 1) / rate)


def _errors(shapes: Sequence[Prediction], name: str) -> Errors:
    return errors(
        np.array([getattr(shape, f"predicted_{name}") for shape in shapes]),
        np.array([getattr(shape, name) for shape in shapes]),
    )
