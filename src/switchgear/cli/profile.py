"""`switchgear profile`: measure a live backend and make a profile of it."""

import os
from pathlib import Path
from typing import Any

import click
import msgspec
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from switchgear.cli import profile_backend
from switchgear.core.clock import Clock, SystemClock
from switchgear.core.errors import SwitchgearError
from switchgear.core.snapshot import Kind

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "unix:")
_PLAN = "the command `profile` needs NumPy and SciPy ({}); pip install 'switchgear[plan]'"


class _Written(click.Path):
    """A file to write when all is measured. That it cannot be written is said before the calls, which cost time and money."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        file = Path(os.fsdecode(super().convert(value, param, ctx)))
        if not file.parent.is_dir() or not os.access(file.parent, os.W_OK | os.X_OK):
            self.fail(
                f"{file.parent} is no directory that can be written to; make it first, or name another.", param, ctx
            )
        return file


class _Numbers(click.ParamType[tuple[int, ...]]):
    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        try:
            numbers = tuple(int(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of whole numbers; for example 64,256,1024", param, ctx)
        if any(number < 1 for number in numbers):
            self.fail(f"{value!r} holds a number below 1", param, ctx)
        return numbers


@click.command()
@click.argument("backend", metavar="BACKEND_URL_OR_NAME")
@click.option(
    "--config", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="TOML file that names the backend."
)
@click.option("--model", help="The model's name there.  [default: the first that it lists]")
@click.option("--api-key-env", help="Environment variable with the key to send; a named backend has its own.")
@click.option(
    "--spec", help="What the model is made of, as `emulate --list-profiles` lists it.  [default: by its name]"
)
@click.option("--precision", help="How its weights are stored: bf16, fp8, fp4, int8, int4, fp32.  [default: bf16]")
@click.option(
    "--hardware", help="Profile whose datasheet is to be explained.  [default: rates are fitted, not efficiencies]"
)
@click.option(
    "--devices", type=click.IntRange(min=1), default=1, show_default=True, help="Devices that share the model."
)
@click.option(
    "--seats",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Calls that the backend computes at once.",
)
@click.option("--prompt-tokens", type=_Numbers(), default="64,256,1024", show_default=True)
@click.option("--output-tokens", type=_Numbers(), default="8,32,96", show_default=True)
@click.option(
    "--concurrency", type=_Numbers(), default="1,2,4", show_default=True, help="Calls sent at the same moment."
)
@click.option(
    "--rounds", type=click.IntRange(min=1), default=7, show_default=True, help="Runs of each shape, interleaved."
)
@click.option("--max-seconds", type=float, default=120.0, show_default=True)
@click.option("--max-tokens", type=int, default=1_000_000, show_default=True, help="In and out together.")
@click.option("--max-usd", type=float, help="Needs prices: the named backend's, or the next two.")
@click.option("--input-usd-per-mtok", type=float)
@click.option("--output-usd-per-mtok", type=float)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the order, the split and the prompts.")
@click.option("--name", default="measured", show_default=True, help="The profile's name.")
@click.option("--kind", type=click.Choice([str(kind) for kind in Kind]), default="onprem", show_default=True)
@click.option("--save", type=_Written(), help="TOML file to write the profile to.")
@click.option("--runs", "runs_file", type=_Written(), help="JSON Lines file for every run.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def profile(backend: str, config: Path | None, as_json: bool, **options: Any) -> None:
    """Measure a backend with calls of many shapes, fit the physics to most of them and say how well that predicts the others.

    Every prompt is unique, so that no cache of prefixes answers for the hardware. Calls cost what the backend charges: bound them.
    """
    try:
        from switchgear.cli import profile_output, profile_run
    except ImportError as error:
        raise click.ClickException(_PLAN.format(error)) from error
    try:
        place = profile_backend.find(backend, config, options["api_key_env"], options["kind"])
        prices = profile_backend.prices(place.prices, options["input_usd_per_mtok"], options["output_usd_per_mtok"])
        origin, adapter = profile_backend.connection(place)
        clock: Clock = SystemClock()
        local = place.base_url.removeprefix("http://").startswith(_LOOPBACK)
        with _bar(Console(stderr=True)) as bar:
            task = bar.add_task("asking", total=None)

            def progress(done: int, planned: int, what: str) -> None:
                bar.update(task, completed=done, total=planned, description=what)

            asked = profile_run.Asked(origin, adapter, place.base_url, prices, local, options)
            measured = uvloop.run(profile_run.run(asked, clock, progress))
        if options["save"] is not None:
            options["save"].write_text(profile_output.saved(measured), encoding="utf-8")
        if options["runs_file"] is not None:
            options["runs_file"].write_bytes(profile_output.runs(measured))
        if as_json:
            click.echo(msgspec.json.encode(profile_output.as_json(measured)))
        else:
            profile_output.show(measured, options["save"], Console())
    except (SwitchgearError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
