"""Flights: one question, one call, and each who waits ends in exactly one way, whatever order things happen in."""

from enum import Enum

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from switchgear.cache.flights import Flights


class End(Enum):
    ANSWERED = "answered"
    REFUSED = "refused"
    LEFT = "left"
    FAILED = "failed"
    STOPPED = "stopped"


class Caller:
    """A call as the gateway drives one. `clumsy`: it fails at once when it is told to take over."""

    def __init__(self, flights: Flights[str, str], key: bytes, deadline_s: float, *, clumsy: bool = False) -> None:
        self.deadline_s = deadline_s
        self.clumsy = clumsy
        self.end: End | None = None
        self.gone = False
        self.took_over = 0
        self.answer = ""
        self.asking = False
        self.flight, self.asking = flights.join(key, self)

    def _ends(self, end: End) -> None:
        assert self.end is None, f"{self.end} and then {end}"
        self.end = end
        self.asking = False

    def land(self, answer: str) -> None:
        assert not self.asking
        self.answer = answer
        self._ends(End.ANSWERED)

    def refuse(self, error: str) -> None:
        assert not self.asking
        self._ends(End.REFUSED)

    def take_over(self) -> None:
        assert not self.asking
        self.took_over += 1
        self.asking = True
        if self.clumsy:
            self.fail()

    def stop(self) -> None:
        assert self.asking
        assert self.gone
        self.asking = False

    def fail(self) -> None:
        if not self.gone:
            self._ends(End.FAILED)
        self.asking = False
        self.flight.failed(self)

    def finish(self, answer: str) -> None:
        self.asking = False
        if not self.gone:
            self.answer = answer
            self._ends(End.ANSWERED)
        self.flight.landed(self, answer)

    def hang_up(self) -> None:
        carry_on = self.flight.leave(self)
        asking = self.asking
        self._ends(End.LEFT)
        self.gone = True
        self.asking = carry_on
        assert not carry_on or asking


def join(flights: Flights[str, str], number: int, *, clumsy: bool = False) -> list[Caller]:
    return [Caller(flights, b"k", float(place), clumsy=clumsy and place > 0) for place in range(number)]


def asking(*callers: Caller) -> list[Caller]:
    return [caller for caller in callers if caller.asking]


def test_only_the_first_asks_and_all_get_its_answer() -> None:
    flights: Flights[str, str] = Flights()
    first, *others = join(flights, 5)
    assert first.asking
    assert not any(other.asking for other in others)
    assert flights.collapsed == 4
    first.finish("42")
    assert [other.answer for other in others] == ["42"] * 4
    assert len(flights) == 0


def test_another_question_is_another_flight() -> None:
    flights: Flights[str, str] = Flights()
    assert Caller(flights, b"a", 1.0).asking
    assert Caller(flights, b"b", 1.0).asking


def test_after_a_failure_the_one_with_the_most_time_left_takes_over_alone() -> None:
    flights: Flights[str, str] = Flights()
    first, *others = join(flights, 4)
    first.fail()
    assert [other.took_over for other in others] == [0, 0, 1]
    others[2].finish("42")
    assert [other.end for other in others] == [End.ANSWERED] * 3


def test_a_thousand_that_fail_at_once_are_no_recursion() -> None:
    flights: Flights[str, str] = Flights()
    first, *others = join(flights, 1001, clumsy=True)
    first.fail()
    assert all(other.end is End.FAILED and other.took_over == 1 for other in others)
    assert len(flights) == 0


def test_a_leader_whose_caller_hangs_up_carries_on_for_those_who_wait() -> None:
    flights: Flights[str, str] = Flights()
    first, second = join(flights, 2)
    first.hang_up()
    assert first.asking
    first.finish("42")
    assert second.answer == "42"


def test_it_stops_when_the_last_of_them_leaves() -> None:
    flights: Flights[str, str] = Flights()
    first, second, third = join(flights, 3)
    first.hang_up()
    second.hang_up()
    assert asking(first, third) == [first]
    third.hang_up()
    assert asking(first, third) == []
    assert len(flights) == 0


def test_a_leader_without_followers_just_ends() -> None:
    flights: Flights[str, str] = Flights()
    (first,) = join(flights, 1)
    first.hang_up()
    assert not first.asking
    assert len(flights) == 0


def test_the_orphan_that_fails_hands_over() -> None:
    flights: Flights[str, str] = Flights()
    first, second = join(flights, 2)
    first.hang_up()
    first.fail()
    assert asking(first, second) == [second]
    second.hang_up()
    assert asking(first, second) == []
    assert len(flights) == 0


