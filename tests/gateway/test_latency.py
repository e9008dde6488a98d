"""What a target's latency was: peaks at once, decay in time, percentiles within one bucket of the truth."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switchgear.gateway.latency import Latency


def observed(*values_s: float, now_s: float = 0.0) -> Latency:
    latency = Latency()
    for value_s in values_s:
        latency.observe(value_s, now_s)
    return latency


def test_unknown_is_zero_and_has_no_percentile() -> None:
    assert Latency().peak_ewma_s(5.0) == 0.0
    assert Latency().percentile_s(50) is None
    assert observed(*[0.1] * 19).percentile_s(50) is None
    assert observed(*[0.1] * 20).percentile_s(50) is not None


def test_a_peak_counts_at_once_and_faster_answers_pull_it_down_slowly() -> None:
    latency = observed(0.1, 2.0)
    assert latency.peak_ewma_s(0.0) == 2.0
    latency.observe(0.1, 0.0)
    assert latency.peak_ewma_s(0.0) == 2.0, "no time has passed"
    latency.observe(0.1, 10.0)
    assert latency.peak_ewma_s(10.0) == pytest.approx(2.0 / math.e + 0.1 * (1 - 1 / math.e))


def test_who_is_not_asked_looks_better_in_time() -> None:
    latency = observed(4.0)
    assert latency.peak_ewma_s(10.0) == pytest.approx(4.0 / math.e)
    assert latency.peak_ewma_s(200.0) < 0.001


@given(st.lists(st.floats(0.0006, 1000.0), min_size=20, max_size=200), st.sampled_from([1.0, 50.0, 95.0, 99.0]))
@settings(deadline=None)
def test_a_percentile_is_at_most_fifteen_percent_above_the_truth(values_s: list[float], percent: float) -> None:
    shown_s = observed(*values_s).percentile_s(percent)
    true_s = sorted(values_s)[max(0, math.ceil(percent / 100 * len(values_s)) - 1)]
    assert shown_s is not None
    assert true_s * (1 - 1e-9) <= shown_s <= true_s * 1.15 * (1 + 1e-9)


def test_percentiles_follow_a_change() -> None:
    latency = observed(*[0.1] * 3000)
    for _ in range(4000):
        latency.observe(1.0, 0.0)
    median_s = latency.percentile_s(50)
    assert median_s is not None
    assert median_s >= 1.0


def test_what_is_beyond_the_scale_stands_at_its_ends() -> None:
    assert observed(*[0.0] * 20).percentile_s(99) == 0.0005
    longest_s = observed(*[1e9] * 20).percentile_s(50)
    assert longest_s is not None
    assert 2000.0 < longest_s < 10_000.0
