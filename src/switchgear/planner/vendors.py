"""`plan vendors`: a weighted scorecard, how firm its ranking is, and what would turn it.

Values: each score becomes a number between 0 (worst) and 1 (best) on its criterion's own scale, a straight line between the two
(Keeney and Raiffa, Decisions with Multiple Objectives: the additive value function). Firmness: weights are drawn from a Dirichlet
distribution around the given ones and, as the other extreme, from the flat one which knows no weights at all (Lahdelma, Hokkanen
and Salminen, SMAA - stochastic multiobjective acceptability analysis, EJOR 106, 1998: rank acceptability).
"""

from enum import StrEnum
from itertools import permutations
from pathlib import Path
from typing import Annotated, Final

import msgspec
import numpy as np
import numpy.typing as npt

from switchgear.core.errors import Problem
from switchgear.planner.money_errors import BadPlan
from switchgear.planner.money_given import Given, as_given
from switchgear.planner.money_model import Count, Name, Part
from switchgear.planner.money_read import decoded, read_toml
from switchgear.planner.vendors_turn import Turn, turns_of

Values = npt.NDArray[np.float64]


class Topic(StrEnum):
    """What a purchase of inference hardware must ask a vendor about."""

    SLA = "sla"
    SUPPORT = "support"
    FIRMWARE = "firmware"
    """How often, and for how long."""
    SECURITY = "security"
    """How fast holes are closed, and told."""
    INTERFACES = "interfaces"
    """APIs, telemetry, management: standard or the vendor's own."""
    WARRANTY = "warranty"
    EXIT = "exit"
    """Clauses for leaving: notice, data, return, transfer."""
    PERFORMANCE = "performance"
    """As measured, not as promised."""
    PRICE = "price"
    OTHER = "other"


class Criterion(Part, frozen=True, kw_only=True):
    """One thing that vendors are judged by."""

    name: Name
    about: Topic
    unit: str
    """What a score counts: `days`, `%`, `points 0-10`, `tokens/s`."""
    weight: Annotated[float, msgspec.Meta(gt=0)]
    """Beside the other weights; they are brought to a sum of 1."""
    worst: float
    best: float
    required: float | None = None
    """A vendor on the wrong side of it is ruled out."""


class Vendor(Part, frozen=True, kw_only=True):
    """One bidder."""

    title: str
    scores: dict[Name, float | Given]
    """By criterion. One that is missing counts as the worst, and is shown as unknown."""


class Scorecard(Part, frozen=True, kw_only=True):
    """The file of `plan vendors`."""

    title: str
    criteria: tuple[Criterion, ...]
    vendors: dict[Name, Vendor]
    weight_concentration: Annotated[float, msgspec.Meta(ge=1, le=10_000)] = 60.0
    """How sure the weights are: a weight w is drawn with deviation sqrt(w (1 - w) / (concentration + 1)); 60 is about a quarter of 0.2."""
    draws: Annotated[int, msgspec.Meta(ge=1000, le=200_000)] = 20_000
    seed: Annotated[int, msgspec.Meta(ge=0)] = 1
    shortlist: Count = 3


