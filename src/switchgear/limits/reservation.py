"""What one call, or one attempt, holds of its counters from the moment it is admitted until it ends."""

import msgspec

from switchgear.limits.plan import Plan


class Reservation(msgspec.Struct, eq=False, gc=False):
    """Ended once, by `settle` or `release`; what comes after the first end changes nothing."""

    plan: Plan
    tokens: int
    """Estimated."""
    nano_usd: int
    """Estimated, in billionths of a US dollar."""
    taken_s: float
    lease: int
    """The lease of the worker's shares that it was taken under."""
    flags: tuple[str, ...] = ()
    """Soft limits that it exceeds, as `limit.measure`, for the record; `limit.measure:unshared` where a hard one could not be checked."""
    over: bool = False

    def settle(self, tokens: int | None, cost_usd: float | None, now_s: float) -> bool:
        """The call is over and really used so much; None: not known, the estimate stands. Returns whether this was its end."""
        if self.over:
            return False
        self.over = True
        self.plan.settle(self, tokens, cost_usd, now_s)
        return True

    def release(self, now_s: float) -> bool:
        """The call was not sent anywhere after all: as if it had never come. Returns whether this was its end."""
        if self.over:
            return False
        self.over = True
        plan = self.plan
        plan.shares.outstanding.discard(self)
        if now_s >= plan.turns_s:
            plan.turn(now_s)  # a day that has ended must not be charged, nor a lease that is over be given back to
        for slot in plan.slots:
            slot.free += 1
        valid = self.lease == plan.shares.lease
        if valid:
            for share in plan.requests:
                share.correct(self.taken_s, -1, now_s)
            for share in plan.tokens:
                share.correct(self.taken_s, -self.tokens, now_s)
        for budget in plan.money:
            if valid:
                budget.free += self.nano_usd
            else:
                budget.cost_of_lost(self.nano_usd, 0)
        return True
