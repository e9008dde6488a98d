"""A device's body: heat, power, battery, and whether it is on. Exact between events, and moved by events alone.

The state (`State`) stands at the last event: a step of the engine that began, a threshold of temperature, a battery that ran empty, a
change of the conditions, the end of a start. Between two events power is constant, so temperature is an exponential and charge a line,
and `read` computes either for any moment without moving anything. So nothing depends on how often somebody looks, or on a size of step.
"""

import math
from collections.abc import Callable

import msgspec

from switchgear.emulator.body_model import LEAST_CLOCK, Figures, OffReason, Run
from switchgear.emulator.conditions import Timeline
from switchgear.hardware import battery as batteries
from switchgear.hardware.errors import BadFigure
from switchgear.hardware.power import board_w, clock_under, dynamic_w
from switchgear.hardware.roofline import StepCost, StepLoad
from switchgear.hardware.solar import solar_at_w
from switchgear.hardware.thermal import Throttle, resistance_k_per_w, until_s, warmed_c

_SUN_STEP_S = 300.0
"""How often the sun's height is looked at."""
_CLOSE_S = 1e-9
_CLOSE_CHARGE = 1e-9
_SPARE_CHARGE = 0.1
"""Above the cut-off, before a device that ran its battery empty starts again on it: it would flutter otherwise."""


class State(msgspec.Struct, kw_only=True):
    """Where the body stands at `at_s`. All counters begin at 0."""

    at_s: float = 0.0
    temperature_c: float
    throttle: Throttle = Throttle.NONE
    run: Run = Run.ON
    off: OffReason = OffReason.NONE
    booted_s: float = 0.0
    """When a start under way ends."""
    busy_until_s: float = 0.0
    arithmetic: float = 0.0
    """Activity of the step under way, 0 to 1; of memory the next."""
    memory: float = 0.0
    capped: float = 1.0
    """The clock that the power limit leaves to the step under way."""
    charge: float = 1.0
    energy_j: float = 0.0
    slow_s: float = 0.0
    """Seconds slowed down by heat."""
    capped_s: float = 0.0
    """Seconds slowed down by the power limit."""
    off_s: float = 0.0
    """Seconds neither on nor starting."""
    busy_s: float = 0.0
    boots: int = 0
    outages: int = 0
    """How often it went off."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What an instrument on the device would show."""

    at_s: float
    run: Run
    off: OffReason
    temperature_c: float
    power_w: float
    clock: float
    """Core clock as a fraction of the full one; 0 when off."""
    throttle: Throttle
    power_capped: bool
    power_limit_w: float
    charge: float | None
    energy_j: float
    slow_s: float
    capped_s: float
    off_s: float
    busy_s: float
    busy: bool


