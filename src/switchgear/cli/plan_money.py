"""`switchgear plan compare | pilot | vendors | breakeven`: what places cost, from assumptions, records and scorecards."""

import csv
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

import switchgear
from switchgear.cli.plan_workload import chosen_workload, workload_options
from switchgear.cli.record_output import printable
from switchgear.cli.records import state_dir_of
from switchgear.core.decoding import UNREADABLE
from switchgear.core.errors import SwitchgearError
from switchgear.core.record import Record, decode_record
from switchgear.journal.reader import Reader

if TYPE_CHECKING:
    from switchgear.planner.compare import Comparison
    from switchgear.planner.compare_simulated import Simulated
    from switchgear.planner.money_model import Plan
    from switchgear.planner.montecarlo import MonteCarlo
    from switchgear.planner.montecarlo_sensitivity import Sensitivity
    from switchgear.planner.report_tables import Grid
    from switchgear.planner.tco_model import Usage

P = ParamSpec("P")
T = TypeVar("T")

_PIPE_WIDTH = 200
_MOST_DRAWS = 1_000_000
_LIBRARIES = ("numpy", "numba", "scipy")


def _said(command: Callable[P, T]) -> Callable[P, T]:
    """Errors that we know become the command's message and exit code 1; a library that is not there says how to get it."""

    @wraps(command)
    def run(*args: P.args, **options: P.kwargs) -> T:
        try:
            return command(*args, **options)
        except SwitchgearError as error:
            raise click.ClickException(str(error)) from error
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in _LIBRARIES:
                raise
            raise click.ClickException(
                f"The planner needs {error.name}; install it with: pip install 'switchgear[plan]'"
            ) from error

    return run


def _as_json(command: Callable[..., T]) -> Callable[..., T]:
    """The options of all answers: tables, one JSON object, or CSV."""
    command = click.option("--csv", "as_csv", is_flag=True, help="Print CSV, in full digits.")(command)
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object, in full digits.")(command)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--usage",
    "usage_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What a simulation says that places serve and draw: a JSON array, a row for each option, place and year.",
)
@click.option(
    "--fleet",
    "fleets",
    multiple=True,
    metavar="OPTION[:YEAR]=FILE",
    help="Simulate an option on a fleet (from that year on), with the calls of one of the next three. May be given several times.",
)
@workload_options
@click.option(
    "--draws",
    type=click.IntRange(min=0, max=_MOST_DRAWS),
    default=10_000,
    show_default=True,
    help="Monte Carlo draws; 0 for none.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Of the draws. [default: the file's]")
@click.option(
    "--drivers", "option", default="", help="Whose saving is taken apart. [default: the best one but the baseline]"
)
@click.option(
    "--html", "html_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the report there: one file."
)
@click.option(
    "--focus",
    "focus_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a FOCUS 1.2 dataset (CSV) there.",
)
@_as_json
@_said
def compare(
    file: Path,
    usage_file: Path | None,
    fleets: tuple[str, ...],
    draws: int,
    seed: int | None,
    option: str,
    **given: Any,
) -> None:
    """Compare ways to serve one workload: cloud, own hardware, appliance, edge, hybrid.

    FILE holds the assumptions; see docs/planner-money.md and examples/plan/. With --fleet an option is simulated on calls that came.
    """
    from switchgear.planner.compare import compare as comparison_of
    from switchgear.planner.money_read import read_plan

    outputs = {name: given.pop(name) for name in ("html_file", "focus_file", "as_json", "as_csv")}
    plan = read_plan(file)
    usage = _usage(usage_file)
    plan, simulated = _simulated(plan, fleets, plan.seed if seed is None else seed, given)
    if simulated is not None:
        usage += simulated.usage
    answer = comparison_of(plan, usage)
    spread, drivers = _uncertainty(plan, answer, usage, draws, seed, option)
    if outputs["focus_file"]:
        _write_focus(plan, usage, outputs["focus_file"])
    if outputs["html_file"]:
        from switchgear.planner.report import html_report

        made_with = f"switchgear {switchgear.__version__}"
        _write(outputs["html_file"], html_report(answer, spread, drivers, made_with, simulated))
    _print_comparison(answer, spread, drivers, simulated, **{name: outputs[name] for name in ("as_json", "as_csv")})


def _print_comparison(
    answer: "Comparison",
    spread: "MonteCarlo | None",
    drivers: "Sensitivity | None",
    simulated: "Simulated | None",
    *,
    as_json: bool,
    as_csv: bool,
) -> None:
    from switchgear.planner.report_tables import compare_csv, compare_grids, simulated_grid, verdict

    content = {"comparison": answer, "montecarlo": spread, "sensitivity": drivers, "simulated": simulated}
    if not _print_data(content, compare_csv(answer), as_json=as_json, as_csv=as_csv):
        if simulated is not None:
            _print_grids([simulated_grid(simulated)])
        _print_grids(compare_grids(answer, spread, drivers))
        click.echo(printable(verdict(answer, spread)))


