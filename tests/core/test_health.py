"""The grid's series: which hour counts, and what is wrong with a file."""

import pytest

from switchgear.core.errors import ConfigError
from switchgear.core.health import GridSeries, begins_s, problem_of, read_grid_csv

DAY = tuple(float(hour) for hour in range(24))
BEGIN_S = begins_s("2026-01-01T00:00Z")


def test_one_value_holds_always() -> None:
    assert GridSeries(g_per_kwh=(350.0,)).at_g_per_kwh(0.0) == 350.0


def test_twenty_four_are_the_hours_of_each_day_in_utc() -> None:
    series = GridSeries(g_per_kwh=DAY)
    assert series.at_g_per_kwh(BEGIN_S + 5.5 * 3600) == 5.0
    assert series.at_g_per_kwh(BEGIN_S + 3 * 86_400 + 23.9 * 3600) == 23.0


def test_a_series_with_a_beginning_ends() -> None:
    series = GridSeries(g_per_kwh=(1.0, 2.0, 3.0), begins="2026-01-01T01:00+01:00")
    assert series.at_g_per_kwh(BEGIN_S) == 1.0
    assert series.at_g_per_kwh(BEGIN_S + 2.5 * 3600) == 3.0
    assert series.at_g_per_kwh(BEGIN_S + 3 * 3600) is None
    assert series.at_g_per_kwh(BEGIN_S - 1) is None


@pytest.mark.parametrize(
    ("series", "said"),
    [
        (GridSeries(g_per_kwh=DAY), ""),
        (GridSeries(g_per_kwh=(1.0, 2.0)), "give 1, 24"),
        (GridSeries(g_per_kwh=(1.0,), begins="soon"), "write it as"),
        (GridSeries(g_per_kwh=(1.0,), begins="2026-01-01T00:00"), "offset"),
    ],
)
def test_what_is_wrong_with_a_series(series: GridSeries, said: str) -> None:
    assert said in problem_of(series)
    assert bool(said) == bool(problem_of(series))


def test_a_csv_file() -> None:
    series = read_grid_csv("time,g_per_kwh\n2026-01-01T00:00Z,300\n2026-01-01T01:00Z,250.5\n", name="grid.csv")
    assert series.at_g_per_kwh(BEGIN_S + 3600) == 250.5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no rows"),
        ("hour,grams\n1,2\n", "columns"),
        ("time,g_per_kwh\n2026-01-01T00:00Z,many\n", "line 2"),
        ("time,g_per_kwh\n2026-01-01T00:00Z,1\n2026-01-01T02:00Z,1\n", "line 3"),
        ("time,g_per_kwh\n2026-01-01T00:00Z,-1\n", "line 2"),
        ("time,g_per_kwh\n2026-01-01T00:00Z,nan\n", "line 2"),
    ],
)
def test_a_csv_file_that_makes_no_sense_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_grid_csv(text, name="grid.csv")