class Body:
    """One device's body. `went_off` is called with the time whenever it goes off, before anything later happens."""

    def __init__(
        self, figures: Figures, timeline: Timeline, went_off: Callable[[float], None] = lambda at_s: None
    ) -> None:
        self.figures = figures
        self.timeline = timeline
        self.went_off = went_off
        self.conditions = timeline.at(0.0)
        self._next_change_s = _or_never(timeline.after(0.0))
        self._next_sun_s = _SUN_STEP_S if figures.solar is not None else math.inf
        idle_c = figures.ambient_c + figures.power.idle_w * self._resistance()
        charge = figures.charge if self.conditions.charge is None else self.conditions.charge
        self.state = State(temperature_c=idle_c, charge=charge)
        self.frozen: Reading | None = None
        """The reading that is published over and over, while telemetry is frozen."""
        self._supply_w = self._source_w(0.0)
        if figures.battery is not None and figures.battery.most_out_w < figures.power.limit_w:
            raise BadFigure(
                "discharge_c_rate",
                figures.battery.discharge_c_rate,
                f"a battery that can give the board's limit of {figures.power.limit_w:g} W",
            )
        self._judge_heat()
        self._judge_power()
        if self.conditions.frozen:
            self.frozen = self._project(0.0)
        self._next_s = self._next()

    # -- for the engine --

    def begin_step(self, cost: StepCost, load: StepLoad, begins_s: float) -> float:
        """A step begins: how long it lasts at the clock that heat and power leave, and from now on what it draws."""
        self.settle(begins_s)
        self._move(begins_s)
        state, power, conditions = self.state, self.figures.power, self.conditions
        arithmetic_s, traffic_s, overhead_s = cost.arithmetic_s(load), cost.traffic_s(load), cost.overhead_s(load)
        full_s = max(arithmetic_s, traffic_s) + overhead_s
        limit_w = conditions.limit * power.limit_w
        state.capped = max(LEAST_CLOCK, clock_under(power, arithmetic_s / full_s, traffic_s / full_s, limit_w))
        clock = min(self._heat_clock(), state.capped)
        lasts_s = max(arithmetic_s / clock, traffic_s) + overhead_s
        state.arithmetic = min(1.0, arithmetic_s / clock / lasts_s)
        state.memory = min(1.0, traffic_s / lasts_s)
        added_w, spare_w = float(dynamic_w(power, state.arithmetic, state.memory, clock)), limit_w - power.idle_w
        if added_w > spare_w > 0:  # the lowest clock is not low enough: it also skips cycles
            lasts_s *= added_w / spare_w
            state.arithmetic *= spare_w / added_w
            state.memory *= spare_w / added_w
        lasts_s *= conditions.step_factor
        state.busy_until_s = begins_s + lasts_s
        self._next_s = self._next()
        return float(lasts_s)

    def settle(self, until_s: float) -> None:
        """Let every event happen that is due by a time. The state then stands at the last of them."""
        while self._next_s <= until_s:
            at_s = self._next_s
            self._move(at_s)
            self._happen(at_s)
            self._next_s = self._next()

    def next_event_s(self) -> float:
        """When the body changes by itself; infinite where it does not."""
        return self._next_s

    def read(self, at_s: float) -> Reading:
        """What instruments show at a time, not before the last event."""
        self.settle(at_s)
        return self._project(at_s)

    # -- what happens --

    def _happen(self, at_s: float) -> None:
        state = self.state
        if at_s >= self._next_change_s:
            self._change(at_s)
        if at_s >= self._next_sun_s:
            self._next_sun_s += _SUN_STEP_S
        self._supply_w = self._source_w(at_s)
        self._judge_heat()
        if state.run is Run.BOOTING and at_s >= state.booted_s:
            state.run = Run.ON
        self._judge_power()

    def _judge_heat(self) -> None:
        """What a temperature means, given what it meant before: hysteresis."""
        state, thermal = self.state, self.figures.thermal
        if state.throttle is Throttle.SLOW and state.temperature_c <= thermal.release_c:
            state.throttle = Throttle.NONE
        elif state.throttle is Throttle.NONE and state.temperature_c >= thermal.throttle_c:
            state.throttle = Throttle.SLOW
        if state.run is not Run.OFF and state.temperature_c >= thermal.shutdown_c:
            self._go_off(OffReason.HEAT)

    def _change(self, at_s: float) -> None:
        """Other conditions hold from now on."""
        before, after = self.conditions, self.timeline.at(at_s)
        if after.frozen and not before.frozen:
            self.frozen = self._project(at_s)
        if after.charge is not None and after.charge != before.charge:
            self.state.charge = after.charge
        self.conditions = after
        self._next_change_s = _or_never(self.timeline.after(at_s))
        if after.firmware != before.firmware and self.state.run is not Run.OFF:
            self._lose()
            self._boot()

    def _judge_power(self) -> None:
        """Go off where there is no power for it, start where there is again."""
        state, battery = self.state, self.figures.battery
        reason = OffReason.NONE
        if self.conditions.maintained:
            reason = OffReason.MAINTENANCE
        elif self.conditions.limit * self.figures.power.limit_w <= self.figures.power.idle_w:
            reason = OffReason.POWER
        elif not self.conditions.mains:
            if battery is None:
                reason = OffReason.POWER
            elif not self._carried(battery):
                reason = OffReason.BATTERY
        if reason and state.run is not Run.OFF:
            self._go_off(reason)
        elif state.run is Run.OFF and not reason and state.temperature_c <= self.figures.thermal.release_c:
            state.throttle = Throttle.NONE
            self._boot()
        elif state.run is Run.OFF and reason:
            state.off = reason

    def _carried(self, battery: batteries.Battery) -> bool:
        """Whether battery and sun carry it."""
        if self.state.run is Run.OFF:
            return self.state.charge >= _starts_at(battery) - _CLOSE_CHARGE
        load_w = self._power_w()
        return batteries.empty_s(battery, self.state.charge, load_w, self._supply_w) > _CLOSE_S

    def _go_off(self, reason: OffReason) -> None:
        state = self.state
        state.run, state.off = Run.OFF, reason
        state.outages += 1
        self._lose()

    def _lose(self) -> None:
        """What was under way is gone."""
        self.state.busy_until_s = self.state.at_s
        self.went_off(self.state.at_s)

    def _boot(self) -> None:
        state = self.state
        state.run, state.off = Run.BOOTING, OffReason.NONE
        state.boots += 1
        state.booted_s = state.at_s + self.figures.boot_s * self.conditions.load_factor

    # -- between events --

    def _next(self) -> float:
        """When something happens next."""
        state = self.state
        power_w = self._power_w()
        times = [self._next_change_s, self._next_sun_s]
        if state.busy_until_s > state.at_s:
            times.append(state.busy_until_s)
        if state.run is Run.BOOTING:
            times.append(state.booted_s)
        times.extend(state.at_s + self._until_s(reached, power_w) for reached in self._thresholds())
        if self.figures.battery is not None and not self.conditions.mains:
            times.append(state.at_s + self._battery_s(self.figures.battery, power_w))
        return max(state.at_s, min(times))

    def _thresholds(self) -> list[float]:
        thermal = self.figures.thermal
        if self.state.run is Run.OFF:
            return [thermal.release_c] if self.state.temperature_c > thermal.release_c else []
        if self.state.throttle is Throttle.NONE:
            return [thermal.throttle_c]
        return [thermal.release_c, thermal.shutdown_c]

    def _until_s(self, reached_c: float, power_w: float) -> float:
        state = self.state
        return until_s(self.figures.thermal, state.temperature_c, reached_c, power_w, self._ambient_c(), self._fan())

    def _battery_s(self, battery: batteries.Battery, power_w: float) -> float:
        """Seconds until the battery is empty, or, of one that is, until it is charged enough for a start."""
        state = self.state
        if state.run is not Run.OFF:
            return batteries.empty_s(battery, state.charge, power_w, self._supply_w)
        lack = _starts_at(battery) - state.charge
        gain_w = min(self._supply_w, battery.most_in_w) * battery.charge_efficiency - battery.self_discharge_w
        return lack * battery.capacity_j / gain_w if gain_w > 0 and lack > _CLOSE_CHARGE else math.inf

    def _move(self, at_s: float) -> None:
        """Let the time pass until `at_s`, at which nothing has happened yet since the last event."""
        state = self.state
        lasts_s = at_s - state.at_s
        if lasts_s <= 0:
            return
        power_w, busy = self._power_w(), self._busy()
        state.temperature_c = self._warmed_c(power_w, lasts_s)
        state.charge = self._charged(power_w, lasts_s)
        state.energy_j += power_w * lasts_s
        state.slow_s += lasts_s if state.throttle is Throttle.SLOW and state.run is not Run.OFF else 0.0
        state.capped_s += lasts_s if busy and self._power_capped() else 0.0
        state.off_s += lasts_s if state.run is Run.OFF else 0.0
        state.busy_s += lasts_s if busy else 0.0
        state.at_s = at_s

    def _warmed_c(self, power_w: float, lasts_s: float) -> float:
        state = self.state
        after = warmed_c(self.figures.thermal, state.temperature_c, power_w, self._ambient_c(), self._fan(), lasts_s)
        for reached in self._thresholds():  # land exactly on it, so that rounding cannot miss it
            if abs(after - reached) < 1e-7:
                return reached
        return after

    def _charged(self, power_w: float, lasts_s: float) -> float:
        battery, charge = self.figures.battery, self.state.charge
        if battery is None:
            return charge
        if self.conditions.mains:
            return batteries.advance(battery, charge, lasts_s, 0.0, battery.most_in_w).charge
        return batteries.advance(battery, charge, lasts_s, power_w, self._supply_w).charge

    def _project(self, at_s: float) -> Reading:
        state = self.state
        lasts_s = max(0.0, at_s - state.at_s)
        power_w, busy = self._power_w(), self._busy()
        off, slow = state.run is Run.OFF, state.throttle is Throttle.SLOW
        capped = busy and self._power_capped()
        return Reading(
            at_s=at_s,
            run=state.run,
            off=state.off,
            temperature_c=self._warmed_c(power_w, lasts_s),
            power_w=power_w,
            clock=0.0 if off else min(self._heat_clock(), state.capped if busy else 1.0),
            throttle=Throttle.OFF if state.off is OffReason.HEAT else state.throttle,
            power_capped=capped,
            power_limit_w=self.conditions.limit * self.figures.power.limit_w,
            charge=None if self.figures.battery is None else self._charged(power_w, lasts_s),
            energy_j=state.energy_j + power_w * lasts_s,
            slow_s=state.slow_s + (lasts_s if slow and not off else 0.0),
            capped_s=state.capped_s + (lasts_s if capped else 0.0),
            off_s=state.off_s + (lasts_s if off else 0.0),
            busy_s=state.busy_s + (lasts_s if busy else 0.0),
            busy=busy,
        )

    # -- figures of the moment --

    def _busy(self) -> bool:
        return self.state.run is Run.ON and self.state.busy_until_s > self.state.at_s

    def _power_capped(self) -> bool:
        return self.state.capped < 1.0

    def _power_w(self) -> float:
        state, power = self.state, self.figures.power
        if state.run is Run.OFF:
            return 0.0
        if not self._busy():
            return power.idle_w
        clock = min(self._heat_clock(), state.capped)
        return min(board_w(power, state.arithmetic, state.memory, clock), self.conditions.limit * power.limit_w)

    def _heat_clock(self) -> float:
        return 1.0 if self.state.throttle is Throttle.NONE else self.figures.thermal.throttle_clock

    def _ambient_c(self) -> float:
        return self.figures.ambient_c + self.conditions.warmer_k

    def _fan(self) -> float:
        return self.figures.fan * self.conditions.fan

    def _resistance(self) -> float:
        return resistance_k_per_w(self.figures.thermal, self._fan())

    def _source_w(self, at_s: float) -> float:
        """What the panels give."""
        figures = self.figures
        if figures.solar is None or not self.conditions.sun:
            return 0.0
        return solar_at_w(figures.solar, figures.start_day, figures.start_hour * 3600 + at_s)


def _starts_at(battery: batteries.Battery) -> float:
    """State of charge from which a device that is off starts on it."""
    return min(1.0, battery.cut_off + _SPARE_CHARGE)


def _or_never(time_s: float | None) -> float:
    return math.inf if time_s is None else time_s
