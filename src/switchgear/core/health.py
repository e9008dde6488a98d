"""How the gateway learns how a backend's hardware is doing, and what a call costs there in joules and grams of CO2. Configuration, pure."""

import csv
import io
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from switchgear.core.errors import ConfigError, Problem
from switchgear.core.part import Amount, Part, Seconds

_HOUR_S = 3600.0
_DAY_HOURS = 24
_MOST_G_PER_KWH = 3000.0
"""Above any grid: lignite alone gives about 1,000 to 1,200 g/kWh (IPCC AR5 WG III, annex III, table A.III.2)."""
J_PER_KWH = 3.6e6


class HealthSource(Part, frozen=True, kw_only=True):
    """Where a backend's hardware tells how it is: an address that the DCGM exporter, or something that speaks its names, serves."""

    url: Annotated[str, msgspec.Meta(pattern=r"^(https?://|unix:/)")]
    """`http://host:9400/metrics`, or `unix:/path/to/socket:/metrics`. Prometheus text (DCGM's names) or JSON (nvidia-smi's)."""
    every_s: Seconds = 5.0
    """How often it is asked."""
    stale_s: Seconds = 15.0
    """After so long without a new reading its health is unknown."""
    timeout_s: Seconds = 2.0
    """For one asking."""
    horizon_s: Seconds = 30.0
    """How far ahead a trend is followed: a device that would reach its limit sooner is avoided now."""


class GridSeries(Part, frozen=True, kw_only=True):
    """How much CO2 a kilowatt-hour brings, by the hour."""

    g_per_kwh: Annotated[
        tuple[Annotated[float, msgspec.Meta(ge=0, le=_MOST_G_PER_KWH)], ...], msgspec.Meta(min_length=1)
    ]
    """One value for always, 24 for the hours of each day in UTC, or, with `begins`, one for each hour from then on."""
    begins: str = ""
    """The first value's hour, ISO 8601 with its offset: 2026-01-01T00:00Z."""

    def at_g_per_kwh(self, unix_s: float) -> float | None:
        """The value at a time; None outside of the series. Raises ValueError where `begins` is no time."""
        if self.begins:
            hour = int((unix_s - begins_s(self.begins)) // _HOUR_S)
            return self.g_per_kwh[hour] if 0 <= hour < len(self.g_per_kwh) else None
        if len(self.g_per_kwh) == 1:
            return self.g_per_kwh[0]
        return self.g_per_kwh[int(unix_s // _HOUR_S) % _DAY_HOURS] if len(self.g_per_kwh) == _DAY_HOURS else None


class Energy(Part, frozen=True, kw_only=True):
    """What a token costs at a backend whose meter is not read, and what its electricity is made of."""

    prompt_token_j: Amount | None = None
    """Joules of a prompt token; with the next, from a profile or a measurement."""
    completion_token_j: Amount | None = None
    """Joules of a completion token."""
    grid: GridSeries | None = None


def begins_s(text: str) -> float:
    """Unix time of an ISO 8601 time with its offset. Raises ValueError that says what to write."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no time; write it as 2026-01-01T00:00Z") from error
    if time.tzinfo is None:
        raise ValueError(f"{text!r} has no offset; end it with Z for UTC")
    return time.astimezone(UTC).timestamp()


def problem_of(grid: GridSeries) -> str:
    """What is wrong with a series as a whole, with the remedy; empty where nothing is."""
    if grid.begins:
        try:
            begins_s(grid.begins)
        except ValueError as error:
            return str(error)
    elif len(grid.g_per_kwh) not in (1, _DAY_HOURS):
        return f"has {len(grid.g_per_kwh)} values and no `begins`; give 1, 24, or the first value's time as `begins`"
    return ""


def read_grid_csv(text: str, *, name: str) -> GridSeries:
    """A series from CSV with the columns `time` (ISO 8601 with offset, each hour once, in order) and `g_per_kwh`.

    Raises ConfigError with the line of the first problem.
    """
    rows = list(csv.DictReader(io.StringIO(text)))
    if not rows or {"time", "g_per_kwh"} - set(rows[0]):
        raise ConfigError(
            [Problem(name, "has no rows with columns time and g_per_kwh", "Write both in its first line.")]
        )
    values: list[float] = []
    expected_s = 0.0
    for number, row in enumerate(rows, start=2):
        try:
            at_s, value = begins_s(row["time"] or ""), float(row["g_per_kwh"] or "")
        except ValueError as error:
            raise ConfigError([Problem(name, str(error), "Write a time and a number of grams.", number)]) from error
        if values and at_s != expected_s:
            raise ConfigError(
                [Problem(name, f"{row['time']} does not follow by an hour", "Give each hour once, in order.", number)]
            )
        if not 0 <= value <= _MOST_G_PER_KWH:
            raise ConfigError(
                [Problem(name, f"{value:g} is no intensity", f"Give 0 to {_MOST_G_PER_KWH:g} g/kWh.", number)]
            )
        values.append(value)
        expected_s = at_s + _HOUR_S
    return GridSeries(g_per_kwh=tuple(values), begins=rows[0]["time"])
