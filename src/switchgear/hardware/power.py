"""What a device draws, kept apart in five: idle, dynamic, board, wall and provisioned.

- **idle**: the board with its clocks up and nothing to do.
- **dynamic**: what work adds, by activity. The sum over components of a maximum times the component's activity (Hong and Kim, "An
  Integrated GPU Power and Performance Model", ISCA 2010, section 3: access rates times maximal power). Components here are arithmetic and
  memory; activity is the fraction of a step's time for which the roofline keeps the component busy.
- **board**: idle and dynamic, held at the power limit.
- **wall**: boards and host through the power supply, whose efficiency depends on its load (80 PLUS certification, load points at 20, 50
  and 100 %; the 10 % point is of the Titanium level).
- **provisioned**: what the circuit must be built for, whatever is drawn: the largest wall power, and a quarter more for a continuous load
  (NFPA 70, National Electrical Code, article 210.20(A)).

Only arithmetic slows with the core clock. Its power falls faster than the clock, because voltage falls with it (P = C V^2 f; Weste and
Harris, "CMOS VLSI Design", 4th edition, section 5.2).
"""

from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

import msgspec

from switchgear.hardware.bounds import efficiency, fraction, not_negative, positive
from switchgear.hardware.errors import BadFigure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    N = TypeVar("N", float, NDArray[np.float64])
else:
    N = TypeVar("N")

CONTINUOUS_LOAD_FACTOR = 1.25
"""A circuit's rating over its continuous load (NFPA 70, 210.20(A))."""

CLOCK_EXPONENT = 2.4
"""Assumed: between 1 (frequency alone) and 3 (voltage in step with frequency) for the range in which a limit moves the clock."""


class PowerModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one board draws by its activity. Raises BadFigure."""

    idle_w: float
    arithmetic_w: float
    """Added when arithmetic is busy all the time at the full clock."""
    memory_w: float
    """Added when memory is busy all the time."""
    limit_w: float
    """The board's power limit (NVML: enforced power limit); its TDP where nobody set another."""
    clock_exponent: float = CLOCK_EXPONENT

    def __post_init__(self) -> None:
        not_negative(idle_w=self.idle_w, arithmetic_w=self.arithmetic_w, memory_w=self.memory_w)
        positive(limit_w=self.limit_w)
        if not 1 <= self.clock_exponent <= 3:
            raise BadFigure("clock_exponent", self.clock_exponent, "a number from 1 (frequency alone) to 3")
        if self.idle_w > self.limit_w:
            raise BadFigure("idle_w", self.idle_w, f"at most limit_w ({self.limit_w:g} W)")


class Host(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands around the boards of one server. Raises BadFigure."""

    boards: int = 1
    idle_w: float = 0.0
    """Processors, memory, disks, network and fans while the boards idle."""
    busy_w: float = 0.0
    """The same while they work."""
    supply_w: float = 0.0
    """Rated output of the power supplies together; 0 sizes them for the largest load."""
    supply_efficiency: tuple[tuple[float, float], ...] = ((0.1, 0.90), (0.2, 0.94), (0.5, 0.96), (1.0, 0.91))
    """Load (fraction of `supply_w`) and efficiency there, ascending; straight between the points, flat outside. Default: 80 PLUS
    Titanium at 230 V, redundant."""

    def __post_init__(self) -> None:
        positive(boards=self.boards)
        not_negative(idle_w=self.idle_w, busy_w=self.busy_w, supply_w=self.supply_w)
        if not self.supply_efficiency:
            raise BadFigure("number of points of supply_efficiency", 0, "at least one (load, efficiency)")
        for load, value in self.supply_efficiency:
            not_negative(supply_load=load)
            efficiency(supply_efficiency=value)
        if any(first >= second for (first, _), (second, _) in pairwise(self.supply_efficiency)):
            raise BadFigure("supply_efficiency", self.supply_efficiency[0][0], "its points in ascending order of load")


def dynamic_w(model: PowerModel, arithmetic: N, memory: N, clock: N | float = 1.0) -> N:
    """What work adds, watts, at activities from 0 to 1 and a clock as a fraction of the full one. Floats or arrays; not yet limited.

    The activity of arithmetic is a fraction of time: at a lower clock the same work keeps it busy for longer, at less power.
    """
    added: N = model.arithmetic_w * arithmetic * clock**model.clock_exponent + model.memory_w * memory
    return added


def board_w(model: PowerModel, arithmetic: float, memory: float, clock: float = 1.0) -> float:
    """What one board draws, watts: idle and dynamic, at most the limit. Raises BadFigure for an activity or clock outside 0 to 1."""
    fraction(arithmetic=arithmetic, memory=memory, clock=clock)
    return min(model.limit_w, float(model.idle_w + dynamic_w(model, arithmetic, memory, clock)))


def clock_under(model: PowerModel, arithmetic: float, memory: float, limit_w: float | None = None) -> float:
    """The clock, as a fraction of the full one, at which the board stays within `limit_w` (default: its own). 0 where nothing helps."""
    fraction(arithmetic=arithmetic, memory=memory)
    limit = model.limit_w if limit_w is None else limit_w
    positive(limit_w=limit)
    spare_w = limit - model.idle_w - model.memory_w * memory
    wanted_w = model.arithmetic_w * arithmetic
    if wanted_w <= spare_w:
        return 1.0
    return float(max(0.0, spare_w / wanted_w) ** (1 / model.clock_exponent))


def supply_rating_w(host: Host, model: PowerModel) -> float:
    """What the power supplies can give, watts: as stated, else the largest load that boards and host can make."""
    return host.supply_w or host.boards * model.limit_w + max(host.idle_w, host.busy_w)


def wall_w(host: Host, model: PowerModel, boards_w: float, busy: float) -> float:
    """What the server takes from the socket, watts, when its boards draw `boards_w` together and are busy for a fraction `busy` of time.

    Raises BadFigure, also where the load is more than the supplies can give.
    """
    not_negative(boards_w=boards_w)
    fraction(busy=busy)
    load_w = boards_w + host.idle_w + (host.busy_w - host.idle_w) * busy
    rating_w = supply_rating_w(host, model)
    if load_w > rating_w * (1 + 1e-9):
        raise BadFigure("supply_w", rating_w, f"power supplies of at least {load_w:.0f} W")
    return load_w / _supply_efficiency(host, load_w / rating_w) if load_w > 0 else 0.0


def provisioned_w(host: Host, model: PowerModel) -> float:
    """What the circuit must be built for, watts: the largest wall power, as a continuous load."""
    return CONTINUOUS_LOAD_FACTOR * wall_w(host, model, host.boards * model.limit_w, 1.0)


def _supply_efficiency(host: Host, load: float) -> float:
    points = host.supply_efficiency
    if load <= points[0][0]:
        return points[0][1]
    for (low, below), (high, above) in pairwise(points):
        if load <= high:
            return below + (above - below) * (load - low) / (high - low)
    return points[-1][1]
