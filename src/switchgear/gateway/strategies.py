"""How candidates are ordered for a call. Each strategy is a pure function; adding one is one line in `STRATEGIES`."""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

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


STRATEGIES: dict[str, Strategy] = {
    "priority": priority,
    "weighted": weighted,
    "latency": latency,
    "cost": cost,
    "least-loaded": least_loaded,
}
