"""OpenAI's header lines: their forms, and what they say of what is left."""

from switchgear.core.clock import ManualClock
from switchgear.core.limits import Limit, LimitMode
from switchgear.limits.headers import retry_after
from switchgear.limits.limiter import Limiter
from switchgear.limits.reservation import Reservation
from switchgear.limits.shares import Shares


def lines(limiter: Limiter) -> dict[bytes, bytes]:
    data = limiter.plan("k", "t", "m").header_lines()
    assert data.endswith(b"\r\n")
    return dict(line.split(b": ") for line in data.split(b"\r\n")[:-1])


def test_they_tell_bound_rest_and_reset_of_requests_and_tokens() -> None:
    limiter = Limiter([Limit(requests_per_minute=60, tokens_per_minute=150_000)], Shares(ManualClock()))
    answer = limiter.reserve(limiter.plan("k", "t", "m"), 16, 0.0, 0.0)
    assert isinstance(answer, Reservation)
    assert lines(limiter) == {
        b"x-ratelimit-limit-requests": b"60",
        b"x-ratelimit-remaining-requests": b"59",
        b"x-ratelimit-reset-requests": b"1m1s",
        b"x-ratelimit-limit-tokens": b"150000",
        b"x-ratelimit-remaining-tokens": b"149984",
        b"x-ratelimit-reset-tokens": b"1m1s",
    }


def test_of_several_limits_they_tell_the_one_with_the_least_left() -> None:
    limits = [Limit(name="a", requests_per_minute=100), Limit(name="b", team="t", requests_per_minute=5)]
    assert lines(Limiter(limits, Shares(ManualClock())))[b"x-ratelimit-limit-requests"] == b"5"


def test_a_soft_limit_is_none_to_hold_back_for() -> None:
    soft = Limit(name="soft", requests_per_minute=5, mode=LimitMode.SOFT)
    hard = Limit(name="hard", team="t", requests_per_minute=100)
    assert Limiter([soft], Shares(ManualClock())).plan("k", "t", "m").header_lines() == b""
    assert lines(Limiter([soft, hard], Shares(ManualClock())))[b"x-ratelimit-limit-requests"] == b"100"


def test_what_is_exceeded_has_nothing_left_and_never_less() -> None:
    limiter = Limiter([Limit(tokens_per_minute=10)], Shares(ManualClock()))
    answer = limiter.reserve(limiter.plan("k", "t", "m"), 10, 0.0, 0.0)
    assert isinstance(answer, Reservation)
    answer.settle(500, 0.0, 0.0)
    assert lines(limiter)[b"x-ratelimit-remaining-tokens"] == b"0"


def test_without_a_rate_they_say_nothing() -> None:
    assert Limiter([Limit(usd_per_day=1.0)], Shares(ManualClock())).plan("k", "t", "m").header_lines() == b""


def test_retry_after_is_whole_seconds_rounded_up_and_milliseconds_beside() -> None:
    assert retry_after(0.02) == b"retry-after: 1\r\nretry-after-ms: 20\r\n"
    assert retry_after(12.001) == b"retry-after: 13\r\nretry-after-ms: 12001\r\n"
