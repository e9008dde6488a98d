"""A simulation's result becomes a year of usage, and that money."""

from typing import Any

import msgspec
import pytest
from tests.planner.money_plans import small

from switchgear.planner.compare import evaluated
from switchgear.planner.money_errors import NotServed
from switchgear.planner.money_read import plan_of
from switchgear.planner.simulate_model import PlaceResult, Result
from switchgear.planner.tco_model import CostKind
from switchgear.planner.tco_simulated import usage_from

DAY_S = 86_400.0


def place(**changes: Any) -> PlaceResult:
    empty: dict[str, Any] = dict.fromkeys(PlaceResult.__struct_fields__, None)
    given = {
        "name": "gpus",
        "kind": "onprem",
        "units": 1,
        "answered": 32_877,
        "tokens_in": 32_877_000,
        "tokens_out": 8_219_250,
        "utilisation": 0.5,
        "energy_board_j": 1.0,
        "energy_wall_j": 24 * 3.6e6,
    }
    return PlaceResult(**(empty | given | changes))


def result(*places: PlaceResult, calls: int = 32_877) -> Result:
    empty: dict[str, Any] = dict.fromkeys(Result.__struct_fields__, None)
    return Result(**(empty | {"calls": calls, "arrivals_s": DAY_S, "places": list(places)}))


def test_a_day_makes_a_year() -> None:
    plan = plan_of(small())
    rows = [
        row for year in (1, 2, 3, 4) for row in usage_from(plan, "server", year, result(place()), names={"gpus": "box"})
    ]
    assert rows[0].calls == pytest.approx(12e6)
    assert rows[0].prompt_tokens == pytest.approx(12e9)
    assert rows[0].energy_kwh == pytest.approx(24 * 365)
    assert rows[0].busy_unit_hours == pytest.approx(4380)
    _, costs = evaluated(plan, usage=rows)
    energy = [
        line.cash.point() for line in costs["server"].lines if line.kind is CostKind.ENERGY and line.cash is not None
    ]
    assert energy == pytest.approx([24 * 365 * 0.1] * 4)
    assert msgspec.json.decode(msgspec.json.encode(rows[0]))["place"] == "box"


def test_another_volume_is_refused() -> None:
    plan = plan_of(small() | {"workload": small()["workload"] | {"growth_per_year": 0.5}})
    with pytest.raises(NotServed, match="simulate the volume of that year"):
        usage_from(plan, "server", 2, result(place()))


def test_energy_that_nobody_knows_is_refused() -> None:
    with pytest.raises(NotServed, match="`host`"):
        usage_from(plan_of(small()), "server", 1, result(place(energy_wall_j=None)))
    cloud = place(name="api", kind="cloud", energy_wall_j=None, energy_board_j=None, utilisation=None)
    assert usage_from(plan_of(small()), "cloud", 1, result(cloud))[0].energy_kwh == 0.0
