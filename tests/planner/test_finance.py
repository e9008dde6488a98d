"""Money over time: worked examples and the identities that define each function."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.planner import finance

rates = st.floats(0.0, 0.5)
years = st.integers(1, 20)


def test_annuity_known_value() -> None:
    # 1,000 at 6 % over 3 years: 374.11 a year, in any table of annuities.
    assert 1000 * finance.annuity(0.06, 3) == pytest.approx(374.1098, abs=1e-4)
    assert finance.annuity(0.0, 4) == 0.25


@given(rate=rates, n=years)
def test_annuity_pays_the_loan(rate: float, n: int) -> None:
    owed = 1.0
    for paid in range(n):
        assert owed == pytest.approx(float(finance.balance(rate, n, paid)), abs=1e-9)
        owed = owed * (1 + rate) - float(finance.annuity(rate, n))
    assert owed == pytest.approx(0.0, abs=1e-9)


@given(rate=rates, n=years, left=st.floats(0, 1))
def test_lease_is_worth_the_price(rate: float, n: int, left: float) -> None:
    rent = float(finance.lease_payment(rate, n, left))
    flows = [(float(year), rent) for year in range(n)] + [(float(n), left)]
    assert finance.present_value(rate, flows) == pytest.approx(1.0)


@given(life=years, left=st.floats(0, 1), factor=st.floats(1, 3))
def test_depreciation_writes_off_all_but_what_is_left(life: int, left: float, factor: float) -> None:
    even = [float(finance.straight_line(life, left, age)) for age in range(1, life + 1)]
    fast = [float(finance.declining_balance(life, left, age, factor)) for age in range(1, life + 1)]
    assert math.fsum(even) == pytest.approx(1 - left)
    assert math.fsum(fast) == pytest.approx(1 - left)
    assert all(share >= -1e-12 for share in fast)


def test_double_declining_balance_known_value() -> None:
    # IRS Publication 946's 200 % declining balance over 5 years, full first year: 40, 24, 14.4, then straight line 10.8, 10.8.
    shares = [float(finance.declining_balance(5, 0.0, age, 2.0)) for age in range(1, 6)]
    assert shares == pytest.approx([0.4, 0.24, 0.144, 0.108, 0.108])


def test_arrays_and_numbers_agree() -> None:
    many = np.asarray([0.0, 0.03, 0.2])
    assert finance.annuity(many, 5) == pytest.approx([finance.annuity(float(rate), 5) for rate in many])
    left = np.asarray([0.0, 0.1, 0.5])
    expected = [finance.declining_balance(5, float(one), 4, 2.0) for one in left]
    assert finance.declining_balance(5, left, 4, 2.0) == pytest.approx(expected)


def test_irr_of_one_period() -> None:
    assert finance.irr([(0.0, -100.0), (1.0, 110.0)]).rate_per_year == pytest.approx(0.1)
    assert finance.irr([(0.0, -100.0), (2.0, 25.0)]).rate_per_year == pytest.approx(-0.5)


def test_irr_is_not_given_where_it_is_not_the_only_one() -> None:
    # The textbook's pair: -1,000, 2,500, -1,560 is worth nothing at 20 % and at 30 %.
    two = finance.irr([(0.0, -1000.0), (1.0, 2500.0), (2.0, -1560.0)])
    assert two.rate_per_year is None
    assert "2 times" in two.why
    assert finance.irr([(0.0, 5.0), (1.0, 5.0)]).rate_per_year is None
    assert finance.irr([]).rate_per_year is None


def test_irr_by_the_running_sum() -> None:
    flows = [(0.0, -100.0), (1.0, 80.0), (2.0, -10.0), (3.0, 70.0)]
    found = finance.irr(flows).rate_per_year
    assert found is not None
    assert finance.present_value(found, flows) == pytest.approx(0.0, abs=1e-6)


@given(invest=st.floats(1, 1e6), back=st.lists(st.floats(0, 1e6), min_size=1, max_size=10))
def test_irr_is_a_root(invest: float, back: list[float]) -> None:
    flows = [(0.0, -invest), *((float(year), amount) for year, amount in enumerate(back, start=1))]
    found = finance.irr(flows).rate_per_year
    if found is not None and -0.99 < found < 1e5:
        scale = max(invest, *back)
        assert finance.present_value(found, flows) / scale == pytest.approx(0.0, abs=1e-6)


def test_payback() -> None:
    assert finance.payback_years(-100.0, [40.0, 40.0, 40.0]) == pytest.approx(2.5)
    assert finance.payback_years(-100.0, [40.0, 40.0]) is None
    assert finance.payback_years(0.0, [5.0, 5.0]) == 0.0
    # Back above zero is not enough: it must stay there.
    assert finance.payback_years(-10.0, [20.0, -30.0, 40.0]) == pytest.approx(2.5)
