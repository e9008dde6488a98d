"""What happens to whom, and when: ramps, flaps, aims and fractions."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.emulator.devices import under

from switchgear.emulator.conditions import WELL, Named, hit, timelines
from switchgear.emulator.scenario import (
    EVENTS,
    RAMP_STEPS,
    BadFirmware,
    BrownOut,
    ClockStep,
    FanFailure,
    HeatWave,
    NetworkFlap,
    Partition,
    PlannedOutage,
    PowerCut,
    TelemetryLoss,
    WeakChips,
)

FLEET = [Named(f"edge-{number:03}", {"room": "a" if number % 2 else "b"}) for number in range(200)]


def test_the_kinds_are_those_of_the_issue_and_two_more() -> None:
    assert set(EVENTS) == {
        "heat_wave",
        "fan_failure",
        "brown_out",
        "power_cut",
        "battery_run_down",
        "network_flap",
        "partition",
        "slow_disk",
        "clock_step",
        "bad_firmware",
        "weak_chips",
        "telemetry_loss",
        "planned_outage",
    }


def test_a_ramp_grows_and_fades_in_equal_steps() -> None:
    line = under(HeatWave(at_s=100.0, for_s=200.0, ramp_s=40.0, rise_k=20.0))
    assert line.at(99.9) == WELL
    rises = [line.at(100.0 + 2.0 * step).warmer_k for step in range(RAMP_STEPS)]
    assert rises == pytest.approx([step + 1.0 for step in range(RAMP_STEPS)])
    assert line.at(200.0).warmer_k == 20.0
    falls = [line.at(300.0 - 2.0 * step - 1.0).warmer_k for step in range(RAMP_STEPS)]
    assert falls == pytest.approx([step + 1.0 for step in range(RAMP_STEPS)])
    assert line.at(300.0) == WELL


def test_what_has_no_ramp_comes_and_goes_at_once() -> None:
    line = under(FanFailure(at_s=10.0, for_s=5.0, speed=0.2), BrownOut(at_s=12.0, for_s=1.0, limit=0.7))
    assert [line.at(at_s).fan for at_s in (9.9, 10.0, 14.9, 15.0)] == pytest.approx([1.0, 0.2, 0.2, 1.0])
    assert line.at(12.5).limit == pytest.approx(0.7)


def test_a_flap_is_down_at_the_beginning_of_each_period() -> None:
    line = under(NetworkFlap(at_s=10.0, for_s=30.0, period_s=10.0, down_s=3.0))
    assert [line.at(at_s).link for at_s in (9.0, 10.0, 12.9, 13.0, 20.0, 23.5, 30.0, 33.5, 40.0)] == [
        True, False, False, True, False, True, False, True, True,
    ]  # fmt: skip
    assert line.link_up_s(11.0) == pytest.approx(13.0)
    assert line.link_up_s(15.0) == 15.0


def test_a_link_that_stays_down_is_never_up_again() -> None:
    line = under(Partition(at_s=10.0), lasts_s=50.0)
    assert line.link_up_s(9.0) == 9.0
    assert line.link_up_s(20.0) == 50.0  # the scenario's end is the event's


def test_an_outage_is_announced_before_it_comes() -> None:
    line = under(PlannedOutage(at_s=100.0, for_s=20.0, notice_s=30.0))
    assert [(line.at(at_s).outage, line.at(at_s).maintained) for at_s in (69.0, 70.0, 100.0, 120.0)] == [
        (None, False),
        ((100.0, 120.0), False),
        ((100.0, 120.0), True),
        (None, False),
    ]


def test_telemetry_is_gone_or_frozen() -> None:
    assert not under(TelemetryLoss()).at(1.0).published
    frozen = under(TelemetryLoss(frozen=True)).at(1.0)
    assert frozen.published
    assert frozen.frozen


def test_different_quantities_meet_in_one_device() -> None:
    line = under(PowerCut(at_s=5.0, for_s=5.0), ClockStep(at_s=5.0, for_s=9.0, step_s=-60.0), WeakChips(factor=1.5))
    here = line.at(6.0)
    assert (here.mains, here.clock_offset_s, here.step_factor) == (False, -60.0, 1.5)


def test_events_aim_by_name_label_and_fraction() -> None:
    assert hit(HeatWave(on=("edge-00?",)), 0, FLEET, 1) == [f"edge-00{digit}" for digit in range(10)]
    assert len(hit(HeatWave(where={"room": "a"}), 0, FLEET, 1)) == 100
    assert hit(HeatWave(where={"room": "c"}), 0, FLEET, 1) == []
    assert hit(ClockStep(on=("gateway",)), 0, FLEET, 1) == []


@settings(max_examples=50, derandomize=True, deadline=None)
@given(fraction=st.floats(0.01, 1.0), seed=st.integers(0, 1000), index=st.integers(0, 20))
def test_a_fraction_is_drawn_by_the_seed(fraction: float, seed: int, index: int) -> None:
    event = BadFirmware(fraction=fraction)
    drawn = hit(event, index, FLEET, seed)
    assert len(drawn) == max(1, round(fraction * len(FLEET)))
    assert drawn == hit(event, index, list(FLEET), seed)
    assert drawn == sorted(drawn)


def test_two_events_do_not_draw_the_same_fraction() -> None:
    event = WeakChips(fraction=0.3)
    assert hit(event, 0, FLEET, 1) != hit(event, 1, FLEET, 1) != hit(event, 1, FLEET, 2)


def test_devices_that_meet_the_same_events_share_one_timeline() -> None:
    made = timelines([HeatWave(where={"room": "a"}), PowerCut(at_s=5.0)], FLEET, 600.0, 0)
    assert len({id(line) for line in made.values()}) == 2


@settings(max_examples=100, derandomize=True, deadline=None)
@given(
    start_s=st.floats(0, 300),
    lasts_s=st.floats(1, 300),
    ramp=st.floats(0, 0.5),
    rise_k=st.floats(1, 60),
    at_s=st.floats(0, 600),
)
def test_a_timeline_holds_at_every_time_what_the_event_says(
    start_s: float, lasts_s: float, ramp: float, rise_k: float, at_s: float
) -> None:
    line = under(HeatWave(at_s=start_s, for_s=lasts_s, ramp_s=ramp * lasts_s, rise_k=rise_k))
    warmer_k = line.at(at_s).warmer_k
    assert 0 <= warmer_k <= rise_k
    assert (warmer_k > 0) <= (start_s <= at_s < start_s + lasts_s)
    after_s = line.after(at_s)
    assert after_s is None or after_s > at_s
