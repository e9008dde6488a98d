"""How candidates are ordered for a call. Each strategy is a pure function; adding one is one line in `STRATEGIES`."""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from switchgear.gateway.health import RANK, Standing
from switchgear.gateway.table import Target


class Ask(NamedTuple):
    """What an order may depend on."""

    now_s: float
    prompt_tokens: int
    """Estimated."""
    completion_tokens: int
    """The caller's limit, or an assumption where it set none."""
    random: random.Random


_UNMEASURED_S = 1e6
"""What a target counts for that was never measured and has a call under way."""
Strategy = Callable[[Sequence[Target], Ask], list[Target]]


def priority(candidates: Sequence[Target], ask: Ask) -> list[Target]:
    """As configured."""
    return list(candidates)


def weighted(candidates: Sequence[Target], ask: Ask) -> list[Target]:
    """At random, each place drawn in proportion to the weights left (Efraimidis and Spirakis 2006: sort by u^(1/w))."""
    draw = ask.random.random
    keys = [
        (draw() ** (1.0 / target.weight) if target.weight > 0 else -1.0, -index)
        for index, target in enumerate(candidates)
    ]
    return [candidates[-index] for _, index in sorted(keys, reverse=True)]


def latency(candidates: Sequence[Target], ask: Ask) -> list[Target]:
    """The better of two drawn at random comes first (Mitzenmacher 2001), the others follow by load: peak EWMA x (calls in flight + 1).

    A target without a measurement counts as fast, so that it gets one, until it has a call under way, so that it does not get them all
    (as in Finagle's PeakEwma).
    """
    loads = {id(target): _load(target, ask.now_s) for target in candidates}
    order = sorted(candidates, key=lambda target: loads[id(target)])
    if len(order) > 2:
        first = min(ask.random.sample(order, 2), key=lambda target: loads[id(target)])
        order.remove(first)
        order.insert(0, first)
    return order


def _load(target: Target, now_s: float) -> float:
    ewma_s, in_flight = target.state.latency.peak_ewma_s(now_s), target.state.in_flight
    if not ewma_s and in_flight:
        ewma_s = _UNMEASURED_S
    return ewma_s * (in_flight + 1)


def cost(candidates: Sequence[Target], ask: Ask) -> list[Target]:
    """By what this call would cost there, estimated; unpriced targets last, since an unknown price is not zero."""

    def price(target: Target) -> tuple[bool, float]:
        usd = target.cost_usd(ask.prompt_tokens, 0, ask.completion_tokens)
        return (usd is None, usd or 0.0)

    return sorted(candidates, key=price)


def least_loaded(candidates: Sequence[Target], ask: Ask) -> list[Target]:
    """By the share of the backend's places that are taken; equals in random order."""
    draw = ask.random.random
    return sorted(candidates, key=lambda t: (t.backend_state.in_flight / t.backend.max_in_flight, draw()))


def headroom(candidates: Sequence[Target], ask: Ask) -> list[Target]:
    """The device with most headroom first: by how its hardware stands, then how near it is to heat, power and memory, then by load.

    One that is known to be slowed down, or about to be, comes last; one of which nothing is known before those and behind all others.
    Nearness counts in tenths, so that all calls between two readings do not go to the coolest.
    """
    draw, now_s = ask.random.random, ask.now_s

    def order(target: Target) -> tuple[int, float, float, float]:
        state = target.backend_state
        health, taken = state.health, state.in_flight / target.backend.max_in_flight
        if health is None:
            return (RANK[Standing.UNKNOWN], 0.0, taken, draw())
        standing = health.standing(now_s)
        near = round(health.pressure, 1) if standing is Standing.GOOD else 0.0
        return (RANK[standing], near, taken, draw())

    return sorted(candidates, key=order)


def energy(candidates: Sequence[Target], ask: Ask) -> list[Target]:
    """The fewest grams of CO2 for this call first, where some candidate's grid is known; else the fewest joules.

    A target of which that is unknown comes behind those of which it is known, and whatever is known to be in trouble comes last. One whose
    meter has seen no call yet is asked first, by one call at a time, so that it becomes known.
    """
    now_s = ask.now_s
    found: list[tuple[int, float | None, float | None, int]] = []
    untried: list[Target] = []
    for index, target in enumerate(candidates):
        health = target.backend_state.health
        if health is None:
            found.append((RANK[Standing.UNKNOWN], None, None, index))
            continue
        joules = health.call_j(ask.prompt_tokens, ask.completion_tokens, now_s)
        standing = health.standing(now_s)
        if joules is None and health.metered and standing is Standing.GOOD and not target.backend_state.in_flight:
            untried.append(target)
            continue
        bad = standing is Standing.BAD
        found.append((RANK[Standing.BAD if bad else Standing.GOOD], joules, health.call_g(joules), index))
    by_grams = any(grams is not None for _, _, grams, _ in found)

    def order(one: tuple[int, float | None, float | None, int]) -> tuple[int, float, int]:
        rank, joules, grams, index = one
        amount = grams if by_grams else joules
        if amount is None:
            return (max(rank, RANK[Standing.UNKNOWN]), 0.0, index)
        return (rank, amount, index)

    return [*untried, *(candidates[index] for *_, index in sorted(found, key=order))]


STRATEGIES: dict[str, Strategy] = {
    "priority": priority,
    "weighted": weighted,
    "latency": latency,
    "cost": cost,
    "least-loaded": least_loaded,
    "headroom": headroom,
    "energy": energy,
}
