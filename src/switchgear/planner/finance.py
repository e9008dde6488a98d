"""The arithmetic of money over time. Pure; numbers or NumPy arrays, so that a Monte Carlo run uses the very same formulas.

Sources: BMA is Brealey, Myers and Allen, Principles of Corporate Finance (annuity and present value: the chapter on calculating
present values; net present value, internal rate of return and payback: the chapter on investment criteria). P946 is the
United States IRS Publication 946, How To Depreciate Property (straight line, declining balance and the change between them).
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np

from switchgear.planner.money_quantity import FUNCTIONS, Value

_LOWEST_RATE: Final = -0.999_999
_HIGHEST_RATE: Final = 1e6


def annuity(rate: Value, years: Value) -> Value:
    """Equal payment at each year's end for each dollar borrowed: r / (1 - (1 + r)^-n); 1 / n without interest (BMA)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = np.asarray(rate, dtype=np.float64)
        paid = np.where(rates == 0, 1.0 / years, rates / -np.expm1(-years * np.log1p(rates)))
    return float(paid) if paid.ndim == 0 else paid


def balance(rate: Value, years: Value, paid_years: Value) -> Value:
    """What is still owed of each dollar of an annuity loan, after so many payments: the present value of those left (BMA).

    Written as a(r, n) / a(r, n - k): the usual difference of two large numbers loses all digits at small rates.
    """
    left = np.asarray(years, dtype=np.float64) - paid_years
    owed = np.where(left > 0, annuity(rate, years) / np.asarray(annuity(rate, np.maximum(left, 1.0))), 0.0)
    return float(owed) if owed.ndim == 0 else owed


def lease_payment(rate: Value, years: Value, left: Value) -> Value:
    """Rent in advance each year for each dollar of price, when the lessor expects `left` of it at the end.

    The present value of the rents and of what is left equals the price: p (1 - v^n) (1 + r) / r + left v^n = 1, v = 1 / (1 + r)
    (BMA, leasing: the annuity due).
    """
    return (1 - left / (1 + rate) ** years) * annuity(rate, years) / (1 + rate)


def straight_line(life_years: Value, left: Value, age: Value) -> Value:
    """Share of the price written off in the year of use `age` (1 is the first): (1 - left) / life (P946)."""
    return (1 - left) / life_years + 0 * age


def declining_balance(life_years: float, left: Value, age: float, factor: float) -> Value:
    """The same by declining balance, changed to straight line in the year in which that writes off more (P946)."""
    book: Value = 1.0 + 0.0 * np.asarray(left)
    written: Value = 0.0
    for year in range(1, int(age) + 1):
        even = (book - left) / (life_years - year + 1)
        written = np.minimum(np.maximum(book * factor / life_years, even), book - left)
        book = book - written
    return float(written) if np.ndim(written) == 0 else written


def discount_factor(rate: Value, years: Value) -> Value:
    """Present value of a dollar after so many years: (1 + r)^-t (BMA)."""
    return (1 + rate) ** -years


def present_value(rate: float, flows: Sequence[tuple[float, float]]) -> float:
    """Net present value of flows (years from now, dollars) (BMA)."""
    return math.fsum(amount * discount_factor(rate, years) for years, amount in flows)


class Irr(msgspec.Struct, frozen=True):
    """The internal rate of return, or why there is none."""

    rate_per_year: float | None
    why: str = ""


def irr(flows: Sequence[tuple[float, float]]) -> Irr:
    """The rate at which flows (years from now, dollars) are worth nothing today.

    Given only where it is the only one: the flows, in order of time, change their sign exactly once (Descartes' rule of signs;
    BMA on its pitfalls), or their running sum does and ends above zero, which leaves one positive rate (Norstrom, A sufficient
    condition for a unique nonnegative internal rate of return, JFQA 7, 1972). Everything else is None with the reason.
    """
    ordered = sorted(flows)
    changes = _sign_changes([amount for _, amount in ordered])
    running = list(itertools.accumulate(amount for _, amount in ordered))
    if changes == 0:
        return Irr(None, "all flows have one sign: nothing is invested, or nothing comes back")
    low, high = _LOWEST_RATE, _HIGHEST_RATE
    if changes > 1:
        if _sign_changes(running) != 1 or running[-1] <= 0:
            return Irr(None, f"the flows change sign {changes} times: several rates may fit, or none does")
        low = 0.0
    worth = present_value(low, flows)
    if (worth > 0) == (present_value(high, flows) > 0):
        return Irr(None, "no rate between -99.9999 % and a million fits")
    return Irr(_root(lambda rate: present_value(rate, flows), low, high))


def _sign_changes(amounts: Sequence[float]) -> int:
    signs = [amount > 0 for amount in amounts if abs(amount) > 1e-9]
    return sum(left != right for left, right in itertools.pairwise(signs))


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Bisection on 1 + rate, in logarithms: rates lie between almost -100 % and millions."""
    positive_low = function(low) > 0
    left, right = math.log1p(low), math.log1p(high)
    for _ in range(200):
        middle = (left + right) / 2
        if (function(math.expm1(middle)) > 0) == positive_low:
            left = middle
        else:
            right = middle
    return math.expm1((left + right) / 2)


def payback_years(start: float, by_year: Sequence[float]) -> float | None:
    """Years until what was spent at the start is earned back and stays so; flows of a year come evenly. None: never (BMA).

    `start` is the flow at the beginning (negative where it is spent), `by_year` those of years 1, 2, …
    """
    if start >= 0 and all(amount >= 0 for amount in by_year):
        return 0.0
    ends = list(itertools.accumulate(by_year, initial=start))
    last_below = max(index for index, value in enumerate(ends) if value < 0) if any(value < 0 for value in ends) else -1
    if last_below == len(ends) - 1:
        return None
    if last_below < 0:
        return 0.0
    return last_below + -ends[last_below] / by_year[last_below]


FUNCTIONS.update(
    annuity=annuity,
    balance=balance,
    lease_payment=lease_payment,
    straight_line=straight_line,
    declining_balance=declining_balance,
    discount_factor=discount_factor,
)
