"""One place of the detailed simulation: its units, its link, its limits, what it draws and how warm it gets."""

import math
from collections.abc import Callable
from typing import Generic, TypeVar

from switchgear.gateway.health_formats import Telemetry
from switchgear.gateway.table import Target
from switchgear.hardware.power import board_w, clock_under
from switchgear.hardware.thermal import resistance_k_per_w, warmed_c
from switchgear.planner import simulate_arrays as tables
from switchgear.planner.fleet import Balance
from switchgear.planner.fleet_physics import Site, link_times_s
from switchgear.planner.routing import Draws, plain_fraction
from switchgear.planner.simulate_batch import Unit
from switchgear.planner.simulate_setup import TICK_S, TICKS_PER_TAU

_LEAST_CLOCK = 0.1
TELL_S = 5.0
"""How often health is read: `every_s` of the configuration, where nothing else is said."""
_HOT, _CAPPED = 0x48, 0x4
"""NVML's reasons: slowed down by the hardware for heat; held at a power limit."""
Call = TypeVar("Call")


class _Board:
    """What one unit drew and how warm it is."""

    __slots__ = ("at_s", "drawn_w", "energy_j", "hot", "hottest_c", "seen", "slow_s", "temperature_c")

    def __init__(self, ambient_c: float) -> None:
        self.at_s = self.drawn_w = self.energy_j = self.slow_s = 0.0
        self.temperature_c = self.hottest_c = ambient_c
        self.hot = False
        self.seen = (0.0, 0.0, 0.0)


