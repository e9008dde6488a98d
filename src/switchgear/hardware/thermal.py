"""How warm a device gets, and when it slows down for it.

One lump: a heat capacity C behind a resistance R to the coolant, so C dT/dt = P - (T - T_ambient) / R (lumped capacitance method:
Incropera et al., "Fundamentals of Heat and Mass Transfer", 6th edition, sections 5.1 and 5.3; for chips: Skadron et al.,
"Temperature-Aware Microarchitecture", ISCA 2003, section 4). For constant power its solution is an exponential towards
T_ambient + P R, which `advance` evaluates exactly: one step of an hour ends where 3,600 steps of a second end. Throttling changes the
power, so `advance` also finds the moments at which a threshold is crossed, and goes on from there.

Throttling is the two-level one that drivers document: at a limit the core clock falls to a half or less until it is cooler again (NVIDIA
DCGM, field constants, DCGM_CLOCKS_THROTTLE_REASON_HW_THERMAL), and at a higher limit the device switches itself off.
"""

import math
from collections.abc import Callable
from enum import StrEnum

import msgspec

from switchgear.hardware.bounds import finite, fraction, not_negative, positive
from switchgear.hardware.errors import BadFigure

_MOST_CROSSINGS = 1_000_000
_CLOSE_C = 1e-9


class Thermal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The lump and its limits. Raises BadFigure.

    For a liquid the ambient is the coolant's inlet temperature, the fan its pump, and `still_k_per_w` what standing coolant leaves.
    """

    heat_capacity_j_per_k: float
    case_k_per_w: float
    """Resistance from chip to fins or cold plate, which no fan changes."""
    flow_k_per_w: float
    """Resistance from fins to coolant at the full speed of the fan or pump."""
    still_k_per_w: float
    """The same when nothing moves the coolant: natural convection."""
    throttle_c: float
    release_c: float
    """Throttling ends when it is this cool again: below `throttle_c`, else the clock would flutter."""
    shutdown_c: float
    throttle_clock: float = 0.5
    """Core clock while throttled, as a fraction of the full one."""
    flow_exponent: float = 0.8
    """Resistance falls with speed to this power: 0.8 for turbulent flow (Dittus-Boelter; Incropera, section 8.5)."""

    def __post_init__(self) -> None:
        positive(
            heat_capacity_j_per_k=self.heat_capacity_j_per_k,
            flow_k_per_w=self.flow_k_per_w,
            still_k_per_w=self.still_k_per_w,
            flow_exponent=self.flow_exponent,
        )
        not_negative(case_k_per_w=self.case_k_per_w)
        finite(throttle_c=self.throttle_c, release_c=self.release_c, shutdown_c=self.shutdown_c)
        if not self.release_c < self.throttle_c < self.shutdown_c:
            raise BadFigure("throttle_c", self.throttle_c, "a temperature above release_c and below shutdown_c")
        if self.still_k_per_w < self.flow_k_per_w:
            raise BadFigure("still_k_per_w", self.still_k_per_w, f"at least flow_k_per_w ({self.flow_k_per_w:g})")
        if not 0 < self.throttle_clock <= 1:
            raise BadFigure("throttle_clock", self.throttle_clock, "a fraction above 0 and at most 1")


class Throttle(StrEnum):
    """What heat makes the device do."""

    NONE = "none"
    SLOW = "slow"
    """At `throttle_clock`; NVML: HwThermalSlowdown."""
    OFF = "off"
    """Switched itself off; somebody must start it again (`restart`)."""


class Warmth(msgspec.Struct, frozen=True, kw_only=True):
    """Where the device stands: the whole state, so a simulation can keep or copy it."""

    temperature_c: float
    throttle: Throttle = Throttle.NONE

    def __post_init__(self) -> None:
        finite(temperature_c=self.temperature_c)


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in one call of `advance`."""

    warmth: Warmth
    energy_j: float
    slow_s: float
    """Seconds of it throttled."""
    off_s: float
    """Seconds of it switched off."""


def resistance_k_per_w(thermal: Thermal, fan: float = 1.0) -> float:
    """Chip to coolant at a fan or pump speed from 0 to 1; never worse than still coolant. Raises BadFigure."""
    fraction(fan=fan)
    flow = thermal.flow_k_per_w / fan**thermal.flow_exponent if fan > 0 else math.inf
    return thermal.case_k_per_w + min(flow, thermal.still_k_per_w)


def settled_c(thermal: Thermal, power_w: float, ambient_c: float, fan: float = 1.0) -> float:
    """Temperature that constant power leads to, if nothing throttles."""
    not_negative(power_w=power_w)
    finite(ambient_c=ambient_c)
    return ambient_c + power_w * resistance_k_per_w(thermal, fan)


