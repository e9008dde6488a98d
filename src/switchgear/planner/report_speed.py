"""What was simulated, in the HTML report: how fast each option is, where its calls go, and every figure that rests on."""

from html import escape
from typing import TYPE_CHECKING

from switchgear.planner.report_html import heading, right_cell, table
from switchgear.planner.report_text import percent, seconds

if TYPE_CHECKING:
    from switchgear.planner.compare_simulated import Simulated, SimulatedYear  # they bring the simulator with them


def how_fast(simulated: "Simulated | None") -> str:
    """A row for each option and year, each with the way to its inputs. Empty without a simulation."""
    if simulated is None:
        return ""
    told = simulated.workload
    head = heading(
        ["Option", "Year"],
        [
            "Rate",
            "First token, p50",
            "p99",
            "Call, p50",
            "p95",
            "Answered",
            "By a cloud",
            "Must stay local",
            "Busiest unit",
        ],
    )
    return (
        '<h2 id="speed">How fast it is, and where calls go</h2>'
        f"<p>Simulated on {told.calls:,} calls of {escape(told.source)} ({told.prompt_tokens_mean:,.0f} tokens in and "
        f"{told.output_tokens_mean:,.0f} out in the mean), at the rate of each year, with the gateway's own routing. "
        "Options that are not listed here count their units by means alone.</p>"
        f"{table(head, [_row(one) for one in simulated.years])}"
    )


def _row(one: "SimulatedYear") -> str:
    result = one.result
    busiest = max(
        (place.busiest_utilisation for place in result.places if place.busiest_utilisation is not None), default=None
    )
    cells = [
        f"x {one.load:.3g}",
        *(seconds(time_s) for time_s in (result.ttft.p50, result.ttft.p99, result.e2e.p50, result.e2e.p95)),
        percent(result.availability, 2),
        percent(result.cloud_share, 1),
        percent(result.must_stay_local_share, 1),
        percent(busiest),
    ]
    link = f'<a class="n" href="#{_anchor(one)}">{escape(one.option)}</a>'
    return f"<tr><td>{link}</td><td>{one.year}</td>{''.join(map(right_cell, cells))}</tr>"


def simulation_inputs(simulated: "Simulated | None") -> str:
    """What each simulation was made from; fleets that stand for several years once."""
    if simulated is None:
        return ""
    rows, shown = [], set()
    for one in simulated.years:
        first = one.option not in shown
        shown.add(one.option)
        told = (
            one.result.inputs
            if first
            else {"workload": one.result.inputs["workload"], "fleet": one.result.inputs["fleet"]}
        )
        for number, (name, value) in enumerate(told.items()):
            mark = f' id="{_anchor(one)}"' if not number else ""
            rows.append(
                f"<tr{mark}><td>{escape(one.option)}, year {one.year}: {escape(name)}</td><td>{escape(value)}</td></tr>"
            )
    return f'<h2 id="simulation-inputs">Inputs of the simulation</h2>{table(heading(["Input"], [], ["Value and source"]), rows)}'


def _anchor(one: "SimulatedYear") -> str:
    return f"s-{escape(one.option)}-{one.year}"
