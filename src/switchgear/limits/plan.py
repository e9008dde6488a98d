"""The shares that apply to one caller with one model (or to one backend for it), sorted the way the hot path goes through them."""

from collections.abc import Iterable

from switchgear.limits.model import Counter, Measure
from switchgear.limits.share import BudgetShare, RateShare, Share, SlotShare
from switchgear.limits.shares import Shares
from switchgear.limits.unrolled import quick


class Plan:
    """Never changed once made, but for the time of its next turn and its plans for backends."""

    __slots__ = (
        "at_backends",
        "header_lines",
        "key",
        "model",
        "money",
        "ones",
        "requests",
        "settle",
        "shares",
        "slots",
        "take",
        "team",
        "tokens",
        "turns_s",
    )

    def __init__(self, key: str, team: str, model: str, counters: Iterable[Counter], shares: Shares) -> None:
        self.key = key
        self.team = team
        self.model = model
        self.shares = shares
        found = [shares.share(counter) for counter in counters]
        rates = [share for share in found if isinstance(share, RateShare)]
        self.requests = tuple(share for share in rates if share.counter.measure is Measure.REQUESTS)
        self.tokens = tuple(share for share in rates if share.counter.measure is Measure.TOKENS)
        self.slots = tuple(share for share in found if isinstance(share, SlotShare))
        self.money = tuple(share for share in found if isinstance(share, BudgetShare))
        self.ones: tuple[Share, ...] = (*self.requests, *self.slots)
        """Of which a call takes one."""
        self.take, self.settle, self.header_lines = quick(self)
        self.turns_s = 0.0
        """When a call must look at the time first: a second has passed, or the lease may be over."""
        self.at_backends: dict[str, Plan] = {}

    def __bool__(self) -> bool:
        """Whether any limit applies."""
        return bool(self.ones or self.tokens or self.money)

    def turn(self, now_s: float) -> bool:
        """To be called from `turns_s` on. Returns whether the shares may be used as they are: they may not while there is no lease."""
        shares = self.shares
        if shares.leased:
            if now_s >= shares.lease_until_s and not shares.lost:
                shares.lose()
            if shares.lost:
                return False
            self.turns_s = shares.lease_until_s
            return True
        unix_s = shares.clock.now_s()
        for share in self.all():
            share.roll(now_s, unix_s)
        self.turns_s = int(now_s) + 1.0
        return True

    def all(self) -> tuple[Share, ...]:
        return (*self.ones, *self.tokens, *self.money)
