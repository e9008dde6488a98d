"""Who goes next when a backend is full: teams share its places by weight. Pure: the caller brings the time and tells whoever comes up.

Start-time fair queueing (Goyal, Vin and Cheng 1996): each team's first waiter has a tag, the one with the smallest goes next, and the
team's next tag is that plus cost over weight. A team that comes anew begins at the tag that was served last: it can neither save up
turns nor be passed over for longer than the others need for one turn each. Within a team the order is that of arrival.

The queue is bounded. When it is full, the team with the most waiting for its weight gives way, its last comer first: a team that floods
the queue cannot keep others out of it.
"""

from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum
from heapq import heappop, heappush


class Place(Enum):
    """Where a waiter stands."""

    WAITING = "waiting"
    RUNNING = "running"
    """It has its turn; whoever runs tells with `leave` that it is over."""
    GONE = "gone"
    """It gave up, its time was over, or it was put out for another."""


class Waiter:
    """One call that waits. `go` is called when its turn comes, `put_out` when it has to give way; neither after it gave up."""

    __slots__ = ("cost", "deadline_s", "go", "place", "put_out", "team")

    def __init__(
        self, team: str, cost: float, deadline_s: float, go: Callable[[], None], put_out: Callable[[], None]
    ) -> None:
        self.team = team
        self.cost = cost
        self.deadline_s = deadline_s
        self.go = go
        self.put_out = put_out
        self.place = Place.WAITING


class _Team:
    __slots__ = ("finish", "in_heap", "waiters", "waiting", "weight")

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.finish = 0.0
        """Tag at which its next turn may begin."""
        self.waiters: deque[Waiter] = deque()
        """In the order of arrival; those who are gone are taken out when they come to an end of it."""
        self.waiting = 0
        self.in_heap = False


class FairQueue:
    """The places of one backend and who waits for them. `enter` and `leave` cost O(log teams); no waiter is ever looked through."""

    def __init__(self, capacity: int, weights: Mapping[str, float] | None = None, *, max_waiting: int = 1024) -> None:
        self.capacity = capacity
        """Places. It may be changed at any time; `fill` then calls up whoever has one."""
        self.weights: Mapping[str, float] = weights or {}
        self.max_waiting = max_waiting
        self.running = 0
        self.waiting = 0
        self._teams: dict[str, _Team] = {}
        self._heap: list[tuple[float, int, str]] = []
        """Teams with somebody in their line: tag, order of entry (equal tags: first come), name."""
        self._entries = 0
        self._filling = False
        self._tag = 0.0
        """Of who was served last."""

    # -- callers --

    def try_enter(self) -> bool:
        """Take a place if one is free and nobody waits for it; the common case. Then `leave` when it is over."""
        if self.running < self.capacity and not self.waiting:
            self.running += 1
            return True
        return False

    def wait(
        self,
        team: str,
        deadline_s: float,
        go: Callable[[], None],
        put_out: Callable[[], None],
        *,
        cost: float = 1.0,
    ) -> Waiter | None:
        """Stand in line after `try_enter` said no. None: the line is full, and this team has the most in it for its weight.

        `cost`: how much of its team's share the turn takes, for example estimated tokens; the same unit for all.
        """
        if self.max_waiting < 1:
            return None
        if self.waiting >= self.max_waiting:
            victim = self._last_of_longest(team)
            if victim is None:
                return None
            self._remove(victim)
            victim.put_out()
        waiter = Waiter(team, cost, deadline_s, go, put_out)
        line = self._line(team)
        line.waiters.append(waiter)
        line.waiting += 1
        self.waiting += 1
        self._queue(team, line)
        return waiter

    def give_up(self, waiter: Waiter) -> bool:
        """The call waits no longer (its caller hung up, its time is over). False: it does not wait any more anyhow."""
        if waiter.place is not Place.WAITING:
            return False
        self._remove(waiter)
        return True

    def leave(self, now_s: float) -> None:
        """A place is free again. Whoever is next is called up, within this call; those whose time is over are passed over."""
        if self.running < 1:
            raise ValueError("leave without a place: each try_enter or go is followed by one leave")
        self.running -= 1
        self.fill(now_s)

    def fill(self, now_s: float) -> None:
        """Call up waiters as long as places are free."""
        if self._filling:
            return  # a call that is over within its `go` leaves here: the loop below goes on, however many do
        self._filling = True
        try:
            while self.running < self.capacity and (waiter := self._next(now_s)) is not None:
                self.running += 1
                waiter.go()
        finally:
            self._filling = False

    # -- lines --

    def _line(self, team: str) -> _Team:
        line = self._teams.get(team)
        if line is None:
            line = self._teams[team] = _Team(self.weights.get(team, 1.0))
        return line

    def _queue(self, team: str, line: _Team) -> None:
        if not line.in_heap:
            line.in_heap = True
            line.weight = self.weights.get(team, 1.0)
            line.finish = max(line.finish, self._tag)
            self._entries += 1
            heappush(self._heap, (line.finish, self._entries, team))

    def _next(self, now_s: float) -> Waiter | None:
        while self._heap:
            tag, _, team = heappop(self._heap)
            line = self._teams[team]
            line.in_heap = False
            waiter = self._first(line, now_s)
            if waiter is None:
                self._forget(team, line)
                continue
            self._tag = tag
            line.finish = tag + waiter.cost / line.weight
            waiter.place = Place.RUNNING
            self._count_out(line)
            if line.waiters:
                self._queue(team, line)
            return waiter
        self._settle_down()
        return None

    def _first(self, line: _Team, now_s: float) -> Waiter | None:
        while line.waiters:
            waiter = line.waiters.popleft()
            if waiter.place is Place.WAITING:
                if waiter.deadline_s > now_s:
                    return waiter
                waiter.place = Place.GONE  # its own timer tells its caller
                self._count_out(line)
        return None

    def _remove(self, waiter: Waiter) -> None:
        waiter.place = Place.GONE
        line = self._teams[waiter.team]
        self._count_out(line)
        while line.waiters and line.waiters[-1].place is Place.GONE:
            line.waiters.pop()
        if line.waiting * 2 < len(line.waiters):  # the gone in the middle must not outnumber the others for long
            line.waiters = deque(w for w in line.waiters if w.place is Place.WAITING)

    def _count_out(self, line: _Team) -> None:
        line.waiting -= 1
        self.waiting -= 1

    def _last_of_longest(self, newcomer: str) -> Waiter | None:
        """Who gives way to a newcomer; None when it is the newcomer itself."""
        longest = max(self._teams.values(), key=lambda line: line.waiting / line.weight)
        own = self._teams.get(newcomer)
        weight = self.weights.get(newcomer, 1.0)
        if (own.waiting if own is not None else 0) + 1 > longest.waiting * weight / longest.weight:
            return None
        return next(waiter for waiter in reversed(longest.waiters) if waiter.place is Place.WAITING)

    def _forget(self, team: str, line: _Team) -> None:
        """A team without waiters whose turns are paid for leaves nothing behind."""
        if line.finish <= self._tag:
            del self._teams[team]

    def _settle_down(self) -> None:
        """Nobody waits: the next line begins from nothing."""
        self._teams.clear()
        self._tag = 0.0

    def view(self) -> dict[str, int]:
        """How many wait, by team."""
        return {team: line.waiting for team, line in self._teams.items() if line.waiting}
