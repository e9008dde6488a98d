"""What was seen in a rehearsal: of each call what its caller saw, of each device what its instruments showed, and the records."""

from collections import Counter
from enum import StrEnum

import msgspec

from switchgear.core.data_class import DataClass
from switchgear.core.record import Record


class Ending(StrEnum):
    """How a call ended for its caller."""

    OK = "ok"
    REFUSED = "refused"
    """A clear error."""
    BROKEN = "broken"
    """An answer that began and did not come to a good end."""
    LOST = "lost"
    """No answer: the connection ended, or the caller's patience."""


class CallSeen(msgspec.Struct, kw_only=True):
    """One call as its caller saw it. Times are seconds of the scenario."""

    number: int
    at_s: float
    model: str
    data_class: DataClass | None
    device: str = ""
    """Who answered."""
    call: str = ""
    """The gateway's id of it."""
    ending: Ending = Ending.LOST
    status: int = 0
    error: str = ""
    streamed: bool = False
    ttft_s: float | None = None
    latency_s: float = 0.0


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One device's instruments at one time."""

    at_s: float
    temperature_c: float
    power_w: float
    clock: float
    hot: bool
    """Slowed down by heat."""
    on: bool
    charge: float | None
    running: int


class DeviceSeen(msgspec.Struct, kw_only=True):
    """One device over the whole course."""

    name: str
    boards: int
    seen_inside: bool
    samples: list[Sample]
    energy_j: float
    """Of all its boards."""
    slow_s: float
    """Seconds slowed down by heat, of one board; the next by a power limit."""
    capped_s: float
    off_s: float
    busy_s: float
    peak_c: float
    tokens: int


class Course(msgspec.Struct, kw_only=True):
    """Everything that a verdict is made of."""

    scenario: str
    seed: int
    virtual: bool
    speed: float
    lasts_s: float
    through_gateway: bool
    calls: list[CallSeen]
    devices: list[DeviceSeen]
    records: list[Record]
    lost: list[str]
    """Ids of calls that got an answer from the gateway and have no record."""
    repeated: list[str]
    """Ids of calls that have more than one."""
    health: dict[str, dict[str, int]] = {}
    """By device, how often the gateway found it good, unknown or bad when it looked."""

    def endings(self) -> Counter[Ending]:
        """How many calls ended how."""
        return Counter(call.ending for call in self.calls)
