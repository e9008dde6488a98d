"""`switchgear emulate`: be a place that is not there."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import click
import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from switchgear.core.decoding import UNREADABLE
from switchgear.core.errors import SwitchgearError
from switchgear.emulator.errors import EmulatorError
from switchgear.emulator.faults import KINDS
from switchgear.emulator.server import Emulator
from switchgear.hardware.catalogue import models, profiles
from switchgear.hardware.model import Figure, Precision, Profile

_GRACE_S = 5.0
_EPILOG = (
    f"Faults: {', '.join(KINDS)}. Asked for by a request (header x-emulator-fault, body field emulator_fault, or behind a ! in the "
    "model's name, as text: stall;after_tokens=5), by --faults, or through GET, PUT and DELETE /emulator/faults with rules such as "
    '{"fault": "status;code=429;retry_after_s=2", "model": "llama-*", "probability": 0.1, '
    '"schedule": {"start_s": 10, "end_s": 20, "every_s": 60}, "count": 3}. '
    "GET /emulator/state tells queue, batch, KV cache and the latest calls."
)


@click.command(epilog=_EPILOG)
@click.option(
    "--profile", "profile_name", help="The place to emulate: see --list-profiles, or a file of `profile --save`."
)
@click.option(
    "--model",
    "model_names",
    multiple=True,
    help="A model to serve: NAME, NAME=SPEC, either with !FAULTS behind it. Repeat it for more; they share the memory evenly.",
)
@click.option(
    "--listen", default="127.0.0.1:0", show_default=True, help="host:port (port 0 takes a free one) or unix:/path."
)
@click.option(
    "--name", default="", help="What the place calls itself, for `at` in faults.  [default: the profile's name]"
)
@click.option("--speed", default=1.0, show_default=True, help="Emulated seconds in one real second.")
@click.option("--seed", default=0, show_default=True, help="Of chances and of a cloud's times; never of the text.")
@click.option(
    "--precision",
    type=click.Choice([str(precision) for precision in Precision]),
    help="Of the weights.  [default: the widest up to 16 bits that fits]",
)
@click.option(
    "--devices", type=click.IntRange(min=1), default=1, show_default=True, help="Devices that share each model evenly."
)
@click.option(
    "--max-batch", type=click.IntRange(min=1), default=256, show_default=True, help="Sequences computed at once."
)
@click.option("--requests-per-minute", type=float, help="A cloud's rate limit.  [default: the profile's]")
@click.option(
    "--no-continue", is_flag=True, help="Begin a new turn after a last message of the assistant; do not continue it."
)
@click.option("--api-key-env", help="Environment variable with the key that callers must send.")
@click.option(
    "--faults",
    "faults_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON file with fault rules.",
)
@click.option(
    "--scenario",
    "scenario_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Be the devices of a rehearsal's scenario instead, and let happen to them what it says. With --listen and --speed.",
)
@click.option("--list-profiles", is_flag=True, help="Show every profile, model and figure with its source, and end.")
@click.option("--json", "as_json", is_flag=True, help="With --list-profiles: as JSON.")
def emulate(
    profile_name: str | None,
    model_names: tuple[str, ...],
    listen: str,
    name: str,
    api_key_env: str | None,
    faults_file: Path | None,
    no_continue: bool,
    scenario_file: Path | None,
    list_profiles: bool,
    as_json: bool,
    precision: str | None,
    **settings: Any,
) -> None:
    """Serve OpenAI's API as a place of your choice would: its timings, its queue, its faults, and text that is the same each time."""
    if list_profiles:
        _list(as_json)
        return
    if scenario_file is not None and (profile_name or model_names or faults_file):
        raise click.UsageError(
            "--scenario says what there is and what goes wrong; leave --profile, --model and --faults out"
        )
    if scenario_file is None and (profile_name is None or not model_names):
        raise click.UsageError("give --profile and --model, for example: --profile appliance --model llama-8b")
    try:
        if scenario_file is not None:
            from switchgear.cli.emulate_scenario import (
                serve_scenario,
            )  # it brings the gateway's reading of files with it

            uvloop.run(serve_scenario(scenario_file, listen, settings["speed"]))
            return
        assert profile_name is not None  # noqa: S101  asked for above
        place = Emulator(
            profile=profile_name,
            models=model_names,
            listen=listen,
            name=name,
            api_key=_key(api_key_env),
            faults=_rules(faults_file),
            continues=not no_continue,
            precision=None if precision is None else Precision(precision),
            **settings,
        )
        uvloop.run(_serve(place))
    except SwitchgearError as error:
        raise click.ClickException(str(error)) from error


def _key(variable: str | None) -> str:
    if variable is None:
        return ""
    key = os.environ.get(variable, "")
    if not key:
        raise EmulatorError(f"environment variable {variable} is not set; set it or leave --api-key-env out")
    return key


def _rules(file: Path | None) -> Any:
    if file is None:
        return None
    try:
        return msgspec.json.decode(file.read_bytes())
    except UNREADABLE as error:
        raise EmulatorError(f"{file}: {error}; give a JSON list of rules") from error


async def _serve(place: Emulator) -> None:
    """Until SIGTERM or SIGINT; calls in flight may then end."""
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    await place.start()
    served = place.service.place
    where = str(place.address) if place.address.path else place.base_url
    click.echo(f"{served.name} ({served.profile.title}) serves {', '.join(served.models)} on {where}")
    await ending.wait()
    await place.close(_GRACE_S)


def _list(as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode({"profiles": profiles(), "models": models()}, enc_hook=dict))
        return
    console = Console()
    for place in profiles().values():
        console.print(_profile_table(place))
        if place.note:
            console.print(place.note, style="italic")
        console.print()
    table = Table("name", "window", "parameters", "source", title="Models", title_justify="left")
    for spec in models().values():
        size = f"{spec.architecture.parameters / 1e9:.2f} billion" if spec.architecture else "unknown"
        table.add_row(spec.name, f"{spec.context_window_tokens:,}", size, spec.source)
    console.print(table)


def _profile_table(place: Profile) -> Table:
    title = f"{place.name}: {place.title} ({place.kind})"
    table = Table("figure", "value", "source", title=title, title_justify="left")
    view = place.physics or place.observed
    for field in () if view is None else view.__struct_fields__:
        value = getattr(view, field)
        for name, figure in _figures(field, value):
            table.add_row(
                name, f"{figure.value:,.6g}", f"assumed: {figure.source}" if figure.assumed else figure.source
            )
    return table


def _figures(field: str, value: Figure | dict[Precision, Figure]) -> list[tuple[str, Figure]]:
    if isinstance(value, Figure):
        return [(field, value)]
    return [(f"{field}.{precision}", figure) for precision, figure in value.items()]
