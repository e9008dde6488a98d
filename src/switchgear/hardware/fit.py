"""Fitting positive figures (efficiencies, overheads, rates) to measured times, and saying how sure they are.

Figures are fitted by their logarithms, with residuals that are logarithms of predicted over measured: errors are relative, and no figure
can become negative. The loss is robust (soft L1), so a run that met something else does not pull the fit (SciPy, `least_squares`). What is
known before (a start, and how far from it a figure may plausibly lie) enters as one weak residual each, which makes it a maximum
a posteriori estimate; Gelman et al., "Bayesian Data Analysis", 3rd edition, sections 4.1 and 5.4 (partial pooling of groups). Intervals
come from the curvature at the solution (section 4.1). A figure that the rows say nothing about keeps its start and says so.

Needs NumPy and SciPy (`pip install 'switchgear[plan]'`).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares

from switchgear.hardware.bounds import positive
from switchgear.hardware.errors import BadFigure
from switchgear.hardware.loads import Floats

PRIOR_WEIGHT = 0.1
"""Of what is known before against one measured row, at most: its residual is this much of the distance in standard deviations. It is the
noise of a row, as far as that is smaller."""
_ROBUST_FROM = 0.1
"""Relative error from which on a row counts by its size, no longer by its square."""
_Z95 = 1.959964
_IDENTIFIED = 0.5
"""A figure counts as measured when its posterior deviation is below this fraction of what was allowed before."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One figure to fit: where to start, within which bounds, and `spread`, the deviation of its logarithm that is plausible before."""

    name: str
    start: float
    low: float
    high: float
    spread: float = 1.0

    def __post_init__(self) -> None:
        positive(start=self.start, low=self.low, high=self.high, spread=self.spread)
        if not self.low <= self.start <= self.high:
            raise BadFigure(self.name, self.start, f"a start from {self.low:g} to {self.high:g}")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A fitted figure with its 95 % interval. Not `identified`: the rows say next to nothing about it, the value is what was known."""

    value: float
    low: float
    high: float
    identified: bool


@dataclass(frozen=True, slots=True)
class Fit:
    """What a fit found. `rows` is the number of residuals it saw."""

    estimates: Mapping[str, Estimate]
    rows: int

    @property
    def values(self) -> dict[str, float]:
        """The figures alone."""
        return {name: estimate.value for name, estimate in self.estimates.items()}


@dataclass(frozen=True, slots=True)
class Errors:
    """Relative errors of predictions, absolute values: |predicted / measured - 1|."""

    rows: int
    median: float
    p90: float
    bias: float
    """Median of predicted / measured, less 1: above zero where predictions are too slow."""


def errors(predicted: Floats, measured: Floats) -> Errors:
    """How well predictions meet what was measured. Raises BadFigure for no rows and for measurements that are not above zero."""
    if predicted.shape != measured.shape or not measured.size:
        raise BadFigure("number of rows", measured.size, "as many measured as predicted ones, at least one")
    if not np.all(measured > 0):
        raise BadFigure("a measured time", float(np.min(measured)), "seconds above zero")
    ratio = predicted / measured - 1
    return Errors(
        int(measured.size), float(np.median(abs(ratio))), float(np.quantile(abs(ratio), 0.9)), float(np.median(ratio))
    )


def fit(parameters: Sequence[Parameter], log_ratios: Callable[[Mapping[str, float]], Floats]) -> Fit:
    """Fit the parameters to rows. `log_ratios` takes figures by name and gives log(predicted / measured) of every row.

    Raises BadFigure where there are no rows, or where a row gives no finite residual.
    """
    names = [parameter.name for parameter in parameters]
    start = np.log([parameter.start for parameter in parameters])
    spread = np.array([parameter.spread for parameter in parameters])
    lowest = np.array([parameter.low for parameter in parameters])
    highest = np.array([parameter.high for parameter in parameters])
    margin = 1e-9  # the solver wants a start strictly inside
    bounds = (np.log(lowest) - margin, np.log(highest) + margin)

    def rows_at(logs: Floats) -> Floats:
        values = np.clip(np.exp(logs), lowest, highest)
        return log_ratios(dict(zip(names, values.tolist(), strict=True)))

    def solve(begin: Floats, prior_weight: float) -> tuple[Floats, Floats, Floats]:
        def residuals(logs: Floats) -> Floats:
            return np.concatenate([rows_at(logs), prior_weight * (logs - start) / spread])

        solution = least_squares(
            residuals,
            begin,
            bounds=bounds,
            x_scale=spread,
            loss="soft_l1",
            f_scale=_ROBUST_FROM,
            ftol=1e-6,
            xtol=1e-6,
        )
        return solution.x, np.asarray(solution.jac)[:count], solution.fun[:count]

    first = rows_at(start)
    count = first.size
    if count < 1:
        raise BadFigure("number of rows", count, "at least one measured row")
    if not np.all(np.isfinite(first)):
        raise BadFigure("a row's log ratio", float(first[~np.isfinite(first)][0]), "measured times above zero")
    # How much a row tells against what was known before depends on how noisy rows are, which only a first fit shows.
    logs, jacobian, left = solve(start, PRIOR_WEIGHT)
    if (noise := _noise(left)) < PRIOR_WEIGHT:
        logs, jacobian, left = solve(np.clip(logs, bounds[0] + margin, bounds[1] - margin), noise)
    deviation = _deviations(jacobian, _noise(left), spread)
    estimates = {
        parameter.name: _estimate(parameter, float(log), float(sd))
        for parameter, log, sd in zip(parameters, logs, deviation, strict=True)
    }
    return Fit(estimates, count)


def widened(found: Fit, others: Sequence[Fit]) -> Fit:
    """The fit with each interval widened to what refits of resampled groups of rows show.

    For rows that are not independent of each other: their curvature promises too much. A bootstrap of groups (Efron and Tibshirani, "An
    Introduction to the Bootstrap", section 6.2).
    """
    estimates = {}
    for name, estimate in found.estimates.items():
        deviation = float(np.std([math.log(other.values[name]) for other in others], ddof=1))
        reach = math.exp(_Z95 * deviation)
        estimates[name] = replace(
            estimate,
            low=min(estimate.low, estimate.value / reach),
            high=max(estimate.high, estimate.value * reach),
        )
    return Fit(estimates, found.rows)


def pooled(parameters: Sequence[Parameter], fits: Sequence[Fit], least_spread: float = 0.15) -> list[Parameter]:
    """The parameters, starting where other groups' fits lie and allowed as much spread as there is between those."""
    if not fits:
        return list(parameters)
    return [_pooled(parameter, [one.values[parameter.name] for one in fits], least_spread) for parameter in parameters]


def _pooled(parameter: Parameter, values: list[float], least_spread: float) -> Parameter:
    logs = np.log(values)
    start = min(parameter.high, max(parameter.low, math.exp(float(np.median(logs)))))
    return replace(parameter, start=start, spread=max(least_spread, float(np.std(logs))))


def _noise(rows: Floats) -> float:
    """Standard deviation of a row, from the median of what is left (robust: the factor is a normal distribution's)."""
    return max(float(np.median(abs(rows))) / 0.6745, 1e-3)


def _deviations(jacobian: Floats, noise: float, spread: Floats) -> Floats:
    """Standard deviation of each figure's logarithm: the noise of a row over the curvature, and at most what was allowed before."""
    curvature = jacobian.T @ jacobian / noise**2 + np.diag(spread**-2.0)
    variance: Floats = np.diag(np.linalg.pinv(curvature))
    return np.minimum(np.sqrt(np.maximum(variance, 0.0)), spread)


def _estimate(parameter: Parameter, log: float, deviation: float) -> Estimate:
    value = min(parameter.high, max(parameter.low, math.exp(log)))
    low, high = value * math.exp(-_Z95 * deviation), value * math.exp(_Z95 * deviation)
    return Estimate(
        value,
        max(parameter.low, min(low, value)),
        min(parameter.high, max(high, value)),
        deviation < _IDENTIFIED * parameter.spread,
    )
