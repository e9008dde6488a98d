"""Calls that say the same at the same time share one answer: the first asks, the others wait. Pure, driven by events; no task, no lock.

A flight is one question under way. Its leader asks; its followers wait. Whatever becomes of the leader, each follower ends in exactly one
way: the answer lands, the question itself is refused, it is told to take over, or it leaves by itself (hung up, or its deadline came).

- The leader fails: the follower with the most time left takes over; the others wait on.
- The leader's caller hangs up while others wait: the leader is told to carry on, for them. When the last of them leaves, it is told
  to stop.
- The leader's answer cannot be shared (too large to be held): all followers take over at once, each for itself.

Waiting is bounded by each follower's own deadline: the follower keeps that time itself, and leaves.
"""

import logging
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

log = logging.getLogger(__name__)

A = TypeVar("A", contravariant=True)
E = TypeVar("E", contravariant=True)


class Passenger(Protocol[A, E]):
    """A call on a flight. Each of the methods may end the call at once, or make it come back to the flight before it returns."""

    deadline_s: float
    """When it gives up, monotonic seconds."""

    def land(self, answer: A) -> None:
        """To a follower: here is the answer."""
        ...

    def refuse(self, error: E) -> None:
        """To a follower: what is wrong with the leader's call is wrong with this one."""
        ...

    def take_over(self) -> None:
        """To a follower: ask yourself. If the flight goes on, you lead it now."""
        ...

    def stop(self) -> None:
        """To a leader whose caller has gone: nobody waits for the answer any more."""
        ...


class Flight(Generic[A, E]):
    """One question under way. What comes from a call that is on it no more changes nothing."""

    __slots__ = ("_abandoned", "_flights", "_followers", "_handing_over", "key", "leader")

    def __init__(self, flights: "Flights[A, E]", key: bytes, leader: Passenger[A, E]) -> None:
        self._flights = flights
        self.key = key
        self.leader: Passenger[A, E] | None = leader
        """Who asks; None once the flight is over."""
        self._followers: dict[Passenger[A, E], None] = {}
        self._abandoned = False
        self._handing_over = False

    @property
    def awaited(self) -> bool:
        """Whether somebody waits beside the leader: then it must not be paused for its own caller's sake."""
        return bool(self._followers)

    def landed(self, leader: Passenger[A, E], answer: A) -> None:
        """The leader has a whole answer."""
        if self._end(leader):
            self._tell(lambda follower: follower.land(answer))

    def refused(self, leader: Passenger[A, E], error: E) -> None:
        """The leader's question is at fault, so that everybody's is: who asks is known to be alike, the key says so."""
        if self._end(leader):
            self._tell(lambda follower: follower.refuse(error))

    def disbanded(self, leader: Passenger[A, E]) -> None:
        """The leader's answer cannot be shared: everybody asks."""
        if self._end(leader):
            self._tell(_take_over)

    def failed(self, leader: Passenger[A, E]) -> None:
        """The leader has no answer, and another may have more luck: one of the followers takes over."""
        if leader is not self.leader:
            return
        self._abandoned = False
        self.leader = None
        if self._handing_over:  # a follower that took over has failed before it returned: the loop below goes on
            return
        self._handing_over = True
        while self.leader is None and self._followers:
            following = max(self._followers, key=_deadline_s)
            del self._followers[following]
            self.leader = following
            if not _told(following, _take_over) and self.leader is following:
                self.leader = None
        self._handing_over = False
        if self.leader is None:
            self._flights.over(self)

    def leave(self, passenger: Passenger[A, E]) -> bool:
        """A call's caller has gone, or its time is over. Returns whether it must go on asking all the same, for those who wait."""
        if passenger is self.leader:
            if self._followers:
                self._abandoned = True
                return True
            self._end(passenger)
            return False
        if passenger in self._followers:
            del self._followers[passenger]
            leader = self.leader
            if self._abandoned and not self._followers and leader is not None:
                self._end(leader)
                leader.stop()
        return False

    def board(self, follower: Passenger[A, E]) -> None:
        """Wait with the others."""
        self._followers[follower] = None

    def _end(self, leader: Passenger[A, E]) -> bool:
        """The flight is over, if it was this one's; who waits is still to be told."""
        if leader is not self.leader:
            return False
        self.leader = None
        self._flights.over(self)
        return True

    def _tell(self, news: Callable[[Passenger[A, E]], None]) -> None:
        """Tell each that still waits: one may leave while another is told. The defect of one is no other's."""
        while self._followers:
            follower = next(iter(self._followers))
            del self._followers[follower]
            _told(follower, news)


class Flights(Generic[A, E]):
    """All flights of a process, by their keys."""

    __slots__ = ("_by_key", "collapsed")

    def __init__(self) -> None:
        self._by_key: dict[bytes, Flight[A, E]] = {}
        self.collapsed = 0
        """Calls that waited for another's answer instead of asking."""

    def __len__(self) -> int:
        return len(self._by_key)

    def join(self, key: bytes, passenger: Passenger[A, E]) -> tuple[Flight[A, E], bool]:
        """Board the flight of a question, or begin it. Returns the flight, and whether the passenger leads: then it asks."""
        flight = self._by_key.get(key)
        if flight is None:
            flight = self._by_key[key] = Flight(self, key, passenger)
            return flight, True
        flight.board(passenger)
        self.collapsed += 1
        return flight, False

    def over(self, flight: Flight[A, E]) -> None:
        """Called by a flight at its end."""
        if self._by_key.get(flight.key) is flight:
            del self._by_key[flight.key]


def _told(follower: Passenger[A, E], news: Callable[[Passenger[A, E]], None]) -> bool:
    try:
        news(follower)
    except Exception:
        log.exception("a call that waited for another's answer met a defect")
        return False
    return True


def _take_over(follower: Passenger[A, E]) -> None:
    follower.take_over()


def _deadline_s(passenger: Passenger[A, E]) -> float:
    return passenger.deadline_s
