"""Answers of the simulation as tables: the same rows for a terminal and for CSV."""

import csv
from collections.abc import Sequence
from io import StringIO
from typing import NamedTuple

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from switchgear.cli.record_output import printable
from switchgear.planner.generate_fit import Fit
from switchgear.planner.questions_bottleneck import Bottleneck
from switchgear.planner.questions_facility import Facility
from switchgear.planner.questions_replay import Replay
from switchgear.planner.questions_size import Size
from switchgear.planner.simulate_model import Answer, Result
from switchgear.planner.simulate_site import SiteResult

_PIPE_WIDTH = 200
Cell = str | float | int | None


class Grid(NamedTuple):
    """One table, and what is to be said below it."""

    title: str
    head: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
    notes: tuple[str, ...] = ()


def show(answer: Answer, grids: Sequence[Grid], *, as_json: bool, as_csv: bool) -> None:
    """Print an answer: as one JSON object, the first table as CSV in full digits, or all tables."""
    if as_json and as_csv:
        raise click.UsageError("Give --json or --csv, not both.")
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(answer)))
        return
    if as_csv:
        buffer = StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(grids[0].head)
        writer.writerows([["" if cell is None else _harmless(cell) for cell in row] for row in grids[0].rows])
        click.echo(buffer.getvalue(), nl=False)
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_PIPE_WIDTH)
    for grid in grids:
        table = Table(title=grid.title, title_justify="left", header_style="bold")
        for index, name in enumerate(grid.head):
            table.add_column(name, justify="left" if index == 0 else "right")
        for row in grid.rows:
            table.add_row(*(Text(_text(cell)) for cell in row))
        console.print(table)
        for note in grid.notes:
            console.print(Text(printable(note), style="dim"), soft_wrap=True)


def _text(cell: Cell) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:,.4g}" if abs(cell) < 1e4 else f"{cell:,.0f}"
    return f"{cell:,}" if isinstance(cell, int) else printable(cell)


def _harmless(cell: Cell) -> Cell:
    """A spreadsheet runs a text that begins like a formula (OWASP, "CSV Injection")."""
    if not isinstance(cell, str):
        return cell
    text = printable(cell)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


_RESULT_HEAD = (
    *(
        "fleet",
        "calls",
        "availability",
        "cloud share",
        "must stay local",
        "TTFT p50 s",
        "TTFT p99 s",
        "E2E p50 s",
        "E2E p95 s",
        "TPOT p50 s",
    ),
    *("queue p99 s", "board kWh", "priced USD", "preemptions"),
)


def _result_row(result: Result) -> tuple[Cell, ...]:
    return (
        *(result.fleet, result.calls, result.availability, result.cloud_share, result.must_stay_local_share),
        *(
            result.ttft.p50,
            result.ttft.p99,
            result.e2e.p50,
            result.e2e.p95,
            result.tpot.p50,
            result.queue.p99,
            result.energy_board_j / 3.6e6,
        ),
        *(_priced_usd(result), sum(place.preemptions for place in result.places)),
    )


def _priced_usd(result: Result) -> float | None:
    """What the places with prices charge; None where none of them has any."""
    costs = [place.cost_usd for place in result.places if place.cost_usd is not None]
    return sum(costs) if costs else None


def _unpriced(result: Result) -> list[str]:
    found = [
        f"{place.name} ({place.answered:,} answers)"
        for place in result.places
        if place.cost_usd is None and place.answered
    ]
    return [f"unpriced, and in no sum: {', '.join(found)}; `plan compare` counts what owning costs"] if found else []


def _places(result: Result) -> Grid:
    head = (
        *(
            "place",
            "units",
            "answered",
            "utilisation",
            "batch",
            "KV peak",
            "prefix hits",
            "queue p99 s",
            "in flight, most",
        ),
        *("board kW", "hottest C", "slowed", "breaker opened"),
    )
    rows: list[tuple[Cell, ...]] = []
    for place in result.places:
        power_kw = None if place.energy_board_j is None else place.energy_board_j / result.duration_s / 1000
        rows.append(
            (
                *(place.name, place.units, place.answered, place.utilisation, place.batch_mean, place.kv_peak),
                *(place.prefix_hit_share, place.queue.p99, place.in_flight_peak, power_kw, place.hottest_c),
                *(place.slow_share, place.breaker_opened),
            )
        )
    lost = {**result.refused, **result.failed, **result.broken}
    notes = tuple(f"{count:,} calls without a whole answer: {reason}" for reason, count in lost.items())
    return Grid(f"{result.fleet}: places", head, rows, (*notes, *_unpriced(result), *_policy_notes(result)))


def _policy_notes(result: Result) -> list[str]:
    """What policies said, and what is odd about them."""
    if result.policy is None:
        return []
    told = [("may go nowhere", result.policy.nowhere), ("may go to no cloud", result.policy.local)]
    notes = [f"{count:,} calls {what} by policy: {why}" for what, found in told for why, count in found.items()]
    warnings = [text for name, text in result.inputs.items() if name.startswith("policy.warning.")]
    return [*notes, *(f"warning: {text}" for text in warnings)]


