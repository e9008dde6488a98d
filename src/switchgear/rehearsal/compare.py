"""Two courses of one scenario held against each other: real time and virtual time are to give the same. Pure."""

from collections import Counter

import msgspec

from switchgear.rehearsal.errors import RehearsalError
from switchgear.rehearsal.seen import Course, DeviceSeen, Ending
from switchgear.rehearsal.verdict import availability, percentile, ttfts_s


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of two courses."""

    figure: str
    first: float
    second: float
    scale: float
    """What the difference is a share of."""

    @property
    def share(self) -> float:
        """The difference as a share, 0 where both are the same."""
        return abs(self.first - self.second) / self.scale if self.scale else 0.0


def compare(first: Course, second: Course) -> list[Difference]:
    """Figure by figure: availability, times, who answered, and each device's temperature, power, energy and throttling.

    Shares are of the larger of the two; of temperature they are of what the device warmed up by, of seconds (slowed down, off, busy) of the
    scenario's length, and of who answered of all calls. Raises RehearsalError for courses of different scenarios.
    """
    if (first.scenario, first.seed, first.lasts_s) != (second.scenario, second.seed, second.lasts_s):
        raise RehearsalError("the courses are of different scenarios; compare two of one scenario and seed")
    found = [
        _of("availability", availability(first.calls), availability(second.calls)),
        *_times(first, second),
        *_answers(first, second),
    ]
    for one, other in zip(first.devices, second.devices, strict=True):
        if one.seen_inside:
            found += _device(one, other, first.lasts_s)
    return [difference for difference in found if difference is not None]


def worst(differences: list[Difference]) -> Difference:
    """The largest of them by share."""
    return max(differences, key=lambda difference: difference.share)


def _times(first: Course, second: Course) -> list[Difference | None]:
    def latencies(course: Course) -> list[float]:
        return [call.latency_s for call in course.calls if call.ending is Ending.OK]

    return [
        _of("TTFT median", percentile(ttfts_s(first.calls), 50), percentile(ttfts_s(second.calls), 50)),
        _of("latency median", percentile(latencies(first), 50), percentile(latencies(second), 50)),
        _of("latency p95", percentile(latencies(first), 95), percentile(latencies(second), 95)),
    ]


def _answers(first: Course, second: Course) -> list[Difference]:
    counts = [Counter(call.device for call in course.calls if call.ending is Ending.OK) for course in (first, second)]
    calls = float(len(first.calls))
    if len(first.devices) > len(first.calls):  # of a large fleet each device has too few to compare
        return []
    return [
        Difference(figure=f"{name}: calls answered", first=counts[0][name], second=counts[1][name], scale=calls)
        for name in sorted(counts[0] | counts[1])
    ]


def _device(one: DeviceSeen, other: DeviceSeen, lasts_s: float) -> list[Difference | None]:
    name = one.name
    lowest = min(sample.temperature_c for sample in one.samples)
    warmed_k = max(one.peak_c - lowest, 1.0)
    pairs = list(zip(one.samples, other.samples, strict=True))
    apart_k = sum(abs(a.temperature_c - b.temperature_c) for a, b in pairs) / len(pairs)
    return [
        Difference(figure=f"{name}: mean distance of temperatures, K", first=apart_k, second=0.0, scale=warmed_k),
        Difference(figure=f"{name}: peak temperature, °C", first=one.peak_c, second=other.peak_c, scale=warmed_k),
        _of(f"{name}: mean power, W", one.energy_j / lasts_s, other.energy_j / lasts_s),
        *(
            Difference(figure=f"{name}: seconds {what}", first=a, second=b, scale=lasts_s)
            for what, a, b in (
                ("slowed down by heat", one.slow_s, other.slow_s),
                ("slowed down by the power limit", one.capped_s, other.capped_s),
                ("off", one.off_s, other.off_s),
                ("busy", one.busy_s, other.busy_s),
            )
        ),
    ]


def _of(figure: str, first: float | None, second: float | None) -> Difference | None:
    if first is None or second is None:
        return (
            None if first is second else Difference(figure=figure, first=first or 0.0, second=second or 0.0, scale=1e-9)
        )
    return Difference(figure=figure, first=first, second=second, scale=max(abs(first), abs(second)))
