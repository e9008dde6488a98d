"""`plan compare` on calls that came: fleets are simulated in each year's volume, and money and report follow."""

import itertools
import re
from typing import Any

import pytest
from tests.planner.fleets import calls, cloud, fleet, onprem
from tests.planner.money_plans import small

from switchgear.hardware.power import Host
from switchgear.planner.compare import compare, evaluated
from switchgear.planner.compare_simulated import Simulated, pinned, simulate_options
from switchgear.planner.errors import BadQuestion
from switchgear.planner.fleet import Fleet
from switchgear.planner.money_errors import NotServed
from switchgear.planner.money_model import Plan
from switchgear.planner.money_read import plan_of
from switchgear.planner.montecarlo import simulate as draw
from switchgear.planner.report import html_report
from switchgear.planner.tco_model import CostKind

HOST = Host(idle_w=100.0, busy_w=200.0)
CALLS = calls(2000, 1.0)


def plan(**workload: Any) -> Plan:
    raw = small()
    raw["workload"] |= {
        "growth_per_year": 0.5,
        "answer_bytes_per_call": 500.0,
        "cached_share_of_prompt": 0.25,
    } | workload
    return pinned(plan_of(raw), CALLS)


def box(**settings: Any) -> Fleet:
    return fleet(onprem("box", host=HOST, **settings), name="box")


@pytest.fixture(scope="module")
def simulated() -> Simulated:
    return simulate_options(plan(), {"server": {1: box()}}, CALLS, seed=1)


def test_each_year_has_its_volume(simulated: Simulated) -> None:
    loads = [one.load for one in simulated.years]
    assert [one.year for one in simulated.years] == [1, 2, 3, 4]
    assert [later / first for first, later in itertools.pairwise(loads)] == pytest.approx([1.5] * 3)
    assert loads[0] * simulated.calls_per_year == pytest.approx(12e6)
    assert [row.calls for row in simulated.usage] == pytest.approx([12e6 * 1.5**year for year in range(4)])
    first = simulated.usage[0]
    assert first.prompt_tokens / first.calls == pytest.approx(float(CALLS.prompt_tokens.mean()))
    assert first.cached_tokens == pytest.approx(0.25 * first.prompt_tokens)
    assert first.egress_bytes == pytest.approx(500.0 * first.calls)
    assert first.peak_kw == pytest.approx((700 + 200) / 0.91 / 1000)
    assert [row.energy_kwh for row in simulated.usage] == sorted(row.energy_kwh for row in simulated.usage)


def test_all_options_count_the_calls_that_were_simulated(simulated: Simulated) -> None:
    """The cloud, which was not simulated, is charged for the same tokens."""
    book, costs = evaluated(plan(), usage=simulated.usage)
    tokens = {
        name: sum(one.output_mtok.point() for rows in cost.served.values() for one in rows)
        for name, cost in costs.items()
    }
    assert tokens["server"] == pytest.approx(tokens["cloud"], rel=1e-6)
    energy = [
        line.cash.point() for line in costs["server"].lines if line.kind is CostKind.ENERGY and line.cash is not None
    ]
    assert energy == pytest.approx([0.1 * row.energy_kwh for row in simulated.usage])
    assert "mean of 2,000 calls" in book.sheet.entries["workload.prompt_tokens_per_call"].source


def test_what_was_simulated_is_not_drawn(simulated: Simulated) -> None:
    uncertain = plan(
        calls_per_month={"triangular": [500_000, 1_000_000, 2_000_000]}, growth_per_year={"uniform": [0.4, 0.6]}
    )
    again = simulate_options(uncertain, {"server": {1: box()}}, CALLS, seed=1)
    assert again.years[1].load / again.years[0].load == pytest.approx(1.5)
    spread = draw(uncertain, draws=100, usage=again.usage)
    assert spread.uncertain == []
    assert [one.leaves_calls_over for one in spread.options] == [0.0, 0.0]
    assert simulated.years[0].result.ttft.p99 is not None


def test_volumes_that_are_the_same_are_simulated_once() -> None:
    still = simulate_options(plan(growth_per_year=0.0), {"server": {1: box()}}, CALLS)
    assert len({id(one.result) for one in still.years}) == 1
    larger = simulate_options(plan(growth_per_year=0.0), {"server": {1: box(), 3: box(units=2)}}, CALLS)
    assert [row.units for row in larger.usage] == [1, 1, 2, 2]


def test_the_report_shows_times_and_leads_to_their_inputs(simulated: Simulated) -> None:
    page = html_report(compare(plan(), simulated.usage), simulated=simulated)
    assert page.count('href="#s-server-') == 4
    for link in re.findall(r'href="#([^"]+)"', page):
        assert f'id="{link}"' in page, link
    assert "server, year 1: box.h100-sxm.memory_bandwidth_bytes_per_s" in page
    assert "How fast" not in html_report(compare(plan()))


@pytest.mark.parametrize(
    ("fleets", "said"),
    [
        ({"sever": {1: box()}}, "no option 'sever'; name one of cloud, server"),
        ({"server": {2: box()}}, "give one from year 1"),
        ({"server": {1: box(), 9: box()}}, "none beyond year 4"),
        ({"server": {1: fleet(onprem("gpus", host=HOST))}}, "call it as the plan does: box"),
        (
            {"cloud": {1: fleet(cloud("api", requests_per_minute=1.0), name="slow")}},
            "leaves .* in year 1 without a whole answer: .*--fleet cloud:1=FILE",
        ),
        ({"server": {1: fleet(onprem("box"))}}, "give the place a `host`"),
    ],
)
def test_what_cannot_be_counted_is_refused(fleets: dict[str, dict[int, Fleet]], said: str) -> None:
    with pytest.raises((BadQuestion, NotServed), match=said):
        simulate_options(plan(), fleets, CALLS)
