"""A scenario: what there is, what is asked of it, what happens to it, and what it must bear. docs/rehearsal.md lists the keys."""

from collections.abc import Mapping
from typing import Annotated

import msgspec

from switchgear.core.data_class import DataClass
from switchgear.core.snapshot import Model, Name, Part, Ratio, Seconds
from switchgear.emulator.conditions import Named, Timeline, timeline, timelines
from switchgear.emulator.device_spec import DeviceSpec
from switchgear.emulator.scenario import GATEWAY, AnyEvent

MOST_DEVICES = 20_000
MOST_BEHIND_A_GATEWAY = 256
"""Each is a backend there, and has a listening socket of its own in virtual time."""


class Load(Part, frozen=True, kw_only=True):
    """Calls that keep coming, whatever becomes of those before them (open loop): a Poisson process."""

    model: Name = "chat"
    """What the gateway is asked for. Calls that go to devices directly name what those serve."""
    rate_per_s: Annotated[float, msgspec.Meta(gt=0, le=10_000)]
    prompt_tokens: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 200
    output_tokens: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 64
    stream: bool = True
    data_class: DataClass | None = None
    """What the calls carry, sent as `x-switchgear-data-class`."""
    at_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    for_s: Seconds | None = None
    """Until the scenario's end where not given."""
    patience_s: Seconds = 60.0
    """So long a caller waits for its whole answer before it hangs up, which counts as a failure."""


class Objectives(Part, frozen=True, kw_only=True):
    """What must hold for the rehearsal to pass. That nothing went where its data class forbids, and that no record is lost, always must."""

    availability: Ratio = 0.99
    """Share of the calls that got a whole answer."""
    ttft_p99_s: Seconds | None = None
    """Of the streamed calls that got a whole answer; the next is of all of those."""
    latency_p99_s: Seconds | None = None
    most_broken: Ratio | None = None
    """Share of the calls whose answer broke after its first byte."""
    energy_per_call_j: Seconds | None = None
    """Mean joules of all boards for a call that got a whole answer, idle power included."""


class Scenario(Part, frozen=True, kw_only=True):
    """A rehearsal as its file states it."""

    name: str
    lasts_s: Annotated[float, msgspec.Meta(gt=0, le=86_400)]
    seed: Annotated[int, msgspec.Meta(ge=0)] = 0
    through_gateway: bool = True
    """False: calls go to the devices in turn, without a gateway."""
    settle_s: Annotated[float, msgspec.Meta(ge=0)] = 60.0
    """After the end no further call begins; those under way have so long to come to theirs."""
    devices: dict[Name, DeviceSpec]
    models: dict[Name, Model] = msgspec.field(default_factory=dict)
    """As in a gateway's configuration; the backend of a target may be a pattern. Where empty, each model that is called has every device,
    in the file's order."""
    load: tuple[Load, ...]
    events: tuple[AnyEvent, ...] = ()
    objectives: Objectives = Objectives()

    def named(self) -> list[Named]:
        """All devices as events aim at them."""
        return [Named(name, spec.labels) for group, spec in self.devices.items() for name in spec.names(group)]

    def specs(self) -> dict[str, DeviceSpec]:
        """What each device is."""
        return {name: spec for group, spec in self.devices.items() for name in spec.names(group)}

    def timelines(self) -> dict[str, Timeline]:
        """What happens to each device."""
        return timelines(self.events, self.named(), self.lasts_s, self.seed)

    def gateway_timeline(self) -> Timeline:
        """What happens to the gateway's own machine."""
        return timeline([event for event in self.events if GATEWAY in event.on], self.lasts_s)


def allowed(specs: Mapping[str, DeviceSpec]) -> dict[str, DataClass]:
    """The strictest data class that may go to each device."""
    return {name: spec.allows() for name, spec in specs.items()}
