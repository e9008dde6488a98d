"""A course told in order: what happened to what, and how calls fared meanwhile. Pure."""

from collections import Counter
from itertools import pairwise

import msgspec

from switchgear.emulator.conditions import hit
from switchgear.emulator.scenario import GATEWAY, Event, intensity, kind_of, link_down
from switchgear.rehearsal.model import Scenario
from switchgear.rehearsal.seen import CallSeen, Course, DeviceSeen, Ending
from switchgear.rehearsal.verdict import availability, percentile, ttfts_s

WINDOWS = 12
_MOST_NAMED = 4


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of the course."""

    from_s: float
    to_s: float
    events: tuple[str, ...]
    """What was going on in it."""
    calls: int
    availability: float | None
    ttft_p99_s: float | None
    answered_by: dict[str, int]
    peak_c: float | None
    """The warmest device."""
    power_w: float | None
    """Mean of all devices together, all boards."""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """Something that began or ended."""

    at_s: float
    what: str


def windows(scenario: Scenario, course: Course, count: int = WINDOWS) -> list[Window]:
    """The course in so many stretches of the same length."""
    edges = [course.lasts_s * number / count for number in range(count + 1)]
    return [_window(scenario, course, from_s, to_s) for from_s, to_s in pairwise(edges)]


def moments(scenario: Scenario, course: Course) -> list[Moment]:
    """What began and ended, in order: the events, and what the devices did about them."""
    found: list[Moment] = []
    devices = scenario.named()
    for index, event in enumerate(scenario.events):
        where = _aimed(hit(event, index, devices, scenario.seed))
        found.append(Moment(at_s=event.at_s, what=f"{kind_of(event)} on {where} begins"))
        if event.for_s is not None and event.ends_s(course.lasts_s) < course.lasts_s:
            found.append(Moment(at_s=event.ends_s(course.lasts_s), what=f"{kind_of(event)} on {where} ends"))
    for device in course.devices:
        found += _changes(device)
    return sorted(found, key=lambda moment: moment.at_s)


def _aimed(names: list[str]) -> str:
    """Whom an event hits, in words."""
    if not names:
        return GATEWAY
    return ", ".join(names) if len(names) <= _MOST_NAMED else f"{', '.join(names[:2])} … ({len(names)} devices)"


def _changes(device: DeviceSeen) -> list[Moment]:
    """When a device was first seen to go off, come back, slow down or speed up."""
    found: list[Moment] = []
    for before, after in pairwise(device.samples):
        if before.on != after.on:
            what = "serves again" if after.on else "is off, or starting"
            found.append(Moment(at_s=after.at_s, what=f"{device.name} {what}"))
        elif after.on and before.hot != after.hot:
            what = "is slowed down by heat" if after.hot else "is cool enough again"
            found.append(Moment(at_s=after.at_s, what=f"{device.name} {what} ({after.temperature_c:.0f} °C)"))
    return found


def _window(scenario: Scenario, course: Course, from_s: float, to_s: float) -> Window:
    calls = [call for call in course.calls if from_s <= call.at_s < to_s]
    samples = [
        (device, sample) for device in course.devices for sample in device.samples if from_s <= sample.at_s < to_s
    ]
    inside = [(device, sample) for device, sample in samples if device.seen_inside]
    moments_s = {sample.at_s for _, sample in inside}
    power_w = sum(sample.power_w * device.boards for device, sample in inside) / len(moments_s) if moments_s else None
    return Window(
        from_s=from_s,
        to_s=to_s,
        events=tuple(kind_of(event) for event in scenario.events if _active(event, from_s, to_s, course.lasts_s)),
        calls=len(calls),
        availability=availability(calls),
        ttft_p99_s=percentile(ttfts_s(calls), 99),
        answered_by=_answered(calls),
        peak_c=max((sample.temperature_c for _, sample in inside), default=None),
        power_w=power_w,
    )


def _answered(calls: list[CallSeen]) -> dict[str, int]:
    return dict(Counter(call.device for call in calls if call.ending is Ending.OK).most_common())


def _active(event: Event, from_s: float, to_s: float, lasts_s: float) -> bool:
    if event.at_s >= to_s or event.ends_s(lasts_s) <= from_s:
        return False
    middle_s = max(event.at_s, from_s)
    return intensity(event, middle_s, lasts_s) > 0 or link_down(event, middle_s, lasts_s)
