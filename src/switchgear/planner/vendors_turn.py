"""What change of weights would bring another vendor level with the first."""

import msgspec
import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


class OneWeight(msgspec.Struct, frozen=True, kw_only=True):
    """One weight changed, the others keep their proportions."""

    criterion: str
    now: float
    level_at: float
    """The weight at which both are level; beyond it the other is ahead."""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What it takes for `vendor` to catch the first."""

    vendor: str
    behind: float
    """In weighted value."""
    one_weight: list[OneWeight]
    """Every criterion whose weight alone can do it, the smallest change first."""
    moved: float | None
    """The least weight that must move between criteria, in any way; None: no weights can do it (it is nowhere better)."""
    from_criteria: list[str]
    to_criterion: str


def turns_of(names: list[str], criteria: list[str], weights: Values, values: Values) -> list[Turn]:
    """For each vendor but the first (`names` and rows of `values` are in order of rank; `weights` add up to 1)."""
    return [_turn(name, criteria, weights, values[0] - values[index]) for index, name in enumerate(names) if index > 0]


def _turn(name: str, criteria: list[str], weights: Values, ahead: Values) -> Turn:
    """`ahead` is by how much the first is better at each criterion."""
    lead = float(weights @ ahead)
    single = []
    for index, criterion in enumerate(criteria):
        level = _level(float(weights[index]), lead, float(ahead[index]))
        if level is not None:
            single.append(OneWeight(criterion=criterion, now=float(weights[index]), level_at=level))
    moved, sources, target = _least_move(criteria, weights, ahead, lead)
    return Turn(
        vendor=name,
        behind=lead,
        one_weight=sorted(single, key=lambda one: abs(one.level_at - one.now)),
        moved=moved,
        from_criteria=sources,
        to_criterion=target,
    )


def _level(weight: float, lead: float, ahead: float) -> float | None:
    """The weight x of one criterion at which x * ahead + (1 - x) * rest = 0, where `rest` is the lead of all others together."""
    if weight >= 1:
        return None
    rest = (lead - weight * ahead) / (1 - weight)
    if rest == ahead:
        return None
    level = rest / (rest - ahead)
    return level if 0 <= level <= 1 else None


def _least_move(
    criteria: list[str], weights: Values, ahead: Values, lead: float
) -> tuple[float | None, list[str], str]:
    """The least weight that must change its criterion.

    It goes to where the first is worst; it comes from where the first is best, then the next. That is optimal: a unit moved
    from i to j changes the lead by ahead[i] - ahead[j], and each source is limited by its weight alone.
    """
    target = int(ahead.argmin())
    if ahead[target] > 0 or (ahead[target] == 0 and lead > 0 and float(weights[target]) == 0):
        return None, [], ""
    moved, sources, left = 0.0, [], lead
    for source in map(int, (-ahead).argsort(kind="stable")):
        gain = float(ahead[source] - ahead[target])
        if left <= 1e-12 or gain <= 0:
            break
        step = min(float(weights[source]), left / gain)
        moved += step
        left -= step * gain
        sources.append(criteria[source])
    if left > 1e-9:
        return None, [], ""
    return moved, sources, criteria[target]
