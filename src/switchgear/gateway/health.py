"""What the gateway knows of a backend's hardware, and what it makes of that for routing. Pure: the caller brings the time.

Three standings, and no fourth. **Good**: a fresh reading says so. **Unknown**: none was asked for, none came, it is stale, or it does not
say what counts. **Bad**: a fresh reading says that the device is slowed down, about to be, short of memory, unsure of itself, or going
away. Unknown is never taken for good: it comes behind what is known to be good, and ahead of what is known to be bad.
"""

import math
from collections import deque
from enum import StrEnum

from switchgear.core.health import J_PER_KWH, Energy, HealthSource
from switchgear.gateway.health_formats import SLOWING, Telemetry

_LEAST_HEADROOM_K = 1.0
_EASY_HEADROOM_K = 20.0
"""With so much headroom, heat does not count."""
_TREND_TAU = 2 / 3
"""Time constant of a trend's smoothing, in horizons; the next two are in horizons too."""
_LEAST_MEMORY = 0.01
_LEAST_CONFIDENCE = 0.5
_LEAST_CHARGE = 0.15
_OUTAGE_AHEAD = 1 / 3
"""Calls are kept away so long before an announced outage, so that those under way come to their end."""
_METER = 4.0
"""Joules and tokens of so long a time are set against each other."""
_LEAST_TOKENS = 20.0
PROMPT_WEIGHT = 0.1
"""Assumed, where only joules and tokens of all calls together are known: a prompt's token costs a tenth of a generated one."""


class Standing(StrEnum):
    """How a backend's hardware stands."""

    GOOD = "good"
    UNKNOWN = "unknown"
    BAD = "bad"


RANK = {Standing.GOOD: 0, Standing.UNKNOWN: 1, Standing.BAD: 2}


