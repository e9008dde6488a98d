"""`headroom` and `energy` in the planner: the gateway's own strategies on readings of simulated devices."""

from typing import Any

import pytest
from tests.planner.fleets import calls, cloud, fleet, onprem

from switchgear.core.health import Energy, GridSeries
from switchgear.hardware.thermal import Thermal
from switchgear.planner.errors import BadFleet
from switchgear.planner.fleet import Fault, Fleet, Place, Trouble
from switchgear.planner.simulate import Method, simulate
from switchgear.planner.simulate_model import Result

CALLS = calls(1800, 6.0)
SLUGGISH = Thermal(
    heat_capacity_j_per_k=1500.0,
    case_k_per_w=0.02,
    flow_k_per_w=0.05,
    still_k_per_w=1.0,
    throttle_c=75.0,
    release_c=70.0,
    shutdown_c=110.0,
)


def warm(name: str, **settings: Any) -> Place:
    return onprem(name, thermal=SLUGGISH, **settings)


def answered(result: Result) -> dict[str, int]:
    return {place.name: place.answered for place in result.places}


def stated(prompt_j: float, completion_j: float, *g_per_kwh: float) -> Energy:
    grid = GridSeries(g_per_kwh=g_per_kwh) if g_per_kwh else None
    return Energy(prompt_token_j=prompt_j, completion_token_j=completion_j, grid=grid)


def run(strategy: str, *places: Place) -> Result:
    return simulate(fleet(*places, strategy=strategy), CALLS, seed=2)


def test_headroom_leaves_a_place_before_it_throttles() -> None:
    hot, cool = warm("hot", ambient_c=45.0), warm("cool", ambient_c=15.0)
    kept, spread = run("priority", hot, cool), run("headroom", hot, cool)
    assert (kept.method, spread.method) == ("fast", "detailed")
    assert kept.place("hot").hottest_c == pytest.approx(SLUGGISH.throttle_c, abs=2.0)
    assert (kept.place("hot").slow_share or 0) > 0.02
    assert spread.place("hot").slow_share == 0
    assert answered(spread)["cool"] > answered(spread)["hot"] > 0
    assert spread.availability == 1.0


def test_what_says_nothing_comes_behind_what_is_known_to_be_good() -> None:
    """A cloud has no telemetry. A device that is off tells nothing either, and is unknown once its last reading is old."""
    assert answered(run("headroom", cloud(), warm("cool", ambient_c=15.0)))["cloud"] < len(CALLS) / 50
    off = Fault(kind=Trouble.OUTAGE, start_s=30.0, lasts_s=60.0)
    found = run("headroom", cloud(), warm("cool", ambient_c=15.0, faults=(off,)))
    assert len(CALLS) / 5 < answered(found)["cloud"] < len(CALLS) / 3, "a fifth of the time it is off"
    assert found.availability > 0.98


def test_energy_takes_the_statement_until_the_meter_has_seen_tokens() -> None:
    modest = stated(0.01, 0.1)
    found = run("energy", onprem("big"), onprem("small", profile="appliance", energy=modest))
    assert 0 < answered(found)["big"] < 10, (
        "of the other nobody knows what a token costs until it had a call, and then it is dear"
    )
    assert sum(answered(found).values()) == len(CALLS)
    rival = cloud(energy=stated(0.02, 0.2))  # more than is stated of the device, and less than its meter will show
    found = answered(run("energy", onprem("big", energy=modest), rival))
    assert 0 < found["big"] < len(CALLS) / 10
    dear, cheap = cloud(energy=stated(1e3, 1e3)), cloud(energy=stated(1e-6, 1e-6))
    assert answered(run("energy", dear, onprem("big", energy=modest)))["cloud"] == 0
    assert answered(run("energy", onprem("big", energy=modest), cheap))["big"] == 0


def test_energy_goes_by_the_grid_where_it_is_known() -> None:
    one, other = cloud("brown", energy=stated(0.01, 0.1, 900.0)), cloud("green", energy=stated(0.02, 0.2, 20.0))
    assert answered(run("energy", one, other)) == {"brown": 0, "green": len(CALLS)}
    assert answered(
        run("energy", cloud("brown", energy=stated(0.01, 0.1)), cloud("green", energy=stated(0.02, 0.2)))
    ) == {
        "brown": len(CALLS),
        "green": 0,
    }


def test_a_strategy_that_nobody_knows_and_a_grid_that_is_none_are_refused() -> None:
    unknown: Fleet = fleet(onprem(), strategy="hedroom")
    for method in Method:
        with pytest.raises(BadFleet, match=r"no strategy 'hedroom'; choose one of .*headroom"):
            simulate(unknown, CALLS, method=method)
    with pytest.raises(BadFleet, match="its grid has 3 values"):
        cloud(energy=stated(1.0, 1.0, 1.0, 2.0, 3.0))
