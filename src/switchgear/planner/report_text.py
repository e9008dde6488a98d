"""Numbers and words of the answers, as people read them: the same in the terminal, the CSV and the HTML report."""

from switchgear.planner.breakeven import BreakEven, Verdict
from switchgear.planner.compare import OptionResult
from switchgear.planner.tco_model import GROUPS


def usd(value: float) -> str:
    """Dollars: whole ones from a hundred on, more digits below, never an exponent."""
    size = abs(value)
    digits = 0 if size >= 100 else 2 if size >= 1 or size == 0 else 4 if size >= 0.01 else 6
    text = f"{size:,.{digits}f}"
    return f"-${text}" if value < 0 and text.strip("0.,") else f"${text}"


def short_usd(value: float) -> str:
    """Dollars for an axis: $1.2M, $340k."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{'-' if value < 0 else ''}${abs(value) / size:.3g}{unit}"
    return usd(value) if abs(value) >= 1e-9 else "$0"


def percent(share: float | None, digits: int = 0) -> str:
    """A share as people write it; a small one is not zero."""
    if share is None:
        return "–"
    if 0 < share < 0.005 and digits == 0:
        return "< 1 %"
    return f"{share * 100:.{digits}f} %"


def seconds(time_s: float | None) -> str:
    """A time as people read it."""
    if time_s is None:
        return "–"
    return f"{1000 * time_s:.3g} ms" if time_s < 1 else f"{time_s:.3g} s"


def number(value: float, unit: str) -> str:
    """A value of the sheet with its unit."""
    if unit.startswith("USD"):
        rest = unit.removeprefix("USD")
        return usd(value) + (f" {rest}" if rest else "")
    size = abs(value)
    text = f"{value:,.0f}" if size >= 1e4 else f"{value:.4g}"
    return f"{text} {unit}".strip()


def payback(result: OptionResult) -> str:
    """When the money is back."""
    if result.saving_usd is None:
        return "–"
    return "never" if result.payback_years is None else f"{result.payback_years:.1f} years"


def rate_of_return(result: OptionResult) -> str:
    """The internal rate of return, or that there is none."""
    if result.irr is None:
        return "–"
    return "none" if result.irr.rate_per_year is None else percent(result.irr.rate_per_year, 1)


def break_even(one: BreakEven | None) -> str:
    """The break-even volume in words."""
    if one is None:
        return "–"
    if one.calls_per_month is None:
        return "never" if one.verdict is Verdict.NEVER else "always"
    return f"{'from' if one.verdict is Verdict.FROM else 'up to'} {short_count(one.calls_per_month)} calls a month"


def short_count(value: float) -> str:
    """A number of calls to three digits: 2.71M, 340k."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def group_costs(result: OptionResult) -> dict[str, float]:
    """What an option costs in all years, by group."""
    totals = dict.fromkeys(GROUPS, 0.0)
    group_of = {kind: name for name, kinds in GROUPS.items() for kind in kinds}
    for year in result.years:
        for kind, spent in year.by_kind.items():
            totals[group_of[kind]] += spent
    return totals
