"""What a simulation tells. Every result names what it was made from: `inputs`."""

import msgspec


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What every answer of the planner begins with."""

    inputs: dict[str, str] = {}
    """What the figures rest on, by name: the workload, the seed, and every figure of the hardware with its source."""


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """How a time is distributed, seconds; None of it where no call had it."""

    count: int
    mean: float | None
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    most: float | None


class PlaceResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one place."""

    name: str
    kind: str
    units: int
    devices: int
    answered: int
    """Calls that it gave the answer to."""
    tokens_in: int
    """Prompt tokens of the calls that it answered."""
    tokens_out: int
    utilisation: float | None
    """Share of the time in which a unit computed, the mean of all; None where nobody sees the units."""
    busiest_utilisation: float | None
    batch_mean: float | None
    """Sequences computed at once while it computed."""
    kv_peak: float | None
    """Largest share of the KV cache in use in any unit."""
    preemptions: int
    """Sequences pushed out of a full KV cache and computed anew."""
    prefix_hit_share: float | None
    """Of the prompt tokens admitted, those that were not computed because the cache held them."""
    queue: Spread
    """From reaching the unit to being let into its batch."""
    in_flight_peak: int
    breaker_opened: int
    energy_board_j: float | None
    energy_wall_j: float | None
    """With host and power supply; None where the fleet does not say what stands around the devices."""
    hottest_c: float | None
    slow_share: float | None
    """Share of the units' time at a lower clock, by heat or by the power limit."""
    link_utilisation: float | None
    cost_usd: float | None
    """By its prices; None: unpriced."""
    arithmetic_share: float | None
    """Of the time in which it computed, how long arithmetic was busy; with the next it says which side of the roofline counts."""
    memory_share: float | None


class PolicyGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Calls that policies do not tell apart by caller, called model or data class, and where they may go."""

    principal: str
    team: str
    model: str
    data_class: str
    """What they count as."""
    calls: int
    places: list[str]
    """Where at least one of a call's attempts may go; none: they are refused."""
    ruled_out: dict[str, str]
    """The other places, and why: `forbidden:ID,ID`, `policy_failed:ID` or `not_permitted`, as in records."""
    by_purpose: bool = False
    """Whether it depends on which of a call's attempts it is (first, fallback, retry, rescue)."""


class PolicyResult(msgspec.Struct, frozen=True, kw_only=True):
    """What policies said of a workload, whatever the moment."""

    files: list[str]
    nowhere: dict[str, int]
    """Calls that may go nowhere, by what rules the places out, with the policies' ids."""
    local: dict[str, int]
    """Calls that may go to no cloud, by what rules the clouds out."""
    groups: list[PolicyGroup]
    """Most calls first."""


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """Where calls may go, whatever the moment."""

    nowhere: int
    must_stay_local: int | None
    policy: PolicyResult | None


class Result(Answer, frozen=True, kw_only=True):
    """What became of a workload on a fleet."""

    fleet: str
    workload: str
    method: str
    """`fast` or `detailed`."""
    seed: int
    calls: int
    answered: int
    refused: dict[str, int]
    """Calls that no place was asked for, by reason."""
    failed: dict[str, int]
    """Calls that got an error after places were asked, by reason."""
    broken: dict[str, int]
    """Calls whose stream broke after its first token and could not be carried on."""
    availability: float
    """Share of the calls that got a whole answer."""
    cloud_share: float
    """Share of the answers that a cloud gave: the spill."""
    must_stay_local_share: float | None
    """Share of the calls that may go somewhere but to no cloud, by policy or data class; None where the fleet has no cloud."""
    policy: PolicyResult | None
    """None: the fleet has no policies."""
    arrivals_s: float
    """From the beginning to the last arrival."""
    duration_s: float
    """From the beginning to the last answer."""
    attempts_mean: float
    retries: int
    timeouts: int
    ttft: Spread
    """To the first token, of answered calls."""
    e2e: Spread
    """To the last token."""
    tpot: Spread
    """Mean time between two tokens of a call after its first, of answered calls with at least two."""
    queue: Spread
    ttft_by_class: dict[str, Spread]
    """By data class: what residency costs."""
    tokens_in: int
    tokens_out: int
    energy_board_j: float
    energy_wall_j: float | None
    cost_usd: float | None
    places: list[PlaceResult]

    def place(self, name: str) -> PlaceResult:
        """The result of one place. Raises KeyError."""
        for place in self.places:
            if place.name == name:
                return place
        raise KeyError(name)
