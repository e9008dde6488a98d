"""OpenAI's header lines: their forms, and what they say of what is left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.core.clock import ManualClock
from switchgear.core.limits import Limit
from switchgear.limits.headers import duration, retry_after
from switchgear.limits.limiter import Limiter
from switchgear.limits.reservation import Reservation
from switchgear.limits.shares import Shares


def lines(limiter: Limiter) -> dict[bytes, bytes]:
    data = limiter.plan("k", "t", "m").headers.lines()
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


def test_what_is_exceeded_has_nothing_left_and_never_less() -> None:
    limiter = Limiter([Limit(tokens_per_minute=10)], Shares(ManualClock()))
    answer = limiter.reserve(limiter.plan("k", "t", "m"), 10, 0.0, 0.0)
    assert isinstance(answer, Reservation)
    answer.settle(500, 0.0, 0.0)
    assert lines(limiter)[b"x-ratelimit-remaining-tokens"] == b"0"


def test_without_a_rate_they_say_nothing() -> None:
    assert Limiter([Limit(usd_per_day=1.0)], Shares(ManualClock())).plan("k", "t", "m").headers.lines() == b""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, b"0ms"), (0.02, b"20ms"), (0.0001, b"1ms"), (0.9999, b"1s"), (1.0, b"1s"), (8.64, b"8.64s"), (59.951, b"59.951s"),
        (59.9999, b"1m0s"),
        (60.0, b"1m0s"), (60.2, b"1m1s"), (360.0, b"6m0s"), (86_399.0, b"23h59m59s"), (-1.0, b"0ms"),
    ],
)  # fmt: skip
def test_durations_have_openai_s_form(seconds: float, text: bytes) -> None:
    assert duration(seconds) == text


@given(st.floats(0.0, 5e6))
def test_a_duration_is_never_told_shorter_than_it_is(seconds: float) -> None:
    text, total = duration(seconds).decode(), 0.0
    for unit, factor in (("h", 3600.0), ("ms", 0.001), ("m", 60.0), ("s", 1.0)):
        number, found, rest = text.partition(unit)
        if found and number.replace(".", "").isdigit():
            total += float(number) * factor
            text = rest
    assert text == ""
    assert seconds - 1e-6 <= total <= seconds + 1.0


def test_retry_after_is_whole_seconds_rounded_up_and_milliseconds_beside() -> None:
    assert retry_after(0.02) == b"retry-after: 1\r\nretry-after-ms: 20\r\n"
    assert retry_after(12.001) == b"retry-after: 13\r\nretry-after-ms: 12001\r\n"
