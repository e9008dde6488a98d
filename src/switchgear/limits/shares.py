"""All shares of one worker, and the reservations made of them. They outlive a snapshot: a reload forgets no spent dollar."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from switchgear.core.clock import Clock
from switchgear.core.limits import OnSharingFailure
from switchgear.limits.model import Counter
from switchgear.limits.share import Share, make_share

if TYPE_CHECKING:
    from switchgear.limits.reservation import Reservation

_MANY = 1000


class Shares:
    """By counter. `leased`: their counters are shared with other workers, and a `leasing.Leaser` keeps them supplied."""

    def __init__(
        self, clock: Clock, *, leased: bool = False, on_failure: OnSharingFailure = OnSharingFailure.CLOSED
    ) -> None:
        self.clock = clock
        self.leased = leased
        self.on_failure = on_failure
        self.outstanding: set[Reservation] = set()
        """Reservations that have no end yet."""
        self.expired = 0
        """Reservations that never got an end from their call."""
        self.lease_until_s = 0.0
        """Leased: until when the shares are this worker's own, on the monotonic clock."""
        self.lease = 0
        """Counts the leases that were lost: what was reserved under an earlier one is counted in the books already."""
        self.lost = leased
        """Leased: whether there is no lease at the moment."""
        self.failing = False
        """Leased: whether the last ask had no answer."""
        self.fresh_s = 1.0
        """Leased: how long what a book said of others is believed."""
        self.wake: Callable[[], None] = _nobody
        """Leased: asks for an ask at once."""
        self._shares: dict[str, Share] = {}

    def __len__(self) -> int:
        return len(self._shares)

    def __iter__(self) -> Iterator[Share]:
        return iter(self._shares.values())

    def share(self, counter: Counter) -> Share:
        """The share of a counter, made when it is first needed."""
        share = self._shares.get(counter.id)
        if share is None:
            share = self._shares[counter.id] = make_share(counter, leased=self.leased)
        elif share.counter != counter or share.retired:
            share.rebound(counter)
        return share

    def retire(self, keep: Callable[[Counter], bool]) -> None:
        """Mark the shares of counters that nobody wants any more: they give back what they hold, and `drop_idle` forgets them."""
        for share in self._shares.values():
            share.retired = share.retired or not keep(share.counter)

    def drop_idle(self) -> bool:
        """Forget shares with which nothing is lost. Returns whether there were any: plans that name them must then be made anew.

        As long as they are few only those that no limit names any more go: callers come and go, and limits by caller with them.
        """
        busy = {share for reservation in self.outstanding for share in reservation.plan.all()}
        many = len(self._shares) > _MANY
        idle: list[Share] = []
        for share in self._shares.values():
            if (share.retired or many) and share not in busy:
                if share.idle:
                    idle.append(share)
                elif self.leased and not share.stirred:
                    share.retired = True
        for share in idle:
            del self._shares[share.counter.id]
        return bool(idle)

    def lose(self) -> None:
        """The lease is over."""
        self.lost = True
        self.lease += 1
        for share in self._shares.values():
            share.lose()

    def expire(self, before_s: float) -> int:
        """End the reservations made before then: their calls cannot be under way any more. Returns how many there were.

        Their calls in flight are free again, their money counts as spent: it may have been.
        """
        old = [reservation for reservation in self.outstanding if reservation.taken_s < before_s]
        now_s = self.clock.monotonic_s()
        for reservation in old:
            reservation.settle(None, None, now_s)
        self.expired += len(old)
        return len(old)


def _nobody() -> None:
    """Nobody leases: each share is the whole counter."""
