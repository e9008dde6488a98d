"""The words of this room: what is counted, and what a refusal says."""

from enum import StrEnum

import msgspec

from switchgear.limits.period import Period

NANO = 1_000_000_000
"""Money is counted in whole billionths of a US dollar: sums of whole numbers are exact."""


class Measure(StrEnum):
    """What a bound is on; the value is its key in `[[limits]]`."""

    REQUESTS = "requests_per_minute"
    TOKENS = "tokens_per_minute"
    IN_FLIGHT = "in_flight"
    USD_DAY = "usd_per_day"
    USD_MONTH = "usd_per_month"


PERIODS = {
    Measure.REQUESTS: Period.MINUTE,
    Measure.TOKENS: Period.MINUTE,
    Measure.IN_FLIGHT: Period.MOMENT,
    Measure.USD_DAY: Period.DAY,
    Measure.USD_MONTH: Period.MONTH,
}


class Counter(msgspec.Struct, frozen=True):
    """One bound on one measure of one set of calls, for example the tokens per minute of the team research with the model chat."""

    id: str
    """Unique; also its name in the database that workers share."""
    limit: str
    """Id of the limit that it belongs to."""
    scope: str
    """The values that it counts, for example `team=research`; `all calls` where nothing is named."""
    measure: Measure
    bound: int
    """Calls, tokens, or billionths of a US dollar."""
    hard: bool = True

    @property
    def period(self) -> Period:
        return PERIODS[self.measure]

    @property
    def unit(self) -> int:
        """How many of its whole numbers make one call, token or dollar."""
        return NANO if self.measure in (Measure.USD_DAY, Measure.USD_MONTH) else 1


class RefusalCode(StrEnum):
    """Why a call was not admitted. Stable: programs may depend on it."""

    RATE = "rate_limit_exceeded"
    """Requests or tokens per minute."""
    IN_FLIGHT = "too_many_in_flight"
    BUDGET = "budget_exceeded"
    TOO_LARGE = "exceeds_limit_alone"
    """The call by itself is larger than the bound: waiting does not help."""
    UNPRICED = "unpriced_under_budget"
    """Its cost cannot be told, and a budget applies."""
    UNSHARED = "limits_unavailable"
    """The database that workers share cannot be reached, the leased share is used up, and `on_failure` is `closed`."""
    PENDING = "limit_share_pending"
    """There is room, but not yet in this worker: its share is being fetched. Ask again shortly, without telling the caller."""


class Refusal(msgspec.Struct, frozen=True):
    """Why a call may not go now, and what to do about it."""

    code: RefusalCode
    limit: str
    """Id of the limit that refused."""
    measure: Measure
    message: str
    """For people: what is used up."""
    remedy: str
    """For people: what to do."""
    retry_after_s: float | None = None
    """When there is room again if nobody else comes, seconds; None: waiting does not help."""

    @property
    def pending(self) -> bool:
        """Whether to ask again after `retry_after_s` instead of telling the caller."""
        return self.code is RefusalCode.PENDING

    @property
    def rule(self) -> str:
        """What refused, for records: limit and measure."""
        return f"{self.limit}.{self.measure.value}"
