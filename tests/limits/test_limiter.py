"""Who is admitted, who is not and until when: one worker, its counts in memory."""

import pytest
from tests.limits.desk import NOON_S, Desk

from switchgear.core.limits import Limit, LimitMode
from switchgear.limits.limiter import Limiter
from switchgear.limits.model import RefusalCode
from switchgear.limits.reservation import Reservation


def test_without_a_limit_everything_goes_and_nothing_applies() -> None:
    desk = Desk()
    assert not desk.limiter.plan("k", "t", "m")
    desk.settle(desk.admit())
    assert not desk.shares.outstanding


def test_so_many_requests_in_a_minute_and_no_more() -> None:
    desk = Desk(Limit(team="research", requests_per_minute=3))
    for _ in range(3):
        desk.settle(desk.admit())
    refusal = desk.refuse()
    assert (refusal.code, refusal.rule) == (RefusalCode.RATE, "team=research.requests_per_minute")
    assert "3 requests per minute for team=research" in refusal.message
    assert "Retry-After" in refusal.remedy


def test_retry_after_is_the_time_after_which_it_goes_and_not_before() -> None:
    desk = Desk(Limit(requests_per_minute=2))
    desk.admit()
    desk.clock.advance(25.3)
    desk.admit()
    wait_s = desk.refuse().retry_after_s
    assert wait_s is not None
    desk.clock.advance(wait_s - 0.01)
    assert desk.refuse().retry_after_s == pytest.approx(0.01)
    desk.clock.advance(0.01)
    desk.admit()


def test_retry_after_is_that_of_the_limit_that_lasts_longest() -> None:
    desk = Desk(Limit(name="rate", requests_per_minute=1), Limit(name="day", usd_per_day=0.01))
    desk.settle(desk.admit())
    refusal = desk.refuse()
    assert refusal.rule == "day.usd_per_day"
    assert refusal.retry_after_s == pytest.approx(12 * 3600)


def test_tokens_are_reserved_as_estimated_and_corrected_when_the_call_ends() -> None:
    desk = Desk(Limit(tokens_per_minute=1000))
    first = desk.admit(tokens=800)
    assert desk.refuse(tokens=300).code is RefusalCode.RATE
    desk.settle(first, tokens=200)
    desk.admit(tokens=800)
    assert desk.refuse(tokens=1).code is RefusalCode.RATE


def test_tokens_beyond_the_estimate_count_too() -> None:
    desk = Desk(Limit(tokens_per_minute=1000))
    desk.settle(desk.admit(tokens=100), tokens=900)
    desk.admit(tokens=100)
    assert desk.refuse(tokens=1).code is RefusalCode.RATE


def test_what_a_long_call_gives_back_after_its_minute_is_not_given_back_twice() -> None:
    desk = Desk(Limit(tokens_per_minute=1000))
    long = desk.admit(tokens=1000)
    desk.clock.advance(61)
    desk.admit(tokens=1000)
    desk.settle(long, tokens=10)
    assert desk.refuse(tokens=1).code is RefusalCode.RATE


def test_a_call_larger_than_the_limit_is_told_so_and_not_to_wait() -> None:
    refusal = Desk(Limit(tokens_per_minute=1000)).refuse(tokens=1001)
    assert (refusal.code, refusal.retry_after_s) == (RefusalCode.TOO_LARGE, None)
    assert "this call alone may use 1001" in refusal.message


def test_calls_in_flight_make_room_when_they_end_however_they_end() -> None:
    desk = Desk(Limit(in_flight=2))
    one, two = desk.admit(), desk.admit()
    assert desk.refuse().code is RefusalCode.IN_FLIGHT
    desk.settle(one)
    three = desk.admit()
    desk.release(two)
    desk.admit()
    assert desk.refuse().code is RefusalCode.IN_FLIGHT
    desk.settle(three, tokens=None, cost_usd=None)
    desk.admit()


def test_an_end_counts_once() -> None:
    desk = Desk(Limit(in_flight=1, tokens_per_minute=100, usd_per_day=1.0))
    one = desk.admit(tokens=50, cost_usd=0.5)
    assert desk.settle(one, tokens=50, cost_usd=0.5)
    assert not desk.settle(one, tokens=0, cost_usd=0.0)
    assert not desk.release(one)
    desk.admit(tokens=50, cost_usd=0.5)
    assert {desk.refuse(tokens=1, cost_usd=0.0).code} == {RefusalCode.RATE}


def test_a_released_call_leaves_no_trace() -> None:
    desk = Desk(Limit(requests_per_minute=1, tokens_per_minute=10, in_flight=1, usd_per_day=0.01, usd_per_month=0.01))
    for _ in range(5):
        desk.release(desk.admit())
    desk.admit()


