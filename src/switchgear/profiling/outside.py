"""The view from outside, for a backend whose model nobody knows: how long it takes, not why."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from switchgear.hardware.fit import Errors, errors
from switchgear.hardware.model import Figure, Observed
from switchgear.profiling.errors import TooFewRuns
from switchgear.profiling.estimate import Middle, Prediction, Verdict
from switchgear.profiling.model import Run


@dataclass(frozen=True, slots=True)
class Outside:
    """What was seen, and how well it alone predicts the shapes held out."""

    observed: Observed
    held_out: Verdict


def look(runs: Sequence[Run], held_out: Sequence[Middle], seconds: float, source: str) -> Outside:
    """Medians over the calls of `runs`. Raises TooFewRuns where there is no call to look at, or no shape to judge by."""
    calls = [call for run in runs for call in run.calls]
    decoding = [
        (call.output_tokens - 1) / (call.last_s - call.first_s)
        for call in calls
        if call.output_tokens > 1 and call.last_s > call.first_s
    ]
    if not decoding or not held_out:
        raise TooFewRuns("too few answers to look at; raise --max-seconds, or sweep longer answers")
    firsts = sorted(call.first_s for call in calls)
    rate = statistics.median(decoding)
    observed = Observed(
        ttft_median_s=Figure(statistics.median(firsts), source),
        ttft_p95_s=Figure(firsts[min(len(firsts) - 1, int(0.95 * len(firsts)))], source),
        decode_tokens_per_s=Figure(rate, source),
        requests_per_minute=Figure(
            max(1.0, 60 * len(calls) / seconds), "as many as the sweep made; the backend may allow more", assumed=True
        ),
    )
    shapes = tuple(_prediction(one, observed.ttft_median_s.value, rate) for one in held_out)
    return Outside(observed, Verdict(shapes, _errors(shapes, "ttft_s"), _errors(shapes, "call_s")))


def _prediction(one: Middle, ttft_s: float, rate: float) -> Prediction:
    tokens = statistics.median(call.output_tokens for call in one.calls)
    return Prediction(one.shape, one.rounds, one.ttft_s, one.call_s, ttft_s, ttft_s + (tokens - 1) / rate)


def _errors(shapes: Sequence[Prediction], name: str) -> Errors:
    return errors(
        np.array([getattr(shape, f"predicted_{name}") for shape in shapes]),
        np.array([getattr(shape, name) for shape in shapes]),
    )