def warmed_c(
    thermal: Thermal, temperature_c: float, power_w: float, ambient_c: float, fan: float, seconds: float
) -> float:
    """Temperature after `seconds` of constant power, if nothing throttles: the exact exponential."""
    not_negative(seconds=seconds)
    target = settled_c(thermal, power_w, ambient_c, fan)
    tau_s = thermal.heat_capacity_j_per_k * resistance_k_per_w(thermal, fan)
    return target + (temperature_c - target) * math.exp(-seconds / tau_s)


def until_s(
    thermal: Thermal, temperature_c: float, reached_c: float, power_w: float, ambient_c: float, fan: float = 1.0
) -> float:
    """Seconds of constant power until the temperature is `reached_c`; infinite where it never is."""
    target = settled_c(thermal, power_w, ambient_c, fan)
    if temperature_c == reached_c:
        return 0.0
    if (target - reached_c) * (reached_c - temperature_c) <= 0:
        return math.inf
    tau_s = thermal.heat_capacity_j_per_k * resistance_k_per_w(thermal, fan)
    return tau_s * math.log((temperature_c - target) / (reached_c - target))


def clock(thermal: Thermal, throttle: Throttle) -> float:
    """The core clock that the state allows, as a fraction of the full one."""
    return {Throttle.NONE: 1.0, Throttle.SLOW: thermal.throttle_clock, Throttle.OFF: 0.0}[throttle]


def restart(warmth: Warmth) -> Warmth:
    """Switch on again what heat had switched off. What is still too warm will switch off again."""
    return msgspec.structs.replace(warmth, throttle=Throttle.NONE) if warmth.throttle is Throttle.OFF else warmth


def headroom_k(thermal: Thermal, warmth: Warmth) -> float:
    """Kelvin left before it throttles; 0 once it does."""
    return max(0.0, thermal.throttle_c - warmth.temperature_c) if warmth.throttle is Throttle.NONE else 0.0


def advance(
    thermal: Thermal,
    warmth: Warmth,
    seconds: float,
    power_w: Callable[[float], float],
    ambient_c: float,
    fan: float = 1.0,
) -> Stretch:
    """Go on for `seconds`, through any throttling on the way. `power_w` tells the board's power at a clock (0 to 1).

    Nothing here depends on how a time is cut into steps. Raises BadFigure for a negative power or time, and where the state would change
    more than a million times.
    """
    not_negative(seconds=seconds)
    temperature, throttle = warmth.temperature_c, warmth.throttle
    left_s, energy_j, slow_s, off_s = seconds, 0.0, 0.0, 0.0
    for _ in range(_MOST_CROSSINGS):
        throttle = _next(thermal, temperature, throttle)
        drawn_w = 0.0 if throttle is Throttle.OFF else power_w(clock(thermal, throttle))
        wait_s = min(
            until_s(thermal, temperature, reached, drawn_w, ambient_c, fan)
            for reached in _thresholds(thermal, throttle)
        )
        lasts_s = min(left_s, wait_s)
        crossed = wait_s <= left_s
        after = warmed_c(thermal, temperature, drawn_w, ambient_c, fan, lasts_s)
        if crossed:  # land exactly on the threshold, so that rounding cannot miss it
            after = min(_thresholds(thermal, throttle), key=lambda reached: abs(reached - after))
        temperature = after
        energy_j += drawn_w * lasts_s
        slow_s += lasts_s if throttle is Throttle.SLOW else 0.0
        off_s += lasts_s if throttle is Throttle.OFF else 0.0
        left_s -= lasts_s
        if not crossed:
            break
    else:
        raise BadFigure("release_c", thermal.release_c, "a temperature further below throttle_c, or shorter steps")
    reached = Warmth(temperature_c=temperature, throttle=_next(thermal, temperature, throttle))
    return Stretch(warmth=reached, energy_j=energy_j, slow_s=slow_s, off_s=off_s)


def _next(thermal: Thermal, temperature_c: float, throttle: Throttle) -> Throttle:
    """The state at a temperature, given the state before: what is hysteresis."""
    if throttle is Throttle.OFF or temperature_c >= thermal.shutdown_c - _CLOSE_C:
        return Throttle.OFF
    if temperature_c >= thermal.throttle_c - _CLOSE_C:
        return Throttle.SLOW
    if temperature_c <= thermal.release_c + _CLOSE_C:
        return Throttle.NONE
    return throttle


def _thresholds(thermal: Thermal, throttle: Throttle) -> tuple[float, ...]:
    """Temperatures at which the state would change."""
    if throttle is Throttle.NONE:
        return (thermal.throttle_c,)
    return (thermal.release_c, thermal.shutdown_c) if throttle is Throttle.SLOW else (math.inf,)