def test_money_is_held_while_a_call_runs_and_spent_as_it_really_cost() -> None:
    desk = Desk(Limit(usd_per_day=1.0))
    one = desk.admit(cost_usd=0.9)
    assert desk.refuse(cost_usd=0.2).code is RefusalCode.BUDGET
    desk.settle(one, cost_usd=0.1)
    desk.settle(desk.admit(cost_usd=0.9), cost_usd=None)
    assert desk.refuse(cost_usd=0.001).code is RefusalCode.BUDGET


def test_money_that_calls_under_way_may_not_need_is_worth_coming_back_for_soon() -> None:
    desk = Desk(Limit(usd_per_day=1.0))
    one = desk.admit(cost_usd=0.9)
    assert desk.refuse(cost_usd=0.5).retry_after_s == 1.0
    desk.settle(one, cost_usd=0.9)
    assert desk.refuse(cost_usd=0.5).retry_after_s == pytest.approx(12 * 3600)


def test_money_that_a_call_cost_beyond_its_estimate_is_owed() -> None:
    desk = Desk(Limit(usd_per_day=1.0))
    desk.settle(desk.admit(cost_usd=0.5), cost_usd=1.5)
    assert desk.refuse(cost_usd=0.0).code is RefusalCode.BUDGET


def test_days_begin_at_midnight_utc_and_months_with_their_first() -> None:
    desk = Desk(Limit(name="day", usd_per_day=1.0), Limit(name="month", usd_per_month=10.0))
    desk.settle(desk.admit(cost_usd=1.0), cost_usd=1.0)
    wait_s = desk.refuse(cost_usd=1.0).retry_after_s
    assert wait_s == pytest.approx(12 * 3600)
    desk.clock.advance(12 * 3600 - 1)
    assert desk.refuse(cost_usd=1.0).rule == "day.usd_per_day"
    desk.clock.advance(1)
    for _ in range(9):
        desk.settle(desk.admit(cost_usd=1.0), cost_usd=1.0)
        desk.clock.advance(86_400)
    refusal = desk.refuse(cost_usd=1.0)
    assert refusal.rule == "month.usd_per_month"
    desk.clock.advance(refusal.retry_after_s or 0.0)
    assert desk.clock.now_s() == 1_701_388_800, "1 December"
    desk.admit(cost_usd=1.0)


def test_a_reservation_over_midnight_is_spent_on_the_day_that_it_ends() -> None:
    desk = Desk(Limit(usd_per_day=1.0), now_s=NOON_S + 12 * 3600 - 5)
    long = desk.admit(cost_usd=0.8)
    desk.clock.advance(10)
    assert desk.refuse(cost_usd=0.3).code is RefusalCode.BUDGET, "it may still cost that"
    desk.settle(long, cost_usd=0.7)
    desk.admit(cost_usd=0.3)
    assert desk.refuse(cost_usd=0.01).code is RefusalCode.BUDGET


def test_an_unknown_price_is_not_zero() -> None:
    desk = Desk(Limit(usd_per_day=1.0))
    refusal = desk.refuse(cost_usd=None)
    assert (refusal.code, refusal.retry_after_s) == (RefusalCode.UNPRICED, None)
    assert "prices" in refusal.remedy
    soft = Desk(Limit(usd_per_day=1.0, mode=LimitMode.SOFT))
    assert soft.admit(cost_usd=None).flags == ("all.usd_per_day:unpriced",)


def test_a_price_does_not_matter_where_no_budget_applies() -> None:
    Desk(Limit(requests_per_minute=1)).admit(cost_usd=None)


def test_soft_limits_let_through_and_flag() -> None:
    desk = Desk(
        Limit(name="soft", requests_per_minute=1, usd_per_day=0.01, mode=LimitMode.SOFT), Limit(requests_per_minute=3)
    )
    assert desk.admit().flags == ()
    assert desk.admit().flags == ("soft.requests_per_minute", "soft.usd_per_day")
    desk.admit()
    assert desk.refuse().limit == "all"


def test_each_value_of_a_star_has_a_count_of_its_own() -> None:
    desk = Desk(Limit(key="*", requests_per_minute=1))
    desk.admit(key="a")
    desk.admit(key="b")
    assert desk.refuse(key="a").message.startswith("The limit 'key=*' allows 1 requests per minute for key=a")


def test_a_named_combination_counts_only_what_all_its_fields_name() -> None:
    desk = Desk(Limit(team="research", model="chat", requests_per_minute=1))
    desk.admit()
    for _ in range(3):
        desk.admit(model="embed")
        desk.admit(team="sales")
    assert desk.refuse(key="another").limit == "team=research,model=chat"


def test_names_cannot_be_made_to_share_a_count() -> None:
    desk = Desk(Limit(key="*", team="*", requests_per_minute=1))
    desk.admit(key="a,team=b", team="c")
    desk.admit(key="a", team="b,team=c")
    desk.admit(key="a%2Cteam=b", team="c")


def test_what_is_refused_takes_nothing_from_the_limits_that_had_room() -> None:
    desk = Desk(Limit(name="wide", requests_per_minute=2, tokens_per_minute=1000), Limit(model="large", in_flight=0))
    for _ in range(5):
        desk.refuse(model="large")
    desk.admit()
    desk.admit()


