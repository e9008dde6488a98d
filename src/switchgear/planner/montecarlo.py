"""How sure the answer is: the same formulas with thousands of draws of every uncertain assumption, and which of them matters.

Draws are the same for all options (common random numbers): an assumption that two options share has one value in a draw.
Assumptions are drawn independently of each other; what belongs together must be one assumption.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from switchgear.planner.compare import evaluated
from switchgear.planner.money_errors import MoneyError
from switchgear.planner.money_given import Given
from switchgear.planner.money_model import Plan
from switchgear.planner.money_read import assumptions
from switchgear.planner.tco_book import short_id
from switchgear.planner.tco_model import OptionCost, Usage

Values = npt.NDArray[np.float64]
PERCENTILES: Final = (5, 10, 25, 50, 75, 90, 95)
_MOST: Final = 200_000


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """A distribution as draws show it."""

    mean: float
    percentiles: dict[int, float]
    """By percent."""

    @classmethod
    def of(cls, values: Values) -> "Spread":
        """The mean and percentiles of draws."""
        return cls(
            mean=float(values.mean()),
            percentiles=dict(zip(PERCENTILES, np.percentile(values, PERCENTILES).tolist(), strict=True)),
        )


class OptionSpread(msgspec.Struct, frozen=True, kw_only=True):
    """An option over all draws."""

    name: str
    present_value_usd: Spread
    usd_per_call: Spread
    saving_usd: Spread | None
    """Against the baseline."""
    cheaper_than_baseline: float | None
    """Share of draws."""
    cheapest: float
    """Share of draws in which no option is cheaper."""
    leaves_calls_over: float
    """Share of draws in which it cannot serve all calls in some year. Its cost is then that of what it serves."""
    histogram: tuple[list[float], list[int]]
    """Edges and counts of the present value, from the 0.5th to the 99.5th percentile of all options."""


class MonteCarlo(msgspec.Struct, frozen=True, kw_only=True):
    """All options over all draws."""

    draws: int
    seed: int
    uncertain: list[str]
    """Ids of what was drawn."""
    options: list[OptionSpread]


def uncertain(plan: Plan) -> dict[str, Given]:
    """The assumptions that have a distribution, by their path in the file. Twins (same source, same distribution) stay apart."""
    return {path: given for path, given, _ in assumptions(plan) if given.is_uncertain}


def groups_of(plan: Plan) -> dict[str, list[str]]:
    """What varies together: assumptions of the same name, distribution and non-empty source are one fact written several times.

    The key is the first path; the price list of a cloud that three options use is drawn once.
    """
    groups: dict[tuple[str, str, str], list[str]] = {}
    for path, given in uncertain(plan).items():
        field = path.rsplit(".", 1)[-1]
        key = (field, given.text, given.source or path)
        groups.setdefault(key, []).append(path)
    return {paths[0]: paths for paths in groups.values()}


def draws_from(plan: Plan, uniforms: Mapping[str, Values]) -> dict[str, Values]:
    """Draws of every uncertain path, from numbers between 0 and 1 for each group."""
    given = uncertain(plan)
    return {path: given[path].ppf(uniforms[first]) for first, paths in groups_of(plan).items() for path in paths}


def simulate(plan: Plan, *, draws: int = 10_000, seed: int | None = None, usage: Iterable[Usage] = ()) -> MonteCarlo:
    """Evaluate all options with `draws` draws from the plan's seed (or `seed`). Raises MoneyError."""
    if not 100 <= draws <= _MOST:
        raise MoneyError(
            f"{draws} draws are not between 100 and {_MOST:,}; 10,000 give percentiles to about one percent"
        )
    chosen = plan.seed if seed is None else seed
    generator = np.random.default_rng(chosen)
    uniforms = {first: generator.random(draws) for first in groups_of(plan)}
    _, costs = evaluated(plan, draws=draws_from(plan, uniforms), usage=usage)
    worth = {name: _full(cost.present_value.value, draws) for name, cost in costs.items()}
    everything = np.stack(list(worth.values()))
    low, high = np.percentile(everything, (0.5, 99.5)).tolist()
    edges = np.linspace(low, high, 41) if low < high else np.linspace(low - 0.5, low + 0.5, 41)
    least = everything.min(axis=0)
    return MonteCarlo(
        draws=draws,
        seed=chosen,
        uncertain=sorted(short_id(path) for path in uniforms),
        options=[_option(plan, cost, worth, least, edges) for cost in costs.values()],
    )


def _option(plan: Plan, cost: OptionCost, worth: dict[str, Values], least: Values, edges: Values) -> OptionSpread:
    own = worth[cost.option]
    saved = worth[plan.baseline] - own
    over = np.zeros(own.shape, dtype=bool)
    for left, asked in zip(cost.unserved, cost.calls, strict=True):
        over |= _full(left.value, own.size) > 1e-9 * _full(asked.value, own.size)
    is_base = cost.option == plan.baseline
    return OptionSpread(
        name=cost.option,
        present_value_usd=Spread.of(own),
        usd_per_call=Spread.of(_full(cost.usd_per_call.value, own.size)),
        saving_usd=None if is_base else Spread.of(saved),
        cheaper_than_baseline=None if is_base else float((saved > 0).mean()),
        cheapest=float((own <= least).mean()),
        leaves_calls_over=float(over.mean()),
        histogram=(edges.tolist(), np.histogram(own, edges)[0].tolist()),
    )


def _full(value: float | Values, size: int) -> Values:
    return np.broadcast_to(np.asarray(value, dtype=np.float64), (size,))
