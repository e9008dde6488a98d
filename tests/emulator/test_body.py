"""A device's body: heat, power and battery against closed forms, and that looking changes nothing."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.emulator.devices import COST, DECODE, LASTS_S, figures, under, work

from switchgear.emulator.body import Body
from switchgear.emulator.body_model import OffReason, Run
from switchgear.emulator.scenario import (
    BadFirmware,
    BatteryRunDown,
    BrownOut,
    FanFailure,
    HeatWave,
    PlannedOutage,
    PowerCut,
    SlowDisk,
    WeakChips,
)
from switchgear.hardware.battery import Battery
from switchgear.hardware.errors import BadFigure
from switchgear.hardware.power import board_w
from switchgear.hardware.solar import Solar
from switchgear.hardware.thermal import Throttle, resistance_k_per_w, settled_c, warmed_c


def test_an_idle_device_rests_at_its_idle_temperature() -> None:
    of = figures()
    body = Body(of, under())
    reading = body.read(500.0)
    assert reading.power_w == of.power.idle_w
    assert reading.temperature_c == pytest.approx(settled_c(of.thermal, of.power.idle_w, of.ambient_c))
    assert reading.energy_j == pytest.approx(500 * of.power.idle_w)
    assert body.next_event_s() == math.inf


def test_a_step_lasts_and_draws_what_roofline_and_power_model_say() -> None:
    of = figures()
    body = Body(of, under())
    lasts_s = body.begin_step(COST, DECODE, 10.0)
    assert lasts_s == pytest.approx(COST.step_s(DECODE))
    arithmetic, memory = COST.activity(DECODE)
    assert body.read(10.0 + lasts_s / 2).power_w == pytest.approx(board_w(of.power, arithmetic, memory))
    assert body.read(10.0 + lasts_s).power_w == of.power.idle_w


def test_temperature_follows_the_exponential_between_events() -> None:
    of = figures()
    body = Body(of, under(HeatWave(at_s=10.0, rise_k=20.0)))
    start_c = body.read(10.0).temperature_c
    for at_s in (15.0, 60.0, 300.0):
        expected = warmed_c(of.thermal, start_c, of.power.idle_w, of.ambient_c + 20.0, 1.0, at_s - 10.0)
        assert body.read(at_s).temperature_c == pytest.approx(expected, abs=1e-9)


def test_heat_slows_it_down_between_the_two_thresholds() -> None:
    of = figures()
    body = Body(of, under(HeatWave(at_s=20.0, for_s=300.0, rise_k=40.0)))
    work(body, 0.0, 200.0)
    hot = body.read(200.0)
    assert hot.throttle is Throttle.SLOW
    assert hot.clock <= of.thermal.throttle_clock
    assert 0 < hot.slow_s < 180
    cool = body.read(LASTS_S)
    assert cool.throttle is Throttle.NONE
    assert cool.temperature_c < of.thermal.release_c


def test_a_standing_fan_switches_it_off_and_it_starts_when_it_is_cool() -> None:
    of = figures(boot_s=5.0)
    lost: list[float] = []
    body = Body(
        of, under(FanFailure(at_s=10.0, for_s=400.0), HeatWave(at_s=10.0, for_s=400.0, rise_k=30.0)), lost.append
    )
    at_s = 0.0
    while body.read(at_s).run is Run.ON:
        at_s += body.begin_step(COST, DECODE, at_s)
    off = body.read(at_s)
    assert (off.run, off.off, off.power_w, off.clock) == (Run.OFF, OffReason.HEAT, 0.0, 0.0)
    assert lost == [body.state.at_s]
    end = body.read(LASTS_S)
    assert end.run is Run.ON
    assert body.state.boots == 1


def test_a_cut_is_off_at_once_and_back_after_its_start() -> None:
    lost: list[float] = []
    body = Body(figures(boot_s=20.0), under(PowerCut(at_s=100.0, for_s=50.0)), lost.append)
    assert body.read(99.999).run is Run.ON
    assert (body.read(100.0).run, body.read(100.0).off) == (Run.OFF, OffReason.POWER)
    assert body.read(150.0).run is Run.BOOTING
    assert body.read(169.999).run is Run.BOOTING
    assert body.read(170.0).run is Run.ON
    assert body.read(LASTS_S).off_s == pytest.approx(50.0)
    assert lost == [100.0]


def test_a_slow_disk_makes_the_start_long() -> None:
    body = Body(figures(boot_s=10.0), under(PowerCut(at_s=10.0, for_s=5.0), SlowDisk(at_s=0.0, load_factor=6.0)))
    assert body.read(15.0 + 59.9).run is Run.BOOTING
    assert body.read(15.0 + 60.1).run is Run.ON


def test_a_planned_outage_is_off_for_its_time() -> None:
    body = Body(figures(boot_s=1.0), under(PlannedOutage(at_s=30.0, for_s=10.0, notice_s=20.0)))
    assert body.read(29.0).run is Run.ON
    assert body.read(35.0).off is OffReason.MAINTENANCE
    assert body.read(42.0).run is Run.ON


def test_a_battery_lasts_as_long_as_its_energy() -> None:
    battery = Battery(capacity_wh=2.0, discharge_c_rate=100.0)
    of = figures(battery=battery, boot_s=1.0)
    body = Body(of, under(BatteryRunDown(at_s=60.0, for_s=500.0, charge=0.8)))
    lasts_s = (0.8 - battery.cut_off) * battery.capacity_j / (of.power.idle_w / battery.discharge_efficiency)
    assert body.read(60.0 + lasts_s - 0.01).run is Run.ON
    empty = body.read(60.0 + lasts_s + 0.01)
    assert (empty.run, empty.off) == (Run.OFF, OffReason.BATTERY)
    assert empty.charge == pytest.approx(battery.cut_off)
    assert body.read(565.0).run is Run.ON  # the mains are back


def test_the_sun_carries_what_the_mains_do_not() -> None:
    battery = Battery(capacity_wh=2.0, discharge_c_rate=100.0)
    noon = figures(battery=battery, solar=Solar(peak_w=400.0, latitude_deg=48.0), start_hour=12.0)
    night = figures(battery=battery, solar=Solar(peak_w=400.0, latitude_deg=48.0), start_hour=0.0)
    cut = under(PowerCut(at_s=0.0))
    assert Body(noon, cut).read(LASTS_S - 1).run is Run.ON
    assert Body(night, cut).read(LASTS_S - 1).off is OffReason.BATTERY


def test_a_battery_that_cannot_carry_the_board_is_refused() -> None:
    with pytest.raises(BadFigure, match="discharge_c_rate"):
        Body(figures(battery=Battery(capacity_wh=10.0)), under())


def test_a_brown_out_keeps_the_board_under_its_limit_and_makes_steps_longer() -> None:
    of = figures()
    well, low = Body(of, under()), Body(of, under(BrownOut(limit=0.5)))
    assert low.begin_step(COST, DECODE, 1.0) > well.begin_step(COST, DECODE, 1.0)
    reading = low.read(1.001)
    assert reading.power_w <= 0.5 * of.power.limit_w + 1e-9
    assert reading.power_capped


def test_below_idle_power_a_brown_out_is_a_cut() -> None:
    of = figures()
    body = Body(of, under(BrownOut(limit=of.power.idle_w / of.power.limit_w * 0.9, at_s=5.0)))
    assert body.read(5.0).off is OffReason.POWER


def test_weak_chips_and_bad_firmware_make_steps_longer_together() -> None:
    body = Body(figures(), under(WeakChips(factor=1.5), BadFirmware(factor=2.0)))
    assert body.begin_step(COST, DECODE, 0.0) == pytest.approx(3 * COST.step_s(DECODE))


def test_new_firmware_costs_a_restart_both_ways() -> None:
    body = Body(figures(boot_s=5.0), under(BadFirmware(at_s=10.0, for_s=100.0, version="2")))
    assert body.read(12.0).run is Run.BOOTING
    assert body.read(112.0).run is Run.BOOTING
    assert body.state.boots == 2


EVENTS = st.lists(
    st.one_of(
        st.builds(HeatWave, at_s=st.floats(0, 250), for_s=st.floats(10, 300), rise_k=st.floats(5, 60)),
        st.builds(FanFailure, at_s=st.floats(0, 250), for_s=st.floats(10, 300), speed=st.floats(0, 0.5)),
        st.builds(BrownOut, at_s=st.floats(0, 250), for_s=st.floats(10, 300), limit=st.floats(0.2, 0.9)),
        st.builds(PowerCut, at_s=st.floats(0, 250), for_s=st.floats(1, 100)),
    ),
    max_size=4,
    unique_by=lambda event: event.quantity,
)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(events=EVENTS, looks=st.lists(st.floats(0, LASTS_S), max_size=30), battery=st.booleans())
def test_looking_changes_nothing(events: list[HeatWave], looks: list[float], battery: bool) -> None:
    """Not one bit: the state moves at events only, whoever reads in between."""
    of = figures(battery=Battery(capacity_wh=1.0, discharge_c_rate=100.0)) if battery else figures()
    seen, unseen = Body(of, under(*events)), Body(of, under(*events))
    for at_s in sorted(looks):
        seen.read(at_s)
    assert seen.read(LASTS_S) == unseen.read(LASTS_S)
    assert seen.state == unseen.state


@settings(max_examples=40, derandomize=True, deadline=None)
@given(events=EVENTS, busy=st.booleans())
def test_energy_is_what_was_drawn_and_temperature_is_between_its_bounds(events: list[HeatWave], busy: bool) -> None:
    of = figures()
    body = Body(of, under(*events))
    reading = body.read(0.0)
    while reading.at_s < 300.0:
        if busy and body.state.run is Run.ON and not body.read(reading.at_s).busy:
            body.begin_step(COST, DECODE, reading.at_s)
        before, at_s = body.read(reading.at_s), min(300.0, reading.at_s + 0.7)
        if body.next_event_s() > at_s:  # power is constant until then
            assert body.read(at_s).energy_j == pytest.approx(before.energy_j + before.power_w * (at_s - before.at_s))
        reading = body.read(at_s)
        hottest = of.ambient_c + 60 + of.power.limit_w * resistance_k_per_w(of.thermal, 0.0)
        assert of.ambient_c - 1e-6 <= reading.temperature_c <= min(hottest, of.thermal.shutdown_c) + 1e-6
        assert reading.power_w <= of.power.limit_w
