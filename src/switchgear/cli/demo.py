"""`switchgear demo`: a tour of a minute that ends by itself."""

import asyncio
import logging
import tempfile
from pathlib import Path

import click
import msgspec
import uvloop
from rich.console import Console

from switchgear.cli.children import Children
from switchgear.cli.demo_caller import Caller
from switchgear.cli.demo_tour import DOWN_S, OPEN_S, Tour
from switchgear.cli.embedded import configuration, places, start_places
from switchgear.cli.key import new_key
from switchgear.cli.serve import serving
from switchgear.core.errors import SwitchgearError
from switchgear.core.snapshot import Breaker

_LIMIT_S = 100.0
_SPEED = 0.5
"""Emulated seconds in a real one: the appliance writes some hundred tokens a second then, few enough to be watched."""


@click.command()
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True, max=1e6),
    default=_SPEED,
    show_default=True,
    help="Emulated seconds in one real second.",
)
def demo(speed: float) -> None:
    """A tour in under a minute: every place is called, the preferred one breaks in mid-answer, then it is killed."""
    logging.basicConfig(level=logging.CRITICAL)  # what breaks here is broken on purpose, and told by the tour
    try:
        uvloop.run(_run(speed))
    except SwitchgearError as error:
        raise click.ClickException(str(error)) from error
    except TimeoutError as error:
        raise click.ClickException(f"the tour was not over after {_LIMIT_S:g} s") from error


async def _run(speed: float) -> None:
    console = Console(highlight=False)
    children = Children(first_wait_s=DOWN_S)
    made = places(speed, first_port=0)
    key = new_key()
    with tempfile.TemporaryDirectory(prefix="switchgear-demo-") as state_dir:
        try:
            async with asyncio.timeout(_LIMIT_S):
                with console.status("starting the places and the gateway"):
                    made = await start_places(children, made)
                made[0].backend = msgspec.structs.replace(made[0].backend, breaker=Breaker(open_s=OPEN_S))
                config = configuration(made, key, listen="127.0.0.1:0", admin="127.0.0.1:0", state_dir=state_dir)
                config = msgspec.structs.replace(config, gateway=msgspec.structs.replace(config.gateway, drain_s=1.0))
                async with serving(config) as gateway:
                    listen = gateway.supervisor.listening[0]
                    tour = Tour(console, made, Caller(listen.host, listen.port, key), gateway.admin, Path(state_dir))
                    await tour.run(f"http://{listen}/v1")
        finally:
            await children.close()
