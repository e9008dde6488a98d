"""What solar panels give: by latitude, day and hour under a clear sky, or from a series that somebody measured.

The sun's height after Duffie and Beckman, "Solar Engineering of Thermal Processes", 4th edition, section 1.6 (declination, equation
1.6.1a; zenith, equation 1.6.5). Irradiance on the level under a clear sky after Haurwitz (Journal of Meteorology 2, 1945), with the
constants of Reno, Hansen and Stein (Sandia report SAND2012-2389, 2012). Power is proportional to irradiance, less system losses (PVWatts
version 5 manual, NREL/TP-6A20-62641, section 8: 14 % in total). Not modelled: tilt, shade, the cell's temperature, and clouds other than
by `cloud`.
"""

import bisect
import math
from itertools import pairwise

import msgspec

from switchgear.hardware.bounds import finite, fraction, not_negative
from switchgear.hardware.errors import BadFigure

_STANDARD_W_PER_M2 = 1000.0
_S_PER_DAY = 86_400.0


class Solar(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Panels at a place. Raises BadFigure."""

    peak_w: float
    """Nameplate power, at 1,000 W/m2."""
    latitude_deg: float
    loss: float = 0.14
    """Of what the panels give: wiring, soiling, mismatch, converter."""
    cloud: float = 0.0
    """Fraction of the clear sky's irradiance that clouds take."""

    def __post_init__(self) -> None:
        not_negative(peak_w=self.peak_w)
        fraction(loss=self.loss, cloud=self.cloud)
        if not -90 <= self.latitude_deg <= 90:
            raise BadFigure("latitude_deg", self.latitude_deg, "degrees north from -90 to 90")


class Series(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Power by time, straight between points, repeated every `every_s` seconds (0: not repeated, flat outside). Raises BadFigure."""

    at_s: tuple[float, ...]
    power_w: tuple[float, ...]
    every_s: float = 0.0

    def __post_init__(self) -> None:
        if not self.at_s or len(self.at_s) != len(self.power_w):
            raise BadFigure(
                "number of power_w", len(self.power_w), f"one for each of the {len(self.at_s) or 'times in'} at_s"
            )
        for time_s, power_w in zip(self.at_s, self.power_w, strict=True):
            finite(at_s=time_s)
            not_negative(power_w=power_w)
        if any(first >= second for first, second in pairwise(self.at_s)):
            raise BadFigure("at_s", self.at_s[0], "times in ascending order, each once")
        not_negative(every_s=self.every_s)
        if self.every_s and not (self.at_s[0] >= 0 and self.at_s[-1] < self.every_s):
            raise BadFigure("every_s", self.every_s, "a period longer than the last of at_s, with at_s from 0")


def elevation_sine(latitude_deg: float, day_of_year: float, solar_hour: float) -> float:
    """Sine of the sun's height above the horizon: negative at night. `solar_hour` is 12 when the sun is highest."""
    finite(day_of_year=day_of_year, solar_hour=solar_hour)
    declination = math.radians(23.45 * math.sin(math.radians(360 * (284 + day_of_year) / 365)))
    latitude = math.radians(latitude_deg)
    hour_angle = math.radians(15 * (solar_hour - 12))
    return math.sin(latitude) * math.sin(declination) + math.cos(latitude) * math.cos(declination) * math.cos(
        hour_angle
    )


def clear_sky_w_per_m2(latitude_deg: float, day_of_year: float, solar_hour: float) -> float:
    """Irradiance on the level under a clear sky; 0 at night."""
    sine = elevation_sine(latitude_deg, day_of_year, solar_hour)
    return 1098.0 * sine * math.exp(-0.059 / sine) if sine > 1e-3 else 0.0


def solar_w(solar: Solar, day_of_year: float, solar_hour: float) -> float:
    """Power of the panels, watts."""
    irradiance = clear_sky_w_per_m2(solar.latitude_deg, day_of_year, solar_hour) * (1 - solar.cloud)
    return solar.peak_w * irradiance / _STANDARD_W_PER_M2 * (1 - solar.loss)


def solar_at_w(solar: Solar, start_day: float, seconds: float) -> float:
    """Power `seconds` after the solar midnight that begins `start_day` (1 to 365; 172 is about the northern midsummer)."""
    finite(start_day=start_day, seconds=seconds)
    days, within_s = divmod(seconds, _S_PER_DAY)
    return solar_w(solar, start_day + days, within_s / 3600)


def series_w(series: Series, seconds: float) -> float:
    """Power of the series at a time."""
    finite(seconds=seconds)
    times, powers = series.at_s, series.power_w
    if series.every_s:
        seconds %= series.every_s
        times = (*times, times[0] + series.every_s)
        powers = (*powers, powers[0])
        if seconds < times[0]:
            seconds += series.every_s
    index = bisect.bisect_right(times, seconds)
    if index == 0:
        return powers[0]
    if index == len(times):
        return powers[-1]
    share = (seconds - times[index - 1]) / (times[index] - times[index - 1])
    return powers[index - 1] + (powers[index] - powers[index - 1]) * share