class DetailedPlace(Generic[Call]):
    """A place under way, with attempts of calls of some kind."""

    def __init__(self, site: Site, target: Target) -> None:
        self.site = site
        self.target = target
        self.calls: dict[Call, None] = {}
        """Attempts under way, in the order in which they were asked."""
        self.owner: dict[int, Call] = {}
        """The call of each sequence at a unit, by the sequence's identity."""
        self.units: list[Unit] = []
        self.link_down = False
        self.link_s, self.link_byte_s = link_times_s(site.place.link)
        self.opened = self.peak_in_flight = 0
        self.link_busy_s = 0.0
        self._bound: dict[Call, int] = {}
        self._link_free_s = 0.0
        self._off = False
        self._turn = -1
        self._credit = site.observed.per_minute if site.observed is not None else 0.0
        self._credit_s = 0.0
        place = site.place
        for index in range(place.units if site.cost is not None else 0):
            weak = place.weak_factor if index >= place.units - place.weak_units else 1.0
            if site.cost is not None:
                self.units.append(Unit(site.cost, site.kv_blocks, place.max_batch, place.step_tokens, weak))
        self._boards = [_Board(place.ambient_c) for _ in self.units]
        self.tick_s = TICK_S
        if place.thermal is not None:
            tau_s = place.thermal.heat_capacity_j_per_k * resistance_k_per_w(place.thermal, place.fan)
            self.tick_s = min(TICK_S, tau_s / TICKS_PER_TAU)

    # -- attempts --

    def join(self, call: Call) -> None:
        """An attempt begins."""
        self.calls[call] = None
        self.peak_in_flight = max(self.peak_in_flight, self.target.backend_state.in_flight)

    def leave(self, call: Call) -> None:
        """It is over."""
        self.calls.pop(call, None)

    def bind(self, call: Call, index: int) -> None:
        """It goes to this unit."""
        self._bound[call] = index

    def unbind(self, call: Call) -> None:
        self._bound.pop(call, None)

    def bound(self, call: Call) -> bool:
        """Whether it is at a unit, or before its front."""
        return call in self._bound

    def unit_of(self, call: Call) -> int:
        return self._bound[call]

    @property
    def up(self) -> bool:
        """Whether any of it answers."""
        return not self._off if not self.units else any(not unit.down for unit in self.units)

    def unit_for(self, draws: Draws, blocks: tuple[int, ...]) -> int | None:
        """The unit that the place's balancer picks; None when all are off."""
        up = [index for index, unit in enumerate(self.units) if not unit.down]
        n, balance = len(self.units), self.site.place.balance
        if not up:
            return None
        if n == 1:
            return 0
        if balance == Balance.TWO_CHOICES and len(up) == n:
            one, other = draws.sample(range(n), 2)
            return int(one if self.units[one].load <= self.units[other].load else other)
        if balance == Balance.ROUND_ROBIN:
            for _ in range(n):
                self._turn = (self._turn + 1) % n
                if not self.units[self._turn].down:
                    return self._turn
        if balance == Balance.PREFIX and blocks:
            at = int(plain_fraction(draws.stream, blocks[0], 0) * n)
            for _ in range(n):
                unit = self.units[at]
                if not unit.down and unit.load * len(up) <= 2 * self.target.backend_state.in_flight:
                    return at
                at = (at + 1) % n
        return min(up, key=lambda index: self.units[index].load)

    # -- the way there, and a cloud --

    def sent_s(self, size_bytes: float, now_s: float) -> float:
        """When a message that is sent now, behind those before it, has arrived."""
        lasts_s = size_bytes * self.link_byte_s
        if not self.link_s and not self.link_byte_s:
            return now_s
        self._link_free_s = max(now_s, self._link_free_s) + lasts_s
        self.link_busy_s += lasts_s
        return self._link_free_s + self.link_s

    def rest_s(self, now_s: float) -> float:
        """0 where the rate limit lets a call through, which it then counts; else the seconds to come back after."""
        seen = self.site.observed
        if seen is None:
            return 0.0
        per_s = seen.per_minute / 60.0
        self._credit = min(seen.per_minute, self._credit + (now_s - self._credit_s) * per_s)
        self._credit_s = now_s
        if self._off:
            return 0.0
        if self._credit < 1.0:
            return max(1.0, math.ceil((1.0 - self._credit) / per_s))
        self._credit -= 1.0
        return 0.0

    def seen_first_s(self, draws: Draws) -> float:
        """A draw of the time to the first token (Box and Muller, 1958)."""
        seen = self.site.observed
        if seen is None:
            return 0.0
        one, two = draws.random(), draws.random()
        normal = math.sqrt(-2 * math.log(1 - one)) * math.cos(2 * math.pi * two)
        return math.exp(math.log(seen.median_s) + seen.sigma * normal)

    def seen_rest_s(self, output_tokens: int) -> float:
        """From the first token to the last."""
        return max(0, output_tokens - 1) * self.site.observed.token_s if self.site.observed is not None else 0.0

    # -- faults, power, heat --

    def edge(self, edge: tables.Table, first_unit: int) -> Callable[[Call], bool]:
        """A fault begins or ends. Returns which attempts are lost by it."""
        kind = int(edge["kind"])
        if kind in (tables.LINK_OFF, tables.LINK_ON):
            self.link_down = kind == tables.LINK_OFF
            return lambda call: False
        if not self.units:
            self._off = kind == tables.OFF
            return lambda call: kind == tables.OFF
        hit = range(int(edge["first"]) - first_unit, int(edge["last"]) - first_unit)
        for index in hit:
            unit = self.units[index]
            if kind == tables.PACE:
                unit.slow = float(edge["value"])
            else:
                unit.down = kind == tables.OFF
                if unit.down:
                    unit.wipe(float(edge["at_s"]))
        return lambda call: kind == tables.OFF and self._bound.get(call, -1) in hit

    def tick(self, now_s: float) -> None:
        """What the units drew since the last tick, how warm that made them, and what clock that leaves."""
        for unit, board in zip(self.units, self._boards, strict=True):
            lasted_s = now_s - board.at_s
            if lasted_s > 0:
                self._tick(unit, board, now_s, lasted_s)

    def _tick(self, unit: Unit, board: _Board, now_s: float, lasted_s: float) -> None:
        place, power = self.site.place, self.site.power
        if power is None:
            return
        seen = unit.activity(now_s)
        arithmetic, memory = (min(1.0, max(0.0, (seen[i] - board.seen[i]) / lasted_s)) for i in (0, 1))
        busy = (seen[2] - board.seen[2]) / lasted_s
        drawn_w = 0.0 if unit.down else board_w(power, arithmetic, memory, unit.clock)
        board.drawn_w = drawn_w
        board.energy_j += drawn_w * lasted_s
        board.slow_s += lasted_s if unit.clock < 1 else 0.0
        clock = 1.0
        if busy > 1e-9:
            clock = clock_under(power, min(1.0, arithmetic / busy), min(1.0, memory / busy))
            clock = max(_LEAST_CLOCK, clock)
        if place.thermal is not None:
            board.temperature_c = warmed_c(
                place.thermal, board.temperature_c, drawn_w, place.ambient_c, place.fan, lasted_s
            )
            board.hottest_c = max(board.hottest_c, board.temperature_c)
            if board.temperature_c >= place.thermal.throttle_c:
                board.hot = True
            elif board.temperature_c <= place.thermal.release_c:
                board.hot = False
            if board.hot:
                clock = min(clock, place.thermal.throttle_clock)
        if abs(clock - unit.clock) > 0.005:
            unit.clock = clock
        board.at_s, board.seen = now_s, seen

    def tell(self, now_s: float) -> None:
        """What the gateway's poller would read now, taken in by its own health. A place that is off, or cut off, tells nothing."""
        health = self.target.backend_state.health
        if health is None:
            return
        if health.energy is not None and health.energy.grid is not None:
            health.grid_g_per_kwh = health.energy.grid.at_g_per_kwh(now_s)
        if health.source is None:
            return
        if self.link_down or not self.up:
            health.miss("no answer")
            return
        self.tick(now_s)
        health.take(self._telemetry(now_s), now_s)

    def _telemetry(self, now_s: float) -> Telemetry:
        """Of all boards together, as a reading has it: the worst counts, power and energy add up."""
        thermal, power, devices = self.site.place.thermal, self.site.power, self.site.place.devices
        hottest_c = max(board.temperature_c for board in self._boards) if thermal is not None else None
        reasons = 0
        for unit, board in zip(self.units, self._boards, strict=True):
            if board.hot:
                reasons |= _HOT
            elif unit.clock < 1:
                reasons |= _CAPPED
        return Telemetry(
            temperature_c=hottest_c,
            headroom_k=None if thermal is None or hottest_c is None else thermal.throttle_c - hottest_c,
            power_w=devices * sum(board.drawn_w for board in self._boards),
            power_limit_w=None if power is None else devices * len(self.units) * power.limit_w,
            energy_j=devices * sum(board.energy_j for board in self._boards),
            reasons=reasons,
            prompt_tokens=float(sum(unit.counts.tokens_in for unit in self.units)),
            generated_tokens=float(sum(unit.counts.tokens_out for unit in self.units)),
            told_s=now_s,
        )

    def write(self, place: tables.Table, units: tables.Table) -> None:
        """What was counted, into rows of `simulate_arrays`."""
        place["peak_in_flight"], place["opened"] = self.peak_in_flight, self.target.state.breaker.opened
        place["link_busy_s"] = self.link_busy_s
        for row, unit, board in zip(units, self.units, self._boards, strict=bool(self.units)):
            counts = unit.counts
            for name in type(counts).__slots__:
                row[name] = getattr(counts, name)
            row["energy_j"], row["slow_s"], row["hottest_c"] = board.energy_j, board.slow_s, board.hottest_c
