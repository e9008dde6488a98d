"""The state of the limits, for the admin API and metrics: what each counter has used and left, as this worker knows it."""

import msgspec

from switchgear.limits.model import NANO
from switchgear.limits.share import Share
from switchgear.limits.shares import Shares


class CounterView(msgspec.Struct, frozen=True):
    """One counter. Amounts in its own unit: calls, tokens, US dollars."""

    limit: str
    """Id of the limit."""
    scope: str
    """Whose calls are counted."""
    measure: str
    bound: float
    hard: bool
    left: float
    """What may still be used: with several workers as of the last round, and without what the others hold. Negative: exceeded."""
    under_way: float
    """Reserved by calls in flight in this worker: their number, or their money."""
    held: float
    """What this worker may use without asking; without sharing the same as `left`."""


class LimitsView(msgspec.Struct, frozen=True):
    """All of one worker."""

    counters: list[CounterView]
    reservations: int
    """Of calls and attempts that have not ended."""
    expired: int
    """Reservations that never got an end from their call, since the start. More than 0 is a defect of the gateway."""
    sharing: str
    """`alone`, `ok`, `failing` (the database is not reached, the leased share is used) or `lost` (the lease is over)."""
    lease_left_s: float
    """How long the share is still this worker's own; 0 where it is alone."""


def view(shares: Shares, now_s: float) -> LimitsView:
    """`now_s`: monotonic. Counters of which time has passed are brought up to date first."""
    unix_s = shares.clock.now_s()
    for share in shares:
        share.roll(now_s, unix_s)
    state = "alone"
    if shares.leased:
        state = "lost" if shares.lost else "failing" if shares.failing else "ok"
    return LimitsView(
        [_counter(share) for share in shares if not share.retired],
        len(shares.outstanding),
        shares.expired,
        state,
        max(0.0, shares.lease_until_s - now_s) if shares.leased else 0.0,
    )


def _counter(share: Share) -> CounterView:
    counter = share.counter

    def amount(whole: int) -> float:
        return whole / NANO if counter.unit == NANO else whole

    return CounterView(
        counter.limit,
        counter.scope,
        counter.measure.value,
        amount(counter.bound),
        counter.hard,
        amount(share.free + share.available),
        amount(share.under_way),
        amount(share.free),
    )
