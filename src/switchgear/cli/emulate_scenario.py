"""`switchgear emulate --scenario`: the devices of a scenario as HTTP servers, for a gateway and load of one's own."""

import asyncio
import signal
from pathlib import Path

import click

from switchgear.core.clock import SystemClock
from switchgear.emulator.site import Site
from switchgear.rehearsal.model import Scenario
from switchgear.rehearsal.reading import read_scenario

_MOST_SHOWN = 20


async def serve_scenario(file: Path, listen: str, speed: float) -> None:
    """Until SIGTERM or SIGINT; what happens begins now. Raises SwitchgearError."""
    scenario = read_scenario(file)
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    devices = Site(
        scenario.specs(), scenario.timelines(), SystemClock(), speed=speed, seed=scenario.seed, listen=(listen,)
    )
    async with devices as site:
        _tell(scenario, site)
        await ending.wait()


def _tell(scenario: Scenario, site: Site) -> None:
    names = list(scenario.specs())
    address = site.addresses[0]
    where = f"{address} with a path of" if address.path else f"http://{address}"
    click.echo(f"{scenario.name}: {len(names)} devices; API, /metrics and /nvml of each below {where}/NAME")
    for name in names[:_MOST_SHOWN]:
        spec = scenario.specs()[name]
        click.echo(f"  {name} ({spec.profile}) serves {spec.model.partition('=')[0]}")
    if len(names) > _MOST_SHOWN:
        click.echo(f"  and {len(names) - _MOST_SHOWN} more")
