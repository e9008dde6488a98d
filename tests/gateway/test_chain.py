"""Whom to ask next after a failure, when, and when to give up: failure rules 1, 2 and 6, decided by hand with the caller's time."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.routes import make_call, make_head, make_route, note_attempt, usd

from switchgear.core.record import AttemptKind, AttemptOutcome
from switchgear.core.snapshot import Breaker, Retry
from switchgear.gateway.call import Call
from switchgear.gateway.chain import Chain
from switchgear.gateway.failure import Failure, Next
from switchgear.gateway.table import Route, Target

NOW_S = 100.0
AGAIN, ELSEWHERE, LARGER, NOWHERE = Next.AGAIN, Next.ELSEWHERE, Next.LARGER, Next.NOWHERE
FALLBACK, RETRY = AttemptKind.FALLBACK, AttemptKind.RETRY


def failure(follows: Next, retry_after_s: float | None = None) -> Failure:
    return Failure("upstream_error", "status_500", "x", follows, retry_after_s=retry_after_s)


class Told:
    """A call that failed at its first target, and its chain; each step is noted as the dispatcher would."""

    def __init__(self, places: dict[str, dict[str, Any]], deadline_s: float = 1000.0, **model: Any) -> None:
        model.setdefault("retry", Retry(attempts=20, budget_floor=50, backoff_s=0.5, max_backoff_s=2.0))
        self.route: Route = make_route(places, **model)
        self.call: Call = make_call(self.route, make_head(max_tokens=1000), deadline_s=deadline_s)
        self.chain = Chain(self.call, self.route, random.Random(3))
        self.targets: dict[str, Target] = {target.backend_name: target for target in self.route.targets}

    def failed(self, name: str, follows: Next, retry_after_s: float | None = None, now_s: float = NOW_S) -> None:
        self.chain.failed(self.targets[name], failure(follows, retry_after_s), now_s)

    def next(self, now_s: float = NOW_S) -> tuple[str, AttemptKind, float] | None:
        choice = self.chain.next(now_s)
        if choice is None:
            return None
        note_attempt(self.call, choice[0])
        return choice[0].backend_name, choice[1], choice[2]

    def break_down(self, name: str) -> None:
        breaker = self.targets[name].state.breaker
        for _ in range(breaker.settings.consecutive):
            breaker.completed(NOW_S, good=False, duration_s=0.1, probe=False)


async def test_the_next_candidate_comes_before_the_same_again() -> None:
    told = Told({"a": {}, "b": {}, "c": {}})
    for name, follows in (("a", "b"), ("b", "c")):
        told.failed(name, AGAIN)
        assert told.next() == (follows, FALLBACK, 0.0)
    told.failed("c", ELSEWHERE)
    name, kind, wait_s = told.next() or ("", None, -1.0)
    assert name in ("a", "b")
    assert kind is RETRY
    assert 0.0 <= wait_s <= 0.5


@pytest.mark.parametrize("follows", [ELSEWHERE, LARGER, NOWHERE])
async def test_a_target_that_was_silent_or_said_no_is_never_asked_again(follows: Next) -> None:
    told = Told({"a": {}})
    told.failed("a", follows)
    assert told.next() is None
    assert told.chain.rescuers(NOW_S) == []


async def test_a_second_failure_takes_a_target_out_that_might_have_been_asked_again() -> None:
    told = Told({"a": {}})
    told.failed("a", AGAIN)
    assert told.next() is not None
    told.failed("a", ELSEWHERE)
    assert told.next() is None


async def test_an_answer_that_is_the_callers_own_fault_ends_the_chain() -> None:
    told = Told({"a": {}, "b": {}, "c": {}})
    told.failed("a", AGAIN)
    assert told.next() == ("b", FALLBACK, 0.0)
    told.failed("b", NOWHERE)
    assert told.next() is None


async def test_a_call_too_long_goes_to_larger_windows_only() -> None:
    told = Told({"a": {"context_window": 8}, "b": {"context_window": 4}, "c": {"context_window": 16}, "d": {}})
    told.failed("a", LARGER)
    assert told.next() == ("c", FALLBACK, 0.0)
    told.failed("c", LARGER)
    assert told.next() == ("d", FALLBACK, 0.0), "its window is not known: it may be larger"
    told.failed("d", LARGER)
    assert told.next() is None


async def test_a_call_too_long_is_not_tried_again_where_it_fits_even_less() -> None:
    told = Told({"a": {"context_window": 4}, "b": {"context_window": 8}, "c": {"context_window": 16}})
    told.failed("a", AGAIN)
    assert told.next() == ("b", FALLBACK, 0.0)
    told.failed("b", LARGER)
    assert told.next() == ("c", FALLBACK, 0.0)
    told.failed("c", ELSEWHERE)
    assert told.next() is None, "a was broken, but its window is smaller than that of b"


async def test_after_a_place_of_unknown_size_only_places_of_unknown_size() -> None:
    told = Told({"a": {}, "b": {"context_window": 100}, "c": {}})
    told.failed("a", LARGER)
    assert told.next() == ("c", FALLBACK, 0.0)


async def test_attempts_are_capped() -> None:
    told = Told({name: {} for name in "abcdef"}, retry=Retry(attempts=3))
    told.failed("a", AGAIN)
    assert told.next() == ("b", FALLBACK, 0.0)
    told.failed("b", AGAIN)
    assert told.next() == ("c", FALLBACK, 0.0)
    told.failed("c", AGAIN)
    assert told.next() is None


async def test_nothing_is_asked_after_the_deadline_nor_waited_for_beyond_it() -> None:
    told = Told({"a": {}, "b": {}}, deadline_s=NOW_S + 5)
    told.failed("a", AGAIN, retry_after_s=6.0)
    assert told.next(NOW_S + 5) is None
    assert told.next() == ("b", FALLBACK, 0.0)
    told.failed("b", ELSEWHERE)
    assert told.next() is None, "a asked to be left alone until after the deadline"


async def test_retry_after_is_waited_for_to_the_second() -> None:
    told = Told({"a": {}})
    told.failed("a", AGAIN, retry_after_s=7.0)
    assert told.next(NOW_S + 2) == ("a", RETRY, pytest.approx(5.0))


async def test_of_two_that_may_be_asked_again_the_one_that_is_ready_first() -> None:
    told = Told({"a": {}, "b": {}})
    told.failed("a", AGAIN, retry_after_s=7.0)
    assert told.next() == ("b", FALLBACK, 0.0)
    told.failed("b", AGAIN, retry_after_s=3.0)
    assert told.next() == ("b", RETRY, pytest.approx(3.0))


async def test_backoff_is_drawn_from_a_range_that_doubles_up_to_its_end() -> None:
    told = Told({"a": {}}, retry=Retry(attempts=2000, budget_floor=2000, backoff_s=0.5, max_backoff_s=2.0))
    for bound_s in (0.5, 1.0, 2.0, 2.0):
        waits = []
        for _ in range(1 if bound_s < 2.0 else 200):
            told.failed("a", AGAIN)
            choice = told.next()
            assert choice is not None
            waits.append(choice[2])
        assert all(0.0 <= wait_s <= bound_s for wait_s in waits)
    assert max(waits) > 1.5, "full jitter uses the whole range"
    assert min(waits) < 0.5


async def test_the_retry_budget_bounds_all_calls_together() -> None:
    told = Told({name: {} for name in "abcdef"}, retry=Retry(attempts=20, budget_floor=2))
    for name in "ab":
        told.failed(name, AGAIN)
        assert told.next() is not None
    told.failed("c", AGAIN)
    assert told.next() is None


async def test_what_is_given_up_takes_nothing_from_the_budget() -> None:
    told = Told({"a": {}}, retry=Retry(attempts=5, budget_floor=1))
    told.failed("a", ELSEWHERE)
    assert told.next() is None
    assert told.route.state.retries.take(NOW_S)


async def test_broken_full_and_resting_targets_are_passed_over() -> None:
    places: dict[str, dict[str, Any]] = {"a": {}, "broken": {"breaker": Breaker(consecutive=1)}, "full": {}}
    told = Told({**places, "resting": {}, "e": {}})
    told.break_down("broken")
    told.targets["full"].backend_state.in_flight = 10_000
    told.targets["resting"].state.rest_until_s = NOW_S + 5
    told.failed("a", AGAIN)
    assert told.chain.hedge(NOW_S) is told.targets["e"]
    assert [target.backend_name for target in told.chain.rescuers(NOW_S)] == ["a"]


async def test_a_target_whose_breaker_has_opened_is_not_asked_before_it_lets_a_probe_through() -> None:
    told = Told({"a": {"breaker": Breaker(consecutive=1, open_s=10.0)}})
    told.break_down("a")
    told.failed("a", AGAIN)
    assert told.next() is None
    told.failed("a", AGAIN, retry_after_s=11.0)
    assert told.next() == ("a", RETRY, pytest.approx(11.0))


async def test_a_target_that_cannot_take_the_call_after_all_is_left_out() -> None:
    told = Told({"a": {}})
    told.failed("a", AGAIN)
    assert told.next() is not None
    told.chain.skip(told.targets["a"])
    assert told.next() is None


async def test_a_full_place_is_not_asked_again() -> None:
    told = Told({"a": {"max_in_flight": 3}})
    told.failed("a", AGAIN)
    told.targets["a"].backend_state.in_flight = 3
    assert told.next(NOW_S + 1) is None
    told.targets["a"].backend_state.in_flight = 2
    assert told.next(NOW_S + 1) == ("a", RETRY, 0.0)


async def test_the_cost_limit_counts_what_was_spent() -> None:
    places = {"a": {"prices": usd(1)}, "b": {"prices": usd(1)}, "cheap": {"prices": usd(0.1)}}
    told = Told(places, max_cost_usd=0.0015)  # 1,000 tokens cost 0.001 at a and b
    told.failed("a", AGAIN)
    assert told.next() == ("b", FALLBACK, 0.0), "the failed attempt cost nothing"
    told.call.attempts[0].cost_usd = 0.001
    told.failed("b", AGAIN)
    assert told.next() == ("cheap", FALLBACK, 0.0)
    told.call.attempts[1].cost_usd = 0.0005
    told.failed("cheap", AGAIN)
    assert told.next() is None


async def test_a_hedge_goes_to_who_was_not_asked_yet_and_has_a_budget_of_its_own() -> None:
    told = Told({"a": {}, "b": {}, "c": {}})
    assert told.chain.hedge(NOW_S) is told.targets["b"]
    assert told.chain.hedge(NOW_S) is None, "one in the window, by its floor"
    told.failed("a", AGAIN)
    assert told.next() == ("c", FALLBACK, 0.0), "b was asked already; retries have a budget of their own"


async def test_a_rescue_may_ask_who_was_slow_but_not_who_was_silent() -> None:
    told = Told({"slow": {}, "winner": {}, "silent": {}, "other": {}})
    told.call.attempts[0].outcome = AttemptOutcome.LOST
    assert told.chain.hedge(NOW_S) is told.targets["winner"]
    note_attempt(told.call, told.targets["winner"])
    told.failed("silent", ELSEWHERE)
    told.chain._remaining.remove(told.targets["silent"])  # as `next` does when it chooses it
    told.failed("winner", AGAIN)
    assert [one.backend_name for one in told.chain.rescuers(NOW_S)] == ["other", "slow", "winner"]


@given(st.lists(st.sampled_from(Next), min_size=1, max_size=12), st.integers(0, 10**6))
@settings(max_examples=80, deadline=None)
async def test_whatever_fails_no_target_is_asked_where_it_must_not_be(outcomes: list[Next], seed: int) -> None:
    windows = {name: random.Random(seed + index).choice([None, 4, 8]) for index, name in enumerate("abcd")}
    told = Told({name: {"context_window": window} for name, window in windows.items()}, retry=Retry(attempts=6))
    asked, barred, least = "a", set(), 0
    for follows in outcomes:
        told.failed(asked, follows)
        if follows is not AGAIN:
            barred.add(asked)
        if follows is LARGER:
            least = max(least, (windows[asked] or 10**9) + 1)
        choice = told.next()
        if choice is None:
            break
        assert follows is not NOWHERE
        asked = choice[0]
        assert asked not in barred
        assert windows[asked] is None or windows[asked] >= least
        assert (choice[1] is RETRY) or choice[2] == 0.0
    assert len(told.call.attempts) <= 6
