"""`switchgear up`: everything on this machine, with one command."""

import logging
import os
import shlex
import shutil
import sys
from pathlib import Path

import click
import uvloop
from click.core import ParameterSource
from rich.console import Console
from rich.table import Table

from switchgear.cli.children import Children
from switchgear.cli.embedded import (
    Place,
    configuration,
    engine_is_missing,
    places,
    reach_places_directly,
    start_places,
    stored_key,
)
from switchgear.cli.gateway import run_file, set_up_logging
from switchgear.cli.serve import serving
from switchgear.core.errors import SwitchgearError


@click.command()
@click.option(
    "--config",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Serve this file instead of the embedded default.",
)
@click.option("--listen", default="127.0.0.1:8080", show_default=True, help="Where calls are taken.")
@click.option("--admin", default="127.0.0.1:8081", show_default=True, help="Health, metrics and live state.")
@click.option("--state-dir", default="state", show_default=True, help="Journal, key, last good snapshot.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True, max=1e6),
    default=1.0,
    show_default=True,
    help="Emulated seconds in one real second.",
)
@click.pass_context
def up(ctx: click.Context, path: Path | None, listen: str, admin: str, state_dir: str, speed: float) -> None:
    """Start five places and one endpoint in front of them; Ctrl-C ends all of it."""
    if path is not None:
        _refuse_others(ctx)
        run_file(path)
        return
    set_up_logging()
    logging.getLogger().setLevel(logging.WARNING)
    reach_places_directly(os.environ)
    try:
        uvloop.run(_up(listen, admin, state_dir, speed))
    except SwitchgearError as error:
        raise click.ClickException(str(error)) from error


def _refuse_others(ctx: click.Context) -> None:
    given = [name for name in ctx.params if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT]
    if others := [f"--{name.replace('_', '-')}" for name in given if name != "path"]:
        raise click.UsageError(f"The file of --config says what is served and where: leave {', '.join(others)} out.")


async def _up(listen: str, admin: str, state_dir: str, speed: float) -> None:
    console = Console()
    key = stored_key(Path(state_dir))
    made = places(speed)
    children = Children()
    try:
        with console.status("starting the places and the gateway"):
            made = await start_places(children, made)
        config = configuration(made, key, listen=listen, admin=admin, state_dir=state_dir)
        async with serving(config) as gateway:
            _welcome(console, str(gateway.supervisor.listening[0]), str(gateway.admin), key, made)
            _show_commands(console, state_dir)
            await gateway.supervisor.wait_for_signal()
            console.print("ending: calls in flight are answered first")
    finally:
        await children.close()


def _welcome(console: Console, listen: str, admin: str, key: str, made: list[Place]) -> None:
    count = "Four" if len(made) == 4 else "Five"
    table = Table("place", "kind", "model there", "on its own", title=f"{count} places, one endpoint")
    for place in made:
        table.add_row(place.name, place.backend.kind, place.model, place.backend.base_url)
    console.print(table)
    if why := engine_is_missing(made):
        console.print(why, markup=False)
    body = '{"model": "chat", "messages": [{"role": "user", "content": "Hello"}]}'
    console.print(
        f"""
endpoint  http://{listen}/v1
key       {key}
models    chat (prefers the appliance), cheap (by cost), fast (by latency), chat@cloud pins a place
admin     http://{admin}/readyz  /metrics  /live

curl http://{listen}/v1/chat/completions \\
  -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \\
  -d '{body}'

from openai import OpenAI
client = OpenAI(base_url="http://{listen}/v1", api_key="{key}")
print(client.chat.completions.create(model="chat", messages=[{{"role": "user", "content": "Hello"}}]).choices[0].message.content)""",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _show_commands(console: Console, state_dir: str) -> None:
    program = called_as(sys.argv[0])
    where = "" if state_dir == "state" else f" --state-dir {shlex.quote(state_dir)}"
    console.print(
        f"""
{program} records{where}
    every call so far
{program} explain{where} CALL
    one call's story; its id is in the header x-switchgear-call
Ctrl-C ends all of it.""",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def called_as(program: str) -> str:
    """What to type for this program: its name where the shell finds it by that, else the path that it was called by."""
    found = shutil.which("switchgear")
    if Path(program).name != "switchgear" or (found and os.path.samefile(found, program)):
        return "switchgear"
    return shlex.quote(program)
