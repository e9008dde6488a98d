"""How sure an answer is: draws, percentiles, and what drives them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.planner.money_plans import EXAMPLES, owned, small, tokens

from switchgear.planner.compare import compare
from switchgear.planner.money_errors import MoneyError
from switchgear.planner.money_given import Given, Percentiles
from switchgear.planner.money_read import plan_of, read_plan
from switchgear.planner.montecarlo import groups_of, simulate
from switchgear.planner.montecarlo_sensitivity import sensitivity

distributions = st.one_of(
    st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3).map(lambda ends: Given(triangular=tuple(sorted(ends)))),  # type: ignore[arg-type]  # three of them
    st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=2).map(lambda ends: Given(uniform=tuple(sorted(ends)))),  # type: ignore[arg-type]  # two of them
    st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=2).map(
        lambda ends: Given(lognormal=Percentiles(min(ends), max(ends)))
    ),
)


@given(one=distributions)
def test_inverse_distribution_functions_rise_within_their_support(one: Given) -> None:
    low, high = one.support
    values = one.ppf(np.linspace(0, 1, 101))
    assert (np.diff(values) >= -1e-9 * max(1.0, abs(values).max())).all()
    assert values[0] >= low - 1e-9
    assert values[-1] <= high + 1e-9


def test_shapes() -> None:
    u = (np.arange(200_000) + 0.5) / 200_000
    assert Given(triangular=(0, 1, 5)).ppf(u).mean() == pytest.approx(2.0, abs=1e-4)
    assert Given(uniform=(2, 6)).ppf(u).std() == pytest.approx(4 / 12**0.5, rel=1e-4)
    lognormal = Given(lognormal=Percentiles(1.0, 4.0)).ppf(u)
    assert np.percentile(lognormal, [10, 50, 90]) == pytest.approx([1, 2, 4], rel=1e-3)
    coin = Given(discrete=((10, 0.25), (1, 0.75))).ppf(u)
    assert (coin == 1).mean() == pytest.approx(0.75, abs=1e-4)
    assert set(coin) == {1, 10}


def test_a_seed_gives_the_same_and_another_another() -> None:
    plan = read_plan(EXAMPLES / "compare.toml")
    first, again, other = simulate(plan, draws=500), simulate(plan, draws=500), simulate(plan, draws=500, seed=8)
    assert first == again
    assert first != other
    assert sum(option.cheapest for option in first.options) == pytest.approx(1.0)
    assert sum(first.options[0].histogram[1]) >= 0.9 * 500


def test_percentiles_of_a_straight_line() -> None:
    plan = small()
    tokens(plan)["output_usd_per_mtok"] = {"uniform": [0.0, 8.0]}
    cloud = next(one for one in simulate(plan_of(plan), draws=20_000).options if one.name == "cloud")
    # 12,000 a year for prompts, and 3,000 times the price for answers, four years.
    assert cloud.present_value_usd.percentiles[50] == pytest.approx(48_000 + 12_000 * 4, rel=0.01)
    assert cloud.present_value_usd.percentiles[90] == pytest.approx(48_000 + 12_000 * 7.2, rel=0.01)


def test_what_is_written_twice_is_drawn_once() -> None:
    plan = read_plan(EXAMPLES / "compare.toml")
    groups = groups_of(plan)
    shared = groups["options.cloud.places.api.tokens.price_change_per_year"]
    assert len(shared) == 3
    assert all("engineering_fte" not in path or len(paths) == 1 for path, paths in groups.items())


def test_calls_left_over_in_some_draws_are_told() -> None:
    plan = small()
    plan["workload"]["peak_to_mean"] = {"uniform": [1.0, 41.0]}
    server = next(one for one in simulate(plan_of(plan), draws=4_000).options if one.name == "server")
    # It serves a peak of 10,000 tokens a second, 21 times the mean.
    assert server.leaves_calls_over == pytest.approx(0.5, abs=0.03)


def test_sobol_of_a_sum_is_its_shares_of_the_variance() -> None:
    plan = small()
    tokens(plan)["input_usd_per_mtok"] = {"uniform": [0.0, 1.0]}  # times 12,000 a year
    tokens(plan)["output_usd_per_mtok"] = {"uniform": [0.0, 8.0]}  # times 3,000: twice as wide
    owned(plan)["price_usd_per_unit"] = {"uniform": [9_999.0, 10_001.0]}
    found = sensitivity(plan_of(plan), "server", points=1024)
    order = [one.id for one in found.influences]
    assert order == ["cloud.api.output_usd_per_mtok", "cloud.api.input_usd_per_mtok", "server.box.price_usd_per_unit"]
    assert [one.first_order for one in found.influences] == pytest.approx([0.8, 0.2, 0.0], abs=0.02)
    assert [one.total_order for one in found.influences] == pytest.approx([0.8, 0.2, 0.0], abs=0.02)
    assert found.influences[0].total_low < 0.8 < found.influences[0].total_high
    top = found.influences[0]
    assert top.saving_p90_usd - top.saving_p10_usd == pytest.approx(12_000 * (7.2 - 0.8), rel=1e-6)
    assert found.evaluations == 1024 * 5


def test_sobol_sees_what_only_acts_together() -> None:
    plan = small()
    # Price x growth of calls around zero price: neither does anything alone.
    tokens(plan)["price_change_per_year"] = {"uniform": [-0.5, 0.5]}
    plan["workload"]["growth_per_year"] = {"uniform": [-0.5, 0.5]}
    found = sensitivity(plan_of(plan), "server", points=512)
    assert all(one.total_order > one.first_order for one in found.influences)


def test_the_median_is_the_point_estimate() -> None:
    plan = read_plan(EXAMPLES / "compare.toml")
    hybrid = next(one for one in compare(plan).options if one.name == "hybrid")
    assert sensitivity(plan, "hybrid", points=64).saving_usd == pytest.approx(hybrid.saving_usd)


def test_questions_without_an_answer() -> None:
    plan = plan_of(small())
    with pytest.raises(MoneyError, match="no assumption has a distribution"):
        sensitivity(plan, "server")
    with pytest.raises(MoneyError, match="power of two"):
        sensitivity(plan, "server", points=1000)
    with pytest.raises(MoneyError, match="name another option"):
        sensitivity(plan, "cloud")
    with pytest.raises(MoneyError, match="10,000 give"):
        simulate(plan, draws=5)
