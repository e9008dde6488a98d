"""The breaker against a model of itself that is too simple to be wrong, and against its own words."""

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from switchgear.core.snapshot import Breaker
from switchgear.gateway.breaker import BreakerState, CircuitBreaker

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


def completed(breaker: CircuitBreaker, *goods: bool, now_s: float = 0.0, duration_s: float = 0.1) -> None:
    """Calls one after the other, each sent and completed at `now_s`."""
    for good in goods:
        probe = breaker.began(now_s)
        breaker.completed(now_s, good=good, duration_s=duration_s, probe=probe)


def opened(**changes: float) -> CircuitBreaker:
    """A breaker that opened at 0 s."""
    breaker = CircuitBreaker(Breaker(consecutive=1, **changes))
    completed(breaker, False)
    assert breaker.state(0.0) is OPEN
    return breaker


def test_it_opens_when_enough_in_a_row_failed_however_many_went_well_before() -> None:
    breaker = CircuitBreaker(Breaker(consecutive=3, min_calls=1000))
    completed(breaker, *[True] * 500, False, False, True, False, False)
    assert breaker.state(0.0) is CLOSED
    completed(breaker, False)
    assert breaker.state(0.0) is OPEN
    assert breaker.opened == 1


def test_it_opens_by_ratio_once_there_are_enough_calls() -> None:
    breaker = CircuitBreaker(Breaker(consecutive=100, min_calls=6, failure_ratio=0.5))
    completed(breaker, False, True, False, True)
    completed(breaker, True)
    assert breaker.state(0.0) is CLOSED, "five calls say nothing yet"
    completed(breaker, False)
    assert breaker.state(0.0) is OPEN


def test_a_slow_call_counts_like_a_failed_one() -> None:
    breaker = CircuitBreaker(Breaker(consecutive=2, slow_call_s=1.0))
    completed(breaker, True, True, duration_s=1.0)
    assert breaker.state(0.0) is CLOSED, "as slow as allowed"
    completed(breaker, True, True, duration_s=1.01)
    assert breaker.state(0.0) is OPEN


def test_a_slow_probe_opens_it_again() -> None:
    breaker = opened(slow_call_s=1.0, open_s=10.0)
    probe = breaker.began(10.0)
    breaker.completed(12.0, good=True, duration_s=2.0, probe=probe)
    assert breaker.state(12.0) is OPEN
    assert breaker.state(21.9) is OPEN
    assert breaker.state(22.0) is HALF_OPEN


def test_failures_that_left_the_window_are_forgotten() -> None:
    breaker = CircuitBreaker(Breaker(consecutive=100, min_calls=4, failure_ratio=0.5, window_s=10.0))
    completed(breaker, False, False, False, now_s=0.5)
    completed(breaker, False, now_s=10.6)
    assert breaker.state(10.6) is CLOSED, "one failure is left in the window"
    completed(breaker, False, False, False, now_s=19.0)
    assert breaker.state(19.0) is OPEN


def test_open_lets_nothing_through_until_its_time_then_one_probe() -> None:
    breaker = opened(open_s=10.0)
    assert not breaker.allows(9.99)
    assert breaker.retry_after_s(4.0) == pytest.approx(6.0)
    assert breaker.allows(10.0)
    assert breaker.began(10.0)
    assert not breaker.allows(10.0)
    assert not breaker.allows(1000.0), "until the probe has come to its end"
    breaker.completed(11.0, good=True, duration_s=1.0, probe=True)
    assert breaker.state(11.0) is CLOSED
    assert breaker.allows(11.0)
    assert breaker.retry_after_s(11.0) == 0.0


def test_an_abandoned_probe_leaves_its_place_to_another() -> None:
    breaker = opened(open_s=10.0)
    assert breaker.began(10.0)
    breaker.abandoned(probe=True)
    assert breaker.state(10.0) is HALF_OPEN
    assert breaker.allows(10.0)
    assert breaker.began(10.1)


