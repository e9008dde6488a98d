"""Battery, sun and link."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.hardware.battery import Battery, advance, empty_s, full_s
from switchgear.hardware.errors import BadFigure
from switchgear.hardware.link import (
    Link,
    Outage,
    next_outage_s,
    sample_transfer_s,
    throughput_bytes_per_s,
    transfer_s,
    up,
    up_again_s,
)
from switchgear.hardware.solar import (
    Series,
    Solar,
    clear_sky_w_per_m2,
    elevation_sine,
    series_w,
    solar_at_w,
    solar_w,
)

CELLS = Battery(capacity_wh=1000, charge_c_rate=0.5, discharge_c_rate=1.0, self_discharge_w=2.0)


def test_a_battery_by_hand() -> None:
    plain = Battery(capacity_wh=1000, charge_efficiency=1.0, discharge_efficiency=0.8, cut_off=0.2)
    assert empty_s(plain, 1.0, 400) == pytest.approx(3600 * 0.8 * 1000 * 0.8 / 400)
    hour = advance(plain, 1.0, 3600, 400)
    assert hour.charge == pytest.approx(0.5)
    assert hour.given_j == 400 * 3600
    assert advance(plain, 1.0, 7200, 400).served_s == pytest.approx(5760)
    assert advance(plain, 0.5, 3600, 0, 300).charge == pytest.approx(0.8)
    assert full_s(plain, 0.5, 250) == pytest.approx(7200)
    assert advance(plain, 1.0, 60, 1001).served_s == 0, "more than its C-rate allows"
    assert advance(plain, 0.2, 60, 10).served_s == 0, "at the cut-off"


@given(
    st.floats(0, 1),
    st.floats(0, 1500),
    st.floats(0, 1500),
    st.lists(st.floats(0.1, 4000), min_size=1, max_size=5),
)
def test_a_battery_keeps_its_energy_whatever_the_steps(
    charge: float, load_w: float, source_w: float, steps: list[float]
) -> None:
    whole = advance(CELLS, charge, math.fsum(steps), load_w, source_w)
    now, given_j, taken_j = charge, 0.0, 0.0
    for step in steps:
        part = advance(CELLS, now, step, load_w, source_w)
        now, given_j, taken_j = part.charge, given_j + part.given_j, taken_j + part.taken_j
        assert 0 <= now <= 1
        assert part.unused_j >= 0
    if load_w <= source_w or whole.served_s == math.fsum(steps):
        assert now == pytest.approx(whole.charge, abs=1e-9)
        assert given_j == pytest.approx(whole.given_j)
        assert taken_j == pytest.approx(whole.taken_j, rel=1e-6, abs=1e-3)
    stored_j = taken_j * CELLS.charge_efficiency - given_j / CELLS.discharge_efficiency
    lost_j = stored_j - (now - charge) * CELLS.capacity_j
    assert lost_j == pytest.approx(min(lost_j, CELLS.self_discharge_w * math.fsum(steps)), abs=1.0)
    assert lost_j >= -1.0, "no energy from nothing"


def test_a_battery_that_cannot_be_is_refused() -> None:
    with pytest.raises(BadFigure, match=r"discharge_efficiency is 0\.0; give a fraction above 0"):
        Battery(capacity_wh=1, discharge_efficiency=0.0)
    with pytest.raises(BadFigure, match="capacity_wh is -1; give a finite number of watt-hours above zero"):
        Battery(capacity_wh=-1)
    with pytest.raises(BadFigure, match="charge is 2"):
        advance(CELLS, 2, 1, 1)
    with pytest.raises(BadFigure, match="load_w is -1"):
        advance(CELLS, 1, 1, -1)


def test_the_sun_by_hand() -> None:
    assert elevation_sine(23.45, 172, 12) == pytest.approx(1.0, abs=1e-4), "overhead at the tropic at midsummer noon"
    assert clear_sky_w_per_m2(0, 81, 12) == pytest.approx(1098 * math.exp(-0.059), rel=1e-3)
    assert clear_sky_w_per_m2(50, 172, 0) == 0
    assert elevation_sine(80, 355, 12) < 0, "polar night"
    panels = Solar(peak_w=1000, latitude_deg=0, loss=0.0)
    assert solar_w(panels, 81, 12) == pytest.approx(1098 * math.exp(-0.059), rel=1e-3)


@given(st.floats(-90, 90), st.floats(1, 365), st.floats(0, 24))
def test_the_sun_is_never_negative_and_symmetric_about_noon(latitude: float, day: float, hour: float) -> None:
    now = clear_sky_w_per_m2(latitude, day, hour)
    assert 0 <= now <= 1098
    assert now == pytest.approx(clear_sky_w_per_m2(latitude, day, 24 - hour), abs=1e-6)


def test_a_day_of_sun_in_time() -> None:
    panels = Solar(peak_w=1000, latitude_deg=48, cloud=0.5)
    hours = [solar_at_w(panels, 172, 3600 * hour) for hour in range(48)]
    assert hours[0] == 0
    assert max(hours[:24]) == hours[12]
    assert hours[36] == pytest.approx(hours[12], rel=0.01)


def test_a_series() -> None:
    day = Series(at_s=(0, 43_200), power_w=(0, 100), every_s=86_400)
    assert series_w(day, 21_600) == 50
    assert series_w(day, 64_800) == 50
    assert series_w(day, 86_400 * 3 + 43_200) == 100
    assert series_w(Series(at_s=(10, 20), power_w=(5, 15)), 0) == 5
    assert series_w(Series(at_s=(10, 20), power_w=(5, 15)), 99) == 15
    with pytest.raises(BadFigure, match="one for each of the 2 at_s"):
        Series(at_s=(1, 2), power_w=(1,))
    with pytest.raises(BadFigure, match="one for each of the times in at_s"):
        Series(at_s=(), power_w=())
    with pytest.raises(BadFigure, match="ascending"):
        Series(at_s=(2, 1), power_w=(1, 1))
    with pytest.raises(BadFigure, match=r"power_w is -1"):
        Series(at_s=(1,), power_w=(-1,))
    with pytest.raises(BadFigure, match="latitude_deg is 100"):
        Solar(peak_w=1, latitude_deg=100)


WAY = Link(
    latency_s=0.02,
    bandwidth_bytes_per_s=1e6,
    jitter_s=0.005,
    loss=0.01,
    outages=(Outage(start_s=100, lasts_s=10, every_s=60),),
)


def test_a_link_by_hand() -> None:
    clear = Link(latency_s=0.02, bandwidth_bytes_per_s=1e6)
    assert transfer_s(clear, 1e5) == pytest.approx(0.12)
    assert throughput_bytes_per_s(WAY) == pytest.approx(1460 / 0.04 * math.sqrt(150))
    assert transfer_s(WAY, 0) > transfer_s(clear, 0)
    assert sample_transfer_s(clear, 1e5, Random(1)) == pytest.approx(0.12)


def test_samples_have_the_expected_mean() -> None:
    random = Random(7)
    samples = [sample_transfer_s(WAY, 1000, random) for _ in range(20_000)]
    assert sum(samples) / len(samples) == pytest.approx(transfer_s(WAY, 1000), rel=0.03)
    assert min(samples) > 0


@given(st.floats(0, 1000))
def test_outages(at_s: float) -> None:
    within = at_s >= 100 and (at_s - 100) % 60 < 10
    assert up(WAY, at_s) is not within
    again = up_again_s(WAY, at_s)
    assert (again == at_s) if not within else (at_s < again <= at_s + 10)
    assert up(WAY, again + 1e-6 if within else again)
    following = next_outage_s(WAY, at_s)
    assert following == at_s if within else at_s <= following <= max(100, at_s + 60)


def test_outages_that_never_end_are_refused() -> None:
    with pytest.raises(BadFigure, match="a period longer than lasts_s"):
        Outage(start_s=0, lasts_s=10, every_s=5)
    both = Link(
        latency_s=0,
        bandwidth_bytes_per_s=1,
        outages=(Outage(start_s=0, lasts_s=6, every_s=10), Outage(start_s=5, lasts_s=6, every_s=10)),
    )
    with pytest.raises(BadFigure, match="leave time between them"):
        up_again_s(both, 1)
    with pytest.raises(BadFigure, match="a link that loses all is an outage"):
        Link(latency_s=0, bandwidth_bytes_per_s=1, loss=1.0)
    assert next_outage_s(Link(latency_s=0, bandwidth_bytes_per_s=1), 0) == math.inf
