"""What can happen to devices, as data: one structure for each kind of event. docs/rehearsal.md explains each.

Times are seconds of the scenario, from its beginning. An event that grows and fades (`ramp_s`) does so in `RAMP_STEPS` equal steps at fixed
times, so that its course does not depend on who looks, or how often.
"""

from typing import Annotated, ClassVar

import msgspec

from switchgear.core.snapshot import Ratio, Seconds

RAMP_STEPS = 20
MOST_FLAPS = 10_000
_LEAST_RAMP_S = 1e-3
"""A shorter one is none."""

Moment = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
Factor = Annotated[float, msgspec.Meta(ge=1, le=1000)]


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all events have: whom they hit, from when, for how long.

    A device is hit when its name matches one of `on` (shell patterns), its labels hold all of `where`, and it is among the `fraction` that
    the scenario's seed draws.
    """

    quantity: ClassVar[str] = ""
    """What the event sets. Two events that set the same one for the same device at the same time contradict each other."""
    ramps: ClassVar[bool] = False
    """Whether it can grow and fade."""

    on: tuple[str, ...] = ("*",)
    where: dict[str, str] = {}
    fraction: Share = 1.0
    at_s: Moment = 0.0
    for_s: Seconds | None = None
    """Until the scenario's end where not given."""
    ramp_s: Moment = 0.0
    """It grows for so long from `at_s` on, and fades for as long before its end."""

    def ends_s(self, lasts_s: float) -> float:
        """When it is over, in a scenario of so many seconds."""
        return lasts_s if self.for_s is None else self.at_s + self.for_s


class HeatWave(Event, frozen=True, kw_only=True, tag_field="kind", tag="heat_wave"):
    """The air (or the coolant) that reaches the device is warmer by `rise_k`."""

    quantity: ClassVar[str] = "ambient temperature"
    ramps: ClassVar[bool] = True
    rise_k: Annotated[float, msgspec.Meta(gt=0, le=60)] = 15.0


class FanFailure(Event, frozen=True, kw_only=True, tag_field="kind", tag="fan_failure"):
    """Fan or pump turns at `speed` of what it should; 0 is standing."""

    quantity: ClassVar[str] = "fan speed"
    ramps: ClassVar[bool] = True
    speed: Ratio = 0.0


class BrownOut(Event, frozen=True, kw_only=True, tag_field="kind", tag="brown_out"):
    """The supply gives less: each board may draw `limit` of its power limit. Below its idle power it switches off."""

    quantity: ClassVar[str] = "power limit"
    ramps: ClassVar[bool] = True
    limit: Share = 0.6


class PowerCut(Event, frozen=True, kw_only=True, tag_field="kind", tag="power_cut"):
    """No mains. A device without a battery is off at once, loses what it had under way, and starts again when the mains are back."""

    quantity: ClassVar[str] = "mains"


class BatteryRunDown(Event, frozen=True, kw_only=True, tag_field="kind", tag="battery_run_down"):
    """A device with a battery gets nothing from mains and panels, from a state of charge of `charge` where given."""

    quantity: ClassVar[str] = "mains"
    charge: Ratio | None = None


class NetworkFlap(Event, frozen=True, kw_only=True, tag_field="kind", tag="network_flap"):
    """The link is down for the first `down_s` of every `period_s`: refused at once, or, with `drop`, silent."""

    quantity: ClassVar[str] = "link"
    period_s: Seconds = 10.0
    down_s: Seconds = 2.0
    drop: bool = False


class Partition(Event, frozen=True, kw_only=True, tag_field="kind", tag="partition"):
    """Nothing reaches the device and nothing comes from it. With `drop` packets vanish; else connections are refused."""

    quantity: ClassVar[str] = "link"
    drop: bool = True


class SlowDisk(Event, frozen=True, kw_only=True, tag_field="kind", tag="slow_disk"):
    """Loading a model takes `load_factor` as long, and each call waits `delay_s` for what it reads. On `gateway`, a record is on the disk
    `delay_s` later.
    """

    quantity: ClassVar[str] = "disk"
    load_factor: Factor = 10.0
    delay_s: Moment = 0.2


class ClockStep(Event, frozen=True, kw_only=True, tag_field="kind", tag="clock_step"):
    """The time of day jumps by `step_s` (negative: back), and jumps back at the end. Durations are not changed. Also for `gateway`."""

    quantity: ClassVar[str] = "time of day"
    step_s: Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)] = 3600.0


