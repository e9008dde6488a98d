"""The queue for a full backend: shares by weight, nobody starves, nobody is lost, and it stays within its bounds."""

import random
from collections import Counter, deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from switchgear.limits.fair import FairQueue, Place, Waiter

FAR_S = 1e9


class Line:
    """A queue, and what its callbacks did."""

    def __init__(self, capacity: int = 1, weights: dict[str, float] | None = None, max_waiting: int = 10_000) -> None:
        self.queue = FairQueue(capacity, weights, max_waiting=max_waiting)
        self.served: list[tuple[str, float]] = []
        self.put_out: list[str] = []

    def wait(self, team: str, cost: float = 1.0, deadline_s: float = FAR_S) -> Waiter | None:
        return self.queue.wait(
            team, deadline_s, lambda: self.served.append((team, cost)), lambda: self.put_out.append(team), cost=cost
        )

    def teams(self) -> list[str]:
        return [team for team, _ in self.served]


def test_a_free_place_is_taken_at_once_and_a_taken_one_is_not() -> None:
    queue = FairQueue(2)
    assert [queue.try_enter() for _ in range(3)] == [True, True, False]
    queue.leave(0.0)
    assert queue.try_enter()


def test_who_comes_while_others_wait_does_not_slip_in() -> None:
    line = Line()
    assert line.queue.try_enter()
    line.wait("a")
    line.queue.capacity = 5
    assert not line.queue.try_enter()
    line.queue.fill(0.0)
    assert line.teams() == ["a"]
    assert line.queue.try_enter()


def test_turns_go_by_weight() -> None:
    line = Line(weights={"large": 3.0})
    assert line.queue.try_enter()
    for _ in range(40):
        line.wait("large")
        line.wait("small")
    for _ in range(40):
        line.queue.leave(0.0)
    assert Counter(line.teams()) == {"large": 30, "small": 10}


def test_turns_go_by_cost_where_it_differs() -> None:
    line = Line()
    assert line.queue.try_enter()
    for _ in range(100):
        line.wait("long prompts", cost=900.0)
        line.wait("short prompts", cost=100.0)
    for _ in range(50):
        line.queue.leave(0.0)
    assert Counter(line.teams()) == {"long prompts": 5, "short prompts": 45}


def test_a_team_that_comes_late_waits_for_one_turn_of_each_of_the_others() -> None:
    line = Line()
    assert line.queue.try_enter()
    for _ in range(500):
        line.wait("flood")
    for _ in range(100):
        line.queue.leave(0.0)
    line.wait("late")
    line.queue.leave(0.0)
    line.queue.leave(0.0)
    assert "late" in line.teams()[100:]


def test_a_team_that_was_away_has_saved_up_nothing() -> None:
    line = Line()
    assert line.queue.try_enter()
    for _ in range(200):
        line.wait("steady")
    for _ in range(100):
        line.queue.leave(0.0)
    for _ in range(50):
        line.wait("back again")
    for _ in range(20):
        line.queue.leave(0.0)
    assert Counter(line.teams()[100:]) == {"steady": 10, "back again": 10}


def test_within_a_team_first_come_is_first_served() -> None:
    queue, order = FairQueue(1), list[int]()
    assert queue.try_enter()
    for number in range(5):
        queue.wait("a", FAR_S, lambda number=number: order.append(number), lambda: None)  # type: ignore[misc]  # bound early
    for _ in range(5):
        queue.leave(0.0)
    assert order == [0, 1, 2, 3, 4]


def test_whose_deadline_has_passed_is_not_called_up() -> None:
    line = Line()
    assert line.queue.try_enter()
    late, other = line.wait("a", deadline_s=5.0), line.wait("b")
    line.queue.leave(5.0)
    assert line.teams() == ["b"]
    assert late is not None
    assert other is not None
    assert (late.place, other.place) == (Place.GONE, Place.RUNNING)
    assert not line.queue.give_up(late), "it is out of the line already"


def test_a_full_line_puts_out_the_last_of_the_team_that_fills_it() -> None:
    line = Line(max_waiting=4)
    assert line.queue.try_enter()
    for _ in range(4):
        line.wait("flood")
    assert line.wait("flood") is None, "it has the most in the line itself"
    assert line.wait("other") is not None
    assert line.wait("other") is not None
    assert line.wait("other") is None, "now both have the same"
    assert line.put_out == ["flood", "flood"]
    assert line.queue.view() == {"flood": 2, "other": 2}


def test_the_bound_of_the_line_goes_by_weight_too() -> None:
    line = Line(weights={"large": 3.0}, max_waiting=8)
    assert line.queue.try_enter()
    for _ in range(8):
        line.wait("small")
    while line.wait("large") is not None:
        pass
    assert line.queue.view() == {"small": 2, "large": 6}


def test_without_a_line_nobody_waits() -> None:
    line = Line(max_waiting=0)
    assert line.queue.try_enter()
    assert line.wait("a") is None