def test_calls_sent_before_it_opened_tell_nothing_new() -> None:
    breaker = CircuitBreaker(Breaker(consecutive=1, open_s=10.0))
    early = breaker.began(0.0)
    completed(breaker, False, now_s=1.0)
    breaker.completed(2.0, good=True, duration_s=2.0, probe=early)
    assert breaker.state(2.0) is OPEN
    assert breaker.began(11.0)
    breaker.completed(12.0, good=False, duration_s=12.0, probe=early)
    breaker.abandoned(probe=early)
    assert not breaker.allows(12.0), "the probe is still out"


def test_after_it_closed_old_failures_count_no_more() -> None:
    breaker = CircuitBreaker(Breaker(consecutive=3, min_calls=100, open_s=1.0))
    completed(breaker, False, False, False)
    completed(breaker, True, now_s=1.0)
    completed(breaker, False, False, now_s=1.1)
    assert breaker.state(1.1) is CLOSED


class BreakerMachine(RuleBasedStateMachine):
    """Any number of calls at a time, ending in any order and way, at any pace."""

    @initialize(
        window_s=st.sampled_from([1.0, 10.0]),
        min_calls=st.integers(1, 6),
        failure_ratio=st.sampled_from([0.2, 0.5, 1.0]),
        consecutive=st.integers(1, 6),
        slow_call_s=st.sampled_from([None, 0.5]),
        open_s=st.sampled_from([0.3, 3.0]),
    )
    def start(self, **chosen: float) -> None:
        self.settings = Breaker(**chosen)
        self.breaker = CircuitBreaker(self.settings)
        self.now_s = 1000.0
        self.out: list[bool] = []
        """Calls under way: whether each is the probe."""
        self.state = CLOSED
        self.opened_s = 0.0
        self.seen: list[tuple[int, bool]] = []
        """Slot and goodness of the calls completed since it closed."""
        self.row = 0

    @rule(step_s=st.sampled_from([0.0, 0.01, 0.1, 0.5, 2.0, 30.0]))
    def time_passes(self, step_s: float) -> None:
        self.now_s += step_s
        if self.state is OPEN and self.now_s - self.opened_s >= self.settings.open_s:
            self.state = HALF_OPEN

    @precondition(lambda self: self.breaker.allows(self.now_s))
    @rule()
    def a_call_is_sent(self) -> None:
        probe = self.breaker.began(self.now_s)
        assert probe == (self.state is HALF_OPEN)
        self.out.append(probe)

    @precondition(lambda self: self.out)
    @rule(which=st.integers(0, 99), good=st.booleans(), duration_s=st.sampled_from([0.1, 0.9]))
    def a_call_completes(self, which: int, good: bool, duration_s: float) -> None:
        probe = self.out.pop(which % len(self.out))
        self.breaker.completed(self.now_s, good=good, duration_s=duration_s, probe=probe)
        slow = self.settings.slow_call_s
        good = good and (slow is None or duration_s <= slow)
        if probe:
            self._settle(good)
        elif self.state is CLOSED:
            self._count(good)

    def _settle(self, good: bool) -> None:
        self.state = CLOSED if good else OPEN
        self.opened_s = self.now_s
        self.seen.clear()
        self.row = 0

    def _count(self, good: bool) -> None:
        slot = math.floor(self.now_s / (self.settings.window_s / 10))
        self.seen = [one for one in self.seen if one[0] > slot - 10] + [(slot, good)]
        self.row = 0 if good else self.row + 1
        bad = sum(not one[1] for one in self.seen)
        enough = len(self.seen) >= self.settings.min_calls and bad >= self.settings.failure_ratio * len(self.seen)
        if not good and (self.row >= self.settings.consecutive or enough):
            self._settle(False)

    @precondition(lambda self: self.out)
    @rule(which=st.integers(0, 99))
    def a_caller_hangs_up(self, which: int) -> None:
        self.breaker.abandoned(probe=self.out.pop(which % len(self.out)))

    @invariant()
    def never_more_than_one_probe(self) -> None:
        assert sum(self.out) <= 1
        if self.state is not CLOSED:
            assert self.breaker.allows(self.now_s) == (self.state is HALF_OPEN and not any(self.out))

    @invariant()
    def it_is_in_the_state_that_its_calls_say(self) -> None:
        assert self.breaker.state(self.now_s) is self.state
        assert self.breaker.allows(self.now_s) or self.state is not CLOSED


BreakerMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestBreakerMachine = BreakerMachine.TestCase
