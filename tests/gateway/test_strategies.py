"""The order in which candidates are asked: each strategy with targets made by hand and a fixed seed."""

import collections
import math
import random

import pytest
from tests.gateway.routes import make_route, usd

from switchgear.core.snapshot import Prices
from switchgear.gateway.strategies import STRATEGIES, Ask, cost, latency, least_loaded, priority, weighted
from switchgear.gateway.table import Target

DRAWS = 4000


def ask(seed: int = 1, *, now_s: float = 0.0, prompt: int = 100, completion: int = 100) -> Ask:
    return Ask(now_s, prompt, completion, random.Random(seed))


def names(order: list[Target]) -> list[str]:
    return [target.backend_name for target in order]


def within(count: int, share: float) -> bool:
    """Whether a count of `DRAWS` draws lies within four standard deviations of its share."""
    return abs(count - share * DRAWS) <= 4 * math.sqrt(DRAWS * share * (1 - share))


def test_the_strategies_are_those_that_the_issue_names() -> None:
    assert set(STRATEGIES) == {"priority", "weighted", "latency", "cost", "least-loaded", "headroom", "energy"}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_order_holds_every_candidate_once(strategy: str) -> None:
    targets = make_route({"a": {}, "b": {"weight": 0.0}, "c": {"prices": usd(1)}, "d": {}}).targets
    for seed in range(50):
        assert sorted(names(STRATEGIES[strategy](targets, ask(seed)))) == ["a", "b", "c", "d"]


def test_priority_is_as_configured() -> None:
    assert names(priority(make_route({"b": {}, "a": {}, "c": {}}).targets, ask())) == ["b", "a", "c"]


def test_weighted_draws_each_place_by_the_weights_that_are_left() -> None:
    targets = make_route({"a": {"weight": 6.0}, "b": {"weight": 3.0}, "c": {"weight": 1.0}}).targets
    how = ask()
    orders = collections.Counter("".join(names(weighted(targets, how))) for _ in range(DRAWS))
    first = collections.Counter({name: sum(n for o, n in orders.items() if o[0] == name) for name in "abc"})
    assert within(first["a"], 0.6)
    assert within(first["b"], 0.3)
    assert within(first["c"], 0.1)
    assert within(orders["abc"], 0.6 * 3 / 4)
    assert within(orders["cab"], 0.1 * 6 / 9)


def test_without_weight_only_after_all_others_and_as_configured() -> None:
    targets = make_route({"x": {"weight": 0.0}, "a": {"weight": 1e-9}, "y": {"weight": 0.0}}).targets
    how = ask()
    assert all(names(weighted(targets, how)) == ["a", "x", "y"] for _ in range(200))


def test_latency_prefers_the_faster_of_two() -> None:
    slow, fast = make_route({"slow": {}, "fast": {}}).targets
    slow.state.latency.observe(0.5, 0.0)
    fast.state.latency.observe(0.1, 0.0)
    assert names(latency([slow, fast], ask())) == ["fast", "slow"]
    fast.state.in_flight = 9
    assert names(latency([slow, fast], ask())) == ["slow", "fast"], "its queue makes the faster one slower"


def test_latency_takes_the_better_of_two_draws_among_many() -> None:
    targets = make_route({name: {} for name in "abcd"}).targets
    for index, target in enumerate(targets):
        target.state.latency.observe(0.1 * (index + 1), 0.0)
    how = ask()
    first = collections.Counter(latency(targets, how)[0].backend_name for _ in range(DRAWS))
    assert first["d"] == 0, "the slowest is the better of no pair"
    assert within(first["a"], 3 / 6)
    assert within(first["b"], 2 / 6)
    assert within(first["c"], 1 / 6)


def test_latency_gives_an_unmeasured_target_a_call_but_not_all_of_them() -> None:
    known, new = make_route({"known": {}, "new": {}}).targets
    known.state.latency.observe(0.1, 0.0)
    assert names(latency([known, new], ask()))[0] == "new"
    new.state.in_flight = 1
    assert names(latency([known, new], ask()))[0] == "known", "one call is enough to measure it"


def test_latency_spreads_the_calls_while_nothing_is_measured() -> None:
    targets = make_route({"a": {}, "b": {}}).targets
    for _ in range(40):
        latency(targets, ask())[0].state.in_flight += 1
    assert [target.state.in_flight for target in targets] == [20, 20]


def test_cost_is_by_the_price_of_this_call_and_an_unknown_price_is_not_zero() -> None:
    places = {
        "unpriced": {},
        "dear": {"prices": usd(9)},
        "cheap": {"prices": usd(1)},
        "free": {"prices": usd(0)},
    }
    targets = make_route(places).targets
    assert names(cost(targets, ask())) == ["free", "cheap", "dear", "unpriced"]


def test_cost_depends_on_what_the_call_has_more_of() -> None:
    long_prompts = {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 30.0}
    long_answers = {"input_usd_per_mtok": 5.0, "output_usd_per_mtok": 5.0}
    targets = make_route({"a": {"prices": Prices(**long_prompts)}, "b": {"prices": Prices(**long_answers)}}).targets
    assert names(cost(targets, ask(prompt=10_000, completion=10))) == ["a", "b"]
    assert names(cost(targets, ask(prompt=10, completion=10_000))) == ["b", "a"]


def test_least_loaded_goes_by_the_share_of_places_taken() -> None:
    big, small = make_route({"big": {"max_in_flight": 100}, "small": {"max_in_flight": 10}}).targets
    big.backend_state.in_flight, small.backend_state.in_flight = 30, 4
    assert names(least_loaded([small, big], ask())) == ["big", "small"]
    small.backend_state.in_flight = 2
    assert names(least_loaded([small, big], ask())) == ["small", "big"]


def test_least_loaded_draws_among_equals() -> None:
    targets = make_route({"a": {}, "b": {}}).targets
    how = ask()
    first = collections.Counter(least_loaded(targets, how)[0].backend_name for _ in range(DRAWS))
    assert within(first["a"], 0.5)
