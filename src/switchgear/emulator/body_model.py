"""What a device's body is: the figures of its heat, its power and its battery, from its profile where nobody gives them."""

from enum import StrEnum

import msgspec

from switchgear.hardware.battery import Battery
from switchgear.hardware.errors import BadFigure
from switchgear.hardware.model import Physics
from switchgear.hardware.power import PowerModel
from switchgear.hardware.solar import Solar
from switchgear.hardware.thermal import Thermal

MEMORY_SHARE = 0.6
"""Assumed: memory busy all the time adds so much of what separates idle from TDP. Decoding draws well below the TDP, and prefill reaches it
(Patel et al., "Splitwise", ISCA 2024, section III-F)."""
LEAST_CLOCK = 0.1
"""Of the full clock: the lowest that a power limit leads to. Below it the device skips cycles."""

_RISE_K = 45.0
_TAU_S = 60.0
_CASE_SHARE = 0.4
_STILL = 5.0
_LIMITS_C = (83.0, 78.0, 95.0)


class Run(StrEnum):
    """Whether the device computes."""

    ON = "on"
    BOOTING = "booting"
    """Starting, and loading its model."""
    OFF = "off"


class OffReason(StrEnum):
    """Why a device is off."""

    NONE = ""
    POWER = "no power"
    BATTERY = "battery empty"
    HEAT = "too hot"
    MAINTENANCE = "maintenance"


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What a body is made of."""

    power: PowerModel
    thermal: Thermal
    battery: Battery | None = None
    solar: Solar | None = None
    ambient_c: float = 25.0
    fan: float = 1.0
    boot_s: float = 20.0
    """From power to the first call: firmware, system and loading the model."""
    charge: float = 1.0
    """The battery's state of charge at the beginning."""
    sm_clock_mhz: float = 1980.0
    """The full core clock."""
    start_hour: float = 12.0
    """Solar hour at the beginning."""
    start_day: float = 172.0
    """Day of the year at the beginning."""


def power_of(physics: Physics) -> PowerModel:
    """What a device draws where only its TDP is known: arithmetic alone reaches it, memory alone `MEMORY_SHARE` of the way.

    Raises BadFigure where the profile does not know its TDP or idle power.
    """
    if not (physics.tdp_w.known and physics.idle_w.known):
        raise BadFigure("tdp_w", physics.tdp_w.value, "the profile's TDP and idle power, or a `power` of the device")
    spare_w = physics.tdp_w.value - physics.idle_w.value
    return PowerModel(
        idle_w=physics.idle_w.value,
        arithmetic_w=spare_w,
        memory_w=MEMORY_SHARE * spare_w,
        limit_w=physics.tdp_w.value,
    )


def thermal_of(physics: Physics) -> Thermal:
    """A cooler sized for the device where nobody gives one. Every figure is an assumption.

    At its TDP it settles 45 K above the air with a time constant of a minute; two fifths of the resistance lie before the fins; standing
    air has five times the resistance of moving air; slowdown at 83 °C, back at 78 °C, off at 95 °C, between the limits that data-centre
    boards report (NVML: GPU Max Operating, Slowdown and Shutdown Temp).
    """
    resistance = _RISE_K / physics.tdp_w.value
    throttle_c, release_c, shutdown_c = _LIMITS_C
    return Thermal(
        heat_capacity_j_per_k=_TAU_S / resistance,
        case_k_per_w=_CASE_SHARE * resistance,
        flow_k_per_w=(1 - _CASE_SHARE) * resistance,
        still_k_per_w=_STILL * (1 - _CASE_SHARE) * resistance,
        throttle_c=throttle_c,
        release_c=release_c,
        shutdown_c=shutdown_c,
    )
