"""What a comparison computes: usage, lines of cost, and the totals of an option."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

import msgspec

from switchgear.planner.money_quantity import Quantity

Amount = Annotated[float, msgspec.Meta(ge=0)]


class Usage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one place of one option served and drew in one year: where the simulation's results meet the money.

    A simulation of a shorter time is scaled to a year by who gives it. Energy and power are those of the machines, at their
    plugs; the room's share (PUE) is added with the money.
    """

    option: str
    place: str
    year: Annotated[int, msgspec.Meta(ge=1)]
    """1 is the first."""
    calls: Amount
    prompt_tokens: Amount
    """All, the cached ones too."""
    cached_tokens: Amount = 0.0
    completion_tokens: Amount = 0.0
    energy_kwh: Amount = 0.0
    peak_kw: Amount = 0.0
    """Highest mean power of a quarter of an hour."""
    egress_bytes: Amount = 0.0
    busy_unit_hours: Amount = 0.0
    """Hours in which a unit worked, added over all units."""
    units: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Units in place in that year; those of the plan where not given."""


class CostKind(StrEnum):
    """What is paid for."""

    PURCHASE = "purchase"
    """Hardware; as a cost by year, its depreciation."""
    INSTALL = "install"
    LOAN = "loan"
    """Interest and repayment; as a cost by year, the interest."""
    LEASE = "lease"
    RESIDUAL = "residual"
    """What hardware is sold for; negative. As a cost by year, what the books say above that."""
    WARRANTY = "warranty"
    MAINTENANCE = "maintenance"
    ENERGY = "energy"
    COOLING = "cooling"
    """Energy of the room beyond the machines: (PUE - 1) times theirs."""
    DEMAND = "demand"
    SPACE = "space"
    NETWORK = "network"
    EGRESS = "egress"
    LICENCE = "licence"
    ENGINEERING = "engineering"
    MOVE = "move"
    TOKENS_INPUT = "tokens_input"
    TOKENS_CACHED = "tokens_cached"
    TOKENS_OUTPUT = "tokens_output"
    SHORTFALL = "shortfall"
    """A promised spend that was not reached."""
    UPFRONT = "upfront"
    CAPACITY = "capacity"
    """Reserved hours in a cloud."""
    FEE = "fee"
    USE = "use"
    CREDIT = "credit"
    """For what was promised and not delivered; negative."""
    EXIT = "exit"
    TAX = "tax"


GROUPS: Final[dict[str, tuple[CostKind, ...]]] = {
    "Cloud tokens": (CostKind.TOKENS_INPUT, CostKind.TOKENS_CACHED, CostKind.TOKENS_OUTPUT, CostKind.SHORTFALL),
    "Hardware": (
        CostKind.PURCHASE,
        CostKind.INSTALL,
        CostKind.LOAN,
        CostKind.LEASE,
        CostKind.RESIDUAL,
        CostKind.UPFRONT,
        CostKind.CAPACITY,
        CostKind.FEE,
        CostKind.USE,
        CostKind.CREDIT,
        CostKind.EXIT,
    ),
    "Upkeep": (CostKind.WARRANTY, CostKind.MAINTENANCE, CostKind.LICENCE),
    "Energy": (CostKind.ENERGY, CostKind.COOLING, CostKind.DEMAND),
    "Space and network": (CostKind.SPACE, CostKind.NETWORK, CostKind.EGRESS),
    "People": (CostKind.ENGINEERING, CostKind.MOVE),
    "Tax": (CostKind.TAX,),
}
"""Kinds of cost as a reader wants them told apart. Every kind is in exactly one."""


class When(StrEnum):
    """When in its year a line is paid."""

    START = "start"
    EVENLY = "evenly"
    END = "end"


@dataclass(frozen=True, slots=True)
class Line:
    """One kind of cost of one place in one year: what is paid, and what that year has cost."""

    option: str
    place: str
    """Empty: of the option as a whole."""
    kind: CostKind
    year: int
    when: When
    cash: Quantity | None
    accrual: Quantity | None
    vendor: str = ""
    amount: Quantity | None = None
    """How much of it, where it is priced by amount."""
    price: Quantity | None = None
    """Of one unit of `amount`."""

    @property
    def at_years(self) -> float:
        """When it is paid, years from the beginning; what is paid evenly counts in the year's middle."""
        return self.year - {When.START: 1.0, When.EVENLY: 0.5, When.END: 0.0}[self.when]


@dataclass(frozen=True, slots=True)
class Served:
    """What one place does in one year, as quantities."""

    calls: Quantity
    fresh_mtok: Quantity
    cached_mtok: Quantity
    output_mtok: Quantity
    energy_kwh: Quantity
    peak_kw: Quantity
    egress_gb: Quantity
    busy_unit_hours: Quantity
    units: Quantity


@dataclass(frozen=True, slots=True)
class OptionCost:
    """All that one option costs. Lists are by year, the first year first."""

    option: str
    lines: list[Line]
    served: dict[str, list[Served]]
    calls: list[Quantity]
    """Asked for, by year."""
    unserved: list[Quantity]
    """Of them, those that no place can serve."""
    cash: list[Quantity]
    accrual: list[Quantity]
    cash_total: Quantity
    present_value: Quantity
    usd_per_call: Quantity
    """Present value of all that is paid over that of all calls: the levelised cost."""
    usd_per_mtok: Quantity
