"""Retry-After in both its forms (RFC 9110, 10.2.3), and what is neither."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.backends.retry_after import parse_retry_after

NOW_S = 1_700_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("Tue, 14 Nov 2023 22:13:10 GMT", 0.0),
        ("Tuesday, 14-Nov-23 22:13:50 GMT", 30.0),
        ("Tue Nov 14 22:13:50 2023", 30.0),
        ("Tue, 14 Nov 2023 23:13:50 +0100", 30.0),
    ],
)
def test_seconds_and_dates(value: str, seconds: float) -> None:
    assert parse_retry_after(value, NOW_S) == pytest.approx(seconds)


@pytest.mark.parametrize("value", ["", "soon", "nan", "inf", "-inf", "1e999", "Tue, 99 Nov 2023 22:13:50 GMT", "12 s"])
def test_what_is_neither_is_no_answer(value: str) -> None:
    assert parse_retry_after(value, NOW_S) is None


@given(st.integers(0, 10**7))
def test_both_forms_say_the_same(seconds: int) -> None:
    date = formatdate(NOW_S + seconds, usegmt=True)
    assert parse_retry_after(date, NOW_S) == parse_retry_after(str(seconds), NOW_S) == seconds


@given(st.text(max_size=40))
def test_whatever_stands_there_it_is_a_time_or_nothing(value: str) -> None:
    seconds = parse_retry_after(value, NOW_S)
    assert seconds is None or 0.0 <= seconds < float("inf")