def test_a_question_that_is_refused_is_refused_for_all() -> None:
    flights: Flights[str, str] = Flights()
    first, second = join(flights, 2)
    first.flight.refused(first, "too long")
    assert second.end is End.REFUSED
    assert len(flights) == 0


def test_an_answer_that_cannot_be_shared_makes_everybody_ask() -> None:
    flights: Flights[str, str] = Flights()
    first, *others = join(flights, 4)
    first.flight.disbanded(first)
    assert all(other.asking for other in others)
    assert len(flights) == 0
    others[0].finish("mine")
    assert [other.end for other in others[1:]] == [None, None]


def test_who_is_on_it_no_more_changes_nothing() -> None:
    flights: Flights[str, str] = Flights()
    first, second = join(flights, 2)
    first.finish("42")
    first.flight.landed(first, "43")
    first.flight.failed(first)
    assert not first.flight.leave(first)
    assert second.answer == "42"


def test_the_defect_of_one_who_waits_is_no_others() -> None:
    flights: Flights[str, str] = Flights()
    first = Caller(flights, b"k", 0.0)

    class Broken(Caller):
        def land(self, answer: str) -> None:
            raise RuntimeError("a defect")

    Broken(flights, b"k", 1.0)
    third = Caller(flights, b"k", 2.0)
    first.finish("42")
    assert third.answer == "42"


def test_who_leaves_while_another_is_told_is_not_told() -> None:
    flights: Flights[str, str] = Flights()
    first = Caller(flights, b"k", 0.0)
    last: list[Caller] = []

    class Pushing(Caller):
        def land(self, answer: str) -> None:
            super().land(answer)
            last[0].hang_up()

    Pushing(flights, b"k", 1.0)
    last.append(Caller(flights, b"k", 2.0))
    first.finish("42")
    assert last[0].end is End.LEFT


class Traffic(RuleBasedStateMachine):
    """Any order of joining, failing, landing, refusing, hanging up."""

    callers = Bundle("callers")

    def __init__(self) -> None:
        super().__init__()
        self.flights: Flights[str, str] = Flights()
        self.all: list[Caller] = []

    @rule(target=callers, key=st.sampled_from([b"a", b"b"]), deadline_s=st.integers(0, 5), clumsy=st.booleans())
    def joins(self, key: bytes, deadline_s: int, clumsy: bool) -> Caller:
        caller = Caller(self.flights, key, float(deadline_s), clumsy=clumsy)
        self.all.append(caller)
        return caller

    @rule(caller=callers)
    def fails(self, caller: Caller) -> None:
        if caller.asking:
            caller.fail()

    @rule(caller=callers)
    def lands(self, caller: Caller) -> None:
        if caller.asking:
            caller.finish("answer")

    @rule(caller=callers)
    def is_refused(self, caller: Caller) -> None:
        if caller.asking:
            caller.asking = False
            if not caller.gone:
                caller._ends(End.REFUSED)
            caller.flight.refused(caller, "wrong")

    @rule(caller=callers)
    def cannot_be_shared(self, caller: Caller) -> None:
        if caller.asking:
            caller.asking = False
            if not caller.gone:
                caller._ends(End.ANSWERED)
            caller.flight.disbanded(caller)

    @rule(caller=callers)
    def hangs_up(self, caller: Caller) -> None:
        if caller.end is None:
            caller.hang_up()

    @rule(caller=callers)
    def says_it_again(self, caller: Caller) -> None:
        """A call that is over, or only waits, is no leader: what it says is not heard."""
        if not caller.asking:
            caller.flight.landed(caller, "stray")
            caller.flight.failed(caller)

    @invariant()
    def each_question_is_asked_once(self) -> None:
        led = [caller.flight for caller in self.all if caller.asking and caller.flight.leader is caller]
        assert len(led) == len(set(map(id, led))) == len(self.flights)

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        for caller in self.all:
            if caller.end is None and not caller.asking:
                leader = caller.flight.leader
                assert isinstance(leader, Caller)
                assert leader.asking

    @invariant()
    def nobody_asks_for_nobody(self) -> None:
        for caller in self.all:
            if caller.asking and caller.gone:
                assert any(one.end is None and one.flight is caller.flight for one in self.all)

    @invariant()
    def a_stray_answer_reaches_nobody(self) -> None:
        assert not any(caller.answer == "stray" for caller in self.all)


Traffic.TestCase.settings = settings(derandomize=True, max_examples=300, stateful_step_count=40, deadline=None)
TestTraffic = Traffic.TestCase
