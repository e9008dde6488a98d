"""What a simulation must do whatever the hardware: conserve calls, obey Little's law, stream, repeat, and refuse nonsense."""

import numpy as np
import pytest
from tests.planner.fleets import Kept, calls, cloud, fleet, onprem, usd

from switchgear.core.data_class import DataClass
from switchgear.hardware.power import Host
from switchgear.hardware.thermal import Thermal
from switchgear.planner.errors import BadFleet, BadWorkload
from switchgear.planner.fleet import Fault, Trouble
from switchgear.planner.simulate import simulate
from switchgear.planner.simulate_measure import Histogram
from switchgear.planner.workload import workload_of


def test_every_call_ends_once_and_the_parts_add_up() -> None:
    workload = calls(3000, 80, classes=True)
    kept = Kept()
    got = simulate(fleet(onprem(max_in_flight=20), cloud(max_in_flight=5)), workload, sink=kept)
    assert kept.rows["id"].tolist() == list(range(3000))
    lost = sum(sum(reasons.values()) for reasons in (got.refused, got.failed, got.broken))
    assert got.answered + lost == got.calls == 3000
    assert sum(place.answered for place in got.places) == got.answered
    assert got.place("cloud").answered == pytest.approx(got.cloud_share * got.answered)
    assert got.tokens_out == kept.rows["output"][kept.rows["outcome"] == 0].sum()


def test_confidential_calls_never_go_to_a_cloud() -> None:
    kept = Kept()
    workload = calls(2000, 80, classes=True)
    got = simulate(fleet(onprem(max_in_flight=20), cloud()), workload, sink=kept)
    in_cloud = kept.rows[kept.rows["place"] == 1]
    assert in_cloud.size
    assert in_cloud["rank"].max() == DataClass.INTERNAL.rank
    assert got.refused
    nobody = simulate(fleet(cloud()), calls(10, 1.0, classes=True))
    assert nobody.refused == {"no place may or can take it": 10 - nobody.answered}


def test_littles_law_holds() -> None:
    kept = Kept()
    simulate(fleet(onprem()), calls(4000, 8), sink=kept)
    rows = kept.rows
    moments = np.linspace(rows["at_s"][500], rows["at_s"][-500], 4001)
    begins, ends = np.sort(rows["at_s"]), np.sort(rows["at_s"] + rows["e2e_s"])
    present = np.searchsorted(begins, moments) - np.searchsorted(ends, moments)
    inside = (rows["at_s"] >= moments[0]) & (rows["at_s"] < moments[-1])
    rate = np.count_nonzero(inside) / (moments[-1] - moments[0])
    assert present.mean() == pytest.approx(rate * rows["e2e_s"][inside].mean(), rel=0.03)


def test_one_call_alone_takes_what_the_roofline_says() -> None:
    from switchgear.hardware.roofline import StepLoad
    from switchgear.planner.fleet_physics import sites_of

    where = fleet(onprem())
    (site,) = sites_of(where)
    assert site.cost is not None
    got = simulate(where, workload_of(at_s=[1.0], prompt_tokens=[1000], output_tokens=[50], source="one"))
    prefill_s = (
        site.cost.step_s(StepLoad(prefill_tokens=1000, prefill_pairs=500_500, prefills_ended=1)) + site.request_s
    )
    decode_s = sum(site.cost.step_s(StepLoad(decodes=1, context_tokens=1001 + step)) for step in range(49))
    assert got.ttft.most == pytest.approx(prefill_s)
    assert got.e2e.most == pytest.approx(prefill_s + decode_s)


def test_pieces_bring_what_the_whole_brings() -> None:
    workload = calls(2000, 30)
    where = fleet(
        onprem(units=2, faults=(Fault(kind=Trouble.OUTAGE, start_s=10, lasts_s=5, every_s=20, units=1),)), cloud()
    )
    kept, in_pieces = Kept(), Kept()
    whole = simulate(where, workload, seed=3, sink=kept)
    pieces = simulate(where, workload.parts(37), seed=3, sink=in_pieces)
    assert np.array_equal(kept.rows, in_pieces.rows)
    assert (pieces.places, pieces.failed, pieces.ttft.p99) == (whole.places, whole.failed, whole.ttft.p99)


