"""The planner's questions, each against a case whose answer is known."""

import math
from typing import Any

import pytest
from tests.planner.fleets import calls, cloud, fleet, onprem

from switchgear.hardware.link import Link
from switchgear.hardware.power import Host
from switchgear.hardware.thermal import Thermal
from switchgear.planner.errors import BadFleet, BadQuestion, OutOfReach
from switchgear.planner.generate import Generator, Lengths
from switchgear.planner.questions_bottleneck import bottleneck
from switchgear.planner.questions_facility import Building, circuit_w, facility
from switchgear.planner.questions_replay import replay
from switchgear.planner.questions_size import Objective, misses, size
from switchgear.planner.simulate import simulate
from switchgear.planner.simulate_site import error_of, simulate_site, thinned


def test_the_size_is_the_smallest_that_meets_the_objective() -> None:
    workload, objective = calls(1500, 60), Objective(ttft_p99_s=0.4, availability=0.999)
    answer = size(fleet(onprem()), "floor", workload, objective)
    assert answer.units > 1
    assert not misses(simulate(fleet(onprem(units=answer.units)), workload), objective)
    assert misses(simulate(fleet(onprem(units=answer.units - 1)), workload), objective)
    assert answer.units_n_plus_1 > answer.units
    assert [one.meets for one in answer.tried] == [one.units >= answer.units for one in answer.tried]
    assert answer.devices == answer.units_n_plus_1


def test_an_objective_out_of_reach_says_why() -> None:
    with pytest.raises(OutOfReach, match="4 units of 'floor' do not meet the objective: ttft_p50_s is"):
        size(fleet(onprem()), "floor", calls(200, 5), Objective(ttft_p50_s=1e-4), most=4)
    with pytest.raises(BadQuestion, match="no objective"):
        Objective()
    with pytest.raises(BadFleet, match="has no place"):
        size(fleet(onprem()), "roof", calls(20, 5), Objective(ttft_p50_s=1.0))


def test_replay_puts_fleets_side_by_side() -> None:
    faster = fleet(onprem(profile="b200"), name="b200")
    answer = replay([fleet(onprem(), name="h100"), faster], calls(800, 10))
    assert [result.fleet for result in answer.results] == ["h100", "b200"]
    (against,) = answer.against
    assert against.e2e_p95 is not None
    assert against.e2e_p95 < 0.8
    with pytest.raises(BadQuestion, match="cannot be told apart"):
        replay([faster, faster], calls(10, 1))


THERMAL = Thermal(
    heat_capacity_j_per_k=30.0,
    case_k_per_w=0.03,
    flow_k_per_w=0.05,
    still_k_per_w=1.0,
    throttle_c=60.0,
    release_c=58.0,
    shutdown_c=120.0,
    throttle_clock=0.25,
)
BOTTLENECKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "network": (
        {"link": Link(latency_s=0.4, bandwidth_bytes_per_s=1e8)},
        {"number": 300, "rate_per_s": 1.0, "output": (2, 5)},
    ),
    "seats": ({"max_batch": 2, "units": 2}, {"number": 600, "rate_per_s": 6.0}),
    "memory bandwidth": ({}, {"number": 300, "rate_per_s": 0.5, "prompt": (5, 10), "output": (300, 400)}),
    "heat": (
        {"thermal": THERMAL, "ambient_c": 30.0, "units": 1},
        {"number": 800, "rate_per_s": 7.0, "prompt": (2500, 4000), "output": (2, 4)},
    ),
}


@pytest.mark.parametrize("limit", BOTTLENECKS)
def test_what_was_made_scarce_is_found(limit: str) -> None:
    place, load = BOTTLENECKS[limit]
    answer = bottleneck(fleet(onprem(**place)), calls(**load))
    helps_always = {"units"} | (
        {"compute"} if limit == "heat" else set()
    )  # twice the arithmetic also rests, and cools, more
    found = [one.limit for one in answer.limits if one.limit not in helps_always]
    assert found[0] == limit
    assert all(one.score <= 1 for one in answer.limits)


def test_nothing_limits_an_idle_fleet_and_a_cloud_cannot_be_relaxed() -> None:
    with pytest.raises(BadQuestion, match="no hardware that can be relaxed"):
        bottleneck(fleet(cloud()), calls(10, 1.0))


def test_a_building_by_hand() -> None:
    building = Building(volts=208, breaker_a=30, phases=3, power_factor=1.0, pue=1.5, redundant_feeds=False)
    assert circuit_w(building) == pytest.approx(208 * 30 * math.sqrt(3) * 0.8)
    server = Host(boards=8, idle_w=1000, busy_w=2000, supply_efficiency=((1.0, 0.95),))
    answer = facility(fleet(onprem(units=20, devices=1, host=server)), building)
    each_w = (8 * 700 + 2000) / 0.95
    assert answer.places[0].servers == 3
    assert answer.it_kw == pytest.approx(3 * each_w / 1000)
    assert answer.total_kw == pytest.approx(1.5 * answer.it_kw)
    assert answer.cooling_btu_per_h == pytest.approx(3 * each_w * 3.412141633)
    assert answer.cooling_tons == pytest.approx(answer.cooling_btu_per_h / 12_000, rel=1e-6)
    assert answer.circuits == 3  # each carries 8,646 W, a server draws 8,000
    assert answer.places[0].provisioned_w == pytest.approx(1.25 * 3 * each_w)
    assert answer.rack_units == 24
    assert answer.racks == 1


def test_what_a_building_cannot_be() -> None:
    with pytest.raises(BadQuestion, match="give 1 or 3"):
        Building(phases=2)
    with pytest.raises(BadQuestion, match="volts is 0"):
        Building(volts=0.0)
    with pytest.raises(BadQuestion, match=r"volts is 0\.4; give volts of low voltage, 12 to 1,000"):
        Building(volts=0.4)  # kilovolts
    with pytest.raises(BadQuestion, match=r"breaker_a is 0\.016; give amperes"):
        Building(breaker_a=0.016)
    with pytest.raises(BadQuestion, match="PUE is at least 1"):
        Building(pue=0.5)
    with pytest.raises(BadQuestion, match="stands in a building"):
        facility(fleet(cloud()))
    with pytest.raises(BadQuestion, match="larger rack"):
        facility(fleet(onprem()), Building(rack_w=100.0))


def test_a_sample_of_a_site_is_like_the_whole() -> None:
    where = fleet(onprem(units=48))
    load = Generator(
        rate_per_s=400, duration_s=60, burstiness=1.5, prompt=Lengths(median=500), output=Lengths(median=100, most=500)
    )
    off = error_of(where, load, factor=4)
    assert abs(off.utilisation) < 0.03
    assert abs(off.energy) < 0.03
    assert abs(off.e2e_p50) < 0.05
    assert abs(off.e2e_p95) < 0.08
    assert abs(off.ttft_p50) < 0.08


def test_a_large_site_scales_what_was_sampled() -> None:
    load = Generator(rate_per_s=40_000, duration_s=20, output=Lengths(median=50, most=200))
    answer = simulate_site(fleet(onprem(units=8000), cloud()), load, sampled=16)
    assert (answer.factor, answer.devices, answer.classes[0].sampled) == (500, 8000, 16)
    assert answer.calls == pytest.approx(800_000, rel=0.05)
    assert 8000 * 70 < answer.power_board_w < 8000 * 700
    assert thinned(load, 100).rate_per_s == 400
    with pytest.raises(BadQuestion, match="says little"):
        simulate_site(fleet(onprem()), load, sampled=1)
