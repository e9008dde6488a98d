"""What is open to a call after a failed attempt: whom to ask next, when, when to give up (DESIGN, failure rules 1, 2, 6). Pure."""

import random
from typing import NamedTuple

from switchgear.core.record import AttemptKind, AttemptOutcome
from switchgear.gateway.call import Call
from switchgear.gateway.candidates import busy, too_dear
from switchgear.gateway.failure import Failure, Next
from switchgear.gateway.table import Route, Target


class Bounds(NamedTuple):
    """What holds for one chain of a call that has several, each at another model's targets."""

    before: int
    """Attempts of the call that belong to the chains before it."""
    max_cost_usd: float | None
    """What all attempts of the call together may cost, US dollars."""


class Chain:
    """Decides; asks nobody. Made when the first attempt was sent, so that target is not among those that remain."""

    __slots__ = ("_again", "_before", "_call", "_max_cost_usd", "_random", "_remaining", "_route", "_tries", "failure")

    def __init__(self, call: Call, route: Route, rng: random.Random, bounds: "Bounds | None" = None) -> None:
        self._call = call
        self._route = route
        self._random = rng
        self._before, self._max_cost_usd = bounds or Bounds(0, route.config.max_cost_usd)
        self._remaining = list(call.candidates[1:])
        self._again: dict[Target, float] = {}
        """Targets that may be asked again, and not before when."""
        self._tries: dict[Target, int] = {}
        self.failure: Failure | None = None
        """The last one: what the caller hears if nothing is left."""

    def failed(self, target: Target, failure: Failure, now_s: float) -> None:
        """An attempt failed: note what that leaves."""
        self.failure = failure
        tries = self._tries[target] = self._tries.get(target, 0) + 1
        self._again.pop(target, None)
        if failure.next is Next.AGAIN:
            retry = self._route.config.retry
            if failure.retry_after_s is not None:
                wait_s = failure.retry_after_s
            else:  # full jitter (Brooker, "Exponential Backoff And Jitter", 2015)
                wait_s = self._random.uniform(0.0, min(retry.max_backoff_s, retry.backoff_s * 2 ** (tries - 1)))
            self._again[target] = now_s + wait_s
        elif failure.next is Next.LARGER:
            self._remaining = [other for other in self._remaining if _larger(other, target)]
            self._again = {other: when_s for other, when_s in self._again.items() if _larger(other, target)}
        elif failure.next is Next.NOWHERE:
            self._remaining.clear()
            self._again.clear()

    def next(self, now_s: float) -> tuple[Target, AttemptKind, float] | None:
        """The next target, why it is asked, and seconds to wait before; None: give up. Takes from the retry budget."""
        call, config = self._call, self._route.config
        if len(call.attempts) - self._before >= config.retry.attempts or now_s >= call.deadline_s:
            return None
        choice = self._choose(now_s)
        if choice is None or now_s + choice[2] >= call.deadline_s or not self._route.state.retries.take(now_s):
            return None
        target = choice[0]
        if target in self._remaining:
            self._remaining.remove(target)
        return choice

    def skip(self, target: Target) -> None:
        """A target that was chosen cannot take the call any more: it is not asked again."""
        self._again.pop(target, None)

    def _choose(self, now_s: float) -> tuple[Target, AttemptKind, float] | None:
        for target in self._remaining:
            if self.free(target, now_s) and self._call.may_go(target, AttemptKind.FALLBACK):
                return target, AttemptKind.FALLBACK, 0.0
        again = [
            (when_s, target)
            for target, when_s in self._again.items()
            if self._affordable(target)
            and _open_by(target, when_s, now_s)
            and self._call.may_go(target, AttemptKind.RETRY)
        ]
        if not again:
            return None
        when_s, target = min(again, key=lambda entry: entry[0])
        return target, AttemptKind.RETRY, max(0.0, when_s - now_s)

    def free(self, target: Target, now_s: float) -> bool:
        """Whether a target may be asked at this moment."""
        return not busy(target, now_s) and self._affordable(target) and target.state.rest_until_s <= now_s

    def _affordable(self, target: Target) -> bool:
        """Whether the cost limit of the call allows one more attempt there, by estimate, beside what was spent."""
        limit, head = self._max_cost_usd, self._call.head
        if limit is None or head is None:
            return True
        return not too_dear(target, head, limit - spent_usd(self._call))

    def hedge(self, now_s: float) -> Target | None:
        """A second target to ask beside a slow first, if there is one and the budgets allow it."""
        for target in self._remaining:
            if self.free(target, now_s) and self._call.may_go(target, AttemptKind.HEDGE):
                if not self._route.state.hedges.take(now_s):
                    return None
                self._remaining.remove(target)
                return target
        return None

    def rescuers(self, now_s: float) -> list[Target]:
        """Who may carry on a broken stream: candidates not asked yet, those that were only slow, those that failed without being silent."""
        lost = {(one.backend, one.model) for one in self._call.attempts if one.outcome is AttemptOutcome.LOST}
        slow = [target for target in self._call.candidates if target.name in lost]
        return [target for target in (*self._remaining, *slow, *self._again) if self.free(target, now_s)]


def spent_usd(call: Call) -> float:
    """What the attempts of a call have cost so far, as far as that is known."""
    return sum(attempt.cost_usd or 0.0 for attempt in call.attempts)


def _larger(target: Target, than: Target) -> bool:
    """Whether a call that was too long for one target may fit another: its window is larger, or not known."""
    window = target.context_window
    return window is None or (than.context_window is not None and window > than.context_window)


def _open_by(target: Target, when_s: float, now_s: float) -> bool:
    """Whether a target's breaker will let a call through when its wait is over, as far as can be told now."""
    if when_s <= now_s:
        return not busy(target, now_s)
    return target.state.breaker.retry_after_s(now_s) <= when_s - now_s
