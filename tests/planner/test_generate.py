"""Generated workloads have what was asked for; a fit has what the trace had, and says where it has not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.planner.fleets import calls, shared

from switchgear.core.data_class import DataClass
from switchgear.planner.errors import BadWorkload
from switchgear.planner.generate import Generator, Lengths, generate, generated
from switchgear.planner.generate_fit import distance, fit_generator
from switchgear.planner.traces import read_trace
from switchgear.planner.workload import summary

DAY_S = 86_400.0


def test_rate_burstiness_and_lengths_are_what_was_asked_for() -> None:
    asked = Generator(
        rate_per_s=50,
        duration_s=2000,
        burstiness=2.5,
        prompt=Lengths(median=800, sigma=0.5),
        output=Lengths(median=100, sigma=1.2),
    )
    got = summary(generate(asked, 1))
    assert got.rate_per_s == pytest.approx(50, rel=0.03)
    assert got.interarrival_cv == pytest.approx(2.5, rel=0.03)
    assert got.prompt_tokens_median == pytest.approx(800, rel=0.02)
    assert got.output_tokens_median == pytest.approx(100, rel=0.02)


def test_the_day_the_week_and_the_growth_show_in_the_counts() -> None:
    hours = (*(1.0,) * 12, *(3.0,) * 12)
    got = generate(Generator(rate_per_s=1, duration_s=14 * DAY_S, hours=hours, weekend=0.25, growth_per_year=1.0), 2)
    by_hour = np.bincount((got.at_s // 3600 % 24).astype(int))
    assert by_hour[12:].sum() / by_hour[:12].sum() == pytest.approx(3.0, rel=0.02)
    by_day = np.bincount((got.at_s // DAY_S % 7).astype(int))
    assert by_day[5:].mean() / by_day[:5].mean() == pytest.approx(0.25, rel=0.03)
    year = generate(Generator(rate_per_s=0.02, duration_s=365.25 * DAY_S, growth_per_year=3.0), 3)
    ends = [np.count_nonzero((year.at_s >= day * DAY_S) & (year.at_s < (day + 30) * DAY_S)) for day in (0, 335)]
    assert ends[1] / ends[0] == pytest.approx(3 ** (335 / 365.25), rel=0.02)


def test_sessions_share_what_was_said_before() -> None:
    asked = Generator(rate_per_s=5, duration_s=3000, turns=5, system_tokens=1024, classes={DataClass.CONFIDENTIAL: 1.0})
    got = generate(asked, 4)
    found = summary(got)
    assert found.rate_per_s == pytest.approx(5, rel=0.1)
    assert found.shared_prefix_share > 0.5
    assert found.classes == {"confidential": len(got)}
    assert (
        found.shared_prefix_share
        > summary(generate(Generator(rate_per_s=5, duration_s=300), 4)).shared_prefix_share
        == 0
    )


def test_a_year_comes_in_pieces_that_are_never_all_there() -> None:
    counted, before_s = 0, 0.0
    for piece in generated(Generator(rate_per_s=0.05, duration_s=365 * DAY_S), 5):
        assert len(piece) <= 262_144
        assert piece.at_s[0] >= before_s
        before_s, counted = float(piece.at_s[-1]), counted + len(piece)
    assert counted == pytest.approx(0.05 * 365 * DAY_S, rel=0.01)


@settings(derandomize=True, max_examples=30, deadline=None)
@given(st.floats(0.5, 50), st.floats(0, 5), st.floats(-1, 1), st.floats(0.5, 3), st.integers(0, 2**32))
def test_whatever_is_asked_for_is_a_workload(
    rate: float, burstiness: float, correlation: float, weekend: float, seed: int
) -> None:
    asked = Generator(rate_per_s=rate, duration_s=400, burstiness=burstiness, correlation=correlation, weekend=weekend)
    got = generate(asked, seed)
    assert got.at_s[0] >= 0
    assert got.at_s[-1] <= 400
    assert got.prompt_tokens.min() >= 1


@pytest.mark.parametrize("name", ["azure_llm_2023_conv.csv", "azure_llm_2023_code.csv"])
def test_a_fit_to_a_trace_is_as_close_as_two_halves_of_it_nearly(name: str) -> None:
    fit = fit_generator(read_trace(shared(name)))
    assert fit.goodness.prompt_tokens < 0.03
    assert fit.goodness.output_tokens < 0.03
    assert fit.goodness.gaps < 0.05
    assert fit.again.prompt_tokens_median == pytest.approx(fit.trace.prompt_tokens_median, rel=0.05)


def test_a_fit_finds_what_a_generator_was_given() -> None:
    asked = Generator(
        rate_per_s=20, duration_s=1500, burstiness=1.8, prompt=Lengths(median=500, sigma=0.7), correlation=0.6
    )
    found = fit_generator(generate(asked, 7), lognormal=True).generator
    assert found.burstiness == pytest.approx(1.8, rel=0.1)
    assert found.prompt.median == pytest.approx(500, rel=0.03)
    assert found.prompt.sigma == pytest.approx(0.7, rel=0.05)
    assert found.correlation == pytest.approx(0.6, abs=0.05)


def test_the_distance_of_samples() -> None:
    values = np.arange(100.0)
    assert distance(values, values) == 0
    assert distance(values, values + 1000) == 1
    assert distance(values, values + 25) == pytest.approx(0.25)


def test_nonsense_is_refused() -> None:
    with pytest.raises(BadWorkload, match="give 24"):
        Generator(rate_per_s=1, duration_s=1, hours=(1.0, 2.0))
    with pytest.raises(BadWorkload, match="above zero"):
        Generator(rate_per_s=0.0, duration_s=1)
    with pytest.raises(BadWorkload, match="quantiles"):
        Lengths(quantiles=(3.0, 1.0))
    with pytest.raises(BadWorkload, match="not below least"):
        Lengths(least=10, most=5)
    with pytest.raises(BadWorkload, match="at most a hundred years"):
        Generator(rate_per_s=1, duration_s=1e12)
    for growth, turns in ((1.0, 1), (1e18, 1), (1.0, 2)):
        with pytest.raises(BadWorkload, match="give less rate_per_s or duration_s"):
            generate(Generator(rate_per_s=1e6, duration_s=100 * 365 * DAY_S, growth_per_year=growth, turns=turns), 1)
    with pytest.raises(BadWorkload, match="at least 100"):
        fit_generator(calls(10, 1.0))
    with pytest.raises(BadWorkload, match="no call in"):
        generate(Generator(rate_per_s=1e-6, duration_s=1), 1)