def replay_grids(answer: Replay) -> list[Grid]:
    """Of `plan replay`."""
    w = answer.workload
    note = (
        f"{w.source}: {w.calls:,} calls in {w.duration_s:,.0f} s, {w.rate_per_s:.3g} a second, busiest minute {w.peak_rate_per_s:.3g}; "
        f"prompt {w.prompt_tokens_median:,.0f}, answer {w.output_tokens_median:,.0f} tokens (medians)"
    )
    first = Grid("replay", _RESULT_HEAD, [_result_row(result) for result in answer.results], (note,))
    return [first, *(_places(result) for result in answer.results)]


def size_grids(answer: Size) -> list[Grid]:
    """Of `plan size`."""
    head = ("units", "meets it", "TTFT p99 s", "E2E p95 s", "availability", "utilisation", "misses")
    rows: list[tuple[Cell, ...]] = [
        (
            *(
                one.units,
                "yes" if one.meets else "no",
                one.ttft_p99_s,
                one.e2e_p95_s,
                one.availability,
                one.utilisation,
            ),
            "; ".join(one.misses),
        )
        for one in answer.tried
    ]
    note = f"{answer.place}: {answer.units} units meet it; {answer.units_n_plus_1} ({answer.devices} devices) also with one out"
    return [Grid(f"size of {answer.place}", head, rows, (note,)), _places(answer.result)]


def bottleneck_grids(answer: Bottleneck) -> list[Grid]:
    """Of `plan bottleneck`."""
    head = ("limit", "relaxed", "better by", "TTFT p99 s", "E2E p95 s", "availability")
    rows: list[tuple[Cell, ...]] = [
        (one.limit, one.what, one.score, one.ttft_p99_s, one.e2e_p95_s, one.availability) for one in answer.limits
    ]
    base = answer.base
    note = (
        f"limited by {answer.limited_by}; as it is: TTFT p99 {_text(base.ttft.p99)} s, E2E p95 {_text(base.e2e.p95)} s, "
        f"availability {base.availability:.6g}"
    )
    return [Grid("bottleneck", head, rows, (note,)), _places(base)]


def facility_grids(answer: Facility) -> list[Grid]:
    """Of `plan facility`."""
    head = (
        *(
            "place",
            "servers",
            "devices",
            "peak W",
            "mean W",
            "circuits for W",
            "heat W",
            "heat BTU/h",
            "rack units",
            "racks",
        ),
        *("circuits", "one carries W"),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            *(one.name, one.servers, one.devices, one.wall_peak_w, one.wall_mean_w, one.provisioned_w, one.heat_w),
            *(one.heat_btu_per_h, one.rack_units, one.racks, one.circuits, one.circuit_w),
        )
        for one in answer.places
    ]
    b = answer.building
    note = (
        f"{answer.it_kw:,.3g} kW of servers, {answer.total_kw:,.3g} kW with PUE {b.pue:g}; cooling {answer.cooling_kw:,.3g} kW = "
        f"{answer.cooling_btu_per_h:,.0f} BTU/h = {answer.cooling_tons:,.3g} tons; circuits of {b.breaker_a:g} A at {b.volts:g} V, "
        f"{b.phases} phase{'s' if b.phases > 1 else ''}, used to 80 %{', two for each server' if b.redundant_feeds else ''}"
    )
    notes = [note]
    if answer.energy_mwh_per_year is not None:
        notes.append(f"{answer.energy_mwh_per_year:,.3g} MWh a year with PUE {b.pue:g}, if it goes on as simulated")
    bare = [one.name for one in answer.places if not one.host_stated]
    if bare:
        notes.append(
            f"of {', '.join(bare)} nobody says what stands around the devices: only they and their power supplies are counted; "
            "give the place a `host`"
        )
    return [Grid("facility", head, rows, tuple(notes))]


def site_grids(answer: SiteResult) -> list[Grid]:
    """Of `plan site`."""
    head = ("class", "units", "devices", "sampled", "rounding", "answered", "utilisation", "board MW")
    rows: list[tuple[Cell, ...]] = [
        (
            *(one.name, one.units, one.devices, one.sampled, one.rounding, one.answered, one.utilisation),
            None if one.power_board_w is None else one.power_board_w / 1e6,
        )
        for one in answer.classes
    ]
    note = f"{answer.calls:,.0f} calls, of which {answer.calls_simulated:,} were simulated (1 in {answer.factor:,.1f})"
    return [Grid("site", head, rows, (note,)), Grid("sample", _RESULT_HEAD, [_result_row(answer.sampled)])]


def fit_grids(answer: Fit) -> list[Grid]:
    """Of `plan fit`."""
    names = [name for name in type(answer.trace).__struct_fields__ if name not in ("source", "classes")]
    rows: list[tuple[Cell, ...]] = [(name, getattr(answer.trace, name), getattr(answer.again, name)) for name in names]
    g = answer.goodness
    note = (
        f"Kolmogorov-Smirnov distances: prompts {g.prompt_tokens:.3f}, answers {g.output_tokens:.3f}, gaps {g.gaps:.3f}; "
        f"chance alone leaves {g.by_chance:.3f}"
    )
    return [Grid("fit", ("figure", "trace", "generated"), rows, (note,))]
