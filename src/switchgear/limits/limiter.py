"""May this call be admitted now? One limiter for each snapshot, over shares that outlive it.

`reserve` is the hot path: it compares and takes whole numbers from the shares that apply, and nothing else (`unrolled`). Only a call that
finds too little, or is the first in a second, goes a longer way: seconds that have passed give free what they held, soft limits flag, and
hard ones refuse with the time after which there is room.
"""

from collections.abc import Iterable, Sequence

from switchgear.core.limits import Limit, OnSharingFailure
from switchgear.limits.model import NANO, Refusal
from switchgear.limits.plan import Plan
from switchgear.limits.refusals import exhausted, pending, too_large, unpriced, unshared
from switchgear.limits.reservation import Reservation
from switchgear.limits.scope import counters_of, still_counts
from switchgear.limits.share import Share
from switchgear.limits.shares import Shares
from switchgear.limits.view import LimitsView, view

_PLANS = 65_536
"""So many are kept; the names of callers may come from outside."""
_PREPARED = 1024
"""So many shares at most are made before anybody calls."""


class Limiter:
    """Times are monotonic seconds, tokens and costs estimates that should err upwards: what a call uses beyond them is found out late."""

    def __init__(self, limits: Sequence[Limit], shares: Shares) -> None:
        self.shares = shares
        self._calls = [limit for limit in limits if limit.backend is None]
        self._attempts = [limit for limit in limits if limit.backend is not None]
        self.by_backend = bool(self._attempts)
        """Whether any limit looks at backends: else attempts need not ask."""
        self._plans: dict[tuple[str, str, str], Plan] = {}
        by_id = {limit.id: limit for limit in limits}
        shares.retire(lambda counter: counter.limit in by_id and still_counts(by_id[counter.limit], counter))

    def plan(self, key: str, team: str, model: str) -> Plan:
        """What applies to a caller's calls of a model. Falsy where nothing does."""
        names = (key, team, model)
        plan = self._plans.get(names)
        if plan is None:
            if len(self._plans) >= _PLANS:
                self._plans.clear()
            counters = counters_of(self._calls, {"key": key, "team": team, "model": model})
            plan = self._plans[names] = Plan(key, team, model, counters, self.shares)
        return plan

    def at_backend(self, plan: Plan, backend: str) -> Plan:
        """What applies to an attempt at a backend besides."""
        plan = self.plan(plan.key, plan.team, plan.model)  # the one given may be from before a reload, or before `tidy`
        found = plan.at_backends.get(backend)
        if found is None:
            values = {"key": plan.key, "team": plan.team, "model": plan.model, "backend": backend}
            counters = counters_of(self._attempts, values)
            found = plan.at_backends[backend] = Plan(plan.key, plan.team, plan.model, counters, self.shares)
        return found

    def prepare(self, callers: Iterable[tuple[str, str]], models: Sequence[str], backends: Sequence[str]) -> None:
        """Make the shares of callers (key and team) that are known beforehand, so that a leased worker has theirs when it begins."""
        for key, team in callers:
            for model in models:
                if len(self.shares) >= _PREPARED:
                    return
                plan = self.plan(key, team, model)
                for backend in backends if self.by_backend else ():
                    self.at_backend(plan, backend)

    def tidy(self, now_s: float, reservation_s: float) -> None:
        """From time to time: end reservations older than `reservation_s`, forget the shares that nobody needs."""
        unix_s = self.shares.clock.now_s()
        self.shares.expire(now_s - reservation_s)
        for share in self.shares:
            share.roll(now_s, unix_s)
        if self.shares.drop_idle():
            self._plans.clear()

    def reserve(self, plan: Plan, tokens: int, cost_usd: float | None, now_s: float) -> Reservation | Refusal:
        """Admit a call of about so many tokens (prompt and completion) and dollars, or say why not. `cost_usd` None: cannot be told."""
        reservation = plan.take(tokens, cost_usd, now_s)
        return reservation if reservation is not None else self._reserve_closely(plan, tokens, cost_usd, now_s)

    def allows(self, plan: Plan, tokens: int, cost_usd: float | None, now_s: float) -> Refusal | None:
        """The same question without taking anything: for candidates, before one is asked."""
        if now_s < plan.turns_s and _fits(plan, tokens, cost_usd):
            return None
        refusal, _ = self._look_closely(plan, tokens, cost_usd, now_s)
        return refusal

    def view(self, now_s: float) -> LimitsView:
        """The state of all counters, for the admin API and metrics."""
        return view(self.shares, now_s)

    # -- the longer way --

    def _reserve_closely(self, plan: Plan, tokens: int, cost_usd: float | None, now_s: float) -> Reservation | Refusal:
        refusal, flags = self._look_closely(plan, tokens, cost_usd, now_s)
        if refusal is not None:
            return refusal
        nano_usd = int((cost_usd or 0.0) * NANO + 0.5)
        for share, need in _needs(plan, tokens, nano_usd):
            share.free -= need
        reservation = Reservation(plan, tokens, nano_usd, now_s, self.shares.lease, tuple(flags))
        self.shares.outstanding.add(reservation)
        return reservation

    def _look_closely(
        self, plan: Plan, tokens: int, cost_usd: float | None, now_s: float
    ) -> tuple[Refusal | None, list[str]]:
        """The refusal that lasts longest, if any (coming back before its end would be in vain), and the soft limits exceeded."""
        plan.turn(now_s)
        unix_s = self.shares.clock.now_s()
        refusals: list[Refusal] = []
        flags: list[str] = []
        for share, need in _needs(plan, tokens, int((cost_usd or 0.0) * NANO + 0.5)):
            counter = share.counter
            rule = f"{counter.limit}.{counter.measure.value}"
            if cost_usd is None and counter.unit != 1:
                if share.hard:
                    refusals.append(unpriced(counter))
                else:
                    flags.append(f"{rule}:unpriced")
            share.roll(now_s, unix_s)
            if share.free >= need and not self.shares.lost:
                continue
            if not share.hard:
                if share.free < need:
                    flags.append(rule)
                continue
            refusal = self._refuse(share, need, now_s, unix_s)
            if refusal is not None:
                refusals.append(refusal)
            elif share.free < need or self.shares.lost:
                flags.append(f"{rule}:unshared")
        return max(refusals, key=_lasts, default=None), flags

    def _refuse(self, share: Share, need: int, now_s: float, unix_s: float) -> Refusal | None:
        counter, shares = share.counter, self.shares
        if need > counter.bound:
            return too_large(counter, need)
        if not shares.leased:
            return exhausted(counter, share.room_in_s(need, now_s, unix_s))
        share.least = max(share.least, need)
        if shares.lost or shares.failing:
            return None if shares.on_failure is OnSharingFailure.OPEN else unshared(counter)
        fresh = share.known and now_s - share.as_of_s < shares.fresh_s
        if fresh and share.free + share.available < need:
            return exhausted(counter, share.room_in_s(need, now_s, unix_s))
        shares.wake()
        return pending(counter)


def _lasts(refusal: Refusal) -> float:
    return float("inf") if refusal.retry_after_s is None else refusal.retry_after_s


def _fits(plan: Plan, tokens: int, cost_usd: float | None) -> bool:
    for one in plan.ones:
        if one.free < 1:
            return False
    for rate in plan.tokens:
        if rate.free < tokens:
            return False
    if plan.money:
        if cost_usd is None:
            return False
        nano_usd = int(cost_usd * NANO + 0.5)
        for budget in plan.money:
            if budget.free < nano_usd:
                return False
    return True


def _needs(plan: Plan, tokens: int, nano_usd: int) -> Iterable[tuple[Share, int]]:
    for share in plan.ones:
        yield share, 1
    for share in plan.tokens:
        yield share, tokens
    for share in plan.money:
        yield share, nano_usd
