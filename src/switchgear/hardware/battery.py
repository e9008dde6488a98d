"""A battery as a reservoir of energy: what it can give and take, and for how long.

The energy reservoir model (Rosewater et al., "Battery Energy Storage Models for Optimal Control", IEEE Access 7, 2019, section II): stored
energy changes by the power at the terminals, times the efficiency on the way in and divided by it on the way out, within limits of power
and of state of charge. It is linear between limits, so `advance` is exact for any length of step. Not modelled: that capacity falls with
age, cold and high currents, and that voltage falls with charge.
"""

import math

import msgspec

from switchgear.hardware.bounds import efficiency, finite, fraction, not_negative, positive
from switchgear.hardware.errors import BadFigure

_S_PER_H = 3600.0


class Battery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a battery is. Raises BadFigure."""

    capacity_wh: float
    charge_c_rate: float = 0.5
    """Largest charging power as a multiple of the capacity in one hour: 0.5 fills it in two hours."""
    discharge_c_rate: float = 1.0
    charge_efficiency: float = 0.97
    """Of the power at the terminals that is stored. Assumed, like the next: together 94 % there and back, as lithium-ion cells reach."""
    discharge_efficiency: float = 0.97
    cut_off: float = 0.1
    """State of charge at which it stops giving, to protect its cells."""
    self_discharge_w: float = 0.0
    """What it loses all the time, its management system included."""

    def __post_init__(self) -> None:
        positive(capacity_wh=self.capacity_wh, charge_c_rate=self.charge_c_rate, discharge_c_rate=self.discharge_c_rate)
        efficiency(charge_efficiency=self.charge_efficiency, discharge_efficiency=self.discharge_efficiency)
        not_negative(self_discharge_w=self.self_discharge_w)
        if not 0 <= self.cut_off < 1:
            raise BadFigure("cut_off", self.cut_off, "a state of charge from 0 to below 1")

    @property
    def capacity_j(self) -> float:
        return self.capacity_wh * _S_PER_H

    @property
    def most_in_w(self) -> float:
        """Largest charging power at the terminals."""
        return self.capacity_wh * self.charge_c_rate

    @property
    def most_out_w(self) -> float:
        """Largest discharging power at the terminals."""
        return self.capacity_wh * self.discharge_c_rate


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """What one call of `advance` brought."""

    charge: float
    """State of charge at the end, 0 to 1."""
    served_s: float
    """Seconds for which the whole load was met; less than asked where the battery ran out or cannot give so much."""
    given_j: float
    """Energy at the terminals into the load."""
    taken_j: float
    """Energy at the terminals out of the source, for the battery alone."""
    unused_j: float
    """Energy that the source offered and nobody could take."""


def advance(battery: Battery, charge: float, seconds: float, load_w: float, source_w: float = 0.0) -> Flow:
    """Go on for `seconds` with a constant load and a constant source (solar, mains). The source feeds the load first.

    A load larger than source and battery together can serve is not served at all, from that moment on: devices do not run on half of
    their power. Raises BadFigure.
    """
    fraction(charge=charge)
    not_negative(seconds=seconds, load_w=load_w, source_w=source_w)
    lack_w = load_w - source_w
    if lack_w > battery.most_out_w or (lack_w > 0 and charge <= battery.cut_off):
        return _charging(battery, charge, seconds, source_w, 0.0)
    if lack_w <= 0:
        return _charging(battery, charge, seconds, -lack_w, seconds)
    drain_w = lack_w / battery.discharge_efficiency + battery.self_discharge_w
    lasts_s = min(seconds, (charge - battery.cut_off) * battery.capacity_j / drain_w)
    left = charge - drain_w * lasts_s / battery.capacity_j
    if lasts_s >= seconds:
        return Flow(charge=left, served_s=seconds, given_j=lack_w * seconds, taken_j=0.0, unused_j=0.0)
    rest = _charging(battery, battery.cut_off, seconds - lasts_s, source_w, 0.0)
    return msgspec.structs.replace(rest, served_s=lasts_s, given_j=lack_w * lasts_s)


def empty_s(battery: Battery, charge: float, load_w: float, source_w: float = 0.0) -> float:
    """Seconds for which the load can be served; infinite where the source alone carries it, 0 where it is too large."""
    fraction(charge=charge)
    not_negative(load_w=load_w, source_w=source_w)
    lack_w = load_w - source_w
    if lack_w <= 0:
        return math.inf
    if lack_w > battery.most_out_w:
        return 0.0
    drain_w = lack_w / battery.discharge_efficiency + battery.self_discharge_w
    return max(0.0, charge - battery.cut_off) * battery.capacity_j / drain_w


def full_s(battery: Battery, charge: float, spare_w: float) -> float:
    """Seconds until it is full with `spare_w` at its terminals; infinite where that never happens."""
    fraction(charge=charge)
    finite(spare_w=spare_w)
    gain_w = min(max(spare_w, 0.0), battery.most_in_w) * battery.charge_efficiency - battery.self_discharge_w
    if charge >= 1:
        return 0.0
    return (1 - charge) * battery.capacity_j / gain_w if gain_w > 0 else math.inf


def _charging(battery: Battery, charge: float, seconds: float, spare_w: float, served_s: float) -> Flow:
    """`seconds` in which nothing is drawn from it."""
    into_w = min(spare_w, battery.most_in_w)
    gain_w = into_w * battery.charge_efficiency - battery.self_discharge_w
    filling_s = min(seconds, full_s(battery, charge, spare_w))
    if gain_w >= 0:
        holding_w = min(into_w, battery.self_discharge_w / battery.charge_efficiency)
        taken_j = into_w * filling_s + holding_w * (seconds - filling_s)
        reached = 1.0 if filling_s < seconds else charge + gain_w * filling_s / battery.capacity_j
    else:
        taken_j = into_w * seconds
        reached = charge + gain_w * seconds / battery.capacity_j
    return Flow(
        charge=min(1.0, max(0.0, reached)),
        served_s=served_s,
        given_j=0.0,
        taken_j=taken_j,
        unused_j=max(0.0, spare_w * seconds - taken_j),
    )
