"""The budget of further attempts: what it grants in a sliding window, never more than it says."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from switchgear.gateway.budget import RatioBudget

STEPS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.0, 0.05, 0.4, 1.0, 2.5, 20.0]), st.sampled_from(["call", "call", "take"])),
    max_size=300,
)


def granted(budget: RatioBudget, count: int, now_s: float) -> int:
    return sum(budget.take(now_s) for _ in range(count))


def test_a_lone_call_may_be_retried() -> None:
    budget = RatioBudget(0.2, 10, 10.0)
    budget.call(5.0)
    assert granted(budget, 100, 5.0) == 10


def test_under_load_a_fifth_of_the_calls() -> None:
    budget = RatioBudget(0.2, 10, 10.0)
    for _ in range(1000):
        budget.call(5.0)
    assert granted(budget, 1000, 5.0) == 200


def test_what_left_the_window_counts_no_more() -> None:
    budget = RatioBudget(0.2, 2, 10.0)
    for _ in range(100):
        budget.call(0.5)
    assert granted(budget, 100, 0.5) == 20
    assert granted(budget, 100, 9.9) == 0
    assert granted(budget, 100, 10.1) == 2


def test_without_a_floor_and_calls_there_is_nothing() -> None:
    assert granted(RatioBudget(1.0, 0, 10.0), 5, 0.0) == 0
    assert granted(RatioBudget(0.0, 3, 10.0), 5, 0.0) == 3


@given(steps=STEPS, ratio=st.sampled_from([0.0, 0.1, 0.2, 1.0]), floor=st.integers(0, 4))
@settings(deadline=None)
def test_it_never_grants_more_than_the_window_allows_nor_less(
    steps: list[tuple[float, str]], ratio: float, floor: int
) -> None:
    budget = RatioBudget(ratio, floor, 10.0)
    now_s = 0.0
    calls: list[int] = []
    extra: list[int] = []
    for step_s, what in steps:
        now_s += step_s
        slot = math.floor(now_s)
        calls = [one for one in calls if one > slot - 10]
        extra = [one for one in extra if one > slot - 10]
        if what == "call":
            budget.call(now_s)
            calls.append(slot)
        elif budget.take(now_s):
            extra.append(slot)
            assert len(extra) <= max(floor, ratio * len(calls))
        else:
            assert len(extra) + 1 > max(floor, ratio * len(calls))
