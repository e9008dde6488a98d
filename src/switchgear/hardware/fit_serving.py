"""Fitting `serving.Factors` to measured closed-loop runs, one group of runs at a time or groups that learn from each other."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np

from switchgear.hardware.errors import BadFigure
from switchgear.hardware.fit import Errors, Fit, Parameter, errors, fit, pooled
from switchgear.hardware.loads import Floats
from switchgear.hardware.roofline import Placement, StepCost
from switchgear.hardware.serving import ClosedLoop, Factors, Served, ideal, reached, stacked

K = TypeVar("K", bound=Hashable)

PARAMETERS = (
    Parameter("compute_efficiency", 0.6, 0.01, 1.0, 0.6),
    Parameter("bandwidth_efficiency", 0.7, 0.05, 1.0, 0.4),
    Parameter("step_overhead_s", 2e-3, 1e-5, 0.05, 0.8),
    Parameter("sequence_overhead_s", 3e-5, 1e-7, 1e-3, 1.2),
    Parameter("request_overhead_s", 0.02, 1e-4, 2.0, 1.0),
    Parameter("collective_s", 15e-6, 1e-7, 1e-3, 0.8),
    Parameter("interconnect_bytes_per_s", 300e9, 1e9, 2e12, 1.0),
    Parameter("first_wave", 0.1, 1e-3, 1.2, 1.5),
    Parameter("interleaved", 0.7, 0.05, 2.0, 0.7),
    Parameter("excess_callers", 0.1, 1e-4, 2.0, 1.5),
)
"""Starts and bounds for data-centre GPUs: efficiencies and overheads as fitted for the H100, the interconnect around NVLink's 450 GB/s."""

LEAST_ROWS = 12
"""A group with fewer rows is not fitted alone."""
_TOKEN_WEIGHT = 1.5
"""Of a time per token against a time to first token: the former is steadier, and most of a call."""


@dataclass(frozen=True, slots=True)
class Run:
    """One measured closed-loop run: mean seconds to the first token and per output token of `callers` callers."""

    placement: Placement
    prompt_tokens: int
    output_tokens: int
    callers: int
    ttft_s: float
    token_s: float

    def __post_init__(self) -> None:
        for name in ("prompt_tokens", "output_tokens", "callers", "ttft_s", "token_s"):
            if not getattr(self, name) > 0:
                raise BadFigure(name, getattr(self, name), "a number above zero")

    @property
    def call_s(self) -> float:
        """Seconds of a whole call."""
        return self.ttft_s + (self.output_tokens - 1) * self.token_s


@dataclass(frozen=True, slots=True)
class RunErrors:
    """Relative errors of the three times of runs."""

    ttft: Errors
    token: Errors
    call: Errors


class Runs:
    """Runs as arrays, so that a fit predicts all of them at once."""

    def __init__(self, runs: Sequence[Run]) -> None:
        if not runs:
            raise BadFigure("number of runs", 0, "at least one measured run")
        self.bound: StepCost = stacked([ideal(run.placement) for run in runs])
        lengths = ([getattr(run, name) for run in runs] for name in ("prompt_tokens", "output_tokens", "callers"))
        self._loop = ClosedLoop(*lengths)
        self.ttft_s = np.array([run.ttft_s for run in runs])
        self.token_s = np.array([run.token_s for run in runs])

    def predict(self, factors: Factors) -> Served:
        """What the callers of each run would see."""
        return self._loop.served(reached(self.bound, factors), factors)

    def errors(self, factors: Factors) -> RunErrors:
        """How well that meets what they saw."""
        served = self.predict(factors)
        rest = self._loop.output_tokens - 1
        return RunErrors(
            ttft=errors(served.ttft_s, self.ttft_s),
            token=errors(served.token_s, self.token_s),
            call=errors(served.ttft_s + rest * served.token_s, self.ttft_s + rest * self.token_s),
        )

    def call_ratios(self, factors: Factors) -> tuple[Floats, Floats]:
        """Predicted over measured, of the time to first token and of the whole call, for each run."""
        served, rest = self.predict(factors), self._loop.output_tokens - 1
        calls = (served.ttft_s + rest * served.token_s) / (self.ttft_s + rest * self.token_s)
        return served.ttft_s / self.ttft_s, calls


def fit_runs(runs: Sequence[Run], parameters: Sequence[Parameter] = PARAMETERS) -> Fit:
    """Fit the factors of one group: one engine, one model, one kind of device, one precision."""
    arrays = Runs(runs)

    def log_ratios(values: Mapping[str, float]) -> Floats:
        served = arrays.predict(Factors(**values))
        return np.concatenate(
            [np.log(served.ttft_s / arrays.ttft_s), _TOKEN_WEIGHT * np.log(served.token_s / arrays.token_s)]
        )

    return fit(parameters, log_ratios)


def factors_of(found: Fit) -> Factors:
    """The factors that a fit found."""
    known = {field.name for field in fields(Factors)}
    return Factors(**{name: value for name, value in found.values.items() if name in known})


def fit_groups(groups: Mapping[K, Sequence[Run]], kind: Mapping[K, Hashable]) -> dict[K, Fit]:
    """Fit every group twice: alone, then again starting from where the groups of the same `kind` lie (their engine, say).

    So a group with few rows, or whose rows say nothing about a figure, borrows from the others and from nobody's held-out rows.
    Groups with fewer than LEAST_ROWS rows only borrow.
    """
    alone = {key: fit_runs(runs) for key, runs in groups.items() if len(runs) >= LEAST_ROWS}
    found: dict[K, Fit] = {}
    for key, runs in groups.items():
        if runs:
            like = [other for name, other in alone.items() if kind[name] == kind[key]] or list(alone.values())
            found[key] = fit_runs(runs, pooled(PARAMETERS, like))
    return found
