"""The fast simulation against the detailed one, call by call: the gateway's own routing gives the same."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.planner.fleets import Kept, calls, cloud, fleet, onprem, usd

from switchgear.core.snapshot import Breaker, Retry, Timeouts
from switchgear.gateway.strategies import STRATEGIES
from switchgear.hardware.link import Link
from switchgear.hardware.thermal import Thermal
from switchgear.planner.fleet import Balance, Fault, Fleet, Place, Trouble
from switchgear.planner.routing import plain_fraction
from switchgear.planner.simulate import Method, simulate
from switchgear.planner.simulate_kernel_route import STRATEGIES as OURS
from switchgear.planner.simulate_kernel_route import fraction
from switchgear.planner.workload import Workload, workload_of

_EXACT = ("outcome", "place", "attempts", "reason", "rank", "prompt", "output")
OFF = Fault(kind=Trouble.OUTAGE, start_s=5.0, lasts_s=6.0, units=1)
SLOW = Fault(kind=Trouble.SLOW, start_s=12.0, lasts_s=4.0, factor=3.0)
HOT = Thermal(
    heat_capacity_j_per_k=30.0,
    case_k_per_w=0.05,
    flow_k_per_w=0.08,
    still_k_per_w=1.0,
    throttle_c=60.0,
    release_c=55.0,
    shutdown_c=110.0,
)


def appliance(**settings: Any) -> Place:
    return onprem("box", profile="appliance", **settings)


CASES = {
    "one place": (fleet(onprem(units=3)), calls(1500, 30)),
    "a small KV cache": (fleet(onprem(profile="l4", units=2)), calls(400, 3, output=(200, 900))),
    "spill and residency": (
        fleet(onprem(units=2, max_in_flight=30), cloud(requests_per_minute=600), strategy="least-loaded"),
        calls(1500, 60, classes=True),
    ),
    "latency": (fleet(onprem(units=2, max_in_flight=30), appliance(), cloud(), strategy="latency"), calls(1500, 50)),
    "cost": (
        fleet(onprem(units=2, max_in_flight=30, prices=usd(2)), appliance(prices=usd(1)), cloud(), strategy="cost"),
        calls(1500, 50),
    ),
    "weighted": (
        fleet(onprem(units=2, balance=Balance.TWO_CHOICES, weight=3.0), appliance(), strategy="weighted"),
        calls(1500, 40),
    ),
    "faults": (fleet(onprem(units=3, faults=(OFF, SLOW)), appliance(faults=(OFF,)), cloud()), calls(1500, 40)),
    "time-outs": (fleet(onprem(timeouts=Timeouts(first_token_s=0.5, total_s=6.0)), cloud()), calls(1000, 30)),
    "a link": (fleet(onprem(units=2, link=Link(latency_s=0.02, bandwidth_bytes_per_s=1e6)), cloud()), calls(1000, 20)),
    "heat": (fleet(onprem(units=2, thermal=HOT, weak_units=1)), calls(1500, 15)),
    "round robin": (fleet(onprem(units=3, balance=Balance.ROUND_ROBIN, faults=(OFF,))), calls(1000, 30)),
}


def sharing(number: int, rate_per_s: float) -> Workload:
    """Prompts of 20 blocks, each prompt's first five shared with every tenth other."""
    own = calls(number, rate_per_s, prompt=(330, 340), output=(1, 20))
    blocks = [
        [*range(5 * (one % 10), 5 * (one % 10) + 5), *range(100 + 15 * one, 115 + 15 * one)] for one in range(number)
    ]
    return workload_of(
        at_s=own.at_s,
        prompt_tokens=own.prompt_tokens,
        output_tokens=own.output_tokens,
        source="test",
        blocks=blocks,
        block_tokens=16,
    )


def test_more_blocks_than_the_first_table_of_prefixes_has_room_for() -> None:
    """It is made anew; what is remembered and what is forgotten stays the same."""
    where, workload = fleet(onprem(units=2, balance=Balance.PREFIX)), sharing(2600, 100)
    assert_same(where, workload)
    assert simulate(where, workload).places[0].prefix_hit_share == pytest.approx(0.24, abs=0.02)


def both(where: Fleet, workload: Workload, seed: int = 7) -> tuple[Kept, Kept]:
    fast, detailed = Kept(), Kept()
    simulate(where, workload, seed=seed, sink=fast)
    simulate(where, workload, seed=seed, sink=detailed, method=Method.DETAILED)
    return fast, detailed