def test_a_place_that_nobody_has_cannot_be_left() -> None:
    with pytest.raises(ValueError, match="each try_enter"):
        FairQueue(1).leave(0.0)


def test_calls_that_are_over_as_soon_as_they_begin_do_not_pile_up() -> None:
    queue, served = FairQueue(1, max_waiting=100_000), list[int]()
    assert queue.try_enter()

    def go() -> None:
        served.append(1)
        queue.leave(0.0)

    for _ in range(20_000):
        queue.wait("a", FAR_S, go, lambda: None)
    queue.leave(0.0)
    assert len(served) == 20_000
    assert (queue.running, queue.waiting) == (0, 0)


@given(
    st.lists(st.floats(0.1, 10.0), min_size=2, max_size=5),
    st.integers(0, 2**32),
    st.integers(1, 50),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_teams_that_keep_waiting_are_served_in_proportion(weights: list[float], seed: int, largest: int) -> None:
    """Goyal et al. 1996, theorem 1: what two teams got for their weight differs by no more than one turn of each."""
    rng = random.Random(seed)
    named = {str(number): weight for number, weight in enumerate(weights)}
    line = Line(weights=named)
    assert line.queue.try_enter()
    for team in named:
        for _ in range(300):
            line.wait(team, cost=float(rng.randint(1, largest)))
    got = dict.fromkeys(named, 0.0)
    for _ in range(300):  # nobody's line is empty before that
        line.queue.leave(0.0)
        team, cost = line.served[-1]
        got[team] += cost
        for one in named:
            for other in named:
                apart = got[one] / named[one] - got[other] / named[other]
                assert abs(apart) <= largest / named[one] + largest / named[other] + 1e-6


class Queue(RuleBasedStateMachine):
    """Against a list of who should be there: nobody lost, nobody twice, none idle while somebody waits, none starved."""

    TEAMS = ("a", "b", "c")

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.queue = FairQueue(2, {"a": 2.0, "b": 1.0, "c": 0.5}, max_waiting=12)
        self.waiting: list[Waiter] = []
        self.running = 0
        self.turns_since: dict[int, int] = {}

    def _go(self, waiter: Waiter) -> None:
        assert waiter in self.waiting, "called up though it does not wait"
        self.waiting.remove(waiter)
        self.running += 1
        assert waiter.deadline_s > self.now_s
        for other in self.waiting:
            self.turns_since[id(other)] = self.turns_since.get(id(other), 0) + 1

    @rule(team=st.sampled_from(TEAMS), patience_s=st.floats(0.5, 60.0))
    def come(self, team: str, patience_s: float) -> None:
        if self.queue.try_enter():
            assert not self.waiting
            self.running += 1
            return
        box: deque[Waiter] = deque()

        def put_out() -> None:
            self.waiting.remove(box[0])

        waiter = self.queue.wait(team, self.now_s + patience_s, lambda: self._go(box[0]), put_out)
        if waiter is None:
            assert len(self.waiting) >= 12
        else:
            box.append(waiter)
            self.waiting.append(waiter)
            self.turns_since[id(waiter)] = 0

    @precondition(lambda self: self.running)
    @rule()
    def leave(self) -> None:
        self.running -= 1
        for waiter in [w for w in self.waiting if w.deadline_s <= self.now_s]:
            self.waiting.remove(waiter)
            self.queue.give_up(waiter)
        self.queue.leave(self.now_s)

    @precondition(lambda self: self.waiting)
    @rule(index=st.integers(0, 100))
    def give_up(self, index: int) -> None:
        waiter = self.waiting.pop(index % len(self.waiting))
        assert self.queue.give_up(waiter)
        assert not self.queue.give_up(waiter)

    @rule(capacity=st.integers(1, 4))
    def resize(self, capacity: int) -> None:
        self.queue.capacity = capacity
        for waiter in [w for w in self.waiting if w.deadline_s <= self.now_s]:
            self.waiting.remove(waiter)
            self.queue.give_up(waiter)
        self.queue.fill(self.now_s)

    @rule(seconds=st.floats(0.0, 5.0))
    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds

    @invariant()
    def counts_agree(self) -> None:
        assert self.queue.waiting == len(self.waiting) <= 12
        assert self.queue.running == self.running
        assert all(waiter.place is Place.WAITING for waiter in self.waiting)

    @invariant()
    def no_place_is_idle_while_somebody_waits(self) -> None:
        assert not self.waiting or self.running >= self.queue.capacity

    @invariant()
    def nobody_starves(self) -> None:
        # Twelve wait at most, and per turn of the lightest team (0.5) the others have six between them: 12 x 7 turns are far too many.
        assert all(self.turns_since[id(waiter)] <= 84 for waiter in self.waiting)


Queue.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None, derandomize=True)
TestQueue = Queue.TestCase