def _simulated(
    plan: "Plan", texts: tuple[str, ...], seed: int, given: dict[str, Any]
) -> "tuple[Plan, Simulated | None]":
    """The plan with the workload's tokens, and what became of its calls on the fleets; the plan as it is where none was given."""
    calls = chosen_workload(given, seed)
    if not texts and calls is None:
        return plan, None
    if not texts or calls is None:
        raise click.UsageError("--fleet and one of --trace, --state-dir and --generate go together; give both.")
    from switchgear.planner.compare_simulated import pinned, simulate_options
    from switchgear.planner.fleet import read_fleet

    fleets: dict[str, dict[int, Any]] = {}
    for text in texts:
        option, year, path = _fleet_option(text)
        fleets.setdefault(option, {})[year] = read_fleet(path)
    plan = pinned(plan, calls)
    return plan, simulate_options(plan, fleets, calls, seed=seed)


def _fleet_option(text: str) -> tuple[str, int, Path]:
    name, separator, path = text.partition("=")
    option, _, year = name.partition(":")
    if not separator or not option or not path or (year and not year.isdecimal()):
        raise click.BadParameter(
            f"{text!r} is not like onprem=fleet.toml or onprem:3=larger.toml.", param_hint="--fleet"
        )
    return option, int(year or 1), Path(path)


def _usage(file: Path | None) -> "list[Usage]":
    from switchgear.planner.tco_model import Usage

    if file is None:
        return []
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[Usage])
    except (OSError, *UNREADABLE) as error:
        raise click.ClickException(f"{file} cannot be read: {error}. It must be a JSON array of usage rows.") from error


def _uncertainty(
    plan: "Plan", answer: "Comparison", usage: "list[Usage]", draws: int, seed: int | None, option: str
) -> "tuple[MonteCarlo | None, Sensitivity | None]":
    from switchgear.planner.montecarlo import simulate, uncertain
    from switchgear.planner.montecarlo_sensitivity import sensitivity

    if option and option not in plan.options:
        raise click.BadParameter(
            f"no option is named {option!r}; name one of {', '.join(plan.options)}.", param_hint="--drivers"
        )
    if not draws or not uncertain(plan):
        return None, None
    others = [one for one in answer.options if one.saving_usd is not None]
    best = option or min(others, key=lambda one: one.present_value_usd).name
    return simulate(plan, draws=draws, seed=seed, usage=usage), sensitivity(plan, best, seed=seed, usage=usage)


def _write_focus(plan: "Plan", usage: "list[Usage]", file: Path) -> None:
    from switchgear.planner.compare import evaluated
    from switchgear.planner.focus import focus_csv, focus_rows

    _, costs = evaluated(plan, usage=usage)
    _write(file, "\r\n".join(focus_csv(focus_rows(plan, costs))) + "\r\n")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_as_json
@_said
def vendors(file: Path, *, as_json: bool, as_csv: bool) -> None:
    """Rank vendors by a weighted scorecard, and say how firm the ranking is. FILE holds criteria and scores."""
    from switchgear.planner.vendors import rank, read_scorecard
    from switchgear.planner.vendors_tables import vendor_csv, vendor_grids

    ranking = rank(read_scorecard(file))
    if _print_data(ranking, vendor_csv(ranking), as_json=as_json, as_csv=as_csv):
        return
    _print_grids(vendor_grids(ranking))
    if ranking.not_asked:
        click.echo(f"No criterion asks about: {', '.join(topic.value for topic in ranking.not_asked)}.", err=True)