class BackendHealth:
    """Live health of one backend. Written by the poller, read by strategies and by the live view. Times are monotonic."""

    __slots__ = (
        "_fresh_s",
        "_horizon_s",
        "_meter",
        "_outage_s",
        "_trend_k_per_s",
        "energy",
        "error",
        "grid_g_per_kwh",
        "pressure",
        "source",
        "telemetry",
        "token_j",
        "trouble",
    )

    def __init__(self, source: HealthSource | None = None, energy: Energy | None = None) -> None:
        self.source = source
        self._horizon_s = source.horizon_s if source is not None else 0.0
        self.energy = energy
        self.telemetry: Telemetry | None = None
        self.error = "not read yet" if source is not None else "no telemetry is configured"
        """Why there is no fresh reading; empty when the last asking brought one."""
        self.trouble = ""
        """Why the last reading is bad; empty where it is not."""
        self.pressure = 1.0
        """How near the device is to its limits by the last reading: 0 far, 1 there."""
        self.token_j: float | None = None
        """Measured joules of a generated token; a prompt's token is `PROMPT_WEIGHT` of it."""
        self.grid_g_per_kwh: float | None = None
        """Of this hour; kept by the poller."""
        self._fresh_s = -math.inf
        self._trend_k_per_s = 0.0
        self._outage_s: tuple[float, float] | None = None
        self._meter: deque[tuple[float, float, float]] = deque()

    # -- written by the poller --

    def take(self, telemetry: Telemetry, now_s: float) -> None:
        """A reading came. One that only repeats the last, as a stuck exporter's does, is no news: it ages as that one does."""
        last = self.telemetry
        if last is not None and _stuck(last, telemetry):
            self.error = "the readings repeat themselves"
            return
        self._follow(last, telemetry, now_s)
        self._meter_tokens(telemetry, now_s)
        self.telemetry, self.error, self._fresh_s = telemetry, "", now_s
        outage = telemetry.outage_in_s
        self._outage_s = None if outage is None else (now_s + outage[0], now_s + outage[1])
        self.pressure = self._pressure(telemetry)
        self.trouble = self._trouble(telemetry)

    def miss(self, error: str) -> None:
        """An asking brought nothing. What is known ages."""
        self.error = error

    # -- read while routing --

    def standing(self, now_s: float) -> Standing:
        """How it stands now."""
        telemetry, source = self.telemetry, self.source
        if telemetry is None or source is None or now_s - self._fresh_s > source.stale_s:
            return Standing.UNKNOWN
        if self.trouble or self.going_away(now_s):
            return Standing.BAD
        return Standing.UNKNOWN if telemetry.headroom_k is None and telemetry.reasons is None else Standing.GOOD

    def going_away(self, now_s: float) -> bool:
        """Whether an announced outage is about to begin, or under way."""
        outage = self._outage_s
        return outage is not None and outage[0] - _OUTAGE_AHEAD * self._horizon_s <= now_s < outage[1]

    @property
    def metered(self) -> bool:
        """Whether the last reading has a meter of energy and a count of tokens: calls will tell what a token takes."""
        telemetry = self.telemetry
        return telemetry is not None and telemetry.energy_j is not None and telemetry.generated_tokens is not None

    def call_j(self, prompt_tokens: int, completion_tokens: int, now_s: float) -> float | None:
        """Joules of a call: by the meter where a fresh one is read, else as stated; None where neither is."""
        source = self.source
        if source is not None and self.token_j is not None and now_s - self._fresh_s <= source.stale_s:
            return self.token_j * (completion_tokens + PROMPT_WEIGHT * prompt_tokens)
        energy = self.energy
        if energy is None or energy.prompt_token_j is None or energy.completion_token_j is None:
            return None
        return energy.prompt_token_j * prompt_tokens + energy.completion_token_j * completion_tokens

    def call_g(self, call_j: float | None) -> float | None:
        """Grams of CO2 of so many joules by this hour's grid; None where either is unknown."""
        grid = self.grid_g_per_kwh
        return None if call_j is None or grid is None else call_j / J_PER_KWH * grid

    def view(self, now_s: float) -> dict[str, object]:
        """For the live state: what is known, how old it is, and what is made of it."""
        telemetry = self.telemetry
        return {
            "standing": self.standing(now_s).value,
            "why": self.trouble or ("an announced outage" if self.going_away(now_s) else "") or self.error,
            "age_s": None if telemetry is None else now_s - self._fresh_s,
            "temperature_c": None if telemetry is None else telemetry.temperature_c,
            "headroom_k": None if telemetry is None else telemetry.headroom_k,
            "trend_k_per_s": self._trend_k_per_s,
            "power_w": None if telemetry is None else telemetry.power_w,
            "memory_free": None if telemetry is None else telemetry.memory_free,
            "pressure": self.pressure,
            "token_j": self.token_j,
            "grid_g_per_kwh": self.grid_g_per_kwh,
        }

    # -- what a reading means --

    def _follow(self, last: Telemetry | None, telemetry: Telemetry, now_s: float) -> None:
        """The trend of the temperature, smoothed."""
        lasted_s = now_s - self._fresh_s
        if last is None or last.temperature_c is None or telemetry.temperature_c is None or not 0 < lasted_s < math.inf:
            self._trend_k_per_s = 0.0
            return
        weight = 1 - math.exp(-lasted_s / (_TREND_TAU * self._horizon_s))
        fresh = (telemetry.temperature_c - last.temperature_c) / lasted_s
        self._trend_k_per_s += weight * (fresh - self._trend_k_per_s)

    def _meter_tokens(self, telemetry: Telemetry, now_s: float) -> None:
        """Joules of a token, from the meter of energy and the counters of tokens over the last few horizons."""
        if telemetry.energy_j is None or telemetry.generated_tokens is None:
            self._meter.clear()
            self.token_j = None
            return
        tokens = telemetry.generated_tokens + PROMPT_WEIGHT * (telemetry.prompt_tokens or 0.0)
        meter = self._meter
        if meter and (meter[-1][1] > telemetry.energy_j or meter[-1][2] > tokens):  # counted anew after a restart
            meter.clear()
        meter.append((now_s, telemetry.energy_j, tokens))
        while len(meter) > 2 and meter[1][0] <= now_s - _METER * self._horizon_s:
            meter.popleft()
        made = tokens - meter[0][2]
        if made >= _LEAST_TOKENS:
            self.token_j = (telemetry.energy_j - meter[0][1]) / made

    def _pressure(self, telemetry: Telemetry) -> float:
        """The tightest of heat (as the trend will have it), power and memory, 0 to 1. What is not said counts as tight as can be."""
        heat = 1.0
        if telemetry.headroom_k is not None:
            heat = 1 - self._expected_headroom_k(telemetry.headroom_k) / _EASY_HEADROOM_K
        power = 0.0
        if telemetry.power_w is not None and telemetry.power_limit_w:
            power = (
                telemetry.power_w / telemetry.power_limit_w - 0.5
            )  # half of the limit is no pressure, all of it half
        memory = (
            0.0 if telemetry.memory_free is None or telemetry.memory_free > 0.05 else 1 - telemetry.memory_free / 0.05
        )
        return min(1.0, max(0.0, heat, power, memory))

    def _expected_headroom_k(self, headroom_k: float) -> float:
        """Headroom at the horizon if a rise goes on; a fall is not counted on."""
        return headroom_k - max(0.0, self._trend_k_per_s) * self._horizon_s

    def _trouble(self, telemetry: Telemetry) -> str:
        if telemetry.reasons is not None:
            slowed = [name for bit, name in SLOWING.items() if telemetry.reasons & bit and bit != 0x4]
            if slowed:
                return f"slowed down: {', '.join(slowed)}"
        if telemetry.headroom_k is not None:
            expected_k = self._expected_headroom_k(telemetry.headroom_k)
            if expected_k < _LEAST_HEADROOM_K:
                return f"too hot within {self._horizon_s:g} s: {telemetry.headroom_k:.1f} K left"
        if telemetry.memory_free is not None and telemetry.memory_free < _LEAST_MEMORY:
            return "out of memory"
        if telemetry.confidence is not None and telemetry.confidence < _LEAST_CONFIDENCE:
            return f"confidence in itself {telemetry.confidence:.2f}"
        if telemetry.charge is not None and telemetry.charge < _LEAST_CHARGE:
            return f"battery at {telemetry.charge:.0%}"
        return ""


def _stuck(last: Telemetry, now: Telemetry) -> bool:
    """Whether a meter that must run stands still: the device's own clock, or its energy while it draws power."""
    if now.energy_j is not None and now.power_w:
        return now.energy_j == last.energy_j
    return now.told_s is not None and now.told_s == last.told_s
