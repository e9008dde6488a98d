"""Which assumption matters most: Sobol indices of the saving, and what each assumption does alone.

Why Sobol: a rank correlation misses what only acts together with something else, and here much does (price times volume times
growth). The first-order index is the share of the variance that goes away when the assumption is known; the total index counts
what it does together with others too. They are SciPy's (`scipy.stats.sobol_indices`: Saltelli 2010 for both, Sobol points), so
no further dependency. The tornado (P10 and P90 alone, all else at the median) shows the same in dollars, for people.

Source: Saltelli et al., Variance based sensitivity analysis of model output, Computer Physics Communications 181 (2010) 259-270.
"""

import warnings
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from switchgear.planner.compare import evaluated
from switchgear.planner.money_errors import MoneyError
from switchgear.planner.money_model import Plan
from switchgear.planner.montecarlo import draws_from, groups_of
from switchgear.planner.tco_book import short_id
from switchgear.planner.tco_model import Usage

Values = npt.NDArray[np.float64]
_CHUNK: Final = 100_000


class Influence(msgspec.Struct, frozen=True, kw_only=True):
    """What one uncertain assumption does to the saving of an option."""

    id: str
    also: list[str]
    """Other places of the file that say the same and vary with it."""
    first_order: float
    """Share of the variance that knowing it would remove."""
    total_order: float
    """With all that it does together with others."""
    total_low: float
    total_high: float
    """The 95 % interval of `total_order` (bootstrap)."""
    saving_p10_usd: float
    """The saving with this one at its 10th percentile, all others at their median."""
    saving_p90_usd: float


class Sensitivity(msgspec.Struct, frozen=True, kw_only=True):
    """Influences on one option's saving against the baseline, the strongest first."""

    option: str
    saving_usd: float
    """With medians."""
    evaluations: int
    influences: list[Influence]


class _Unit:
    """A number between 0 and 1: SciPy asks each factor for its inverse distribution function; ours is applied later."""

    def ppf(self, u: Values) -> Values:
        return u


def sensitivity(
    plan: Plan, option: str, *, points: int = 1024, seed: int | None = None, usage: Iterable[Usage] = ()
) -> Sensitivity:
    """What drives the saving of `option`. `points` is a power of two; it costs `points` x (uncertain assumptions + 2) evaluations.

    Raises MoneyError where nothing is uncertain, or `points` is none.
    """
    if points < 64 or points & (points - 1):
        raise MoneyError(f"{points} points are no power of two from 64 on; take 1024")
    groups = _relevant(plan, option)
    if option == plan.baseline:
        raise MoneyError(f"{option} is the baseline and saves nothing against itself; name another option")
    if not groups:
        raise MoneyError("no assumption has a distribution; write one as { triangular = [low, mode, high] }")
    rows = list(usage)
    names = list(groups)

    def saving(uniforms: Values) -> Values:
        parts = np.array_split(uniforms, max(1, uniforms.shape[1] // _CHUNK), axis=1)
        return np.concatenate([_saving(plan, option, names, part, rows) for part in parts])

    medians = np.full((len(names), 1), 0.5)
    alone = np.repeat(medians, 2 * len(names), axis=1)
    for index in range(len(names)):
        alone[index, 2 * index : 2 * index + 2] = 0.1, 0.9
    tornado = saving(alone)
    first, whole, low, high = _sobol(saving, len(names), points, plan.seed if seed is None else seed)
    influences = [
        Influence(
            id=short_id(groups[name][0]),
            also=[short_id(path) for path in groups[name][1:]],
            first_order=float(first[index]),
            total_order=float(whole[index]),
            total_low=float(low[index]),
            total_high=float(high[index]),
            saving_p10_usd=float(tornado[2 * index]),
            saving_p90_usd=float(tornado[2 * index + 1]),
        )
        for index, name in enumerate(names)
    ]
    return Sensitivity(
        option=option,
        saving_usd=float(saving(medians)[0]),
        evaluations=points * (len(names) + 2),
        influences=sorted(influences, key=lambda one: -one.total_order),
    )


def _relevant(plan: Plan, option: str) -> dict[str, list[str]]:
    """What can move the saving: assumptions of the two options and of no option; under the key that the draws know them by."""
    own = tuple(f"options.{name}." for name in (option, plan.baseline))
    found = {}
    for first, paths in groups_of(plan).items():
        kept = [path for path in paths if not path.startswith("options.") or path.startswith(own)]
        if kept:
            found[first] = kept
    return found


def _saving(plan: Plan, option: str, names: list[str], uniforms: Values, usage: list[Usage]) -> Values:
    medians = {first: np.full(uniforms.shape[1], 0.5) for first in groups_of(plan)}
    draws = draws_from(plan, medians | dict(zip(names, uniforms, strict=True)))
    _, costs = evaluated(plan, draws=draws, usage=usage, only=(plan.baseline, option))
    saved = costs[plan.baseline].present_value.value - costs[option].present_value.value
    return np.broadcast_to(np.asarray(saved, dtype=np.float64), (uniforms.shape[1],)).copy()


def _sobol(saving: Any, factors: int, points: int, seed: int) -> tuple[Values, Values, Values, Values]:
    from scipy.stats import sobol_indices  # a second to import, and only this question needs it

    centre = float(saving(np.full((factors, 1), 0.5))[0])
    # Centred: the estimators of small indices lose digits when the mean is large beside the spread.
    result = sobol_indices(
        func=lambda uniforms: (saving(uniforms) - centre)[None, :],
        n=points,
        dists=[_Unit() for _ in range(factors)],  # type: ignore[misc]  # its stub knows numbers only; it calls ppf with arrays
        rng=np.random.default_rng(seed),
    )
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore")  # an assumption that changes nothing has no interval: it is shown as zero
        bounds = result.bootstrap(confidence_level=0.95, n_resamples=200).total_order.confidence_interval
    clean = [
        np.nan_to_num(np.ravel(part)) for part in (result.first_order, result.total_order, bounds.low, bounds.high)
    ]
    return clean[0], clean[1], clean[2], clean[3]