@click.command()
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the gateway keeps its state. [default: state]",
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Take the state directory, and the kinds of backends, from this file.",
)
@click.option("--cloud", multiple=True, metavar="BACKEND", help="This backend is a cloud. May be given several times.")
@click.option("--local", multiple=True, metavar="BACKEND", help="This backend is local.")
@click.option("--most", default=5, show_default=True, help="So many workloads at most.")
@click.option(
    "--least-calls",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    help="Workloads with fewer cloud calls are left out.",
)
@click.option(
    "--ttft", "ttft_s", default=0.4, show_default=True, help="Expected of the local place: seconds to the first token."
)
@click.option(
    "--rate", "tokens_per_second", default=60.0, show_default=True, help="And tokens per second of one stream after it."
)
@click.option(
    "--usd-per-mtok",
    default=0.0,
    show_default=True,
    help="And dollars a million tokens beside the hardware: energy, mostly.",
)
@click.option(
    "--weights",
    nargs=3,
    type=click.FloatRange(min=0),
    default=(1.0, 1.0, 1.0),
    show_default=True,
    metavar="LATENCY PRIVACY COST",
)
@_as_json
@_said
def pilot(
    state_dir: Path | None, config: Path | None, cloud: tuple[str, ...], local: tuple[str, ...], **options: Any
) -> None:
    """Which workloads to try on local hardware first, from the records, and what to measure there."""
    from switchgear.planner.pilot import Local, Weights
    from switchgear.planner.pilot import pilot as pilot_of
    from switchgear.planner.pilot_tables import pilot_csv, pilot_grids

    if options["ttft_s"] <= 0 or options["tokens_per_second"] <= 0:
        raise click.UsageError("--ttft and --rate must be above zero.")
    kinds = _kinds(config) | dict.fromkeys(local, "local") | dict.fromkeys(cloud, "cloud")
    latency, privacy, cost = options["weights"]
    expected = Local(
        ttft_s=options["ttft_s"], tokens_per_second=options["tokens_per_second"], usd_per_mtok=options["usd_per_mtok"]
    )
    answer = pilot_of(
        _records(state_dir, config),
        kinds,
        local=expected,
        weights=Weights(latency=latency, privacy=privacy, cost=cost),
        most=options["most"],
        least_calls=options["least_calls"],
    )
    if not _print_data(answer, pilot_csv(answer), as_json=options["as_json"], as_csv=options["as_csv"]):
        _print_grids(pilot_grids(answer))


def _kinds(config: Path | None) -> dict[str, str]:
    if config is None:
        return {}
    try:
        backends = tomllib.loads(config.read_text(encoding="utf-8")).get("backends", {})
        return {name: str(backend.get("kind", "")) for name, backend in backends.items()}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, AttributeError) as error:
        raise click.ClickException(f"{config} cannot be read: {error}") from error


def _records(state_dir: Path | None, config: Path | None) -> Iterator[Record]:
    directory = (state_dir or (state_dir_of(config) if config else Path("state"))) / "journal"
    if not directory.is_dir():
        raise click.ClickException(
            f"There is no journal in {directory}. --state-dir or --config says where the gateway keeps it."
        )
    reader = Reader(directory)
    try:
        for row in reader.rows():
            try:
                yield decode_record(row.body)
            except UNREADABLE:
                click.echo(f"warning: the record of call {printable(row.id)} cannot be read", err=True)
    finally:
        reader.close()


@click.command()
@click.option(
    "--assume",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another value for a cost that the paper leaves out: server, pue, space, maintenance, people, utilisation, capital.",
)
@_as_json
@_said
def breakeven(assume: tuple[str, ...], *, as_json: bool, as_csv: bool) -> None:
    """The break-even months of arXiv 2509.18101 from its own inputs, and with the costs that it leaves out."""
    from switchgear.planner.breakeven_paper import reproduce
    from switchgear.planner.breakeven_tables import paper_csv, paper_grids

    answer = reproduce(dict(map(_assumed, assume)))
    if not _print_data(answer, paper_csv(answer), as_json=as_json, as_csv=as_csv):
        _print_grids(paper_grids(answer))


def _assumed(text: str) -> tuple[str, float]:
    name, separator, value = text.partition("=")
    try:
        return name, float(value) if separator else float("nan")
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not NAME=VALUE, for example people=2000.", param_hint="--assume"
        ) from None


def _print_data(content: Any, rows: Iterable[Sequence[object]], *, as_json: bool, as_csv: bool) -> bool:
    """Print for programs, if that was asked for."""
    if as_json and as_csv:
        raise click.UsageError("Give --json or --csv, not both.")
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(content)))
    elif as_csv:
        buffer = StringIO()
        csv.writer(buffer, lineterminator="\n").writerows([[_harmless(cell) for cell in row] for row in rows])
        click.echo(buffer.getvalue(), nl=False)
    return as_json or as_csv


def _harmless(cell: object) -> object:
    """A spreadsheet runs a text that begins like a formula (OWASP, "CSV Injection")."""
    if not isinstance(cell, str):
        return cell
    text = printable(cell)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _print_grids(grids: "Iterable[Grid]") -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_PIPE_WIDTH)
    for grid in grids:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for index, heading in enumerate(grid.head):
            table.add_column(Text(printable(heading)), justify="left" if index < grid.left else "right")
        for row in grid.rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        console.print(Text(printable(grid.title), style="bold underline"))
        console.print(table)
        for line in grid.note.splitlines():
            console.print(Text(printable(line), style="dim"))
        console.print()


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error.strerror}") from error


COMMANDS = (compare, pilot, vendors, breakeven)
"""For the group `plan`."""