def assert_same(where: Fleet, workload: Workload, seed: int = 7) -> None:
    fast, detailed = (kept.rows for kept in both(where, workload, seed))
    assert len(fast) == len(detailed) == len(workload)
    for name in _EXACT:
        assert np.array_equal(fast[name], detailed[name]), name
    for name in ("ttft_s", "e2e_s", "queue_s"):
        assert np.allclose(fast[name], detailed[name], rtol=1e-9, atol=1e-9, equal_nan=True), name


@pytest.mark.parametrize("case", CASES)
def test_each_call_goes_the_same_way_and_takes_as_long(case: str) -> None:
    assert_same(*CASES[case])


@pytest.mark.parametrize("case", ["one place", "faults", "heat", "spill and residency"])
def test_what_is_summed_is_the_same(case: str) -> None:
    where, workload = CASES[case]
    one, other = (simulate(where, workload, seed=3, method=method) for method in Method)
    assert one.energy_board_j == pytest.approx(other.energy_board_j, rel=1e-9)
    for ours, theirs in zip(one.places, other.places, strict=True):
        for name in (
            "utilisation",
            "batch_mean",
            "kv_peak",
            "hottest_c",
            "slow_share",
            "arithmetic_share",
            "memory_share",
        ):
            one_value, other_value = getattr(ours, name), getattr(theirs, name)
            assert one_value == (other_value if other_value is None else pytest.approx(other_value, rel=1e-9)), (
                case,
                name,
            )
        for name in ("answered", "preemptions", "in_flight_peak", "breaker_opened"):
            assert getattr(ours, name) == getattr(theirs, name), (case, name)


_places = st.fixed_dictionaries(
    {
        "units": st.integers(1, 3),
        "max_in_flight": st.integers(3, 40),
        "weight": st.sampled_from([0.0, 0.5, 1.0, 3.0]),
        "prices": st.sampled_from([None, usd(1), usd(2)]),
        "balance": st.sampled_from([Balance.LEAST_LOADED, Balance.ROUND_ROBIN]),
        "timeouts": st.sampled_from([Timeouts(), Timeouts(first_token_s=0.3), Timeouts(total_s=2.0)]),
        "breaker": st.sampled_from(
            [Breaker(), Breaker(consecutive=2, open_s=1.0), Breaker(slow_call_s=1.0, min_calls=2)]
        ),
        "faults": st.sampled_from([(), (Fault(kind=Trouble.OUTAGE, start_s=2.0, lasts_s=1.5, every_s=5.0),), (SLOW,)]),
    }
)


@settings(derandomize=True, max_examples=20, deadline=None)
@given(
    st.lists(_places, min_size=1, max_size=3),
    st.sampled_from(OURS),
    st.booleans(),
    st.integers(0, 1000),
    st.sampled_from([Retry(), Retry(attempts=5, budget_ratio=1.0), Retry(budget_floor=0, budget_ratio=0.02)]),
)
def test_any_fleet_goes_the_same_way(
    places: list[dict[str, Any]], strategy: str, with_cloud: bool, seed: int, retry: Retry
) -> None:
    made = [onprem(f"p{index}", **settings) for index, settings in enumerate(places)]
    if with_cloud:
        made.append(cloud(requests_per_minute=120))
    assert_same(fleet(*made, strategy=strategy, retry=retry), calls(200, 25, seed=seed, classes=True), seed)


def test_the_strategies_are_those_of_the_gateway_but_for_what_the_kernel_refuses() -> None:
    assert set(OURS) <= set(STRATEGIES)


def test_both_draw_the_same() -> None:
    for key in ((0, 0, 0), (1, 2, 3), (2**62, 12_345_678, 7)):
        assert fraction(*key) == plain_fraction(*key)
    drawn = [plain_fraction(1, call, draw) for call in range(300) for draw in range(10)]
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.02)
    assert len(set(drawn)) == len(drawn)


def test_prefixes_are_found_alike() -> None:
    rng = np.random.default_rng(5)
    sessions = rng.integers(0, 40, 600)
    turns = [int(np.count_nonzero(sessions[:row] == sessions[row])) for row in range(600)]
    workload = workload_of(
        at_s=np.cumsum(rng.exponential(1 / 8, 600)),
        prompt_tokens=[300 + 128 * turn for turn in turns],
        output_tokens=rng.integers(5, 100, 600),
        blocks=[
            [int(session) * 1000 + block for block in range(2 + turn)]
            for session, turn in zip(sessions, turns, strict=True)
        ],
        block_tokens=128,
        source="sessions",
    )
    where = fleet(onprem(units=2, balance=Balance.PREFIX))
    assert_same(where, workload)
    with_cache, without = (
        simulate(fleet(onprem(units=2, prefix_cache=on)), workload).places[0].prefix_hit_share for on in (True, False)
    )
    assert with_cache is not None
    assert with_cache > 0.3
    assert without == 0.0
