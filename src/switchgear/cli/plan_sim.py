"""`switchgear plan size | replay | bottleneck | facility | site | fit`: what hardware would do with recorded or expected calls."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from switchgear.cli.plan_workload import chosen_workload, read_generator, said, with_workload, workload_options

if TYPE_CHECKING:
    from switchgear.planner.workload import Workload

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FLEET = click.argument("fleet_file", metavar="FLEET", type=_FILE)
_POSITIVE = click.FloatRange(min=0, min_open=True)
_SHARE = click.FloatRange(min=0, max=1)


def _as_data(command: Any) -> Any:
    command = click.option("--csv", "as_csv", is_flag=True, help="Print CSV, in full digits.")(command)
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with all inputs.")(command)


@click.command()
@said
@_FLEET
@click.option("--place", required=True, help="The place of the fleet whose units are counted.")
@click.option("--ttft-p99", "ttft_p99_s", type=_POSITIVE, metavar="SECONDS", help="Time to the first token.")
@click.option("--ttft-p95", "ttft_p95_s", type=_POSITIVE, metavar="SECONDS")
@click.option("--e2e-p95", "e2e_p95_s", type=_POSITIVE, metavar="SECONDS", help="Time to the last token.")
@click.option("--e2e-p99", "e2e_p99_s", type=_POSITIVE, metavar="SECONDS")
@click.option("--tpot-p95", "tpot_p95_s", type=_POSITIVE, metavar="SECONDS", help="Time between two tokens of a call.")
@click.option("--availability", type=_SHARE, help="Share of calls with a whole answer, for example 0.999.")
@click.option("--cloud-share", type=_SHARE, help="Most of the answers that may come from a cloud.")
@click.option("--most", type=click.IntRange(1, 4096), default=1024, show_default=True, help="Units to try at most.")
@with_workload
@_as_data
def size(fleet_file: Path, workload: "Workload", seed: int, place: str, most: int, **options: Any) -> None:
    """The fewest units of a place for an objective, and one more for when one is out."""
    from switchgear.cli.plan_sim_output import show, size_grids
    from switchgear.planner.fleet import read_fleet
    from switchgear.planner.questions_size import Objective
    from switchgear.planner.questions_size import size as size_of

    shown = {name: options.pop(name) for name in ("as_json", "as_csv")}
    answer = size_of(read_fleet(fleet_file), place, workload, Objective(**options), seed=seed, most=most)
    show(answer, size_grids(answer), **shown)


@click.command()
@said
@click.argument("fleet_files", metavar="FLEET...", nargs=-1, required=True, type=_FILE)
@click.option("--detailed", is_flag=True, help="Every step, and the gateway's own routing: the same, far slower.")
@with_workload
@_as_data
def replay(
    fleet_files: tuple[Path, ...], workload: "Workload", seed: int, *, detailed: bool, as_json: bool, as_csv: bool
) -> None:
    """The same calls on each fleet, the first being what the others are held against.

    Where a fleet's file names Cedar policies ([policy] files), they decide where each call may go, as they do in the gateway; the table
    says which share of the calls must stay local by them.
    """
    from switchgear.cli.plan_sim_output import replay_grids, show
    from switchgear.planner.fleet import read_fleet
    from switchgear.planner.questions_replay import replay as replay_of
    from switchgear.planner.simulate import Method

    method = Method.DETAILED if detailed else Method.FAST
    answer = replay_of([read_fleet(file) for file in fleet_files], workload, seed=seed, method=method)
    show(answer, replay_grids(answer), as_json=as_json, as_csv=as_csv)


@click.command()
@said
@_FLEET
@click.option("--place", default="", help="The place that is looked at. [default: the first that computes]")
@with_workload
@_as_data
def bottleneck(fleet_file: Path, workload: "Workload", seed: int, place: str, *, as_json: bool, as_csv: bool) -> None:
    """What limits a place: each limit is relaxed by itself, and what helps most is named."""
    from switchgear.cli.plan_sim_output import bottleneck_grids, show
    from switchgear.planner.fleet import read_fleet
    from switchgear.planner.questions_bottleneck import bottleneck as bottleneck_of

    answer = bottleneck_of(read_fleet(fleet_file), workload, place=place, seed=seed)
    show(answer, bottleneck_grids(answer), as_json=as_json, as_csv=as_csv)


@click.command()
@said
@_FLEET
@click.option("--volts", type=_POSITIVE, default=230.0, show_default=True)
@click.option("--breaker-a", type=_POSITIVE, default=16.0, show_default=True, help="Amperes; used to 80 % of it.")
@click.option("--phases", type=click.Choice(["1", "3"]), default="1", show_default=True)
@click.option("--power-factor", type=_POSITIVE, default=0.95, show_default=True)
@click.option("--pue", type=click.FloatRange(min=1), default=1.4, show_default=True)
@click.option("--rack-units", "rack_units_per_server", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--rack-w", type=_POSITIVE, help="What one rack may draw. [default: what its units hold]")
@click.option("--one-feed", is_flag=True, help="One circuit for each server in place of two.")
@workload_options
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@_as_data
def facility(
    fleet_file: Path, phases: str, seed: int, *, one_feed: bool, as_json: bool, as_csv: bool, **options: Any
) -> None:
    """What a building must bring: kW, heat in W and BTU/h, rack units, circuits, cooling.

    With calls it also says what is drawn in the mean, and in a year.
    """
    from switchgear.cli.plan_sim_output import facility_grids, show
    from switchgear.planner.fleet import read_fleet
    from switchgear.planner.questions_facility import Building
    from switchgear.planner.questions_facility import facility as facility_of

    calls = chosen_workload(options, seed)
    building = Building(phases=int(phases), redundant_feeds=not one_feed, **options)
    fleet = read_fleet(fleet_file)
    result = None
    if calls is not None:
        from switchgear.planner.simulate import simulate

        result = simulate(fleet, calls, seed=seed)
    answer = facility_of(fleet, building, result)
    show(answer, facility_grids(answer), as_json=as_json, as_csv=as_csv)


@click.command()
@said
@_FLEET
@click.option("--generate", "generator", type=_FILE, required=True, help="TOML file with what the calls are like.")
@click.option(
    "--sampled", type=click.IntRange(min=4), default=64, show_default=True, help="Units of the largest class."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@_as_data
def site(fleet_file: Path, generator: Path, sampled: int, seed: int, *, as_json: bool, as_csv: bool) -> None:
    """A site of many thousand units, by a sample of each class."""
    from switchgear.cli.plan_sim_output import show, site_grids
    from switchgear.planner.fleet import read_fleet
    from switchgear.planner.simulate_site import simulate_site

    answer = simulate_site(read_fleet(fleet_file), read_generator(generator), seed=seed, sampled=sampled)
    show(answer, site_grids(answer), as_json=as_json, as_csv=as_csv)


@click.command()
@said
@click.option(
    "--write", "file", type=click.Path(dir_okay=False, path_type=Path), help="Keep the generator there (TOML)."
)
@click.option("--lognormal", is_flag=True, help="Take log-normal lengths in place of those seen.")
@with_workload
@_as_data
def fit(workload: "Workload", seed: int, file: Path | None, *, lognormal: bool, as_json: bool, as_csv: bool) -> None:
    """Fit a generator to calls, and say how well it fits."""
    from switchgear.cli.plan_sim_output import fit_grids, show
    from switchgear.planner.generate_fit import fit_generator

    answer = fit_generator(workload, seed=seed, lognormal=lognormal)
    if file is not None:
        try:
            file.write_text(_toml(msgspec.to_builtins(answer.generator)), encoding="utf-8")
        except OSError as error:
            raise click.ClickException(f"{file} cannot be written: {error.strerror}") from error
    show(answer, fit_grids(answer), as_json=as_json, as_csv=as_csv)


def _toml(content: dict[str, Any]) -> str:
    """Numbers, lists of numbers and tables of them, all that a generator holds: JSON's and TOML's are written alike."""
    lines = [f"{name} = {_value(value)}" for name, value in content.items() if not isinstance(value, dict)]
    for table, values in content.items():
        if isinstance(values, dict):
            lines += ["", f"[{table}]", *(f"{name} = {_value(value)}" for name, value in values.items())]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    return msgspec.json.encode(value).decode()


COMMANDS = (size, replay, bottleneck, facility, site, fit)
"""For the group `plan`."""
