import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.hardware.errors import BadFigure
from switchgear.hardware.thermal import (
    Thermal,
    Throttle,
    Warmth,
    advance,
    headroom_k,
    resistance_k_per_w,
    restart,
    settled_c,
    until_s,
    warmed_c,
)

CHIP = Thermal(
    heat_capacity_j_per_k=400,
    case_k_per_w=0.05,
    flow_k_per_w=0.1,
    still_k_per_w=1.0,
    throttle_c=85,
    release_c=75,
    shutdown_c=100,
)


def by_clock(full_w: float, floor_w: float = 40.0) -> "Power":
    return Power(full_w, floor_w)


class Power:
    def __init__(self, full_w: float, floor_w: float) -> None:
        self.full_w, self.floor_w = full_w, floor_w

    def __call__(self, clock: float) -> float:
        return self.floor_w + (self.full_w - self.floor_w) * clock


def test_the_exponential_by_hand() -> None:
    assert settled_c(CHIP, 300, 25) == pytest.approx(25 + 300 * 0.15)
    tau_s = 400 * 0.15
    assert warmed_c(CHIP, 25, 300, 25, 1.0, tau_s) == pytest.approx(25 + 45 * (1 - math.exp(-1)))
    reached = 25 + 45 * (1 - math.exp(-1))
    assert until_s(CHIP, 25, reached, 300, 25) == pytest.approx(tau_s)
    assert until_s(CHIP, 25, 71, 300, 25) == math.inf


def test_a_slower_fan_cools_less_and_a_dead_one_is_still_air() -> None:
    speeds = [1.0, 0.5, 0.2, 0.05, 0.0]
    resistances = [resistance_k_per_w(CHIP, speed) for speed in speeds]
    assert resistances == sorted(resistances)
    assert resistances[0] == pytest.approx(0.15)
    assert resistances[-1] == pytest.approx(1.05)


@given(
    st.floats(20, 84),
    st.floats(50, 900),
    st.floats(-10, 45),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.lists(st.floats(0.1, 300), min_size=1, max_size=6),
)
def test_the_course_does_not_depend_on_the_steps(
    start_c: float, full_w: float, ambient_c: float, fan: float, steps: list[float]
) -> None:
    power = by_clock(full_w)
    whole = advance(CHIP, Warmth(temperature_c=start_c), math.fsum(steps), power, ambient_c, fan)
    warmth, energy_j, slow_s, off_s = Warmth(temperature_c=start_c), 0.0, 0.0, 0.0
    for step in steps:
        part = advance(CHIP, warmth, step, power, ambient_c, fan)
        warmth, energy_j = part.warmth, energy_j + part.energy_j
        slow_s, off_s = slow_s + part.slow_s, off_s + part.off_s
    assert warmth.temperature_c == pytest.approx(whole.warmth.temperature_c, abs=1e-5)
    assert energy_j == pytest.approx(whole.energy_j, rel=1e-6)
    assert slow_s == pytest.approx(whole.slow_s, abs=1e-4)
    assert off_s == pytest.approx(whole.off_s, abs=1e-4)


def test_throttling_has_hysteresis() -> None:
    """At 500 W it would settle at 100 °C and at 270 W at 65 °C: it saws between 85 and 75."""
    power = by_clock(500)
    hot = advance(CHIP, Warmth(temperature_c=84.9), 1, power, 25)
    assert hot.warmth.throttle is Throttle.SLOW
    between = advance(CHIP, Warmth(temperature_c=80, throttle=Throttle.SLOW), 0, power, 25)
    assert between.warmth.throttle is Throttle.SLOW
    assert advance(CHIP, Warmth(temperature_c=80), 0, power, 25).warmth.throttle is Throttle.NONE
    hour = advance(CHIP, Warmth(temperature_c=25), 3600, power, 25)
    assert 75 <= hour.warmth.temperature_c <= 85
    assert 0 < hour.slow_s < 3600
    assert hour.off_s == 0
    assert 270 * 3600 < hour.energy_j < 500 * 3600


def test_a_dead_fan_ends_in_a_shutdown_that_needs_somebody() -> None:
    off = advance(CHIP, Warmth(temperature_c=60), 3600, by_clock(500), 25, fan=0.0)
    assert off.warmth.throttle is Throttle.OFF
    assert off.off_s > 3000
    cold = advance(CHIP, off.warmth, 36_000, by_clock(500), 25)
    assert cold.warmth.temperature_c == pytest.approx(25, abs=0.1)
    assert cold.warmth.throttle is Throttle.OFF
    assert cold.energy_j == 0
    assert restart(cold.warmth).throttle is Throttle.NONE


def test_headroom() -> None:
    assert headroom_k(CHIP, Warmth(temperature_c=60)) == 25
    assert headroom_k(CHIP, Warmth(temperature_c=80, throttle=Throttle.SLOW)) == 0


def test_nonsense_is_refused() -> None:
    def chip(**fields: float) -> Thermal:
        return Thermal(**{**{name: getattr(CHIP, name) for name in CHIP.__struct_fields__}, **fields})

    with pytest.raises(BadFigure, match="above release_c and below shutdown_c"):
        chip(release_c=90.0)
    with pytest.raises(
        BadFigure, match=r"heat_capacity_j_per_k is 0\.0; give a finite number of joules per kelvin above zero"
    ):
        chip(heat_capacity_j_per_k=0.0)
    with pytest.raises(BadFigure, match="at least flow_k_per_w"):
        chip(still_k_per_w=0.01)
    with pytest.raises(BadFigure, match="power_w is -5"):
        settled_c(CHIP, -5, 25)
    with pytest.raises(BadFigure, match="fan is 2"):
        resistance_k_per_w(CHIP, 2)
    with pytest.raises(BadFigure, match="temperature_c is nan"):
        Warmth(temperature_c=float("nan"))
