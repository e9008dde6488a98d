"""What the world does to each device of a scenario, and when: piecewise constant, computed whole before it begins. Pure."""

import bisect
import fnmatch
import hashlib
from collections.abc import Mapping, Sequence
from itertools import pairwise

import msgspec

from switchgear.emulator.scenario import (
    GATEWAY,
    BadFirmware,
    BatteryRunDown,
    BrownOut,
    ClockStep,
    Event,
    FanFailure,
    HeatWave,
    NetworkFlap,
    Partition,
    PlannedOutage,
    PowerCut,
    SlowDisk,
    TelemetryLoss,
    WeakChips,
    changes_s,
    intensity,
    link_down,
)


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """All of what the world does to one device, for as long as nothing of it changes."""

    warmer_k: float = 0.0
    """On top of the device's own ambient temperature."""
    fan: float = 1.0
    """Of the device's own fan speed."""
    limit: float = 1.0
    """Of the board's power limit."""
    mains: bool = True
    sun: bool = True
    maintained: bool = False
    """Off because somebody works on it."""
    charge: float | None = None
    """The battery's state of charge from this moment on; None leaves it."""
    link: bool = True
    drop: bool = False
    """Whether a link that is down is silent, and not refused."""
    load_factor: float = 1.0
    disk_delay_s: float = 0.0
    clock_offset_s: float = 0.0
    firmware: str = ""
    step_factor: float = 1.0
    error_ratio: float = 0.0
    published: bool = True
    frozen: bool = False
    outage: tuple[float, float] | None = None
    """A planned outage that is announced or under way: from when, until when."""


WELL = Conditions()


class Timeline:
    """The conditions of one device, from time 0 on. Immutable; devices that meet the same events share one."""

    __slots__ = ("conditions", "times_s")

    def __init__(self, times_s: Sequence[float], conditions: Sequence[Conditions]) -> None:
        self.times_s = tuple(times_s)
        """Ascending, the first is 0."""
        self.conditions = tuple(conditions)

    def at(self, at_s: float) -> Conditions:
        """What holds at a time."""
        return self.conditions[bisect.bisect_right(self.times_s, at_s) - 1]

    def after(self, at_s: float) -> float | None:
        """The first change after a time; None where nothing changes any more."""
        index = bisect.bisect_right(self.times_s, at_s)
        return self.times_s[index] if index < len(self.times_s) else None

    def link_up_s(self, at_s: float) -> float | None:
        """The first time from `at_s` on at which the link is up; None where it stays down."""
        index = bisect.bisect_right(self.times_s, at_s) - 1
        if self.conditions[index].link:
            return at_s
        for time_s, conditions in zip(self.times_s[index + 1 :], self.conditions[index + 1 :], strict=True):
            if conditions.link:
                return time_s
        return None


UNDISTURBED = Timeline((0.0,), (WELL,))


class Named(msgspec.Struct, frozen=True):
    """A device as events aim at it."""

    name: str
    labels: Mapping[str, str] = {}


def hit(event: Event, index: int, devices: Sequence[Named], seed: int) -> list[str]:
    """The devices that an event hits. `index`, its place among the events, keeps two of them from drawing the same fraction."""
    if event.on == (GATEWAY,):
        return []
    aimed = [
        device.name
        for device in devices
        if any(fnmatch.fnmatchcase(device.name, pattern) for pattern in event.on)
        and all(device.labels.get(label) == value for label, value in event.where.items())
    ]
    if event.fraction >= 1 or not aimed:
        return aimed
    drawn = sorted(aimed, key=lambda name: hashlib.blake2b(f"{seed}/{index}/{name}".encode(), digest_size=8).digest())
    chosen = set(drawn[: max(1, round(event.fraction * len(aimed)))])
    return [name for name in aimed if name in chosen]


def timelines(events: Sequence[Event], devices: Sequence[Named], lasts_s: float, seed: int) -> dict[str, Timeline]:
    """The timeline of each device."""
    met: dict[str, list[int]] = {device.name: [] for device in devices}
    for index, event in enumerate(events):
        for name in hit(event, index, devices, seed):
            met[name].append(index)
    made: dict[tuple[int, ...], Timeline] = {}
    for indexes in met.values():
        key = tuple(indexes)
        if key not in made:
            made[key] = timeline([events[index] for index in key], lasts_s)
    return {name: made[tuple(indexes)] for name, indexes in met.items()}


def timeline(events: Sequence[Event], lasts_s: float) -> Timeline:
    """What these events together do to a device that they all hit."""
    times = sorted({0.0, *(time_s for event in events for time_s in changes_s(event, lasts_s))})
    found = [_conditions(events, time_s, lasts_s) for time_s in times]
    kept = [0, *(index + 1 for index, (before, after) in enumerate(pairwise(found)) if before != after)]
    return Timeline([times[index] for index in kept], [found[index] for index in kept])


def _conditions(events: Sequence[Event], at_s: float, lasts_s: float) -> Conditions:
    found = WELL
    for event in events:
        strength = intensity(event, at_s, lasts_s)
        if strength or isinstance(event, PlannedOutage):
            found = msgspec.structs.replace(found, **_effect(event, strength, at_s, lasts_s, found))
    return found


def _effect(event: Event, strength: float, at_s: float, lasts_s: float, found: Conditions) -> dict[str, object]:
    """What one event changes."""
    match event:
        case HeatWave():
            return {"warmer_k": event.rise_k * strength}
        case FanFailure():
            return {"fan": 1 - (1 - event.speed) * strength}
        case BrownOut():
            return {"limit": 1 - (1 - event.limit) * strength}
        case PowerCut():
            return {"mains": False}
        case BatteryRunDown():
            return {"mains": False, "sun": False, "charge": event.charge}
        case NetworkFlap(drop=drop) | Partition(drop=drop):
            return {"link": False, "drop": drop} if link_down(event, at_s, lasts_s) else {}
        case SlowDisk():
            return {"load_factor": event.load_factor, "disk_delay_s": event.delay_s}
        case ClockStep():
            return {"clock_offset_s": event.step_s}
        case BadFirmware():
            return {
                "firmware": event.version,
                "step_factor": found.step_factor * event.factor,
                "error_ratio": event.error_ratio,
            }
        case WeakChips():
            return {"step_factor": found.step_factor * event.factor}
        case TelemetryLoss():
            return {"published": event.frozen, "frozen": event.frozen}
        case PlannedOutage():
            ends_s = event.ends_s(lasts_s)
            if event.at_s - event.notice_s <= at_s < ends_s:
                return {"outage": (event.at_s, ends_s), "maintained": bool(strength)}
            return {}
    raise TypeError(f"no effect for {type(event).__name__}")
