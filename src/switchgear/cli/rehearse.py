"""`switchgear rehearse`: a failure, before it happens."""

import logging
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from switchgear.core.errors import SwitchgearError
from switchgear.gateway.config import load_file
from switchgear.rehearsal.model import Scenario
from switchgear.rehearsal.reading import read_scenario
from switchgear.rehearsal.run import rehearse as run
from switchgear.rehearsal.seen import Course
from switchgear.rehearsal.story import moments, windows
from switchgear.rehearsal.verdict import Check, Verdict, judge

_PIPE_WIDTH = 400
_MOST_MOMENTS = 40
_MOST_DEVICES = 20


@click.command()
@click.argument("scenario_file", metavar="SCENARIO", type=click.Path(path_type=Path))
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="Your gateway's configuration; each of its backends is a device of the scenario.  [default: the shipped defaults]",
)
@click.option(
    "--virtual/--real", default=True, show_default=True, help="As fast as it can be computed, or as the clock goes."
)
@click.option("--speed", default=1.0, show_default=True, help="With --real: seconds of the scenario in one second.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def rehearse(
    ctx: click.Context, scenario_file: Path, config_file: Path | None, virtual: bool, speed: float, as_json: bool
) -> None:
    """Run gateway and emulated devices under load through a SCENARIO, and judge it by the scenario's objectives.

    The exit code is 0 when every objective holds, 1 when one does not, and 2 when the scenario cannot be run.
    """
    logging.disable(logging.ERROR)  # what goes wrong here goes wrong on purpose
    try:
        scenario = read_scenario(scenario_file)
        config = None if config_file is None else load_file(config_file).config
        course = run(scenario, config, virtual=virtual, speed=speed)
    except SwitchgearError as error:
        click.echo(f"Error: {error}", err=True)
        ctx.exit(2)
    finally:
        logging.disable(logging.NOTSET)
    verdict = judge(scenario, course)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(_as_json(scenario, course, verdict)), indent=2))
    else:
        console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
        if not console.is_terminal:
            console.width = _PIPE_WIDTH
        _print(console, scenario, course, verdict)
    ctx.exit(0 if verdict.passed else 1)


def _print(console: Console, scenario: Scenario, course: Course, verdict: Verdict) -> None:
    how = "virtual time" if course.virtual else f"real time x {course.speed:g}"
    console.print(
        Text(f"{scenario.name}: {course.lasts_s:g} s in {how}, seed {course.seed}, {len(course.calls)} calls", "bold")
    )
    for part in (_timeline(scenario, course), _moments(scenario, course), _devices(course), _checks(verdict)):
        console.print()
        console.print(part)
    word, style = ("PASSED", "bold green") if verdict.passed else ("FAILED", "bold red")
    console.print()
    console.print(Text(word, style=style))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold cyan")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _timeline(scenario: Scenario, course: Course) -> Table:
    table = _table(
        "from s", "to s", "calls", "available", "TTFT p99 s", "warmest °C", "power W", "answered by", "events"
    )
    for window in windows(scenario, course):
        answered = list(window.answered_by.items())
        shown = ", ".join(f"{name} {count}" for name, count in answered[:4]) + (" …" if len(answered) > 4 else "")
        table.add_row(
            f"{window.from_s:g}",
            f"{window.to_s:g}",
            str(window.calls),
            _figure(window.availability, "share"),
            _figure(window.ttft_p99_s, "s"),
            "" if window.peak_c is None else f"{window.peak_c:.1f}",
            "" if window.power_w is None else f"{window.power_w:.0f}",
            shown,
            ", ".join(sorted(set(window.events))),
        )
    return table


def _moments(scenario: Scenario, course: Course) -> Table:
    table = _table("at s", "what")
    found = moments(scenario, course)
    for moment in found[:_MOST_MOMENTS]:
        table.add_row(f"{moment.at_s:.1f}", moment.what)
    if len(found) > _MOST_MOMENTS:
        table.add_row("", f"… and {len(found) - _MOST_MOMENTS} more (--json has all)")
    return table


def _devices(course: Course) -> Table:
    table = _table("device", "tokens", "busy s", "slowed by heat s", "by power s", "off s", "peak °C", "energy kJ")
    for device in course.devices[:_MOST_DEVICES]:
        inside = device.seen_inside
        table.add_row(
            device.name,
            str(device.tokens),
            f"{device.busy_s:.1f}" if inside else "",
            f"{device.slow_s:.1f}" if inside else "",
            f"{device.capped_s:.1f}" if inside else "",
            f"{device.off_s:.1f}",
            f"{device.peak_c:.1f}" if inside else "",
            f"{device.energy_j / 1000:.1f}" if inside else "",
        )
    if len(course.devices) > _MOST_DEVICES:
        table.add_row(f"… and {len(course.devices) - _MOST_DEVICES} more")
    return table


def _checks(verdict: Verdict) -> Table:
    table = _table("objective", "", "wanted", "measured", "")
    for check in verdict.checks:
        state = Text("holds", style="green") if check.passed else Text("does not hold", style="bold red")
        wanted = f"{check.bound} {_figure(check.wanted, check.unit)}"
        table.add_row(check.name, state, wanted, _measured(check), check.detail)
    return table


def _measured(check: Check) -> str:
    return "nothing to measure" if check.measured is None else _figure(check.measured, check.unit)


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return {"share": f"{value:.2%}", "s": f"{value:.3f}", "J": f"{value:.1f}"}.get(unit, f"{value:g}")


def _as_json(scenario: Scenario, course: Course, verdict: Verdict) -> dict[str, Any]:
    return {
        "scenario": scenario.name,
        "seed": course.seed,
        "virtual": course.virtual,
        "speed": course.speed,
        "lasts_s": course.lasts_s,
        "passed": verdict.passed,
        "checks": verdict.checks,
        "calls": {"all": len(course.calls), **course.endings()},
        "timeline": windows(scenario, course),
        "moments": moments(scenario, course),
        "devices": [
            {name: value for name, value in msgspec.structs.asdict(device).items() if name != "samples"}
            for device in course.devices
        ],
        "health": course.health,
    }
