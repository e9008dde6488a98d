"""The file of assumptions (`switchgear plan compare FILE`): what a comparison is made of. Currency: US dollars, said in the file."""

from enum import StrEnum
from typing import Annotated, Literal

import msgspec

from switchgear.planner.money_kinds import (
    BytesPerCall,
    CallsPerMonth,
    Change,
    Efficiency,
    Fte,
    Hours,
    Kw,
    PeakToMean,
    PositiveKw,
    Pue,
    RackUnits,
    Rate,
    Share,
    SharePerYear,
    TokensPerCall,
    TokensPerSecond,
    Usd,
    UsdPerCall,
    UsdPerFteYear,
    UsdPerGb,
    UsdPerHour,
    UsdPerKwh,
    UsdPerKwMonth,
    UsdPerMonth,
    UsdPerMtok,
    UsdPerRackUnitMonth,
    UsdPerUnit,
    UsdPerUnitHour,
    UsdPerUnitMonth,
    UsdPerUnitYear,
)

Years = Annotated[int, msgspec.Meta(ge=1, le=20)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Hour = Annotated[int, msgspec.Meta(ge=0, le=24)]
Month = Annotated[int, msgspec.Meta(ge=1, le=12)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A table of the file: immutable, and an unknown key in it is an error."""


class Kind(StrEnum):
    """What sort of option it is."""

    CLOUD = "cloud"
    ONPREM = "onprem"
    APPLIANCE = "appliance"
    EDGE = "edge"
    HYBRID = "hybrid"


class Workload(Part, frozen=True, kw_only=True):
    """What is asked in a month of the first year. A simulation's results (`Usage`) replace what it says of places."""

    calls_per_month: CallsPerMonth
    prompt_tokens_per_call: TokensPerCall
    completion_tokens_per_call: TokensPerCall
    cached_share_of_prompt: Share = 0.0
    """Of the prompt tokens, those that a provider bills as cached."""
    growth_per_year: Change = 0.0
    """Calls of a year over those of the year before, minus 1."""
    peak_to_mean: PeakToMean = 1.0
    """Tokens in the busiest minute over those in a mean minute: what units are counted for."""
    answer_bytes_per_call: BytesPerCall = 0.0
    """What leaves a cloud and is billed as egress."""


class TariffPeriod(Part, frozen=True, kw_only=True):
    """A part of the week or year with its own price of energy. The first period that fits counts."""

    name: Name
    usd_per_kwh: UsdPerKwh
    months: tuple[Month, ...] = tuple(range(1, 13))
    weekdays: tuple[Annotated[int, msgspec.Meta(ge=1, le=7)], ...] = tuple(range(1, 8))
    """1 is Monday (ISO 8601)."""
    from_hour: Hour = 0
    to_hour: Hour = 24
    """The first hour that is no longer in it."""


class Site(Part, frozen=True, kw_only=True):
    """Where owned hardware stands: what energy and heat cost there."""

    usd_per_kwh: UsdPerKwh
    """Outside of all periods."""
    periods: tuple[TariffPeriod, ...] = ()
    demand_usd_per_kw_month: UsdPerKwMonth = 0.0
    """For the highest power of a month."""
    pue: Pue = 1.0
    """Energy of the whole room over that of the machines in it."""
    ups_efficiency: Efficiency = 1.0
    """Of power supply, from the meter to the machine; leave it at 1 where `pue` counts it."""
    usd_per_rack_unit_month: UsdPerRackUnitMonth = 0.0
    energy_price_change_per_year: Change = 0.0
    load_shape: tuple[Annotated[float, msgspec.Meta(ge=0)], ...] = (1.0,) * 24
    """How the load spreads over the hours of a day; 24 weights."""


class Loan(Part, frozen=True, kw_only=True):
    """Borrowed money, paid back in equal instalments at each year's end."""

    rate_per_year: Rate
    years: Years
    down_share: Share = 0.0
    """Of the price, what is paid at once."""


class Lease(Part, frozen=True, kw_only=True):
    """Rent for a fixed term: equal payments each year, in advance, from the rate and the value left at the end."""

    rate_per_year: Rate
    years: Years
    left_share: Share = 0.0
    """Of the price, what the lessor counts on at the end; the hardware goes back then."""


class Depreciation(Part, frozen=True, kw_only=True):
    """How the price becomes cost over the years of use."""

    method: Literal["straight_line", "declining_balance"] = "straight_line"
    factor: Annotated[float, msgspec.Meta(ge=1, le=3)] = 2.0
    """Of the straight-line rate; 2 is double declining balance. Changes to straight line once that writes off more."""


class Owned(Part, frozen=True, kw_only=True):
    """Hardware of one's own, or leased: servers, appliances, devices. A unit is what is bought as one."""

    vendor: str
    site: Name
    units: Count
    price_usd_per_unit: UsdPerUnit
    life_years: Years
    tokens_per_second_per_unit: TokensPerSecond
    """Prompt and completion tokens together that one unit serves within the objective (`plan size`, `profile`)."""
    busy_kw_per_unit: PositiveKw
    """At the plug, serving all it can."""
    idle_kw_per_unit: Kw
    grow: bool = False
    """Buy more units in the year that needs them, instead of leaving calls over."""
    spare_units_share: Share = 0.0
    """Units (or parts worth as much) bought with the others and kept for failures."""
    install_usd_per_unit: UsdPerUnit = 0.0
    """Delivery, racking, cabling, switches, set-up."""
    price_change_per_year: Change = 0.0
    """Of the price of units that are bought in later years."""
    residual_share: Share = 0.0
    """Of the price, what a unit sells for at the end of its life."""
    depreciation: Depreciation = Depreciation()
    loan: Loan | None = None
    lease: Lease | None = None
    warranty_included_years: Annotated[int, msgspec.Meta(ge=0, le=20)] = 0
    warranty_usd_per_unit_year: UsdPerUnitYear = 0.0
    """From the end of the included years on."""
    maintenance_share_per_year: SharePerYear = 0.0
    """Of the price: repairs that no warranty covers, visits, firmware contracts."""
    rack_units_per_unit: RackUnits = 0.0
    network_usd_per_month: UsdPerMonth = 0.0
    licence_usd_per_unit_year: UsdPerUnitYear = 0.0


class Commitment(Part, frozen=True, kw_only=True):
    """A promise to spend at least so much in exchange for a lower price."""

    usd_per_month: UsdPerMonth
    discount_share: Share
    """Of list prices."""


class Tokens(Part, frozen=True, kw_only=True):
    """A cloud that charges by token."""

    vendor: str
    input_usd_per_mtok: UsdPerMtok
    output_usd_per_mtok: UsdPerMtok
    cached_input_usd_per_mtok: UsdPerMtok | None = None
    """The price of input where not given."""
    price_change_per_year: Change = 0.0
    commitment: Commitment | None = None
    egress_usd_per_gb: UsdPerGb = 0.0


class Reserved(Part, frozen=True, kw_only=True):
    """Capacity in a cloud that is paid by the hour, used or not."""

    vendor: str
    units: Count
    usd_per_unit_hour: UsdPerUnitHour
    upfront_usd_per_unit: UsdPerUnit = 0.0
    """For each term."""
    term_years: Years = 1
    tokens_per_second_per_unit: TokensPerSecond
    grow: bool = False
    price_change_per_year: Change = 0.0
    """Each new term and each new unit is bought at the price of its year."""
    egress_usd_per_gb: UsdPerGb = 0.0


class Performance(Part, frozen=True, kw_only=True):
    """A price that depends on what is delivered: a credit when fewer calls than agreed stay within the objective."""

    agreed_share: Share
    """Of calls that must stay within the objective (latency, availability)."""
    reached_share: Share
    """Of calls that do."""
    credit_share_per_point: Share
    """Of the fees, credited for each percentage point that is missing."""
    credit_cap_share: Share = 1.0
    """Of the fees, the most that is credited."""


class Service(Part, frozen=True, kw_only=True):
    """Hardware as a service: somebody else's hardware, for a fee each month, for use, or for what it delivers."""

    vendor: str
    units: Count
    usd_per_unit_month: UsdPerUnitMonth = 0.0
    usd_per_call: UsdPerCall = 0.0
    usd_per_mtok: UsdPerMtok = 0.0
    """Prompt and completion tokens together."""
    usd_per_unit_hour_busy: UsdPerUnitHour = 0.0
    """Only for hours in which a unit works."""
    setup_usd: Usd = 0.0
    tokens_per_second_per_unit: TokensPerSecond
    grow: bool = False
    term_years: Years = 1
    exit_share: Share = 1.0
    """Of the monthly fees that are left when the plan ends before the term: what must still be paid."""
    price_change_per_year: Change = 0.0
    performance: Performance | None = None


class Place(Part, frozen=True, kw_only=True):
    """One place that serves a part of the calls. Exactly one of the ways to pay is given."""

    share_of_calls: Share | None = None
    """None: all that no other place serves. One place of an option may leave it out."""
    tokens: Tokens | None = None
    reserved: Reserved | None = None
    owned: Owned | None = None
    service: Service | None = None


class Option(Part, frozen=True, kw_only=True):
    """One way to serve the workload."""

    kind: Kind
    title: str = ""
    places: dict[Name, Place]
    engineering_fte: Fte = 0.0
    """People who run it, full-time equivalents."""
    usd_per_fte_year: UsdPerFteYear = 0.0
    """With all on-costs."""
    wage_change_per_year: Change = 0.0
    move_hours: Hours = 0.0
    """Once: migration, tests, training."""
    move_usd_per_hour: UsdPerHour = 0.0


class Account(Part, frozen=True, kw_only=True):
    """Whose costs these are, for the FOCUS export."""

    id: str = "plan"
    name: str = "Planned costs"


class Plan(Part, frozen=True, kw_only=True):
    """A comparison: one workload, several ways to serve it, the same years for all."""

    currency: Literal["USD"]
    """The only one: convert before, and say at which rate in `source`."""
    title: str
    start: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")]
    """First month, `2026-01`."""
    horizon_years: Years
    discount_rate_per_year: Rate
    baseline: Name
    """The option that the others are compared with."""
    workload: Workload
    options: dict[Name, Option]
    sites: dict[Name, Site] = {}
    tax_rate: Share = 0.0
    """On profit; costs and depreciation lower it. Zero leaves tax out."""
    seed: Annotated[int, msgspec.Meta(ge=0)] = 1
    account: Account = Account()
