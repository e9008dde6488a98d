"""A limiter of one worker, its counts in memory, and the clock that it goes by."""

from switchgear.core.clock import ManualClock
from switchgear.core.limits import Limit
from switchgear.limits.limiter import Limiter
from switchgear.limits.model import Refusal
from switchgear.limits.reservation import Reservation
from switchgear.limits.shares import Shares

NOON_S = 1_700_049_600.0
"""12:00 on 15 November 2023 UTC."""


class Desk:
    """A limiter and the clock that it goes by."""

    def __init__(self, *limits: Limit, now_s: float = NOON_S) -> None:
        self.clock = ManualClock(now_s)
        self.shares = Shares(self.clock)
        self.limiter = Limiter(limits, self.shares)

    def ask(
        self,
        tokens: int = 10,
        cost_usd: float | None = 0.01,
        key: str = "k",
        team: str = "research",
        model: str = "chat",
    ) -> Reservation | Refusal:
        plan = self.limiter.plan(key, team, model)
        return self.limiter.reserve(plan, tokens, cost_usd, self.clock.monotonic_s())

    def admit(
        self,
        tokens: int = 10,
        cost_usd: float | None = 0.01,
        key: str = "k",
        team: str = "research",
        model: str = "chat",
    ) -> Reservation:
        answer = self.ask(tokens, cost_usd, key, team, model)
        assert isinstance(answer, Reservation), answer
        return answer

    def refuse(
        self,
        tokens: int = 10,
        cost_usd: float | None = 0.01,
        key: str = "k",
        team: str = "research",
        model: str = "chat",
    ) -> Refusal:
        answer = self.ask(tokens, cost_usd, key, team, model)
        assert isinstance(answer, Refusal), answer
        return answer

    def settle(self, reservation: Reservation, tokens: int | None = 10, cost_usd: float | None = 0.01) -> bool:
        return reservation.settle(tokens, cost_usd, self.clock.monotonic_s())

    def release(self, reservation: Reservation) -> bool:
        return reservation.release(self.clock.monotonic_s())
