"""A worker's part of a counter: what calls take from and give back to, without asking anybody.

`free` is what calls may still take: the hot path (`limiter`) compares it and takes from it by itself, and everything else here happens
seldom. Alone in memory a share is the whole counter, and `roll` gives free what no longer counts. Leased, it is what the counter's book
(`book`) granted: `ask` tells the book what was used and gives back what is not needed, `accept` takes what came.

::

    Share
    ├── RateShare      requests, tokens: used when a call is admitted; corrected while that still counts
    ├── SlotShare      calls in flight: free again when a call ends
    └── BudgetShare    money: held while a call runs, used by what it really cost
"""

from switchgear.limits.book import Ask, Grant
from switchgear.limits.model import Counter
from switchgear.limits.period import Period, leaves_s, oldest_slot, slot_of

_FIRST_RATE = 8
_FIRST_BUDGET = 200
"""Of a bound, one part in so many is leased before anything is known of the need. Less of money: a worker that dies loses it."""
_HELD_S = 1.0
"""When to come back for what calls under way hold: how soon they end nobody knows."""


class Share:
    """Common to all three. Whole numbers throughout."""

    __slots__ = (
        "_asked",
        "_last_under_way",
        "_recent",
        "as_of_s",
        "available",
        "counter",
        "free",
        "granted",
        "hard",
        "known",
        "least",
        "leaving",
        "refunds",
        "retired",
        "seq",
        "spent",
        "workers",
    )

    def __init__(self, counter: Counter, *, leased: bool) -> None:
        self.counter = counter
        self.hard = counter.hard
        self.free = 0 if leased else counter.bound
        self.granted = self.free
        """Leased: what the book knows of as held. Alone: the bound, less what is used."""
        self.spent = 0
        """Money really spent: leased, since the last ask; alone, in this period."""
        self.refunds: dict[int, int] = {}
        """By second of the monotonic clock in which it was taken."""
        self.available = 0
        """Leased: what the book had left for anybody at the last answer."""
        self.leaving: tuple[tuple[float, int], ...] = ()
        """Leased: when what was used stops counting, by the monotonic clock, oldest first."""
        self.known = False
        """Leased: whether the book has answered at all."""
        self.as_of_s = 0.0
        """Leased: when the ask was sent that `available` answers."""
        self.workers = 1
        self.least = 0
        """What a call lacked that was not admitted since the last ask."""
        self.retired = False
        """No snapshot names its counter any more: it gives back what it holds."""
        self.seq = 0
        self._asked: Ask | None = None
        self._recent = 0
        self._last_under_way = 0

    # -- calls --

    @property
    def under_way(self) -> int:
        """Held by calls under way."""
        return 0

    def correct(self, taken_s: float, more: int, now_s: float) -> None:
        """A call used `more` (or less, below zero) than it took at `taken_s`."""

    def roll(self, now_s: float, unix_s: float) -> None:
        """Alone: give free what no longer counts."""

    def rebound(self, counter: Counter) -> None:
        """The same counter with another bound or mode."""
        if self._alone:
            self.free += counter.bound - self.counter.bound
            self.granted += counter.bound - self.counter.bound
        self.known = False
        self.counter = counter
        self.hard = counter.hard
        self.retired = False

    @property
    def _alone(self) -> bool:
        return False

    def room_in_s(self, need: int, now_s: float, unix_s: float) -> float:
        """Seconds until `need` is free if nobody else comes; what is known of it."""
        lacking = need - self.free - max(0, self.available)
        for at_s, amount in self.leaving:
            lacking -= amount
            if lacking <= 0:
                return max(0.0, at_s - now_s)
        return 1.0

    # -- leasing --

    @property
    def stirred(self) -> bool:
        """Whether there is something to tell the book, or something wanted of it."""
        return bool(
            self._asked is not None
            or not self.known
            or self.least
            or self.refunds
            or self.spent
            or self.retired
            or self._recent
            or self.under_way != self._last_under_way
            or self.free != self.granted - self._last_under_way
            or (self.free > 0 and self.available <= 0)
        )

    @property
    def idle(self) -> bool:
        """Whether nothing would be lost with it: nothing is held, or, alone, nothing that was used counts any more."""
        if self._alone:
            return self.free == self.counter.bound
        return not (self._asked or self.granted or self.spent or self.refunds or self.free)

    def ask(self, seq: int, now_s: float, *, final: bool = False) -> Ask:
        """What to tell the book now. Until it is answered the same ask is made again: nothing is told twice."""
        if self._asked is None:
            self._asked = self._freeze(seq, now_s, final=final)
        return self._asked

    def _freeze(self, seq: int, now_s: float, *, final: bool) -> Ask:
        under_way, spent = self.under_way, self._use()
        demand = spent + max(0, under_way - self._last_under_way)
        recent = self._recent = max(demand, self._recent // 2)
        self._last_under_way = under_way
        least, self.least = self.least, 0
        wanted = self._wanted(recent)
        free = max(0, self.free)
        surplus = free if final or self.retired else max(0, free - 2 * wanted - least)
        keep = under_way + free - surplus
        want = 0 if final or self.retired else max(0, wanted + least - free)
        refunds = tuple((now_s - second, amount) for second, amount in self.refunds.items())
        held, self.granted, self.spent, self.refunds = self.granted, keep, 0, {}
        self.free = free - surplus
        return Ask(
            self.counter.id, self.counter.period, self.counter.bound, seq, held, spent, refunds, keep, want, least,
            final or (self.retired and not keep),
        )  # fmt: skip

    def _use(self) -> int:
        """What was used since the last ask."""
        return self.spent

    def _wanted(self, recent: int) -> int:
        """How much to hold free: four times what the last interval took, and a floor that shrinks with what is left for anybody."""
        part = _FIRST_BUDGET if self.counter.unit != 1 else _FIRST_RATE
        floor = self.counter.bound // (part * self.workers)
        if self.known:
            floor = min(floor, max(0, self.available) // (2 * self.workers))
        return 4 * recent + floor

    def accept(self, grant: Grant, sent_s: float) -> None:
        """The book's answer to the ask that was sent at `sent_s`."""
        asked, self._asked = self._asked, None
        self.known = True
        self.as_of_s, self.available, self.workers = sent_s, grant.available, grant.workers
        self.leaving = tuple((sent_s + in_s, amount) for in_s, amount in grant.leaving)
        if grant.lost:
            self._asked = asked
            self.lose()
        elif asked is not None:
            self.free += grant.hold - asked.keep
            self.granted = grant.hold

    def lose(self) -> None:
        """The lease is over: the book counts all that was held as used. Only what was used beyond it is still to be told."""
        asked = self._asked
        if asked is not None and not asked.held:
            return  # an ask of somebody who holds nothing cannot be lost: it waits
        self._asked = None
        debt = max(0, -self.free)
        if asked is not None:
            debt += max(0, asked.spent - asked.held)
        self.granted = self._last_under_way = self._recent = self.available = 0
        self.refunds = {}
        self._owe(debt)

    def _owe(self, debt: int) -> None:
        self.spent, self.free = 0, -debt


class RateShare(Share):
    """Requests or tokens in any 60 seconds."""

    __slots__ = ("_slot", "_slots")

    def __init__(self, counter: Counter, *, leased: bool) -> None:
        super().__init__(counter, leased=leased)
        self._slot = 0
        self._slots: dict[int, int] | None = None if leased else {}
        """Alone: what was used, by second."""

    @property
    def _alone(self) -> bool:
        return self._slots is not None

    def correct(self, taken_s: float, more: int, now_s: float) -> None:
        if more > 0:
            self.roll(now_s, 0.0)
            self.free -= more
        elif more:
            second = int(taken_s)
            self.refunds[second] = self.refunds.get(second, 0) - more

    def roll(self, now_s: float, unix_s: float) -> None:
        slots = self._slots
        if slots is None:
            return
        used = self.granted - self.free
        if used:
            slots[self._slot] = slots.get(self._slot, 0) + used
        oldest, self._slot = oldest_slot(Period.MINUTE, now_s), slot_of(Period.MINUTE, now_s)
        while slots and (first := next(iter(slots))) < oldest:  # slots are made in the order of time
            self.free += slots.pop(first)
        if self.refunds:
            for second, amount in self.refunds.items():
                if second in slots:
                    slots[second] -= amount
                    self.free += amount
            self.refunds = {}
        self.granted = self.free

    def room_in_s(self, need: int, now_s: float, unix_s: float) -> float:
        slots = self._slots
        if slots is None:
            return super().room_in_s(need, now_s, unix_s)
        lacking = need - self.free
        for slot, amount in slots.items():
            lacking -= amount
            if lacking <= 0:
                return max(0.0, leaves_s(Period.MINUTE, slot) - now_s)
        return leaves_s(Period.MINUTE, self._slot) - now_s

    def _use(self) -> int:
        return self.granted - self.free


class SlotShare(Share):
    """Calls in flight."""

    __slots__ = ("_whole",)

    def __init__(self, counter: Counter, *, leased: bool) -> None:
        super().__init__(counter, leased=leased)
        self._whole = not leased

    @property
    def _alone(self) -> bool:
        return self._whole

    @property
    def under_way(self) -> int:
        return self.granted - self.free

    def lose(self) -> None:
        asked = self._asked
        if asked is not None and not asked.held:
            return
        self._asked = None
        self.free -= (
            self.granted
        )  # the calls are still under way: they stay in `under_way`, and the next ask tells of them
        self.granted = self._last_under_way = self._recent = self.available = 0

    def room_in_s(self, need: int, now_s: float, unix_s: float) -> float:
        return _HELD_S


class BudgetShare(Share):
    """Money in a day or a month."""

    __slots__ = ("_slot", "_whole")

    def __init__(self, counter: Counter, *, leased: bool) -> None:
        super().__init__(counter, leased=leased)
        self._slot = 0
        self._whole = not leased

    @property
    def _alone(self) -> bool:
        return self._whole

    @property
    def under_way(self) -> int:
        return self.granted - self.free - self.spent

    def cost_of_lost(self, reserved: int, real: int) -> None:
        """The same for a call of a lease that is over: what it had reserved is counted already."""
        if real > reserved:
            self.free -= real - reserved
            self.spent += real - reserved

    def roll(self, now_s: float, unix_s: float) -> None:
        slot = slot_of(self.counter.period, unix_s)
        if self._whole and slot > self._slot:  # a clock that is set back makes no new day
            self._slot = slot
            self.free += self.spent
            self.spent = 0

    def room_in_s(self, need: int, now_s: float, unix_s: float) -> float:
        used = self.spent if self._whole else sum(amount for _, amount in self.leaving)
        if used + need <= self.counter.bound and (self._whole or self.leaving):
            return _HELD_S
        return max(1.0, leaves_s(self.counter.period, slot_of(self.counter.period, unix_s)) - unix_s)

    def _owe(self, debt: int) -> None:
        self.free, self.spent = -debt, debt


def make_share(counter: Counter, *, leased: bool) -> Share:
    """The share that a counter needs."""
    if counter.period is Period.MOMENT:
        return SlotShare(counter, leased=leased)
    kind = RateShare if counter.period is Period.MINUTE else BudgetShare
    return kind(counter, leased=leased)
