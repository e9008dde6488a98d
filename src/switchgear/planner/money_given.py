"""One assumption: a number, or how sure one is of it.

In a file it is a plain number, or a table: ``{ value = 25000, source = "quote of March" }``, ``{ triangular = [low, mode, high] }``,
``{ uniform = [low, high] }``, ``{ lognormal = { p10 = 1.0, p90 = 4.0 } }``, ``{ discrete = [[value, probability], …] }``.
The point estimate takes the median of a distribution, always; a Monte Carlo run draws by the inverse of its distribution function.

Sources: triangular and lognormal inverse functions, NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6; the lognormal is
fixed by its 10th and 90th percentile: ln X is normal with mean (ln p10 + ln p90) / 2 and deviation (ln p90 - ln p10) / (2 z90).
"""

import math
from statistics import NormalDist
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

Draws: TypeAlias = npt.NDArray[np.float64]

_Z90: Final = NormalDist().inv_cdf(0.9)
_SHAPES: Final = ("value", "triangular", "uniform", "lognormal", "discrete")


class Percentiles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One chance in ten of being below `p10`, and one of being above `p90`."""

    p10: float
    p90: float


class Given(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An assumption with its source, certain (`value`) or not (one of the distributions)."""

    value: float | None = None
    triangular: tuple[float, float, float] | None = None
    """Lowest, most likely, highest."""
    uniform: tuple[float, float] | None = None
    """Lowest, highest."""
    lognormal: Percentiles | None = None
    discrete: tuple[tuple[float, float], ...] | None = None
    """Pairs of value and probability."""
    source: str = ""
    """Document and place, quote, or measurement."""
    assumed: bool = False
    """Nobody measured or quoted it; `source` gives the reasoning."""

    @property
    def problem(self) -> str:
        """What is wrong with it, and the remedy; empty where nothing is."""
        shapes = [name for name in _SHAPES if getattr(self, name) is not None]
        if len(shapes) != 1:
            return f"it has {' and '.join(shapes) or 'no value'}. Give exactly one of {', '.join(_SHAPES)}."
        if self.triangular and not self.triangular[0] <= self.triangular[1] <= self.triangular[2]:
            return "triangular is not in order. Give it as [lowest, most likely, highest]."
        if self.uniform and not self.uniform[0] <= self.uniform[1]:
            return "uniform is not in order. Give it as [lowest, highest]."
        if self.lognormal and not 0 < self.lognormal.p10 <= self.lognormal.p90:
            return "lognormal needs 0 < p10 <= p90. Give the two percentiles of a positive number."
        return self._discrete_problem()

    def _discrete_problem(self) -> str:
        if self.discrete is None:
            return ""
        chances = [chance for _, chance in self.discrete]
        if not chances or any(not 0 <= chance <= 1 for chance in chances):
            return (
                "a probability is not between 0 and 1. Give pairs of [value, probability], probabilities as fractions."
            )
        if not math.isclose(sum(chances), 1.0, abs_tol=1e-6):
            return f"the probabilities add up to {sum(chances):g}. They must add up to 1."
        return ""

    @property
    def is_uncertain(self) -> bool:
        """Whether it varies between draws."""
        return self.value is None

    @property
    def support(self) -> tuple[float, float]:
        """Lowest and highest value it can have."""
        if self.value is not None:
            return self.value, self.value
        if self.lognormal is not None:
            return math.ulp(0.0), math.inf
        if self.discrete is not None:
            values = [value for value, chance in self.discrete if chance > 0]
            return min(values), max(values)
        ends = self.triangular or self.uniform or (math.nan, math.nan)
        return ends[0], ends[-1]

    def ppf(self, probability: Draws) -> Draws:
        """The value which a share `probability` of all draws stays below. SciPy's name for it, so that SciPy can use it."""
        u = np.asarray(probability, dtype=np.float64)
        if self.triangular is not None:
            return _triangular(u, *self.triangular)
        if self.uniform is not None:
            low, high = self.uniform
            return low + u * (high - low)
        if self.lognormal is not None:
            return _lognormal(u, self.lognormal)
        if self.discrete is not None:
            values, chances = zip(*sorted(self.discrete), strict=True)
            steps = np.cumsum(chances)
            index = np.minimum(np.searchsorted(steps, u, side="left"), len(values) - 1)
            return np.asarray(values, dtype=np.float64)[index]
        return np.full_like(u, self.value)

    @property
    def median(self) -> float:
        """The point estimate."""
        return float(self.ppf(np.asarray([0.5]))[0])

    @property
    def text(self) -> str:
        """The distribution, as a reader of the report sees it."""
        if self.triangular is not None:
            return "triangular({:g}, {:g}, {:g})".format(*self.triangular)
        if self.uniform is not None:
            return "uniform({:g}, {:g})".format(*self.uniform)
        if self.lognormal is not None:
            return f"lognormal(P10 {self.lognormal.p10:g}, P90 {self.lognormal.p90:g})"
        if self.discrete is not None:
            return "discrete(" + ", ".join(f"{value:g}: {chance:g}" for value, chance in self.discrete) + ")"
        return ""


def as_given(value: Any) -> Given | None:
    """An assumption from what a field of a file holds; None where the field is no assumption."""
    if isinstance(value, Given):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Given(value=float(value))
    return None


def _triangular(u: Draws, low: float, mode: float, high: float) -> Draws:
    width = high - low
    if width == 0:
        return np.full_like(u, low)
    rising = low + np.sqrt(u * width * (mode - low))
    falling = high - np.sqrt((1 - u) * width * (high - mode))
    return np.where(u < (mode - low) / width, rising, falling)


def _lognormal(u: Draws, ends: Percentiles) -> Draws:
    from scipy.special import ndtri  # half a second to import, and only uncertain plans need it

    low, high = math.log(ends.p10), math.log(ends.p90)
    inside = np.clip(u, 1e-12, 1 - 1e-12)  # a Sobol sequence begins at exactly 0
    drawn: Draws = np.exp((low + high) / 2 + ndtri(inside) * (high - low) / (2 * _Z90))
    return drawn
