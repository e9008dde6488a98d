"""One counter's book: what all workers together used and hold. Pure; a store keeps it and calls `settle` in a transaction.

What a worker may use without asking is its *hold*. At every moment

    used in the period + all holds <= bound

unless calls turned out larger than was reserved for them, and then by that excess and no more. So workers never have to ask before a
call, and need no common clock: all times in a book are the store's. A hold that its worker does not renew in time is over: in the book
of a rate or a budget it then counts as used (its worker may have used it: missing evidence never widens), in that of calls in flight it
is free again.
"""

from collections.abc import Iterable

import msgspec

from switchgear.limits.period import Period, leaves_s, oldest_slot, slot_of


class Hold(msgspec.Struct, array_like=True):
    """What one worker may use."""

    amount: int
    until_s: float
    """When it is over unless renewed."""
    seq: int
    """Number of the worker's last ask that stands in this book: one that comes twice is not counted twice."""


class Ask(msgspec.Struct, array_like=True, frozen=True):
    """What a worker tells and wants of one counter."""

    counter: str
    period: Period
    bound: int
    seq: int
    """Rises with each ask of the worker; the same for one that is sent again."""
    held: int
    """What it held so far, by what it knows."""
    spent: int
    """Used since its last ask."""
    refunds: tuple[tuple[float, int], ...]
    """Used before and given back: how many seconds ago it had been used, and how much."""
    keep: int
    """Of what it held, what it keeps: reserved by calls under way, and a rest for the next ones."""
    want: int
    """How much more it would like."""
    least: int = 0
    """Of that, what a call is waiting for."""
    final: bool = False
    """The worker ends, or the counter does in it: nothing is kept."""


class Grant(msgspec.Struct, array_like=True, frozen=True):
    """The book's answer."""

    counter: str
    hold: int
    available: int
    """What nobody has used or holds. Negative: used beyond the bound."""
    workers: int
    """How many hold something, the asker included."""
    leaving: tuple[tuple[float, int], ...] = ()
    """When what was used stops counting: in so many seconds, so much. Oldest first."""
    lost: bool = False
    """The hold was over before the ask came. Nothing of the ask was written: what it held was counted already."""


class Book(msgspec.Struct):
    """Use by slot of the period, and holds by worker."""

    used: dict[int, int] = {}
    holds: dict[str, Hold] = {}

    @property
    def empty(self) -> bool:
        return not self.used and not self.holds

    def total(self) -> int:
        """Used in the period, as of the last `tidy`."""
        return sum(self.used.values())

    def held(self) -> int:
        return sum(hold.amount for hold in self.holds.values())

    def tidy(self, period: Period, now_s: float) -> None:
        """End the holds that were not renewed and forget what no longer counts."""
        over = [worker for worker, hold in self.holds.items() if hold.until_s <= now_s]
        for worker in over:
            hold = self.holds.pop(worker)
            if period is not Period.MOMENT and hold.amount:
                self._charge(slot_of(period, hold.until_s), hold.amount)
        oldest = oldest_slot(period, now_s)
        for slot in [slot for slot in self.used if slot < oldest]:
            del self.used[slot]

    def settle(self, worker: str, ask: Ask, now_s: float, lease_s: float) -> Grant:
        """Write down what a worker tells and lease it what it wants, as far as there is room."""
        self.tidy(ask.period, now_s)
        hold = self.holds.get(worker)
        if hold is None and ask.held:
            return Grant(ask.counter, 0, self._available(ask), max(1, len(self.holds)), lost=True)
        if hold is not None and hold.seq == ask.seq:  # its answer was lost on the way
            hold.until_s = now_s + lease_s
            return self._grant(ask, hold.amount, now_s)
        if ask.period is not Period.MOMENT:
            disowned = max(0, hold.amount - ask.held) if hold is not None else 0  # its worker took the lease for over
            self._charge(slot_of(ask.period, now_s), ask.spent + disowned)
            self._refund(ask.period, ask.refunds, now_s)
        if ask.final:
            self.holds.pop(worker, None)
            return self._grant(ask, 0, now_s)
        hold = self.holds[worker] = Hold(ask.keep, now_s + lease_s, ask.seq)
        hold.amount += _share(ask, self._available(ask), len(self.holds))
        return self._grant(ask, hold.amount, now_s)

    def _available(self, ask: Ask) -> int:
        return ask.bound - self.total() - self.held()

    def _charge(self, slot: int, amount: int) -> None:
        if amount:
            self.used[slot] = self.used.get(slot, 0) + amount

    def _refund(self, period: Period, refunds: Iterable[tuple[float, int]], now_s: float) -> None:
        # It goes to the slot in which it was used by the asker's reckoning, which is that of its charge or an earlier one (a charge is
        # written down after it was made). So it never outlives its charge, and a slot may go below zero while a later one has the charge.
        oldest = oldest_slot(period, now_s)
        for age_s, amount in refunds:
            slot = slot_of(period, now_s - age_s)
            if slot >= oldest:
                self._charge(slot, -amount)

    def _grant(self, ask: Ask, hold: int, now_s: float) -> Grant:
        available = self._available(ask)
        leaving: tuple[tuple[float, int], ...] = ()
        if available < ask.want and ask.period is not Period.MOMENT:
            leaving = tuple(
                (leaves_s(ask.period, slot) - now_s, amount) for slot, amount in sorted(self.used.items()) if amount
            )
        return Grant(ask.counter, hold, available, max(1, len(self.holds)), leaving)


def _share(ask: Ask, available: int, workers: int) -> int:
    """How much of what is left one worker gets: what it wants, but with others about no more than its part, or what a call waits for."""
    if available <= 0:
        return 0
    return min(ask.want, max(available // workers, min(ask.least, available)))