class ScorePart(msgspec.Struct, frozen=True, kw_only=True):
    """What one criterion gives a vendor."""

    criterion: str
    weight: float
    score: float | None
    """As given (the median, where it is uncertain); None: unknown, counted as the worst."""
    value: float
    """Between 0 and 1."""
    source: str


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor with its place."""

    name: str
    title: str
    rank: int
    value: float
    """Weighted sum, between 0 and 1."""
    parts: list[ScorePart]
    unknown: list[str]
    rank_probability: list[float]
    """Chance of the first, second, … place, with weights and uncertain scores drawn."""
    first_with_any_weights: float
    """Chance of the first place when nothing is known of the weights."""


class RuledOut(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor that misses what is required."""

    name: str
    title: str
    why: list[str]


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `plan vendors`."""

    title: str
    ranked: list[Ranked]
    ruled_out: list[RuledOut]
    beats: dict[str, dict[str, float]]
    """Chance that the one is ahead of the other."""
    turns: list[Turn]
    """What would bring each other vendor level with the first."""
    not_asked: list[Topic]
    """Topics that no criterion is about."""
    draws: int
    seed: int


_CORE: Final = tuple(topic for topic in Topic if topic not in (Topic.PRICE, Topic.OTHER))


def read_scorecard(path: Path) -> Scorecard:
    """Read a scorecard. Raises BadPlan with every problem found."""
    return checked(decoded(read_toml(path), Scorecard))


def checked(card: Scorecard) -> Scorecard:
    """The card, once it makes sense. Raises BadPlan."""
    problems = []
    names = [criterion.name for criterion in card.criteria]
    if not names:
        problems.append(Problem("criteria", "there are none", "Give at least one [[criteria]]."))
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.append(Problem(f"criteria.{name}", "is there twice", "Give each criterion its own name."))
    if len(card.vendors) < 2:
        problems.append(Problem("vendors", "there is nothing to compare", "Give at least two vendors."))
    for criterion in card.criteria:
        if criterion.worst == criterion.best:
            remedy = "Give two different ends of the scale; best below worst where less is better."
            problems.append(Problem(f"criteria.{criterion.name}", "worst and best are the same", remedy))
    scales = {criterion.name: criterion for criterion in card.criteria}
    for name, vendor in card.vendors.items():
        for key, score in vendor.scores.items():
            problems += _score_problems(f"vendors.{name}.scores.{key}", scales.get(key), as_given(score), names)
    if problems:
        raise BadPlan(problems)
    return card


def _score_problems(path: str, scale: Criterion | None, score: Given | None, names: list[str]) -> list[Problem]:
    if scale is None:
        return [Problem(path, "is no criterion", f"Name one of {', '.join(names)}.")]
    if score is None or score.problem:
        return [Problem(path, score.problem if score else "is no number", "Give a number, or a distribution.")]
    low, high = sorted((scale.worst, scale.best))
    if not low <= score.support[0] <= score.support[1] <= high:
        remedy = f"Scores lie between {low:g} and {high:g} {scale.unit}; widen the scale if it is too narrow."
        return [Problem(path, f"is outside of its scale ({score.support[0]:g} to {score.support[1]:g})", remedy)]
    return []


def rank(card: Scorecard) -> Ranking:
    """Rank the vendors of a checked card, and say how firm that is."""
    weights = np.asarray([criterion.weight for criterion in card.criteria])
    weights = weights / weights.sum()
    out = {name: why for name, vendor in card.vendors.items() if (why := _misses(card, vendor))}
    names = [name for name in card.vendors if name not in out]
    values = np.asarray([_values(card, card.vendors[name], None) for name in names]).reshape(len(names), len(weights))
    totals = values @ weights
    order = sorted(range(len(names)), key=lambda index: (-totals[index], names[index]))
    names, values, totals = [names[index] for index in order], values[order], totals[order]
    generator = np.random.default_rng(card.seed)
    drawn_values = np.asarray([_values(card, card.vendors[name], generator) for name in names])
    near = _drawn_totals(drawn_values, generator.dirichlet(card.weight_concentration * weights, card.draws))
    flat = _drawn_totals(drawn_values, generator.dirichlet(np.ones_like(weights), card.draws))
    ranks = (-near).argsort(axis=0, kind="stable").argsort(axis=0, kind="stable") if names else near
    return Ranking(
        title=card.title,
        ranked=[
            Ranked(
                name=name,
                title=card.vendors[name].title,
                rank=index + 1,
                value=float(totals[index]),
                parts=_parts(card, card.vendors[name], weights, values[index]),
                unknown=[
                    criterion.name for criterion in card.criteria if criterion.name not in card.vendors[name].scores
                ],
                rank_probability=[float((ranks[index] == place).mean()) for place in range(len(names))],
                first_with_any_weights=float((flat.argmax(axis=0) == index).mean()),
            )
            for index, name in enumerate(names)
        ],
        ruled_out=[RuledOut(name=name, title=card.vendors[name].title, why=why) for name, why in out.items()],
        beats=_beats(names, near),
        turns=turns_of(names, [criterion.name for criterion in card.criteria], weights, values),
        not_asked=[topic for topic in _CORE if all(criterion.about is not topic for criterion in card.criteria)],
        draws=card.draws,
        seed=card.seed,
    )


def _misses(card: Scorecard, vendor: Vendor) -> list[str]:
    why = []
    for criterion in card.criteria:
        if criterion.required is None:
            continue
        score = as_given(vendor.scores.get(criterion.name))
        wanted = f"{criterion.name}: {criterion.required:g} {criterion.unit} is required"
        if score is None:
            why.append(f"{wanted}, and nothing is known")
        elif (score.median - criterion.required) * np.sign(criterion.best - criterion.worst) < 0:
            why.append(f"{wanted}, {score.median:g} is given")
    return why


def _values(card: Scorecard, vendor: Vendor, generator: np.random.Generator | None) -> Values:
    """Between 0 and 1 for each criterion; with a generator, one row of draws for each."""
    rows = []
    for criterion in card.criteria:
        given = as_given(vendor.scores.get(criterion.name)) or Given(value=criterion.worst)
        if generator is None:
            score: Values | float = given.median
        else:
            score = given.ppf(generator.random(card.draws))
        rows.append((score - criterion.worst) / (criterion.best - criterion.worst))
    return np.asarray(rows, dtype=np.float64)


def _drawn_totals(values: Values, weights: Values) -> Values:
    """Weighted sum of each vendor in each draw."""
    if not len(values):
        return np.zeros((0, len(weights)))
    total: Values = np.einsum("vcd,dc->vd", values, weights)
    return total


def _parts(card: Scorecard, vendor: Vendor, weights: Values, values: Values) -> list[ScorePart]:
    parts = []
    for criterion, weight, value in zip(card.criteria, weights, values, strict=True):
        score = as_given(vendor.scores.get(criterion.name))
        parts.append(
            ScorePart(
                criterion=criterion.name,
                weight=float(weight),
                score=None if score is None else score.median,
                value=float(value),
                source="" if score is None else score.source,
            )
        )
    return parts


def _beats(names: list[str], totals: Values) -> dict[str, dict[str, float]]:
    table: dict[str, dict[str, float]] = {name: {} for name in names}
    for left, right in permutations(range(len(names)), 2):
        # Equal is half a win each, so that the two chances add up to one.
        ahead = (totals[left] > totals[right]).mean() + (totals[left] == totals[right]).mean() / 2
        table[names[left]][names[right]] = float(ahead)
    return table