def test_limits_of_a_backend_are_asked_for_each_candidate() -> None:
    desk = Desk(Limit(backend="cloud", team="*", in_flight=1), Limit(requests_per_minute=100))
    limiter, now_s = desk.limiter, desk.clock.monotonic_s()
    plan = limiter.plan("k", "research", "chat")
    cloud, own = limiter.at_backend(plan, "cloud"), limiter.at_backend(plan, "own")
    assert limiter.by_backend
    assert not own
    assert limiter.allows(cloud, 10, 0.01, now_s) is None
    attempt = limiter.reserve(cloud, 10, 0.01, now_s)
    assert isinstance(attempt, Reservation)
    refusal = limiter.allows(cloud, 10, 0.01, now_s)
    assert refusal is not None
    assert refusal.rule == "team=*,backend=cloud.in_flight"
    assert limiter.allows(own, 10, 0.01, now_s) is None
    attempt.settle(10, 0.01, now_s)
    assert limiter.allows(cloud, 10, 0.01, now_s) is None
    assert limiter.allows(cloud, 10, 0.01, now_s) is None, "to be asked takes nothing"


def test_a_reservation_whose_call_never_ends_expires() -> None:
    desk = Desk(Limit(in_flight=1, usd_per_day=1.0))
    lost = desk.admit(cost_usd=0.4)
    desk.clock.advance(900)
    desk.limiter.tidy(desk.clock.monotonic_s(), 900.0)
    assert desk.refuse().code is RefusalCode.IN_FLIGHT, "not yet"
    desk.clock.advance(1)
    desk.limiter.tidy(desk.clock.monotonic_s(), 900.0)
    assert (len(desk.shares.outstanding), desk.shares.expired) == (0, 1)
    assert desk.refuse(cost_usd=0.7).code is RefusalCode.BUDGET, "its money may have been spent"
    desk.admit(cost_usd=0.6)
    assert not desk.settle(lost, cost_usd=0.0)


def test_a_new_snapshot_forgets_nothing_and_takes_the_new_bound_at_once() -> None:
    desk = Desk(Limit(name="r", team="*", requests_per_minute=2, usd_per_day=1.0))
    desk.settle(desk.admit(cost_usd=0.5), cost_usd=0.5)
    before = desk.admit(cost_usd=0.1)
    desk.limiter = Limiter([Limit(name="r", team="*", requests_per_minute=3, usd_per_day=0.7)], desk.shares)
    assert desk.refuse(cost_usd=0.2).code is RefusalCode.BUDGET
    desk.settle(before, cost_usd=0.0)
    desk.admit(cost_usd=0.2)
    assert desk.refuse(cost_usd=0.0).rule == "r.requests_per_minute"


def test_a_limit_that_is_gone_and_comes_back_still_knows_what_was_spent() -> None:
    limits = [Limit(usd_per_day=1.0)]
    desk = Desk(*limits)
    desk.settle(desk.admit(cost_usd=0.5), cost_usd=0.5)
    desk.limiter = Limiter([], desk.shares)
    desk.admit(cost_usd=5.0)
    desk.limiter.tidy(desk.clock.monotonic_s(), 900.0)
    desk.limiter = Limiter(limits, desk.shares)
    assert desk.refuse(cost_usd=0.6).code is RefusalCode.BUDGET


def test_counts_that_nobody_needs_are_forgotten() -> None:
    desk = Desk(Limit(key="*", requests_per_minute=5, in_flight=5))
    for number in range(2000):
        desk.settle(desk.admit(key=f"caller {number}"))
    held = desk.admit(key="still calling")
    desk.limiter.tidy(desk.clock.monotonic_s(), 900.0)
    assert len(desk.shares) > 1000, "this minute still counts"
    desk.clock.advance(61)
    desk.limiter.tidy(desk.clock.monotonic_s(), 900.0)
    assert {share.counter.scope for share in desk.shares} == {"key=still calling"}
    desk.settle(held)


def test_a_clock_that_is_set_back_gives_no_money_twice() -> None:
    desk = Desk(Limit(usd_per_day=1.0), now_s=NOON_S + 12 * 3600 + 5)
    desk.settle(desk.admit(cost_usd=1.0), cost_usd=1.0)
    desk.clock._now_s -= 3600
    desk.clock._monotonic_s += 1
    assert desk.refuse(cost_usd=0.5).code is RefusalCode.BUDGET


def test_after_a_quiet_minute_everything_is_there_again_at_once() -> None:
    desk = Desk(Limit(requests_per_minute=30))
    for _ in range(30):
        desk.admit()
        desk.clock.advance(1.5)
    desk.clock.advance(61)
    (counter,) = desk.limiter.view(desk.clock.monotonic_s()).counters
    assert (counter.left, counter.bound) == (30, 30)
    for _ in range(30):
        desk.admit()
    desk.refuse()