def test_the_same_seed_repeats_and_another_does_not() -> None:
    workload, where = calls(500, 20), fleet(onprem(weight=1.0), cloud(), strategy="weighted")
    assert simulate(where, workload, seed=5) == simulate(where, workload, seed=5)
    assert simulate(where, workload, seed=5).ttft != simulate(where, workload, seed=6).ttft


def test_more_units_are_never_slower_and_a_weak_batch_is() -> None:
    workload = calls(1500, 30)
    times = [simulate(fleet(onprem(units=units)), workload).e2e.p95 for units in (2, 4, 8)]
    assert times == sorted(times, reverse=True)  # type: ignore[type-var]  # none is None
    weak = simulate(fleet(onprem(units=2, weak_units=2)), workload).e2e.p95
    assert weak is not None
    assert times[0] is not None
    assert weak > times[0]


def test_heat_slows_and_cooling_helps() -> None:
    thermal = Thermal(
        heat_capacity_j_per_k=100.0,
        case_k_per_w=0.05,
        flow_k_per_w=0.06,
        still_k_per_w=1.0,
        throttle_c=65.0,
        release_c=60.0,
        shutdown_c=110.0,
    )
    workload = calls(3000, 25, prompt=(1500, 4000))
    warm, cool = (
        simulate(fleet(onprem(units=2, thermal=thermal, ambient_c=ambient)), workload).places[0]
        for ambient in (40, -20)
    )
    assert warm.hottest_c is not None
    assert cool.hottest_c is not None
    assert warm.hottest_c > 65 > cool.hottest_c
    assert (warm.slow_share or 0) > (cool.slow_share or 0)


def test_energy_lies_between_idle_and_the_limit_and_the_wall_above_the_boards() -> None:
    got = simulate(fleet(onprem(units=2, host=Host(boards=2, idle_w=300, busy_w=500))), calls(1000, 20))
    place = got.places[0]
    assert place.energy_board_j is not None
    assert 2 * 70 * got.duration_s <= place.energy_board_j <= 2 * 700 * got.duration_s
    assert place.energy_wall_j is not None
    assert place.energy_wall_j > place.energy_board_j + 300 * got.duration_s


def test_an_unpriced_place_makes_no_cost_of_zero() -> None:
    workload = calls(50, 5)
    assert simulate(fleet(cloud()), workload).cost_usd is None
    tokens = float(workload.prompt_tokens.sum() + workload.output_tokens.sum())
    assert simulate(fleet(cloud(prices=usd(2))), workload).cost_usd == pytest.approx(2 * tokens / 1e6)


def test_every_figure_of_the_hardware_is_an_input_with_its_source() -> None:
    inputs = simulate(fleet(onprem(), cloud()), calls(20, 5)).inputs
    assert "datasheet" in inputs["floor.h100-sxm.memory_bandwidth_bytes_per_s"]
    assert "assumed: " in inputs["floor.h100-sxm.idle_w"]
    assert inputs["seed"] == "0"


def test_nothing_to_simulate_is_refused() -> None:
    with pytest.raises(BadWorkload, match="holds no call"):
        simulate(fleet(onprem()), iter(()))
    pieces = [calls(10, 1.0), calls(10, 1.0)]
    with pytest.raises(BadWorkload, match="a piece begins at"):
        simulate(fleet(onprem()), pieces)
    with pytest.raises(BadFleet, match="no strategy 'best'"):
        simulate(fleet(onprem(), strategy="best"), calls(10, 1.0))


def test_a_histogram_is_right_within_half_a_percent() -> None:
    values = np.random.default_rng(1).lognormal(-2, 2, 50_000)
    histogram = Histogram()
    for piece in np.array_split(values, 7):
        histogram.add(piece)
    for percent in (1, 50, 90, 99, 99.9):
        exact = float(np.sort(values)[round(values.size * percent / 100) - 1])
        assert histogram.percentile(percent) == pytest.approx(exact, rel=0.0055)
    assert histogram.spread().mean == pytest.approx(values.mean())
    assert Histogram().percentile(50) is None