class BadFirmware(Event, frozen=True, kw_only=True, tag_field="kind", tag="bad_firmware"):
    """A version that takes `factor` as long for each step, and answers `error_ratio` of the calls with 500. Taking it in and giving it up
    each cost a restart.
    """

    quantity: ClassVar[str] = "firmware"
    version: str = "bad"
    factor: Factor = 1.0
    error_ratio: Ratio = 0.0


class WeakChips(Event, frozen=True, kw_only=True, tag_field="kind", tag="weak_chips"):
    """A batch of chips that take `factor` as long for each step, at the power of good ones."""

    quantity: ClassVar[str] = "chip"
    factor: Factor = 1.5


class TelemetryLoss(Event, frozen=True, kw_only=True, tag_field="kind", tag="telemetry_loss"):
    """Health is not published; with `frozen` the last reading is published over and over. The device itself is well."""

    quantity: ClassVar[str] = "telemetry"
    frozen: bool = False


class PlannedOutage(Event, frozen=True, kw_only=True, tag_field="kind", tag="planned_outage"):
    """Maintenance, published `notice_s` before it begins: off from `at_s`, and started again at the end."""

    quantity: ClassVar[str] = "mains"
    notice_s: Moment = 60.0


AnyEvent = (
    HeatWave
    | FanFailure
    | BrownOut
    | PowerCut
    | BatteryRunDown
    | NetworkFlap
    | Partition
    | SlowDisk
    | ClockStep
    | BadFirmware
    | WeakChips
    | TelemetryLoss
    | PlannedOutage
)
EVENTS: dict[str, type[Event]] = {str(kind.__struct_config__.tag): kind for kind in AnyEvent.__args__}
"""Every kind of event by its name."""
GATEWAY = "gateway"
"""Named in `on`, it is the gateway that is hit; no device may be called so."""
ON_GATEWAY: tuple[type[Event], ...] = (SlowDisk, ClockStep)


def kind_of(event: Event) -> str:
    """The event's name in a scenario file."""
    return str(event.__struct_config__.tag)


def intensity(event: Event, at_s: float, lasts_s: float) -> float:
    """How strong an event is at a time, 0 to 1, in steps. A network's ups and downs are `link_down`'s."""
    ends_s = event.ends_s(lasts_s)
    if not event.at_s <= at_s < ends_s:
        return 0.0
    if event.ramp_s < _LEAST_RAMP_S:
        return 1.0
    # A microsecond forgives the rounding of the very times at which the steps are taken.
    since, left = (at_s - event.at_s + 1e-6) / event.ramp_s, (ends_s - at_s + 1e-6) / event.ramp_s
    grown = (int(min(1.0, since) * RAMP_STEPS) + 1) / RAMP_STEPS
    fading = int(min(1.0, left) * RAMP_STEPS) / RAMP_STEPS if event.for_s is not None else 1.0
    return max(0.0, min(1.0, grown, fading))


def link_down(event: Event, at_s: float, lasts_s: float) -> bool:
    """Whether an event keeps the link down at a time."""
    if not event.at_s <= at_s < event.ends_s(lasts_s):
        return False
    if isinstance(event, NetworkFlap):
        return (at_s - event.at_s + 1e-9) % event.period_s < event.down_s
    return isinstance(event, Partition)


def changes_s(event: Event, lasts_s: float) -> list[float]:
    """The times at which what an event does changes, ascending."""
    start_s, ends_s = event.at_s, event.ends_s(lasts_s)
    times = {start_s, ends_s}
    if event.ramp_s >= _LEAST_RAMP_S:
        times.update(start_s + event.ramp_s * step / RAMP_STEPS for step in range(RAMP_STEPS))
        if event.for_s is not None:
            times.update(ends_s - event.ramp_s * step / RAMP_STEPS for step in range(RAMP_STEPS))
    if isinstance(event, NetworkFlap):
        count = int((ends_s - start_s) / event.period_s) + 1
        for index in range(count):
            times.update((start_s + index * event.period_s, start_s + index * event.period_s + event.down_s))
    if isinstance(event, PlannedOutage):
        times.add(max(0.0, start_s - event.notice_s))
    return sorted(time_s for time_s in times if time_s <= ends_s)
