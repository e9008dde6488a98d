"""Real time against virtual time, and how large a fleet one process holds: `python -m bench.rehearsal`.

- course: one scenario (tests/rehearsal/course.toml) in virtual time and in real time at a speed; every figure of the two beside each other.
  The bar is 5 % for each. What a call costs this machine is part of the first token's time in real time, and the speed magnifies it.
- repeated: the same scenario twice in virtual time, which must be the same to the last digit
- fleet: a scenario with many devices in virtual time, and what a device takes in memory
- served: as many devices as real HTTP servers behind a few sockets, each asked once
"""

import argparse
import asyncio
import json
import logging
import resource
import time
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from switchgear.core.clock import SystemClock
from switchgear.emulator.site import Site
from switchgear.rehearsal.compare import compare, worst
from switchgear.rehearsal.model import Scenario
from switchgear.rehearsal.reading import read_scenario
from switchgear.rehearsal.run import rehearse
from switchgear.rehearsal.seen import Ending
from switchgear.wire.client import Pool
from switchgear.wire.fetch import fetch
from switchgear.wire.origin import Origin

_ROOT = Path(__file__).parents[1]
_BAR = 0.05
_AT_ONCE = 64


def main() -> int:
    """Measure and print; 1 when a figure differs by more than the bar."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    options.add_argument("--scenario", type=Path, default=_ROOT / "tests" / "rehearsal" / "course.toml")
    options.add_argument("--speed", type=float, default=3.0)
    options.add_argument("--devices", type=int, default=10_000)
    options.add_argument("--json", type=Path, help="write the result here too")
    chosen = options.parse_args()
    logging.disable(logging.ERROR)
    console = Console()
    found: dict[str, Any] = {"speed": chosen.speed, "devices": chosen.devices}
    passed = course(read_scenario(chosen.scenario), chosen.speed, console, found)
    fleet(fleet_of(chosen.devices), console, found)
    asyncio.run(served(fleet_of(chosen.devices), console, found))
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0 if passed else 1


def course(scenario: Scenario, speed: float, console: Console, found: dict[str, Any]) -> bool:
    """Virtual against real."""
    began_s = time.perf_counter()
    virtual = rehearse(scenario)
    virtual_s = time.perf_counter() - began_s
    again = rehearse(scenario)
    began_s = time.perf_counter()
    real = rehearse(scenario, virtual=False, speed=speed)
    real_s = time.perf_counter() - began_s
    differences = sorted(compare(virtual, real), key=lambda one: -one.share)
    table = Table(
        "figure", "virtual", f"real x {speed:g}", "difference", title=f"{scenario.name}, {len(virtual.calls)} calls"
    )
    for one in differences:
        table.add_row(one.figure, f"{one.first:.4f}", f"{one.second:.4f}", f"{one.share:.2%}")
    console.print(table)
    largest, repeated = worst(differences), worst(compare(virtual, again)).share
    console.print(f"largest difference {largest.share:.2%} ({largest.figure}); repeated in virtual time {repeated:.2%}")
    console.print(f"{scenario.lasts_s:g} s took {virtual_s:.1f} s in virtual time, {real_s:.1f} s in real time\n")
    found["course"] = {one.figure: [one.first, one.second, one.share] for one in differences}
    found |= {"largest": largest.share, "repeated": repeated, "virtual_s": virtual_s, "real_s": real_s}
    return largest.share <= _BAR and repeated == 0


def fleet_of(count: int) -> Scenario:
    """The shipped fleet with so many devices, its load and its time cut down."""
    scenario = read_scenario(_ROOT / "examples" / "scenarios" / "fleet.toml")
    edge = msgspec.structs.replace(scenario.devices["edge"], count=count)
    return msgspec.structs.replace(scenario, devices={"edge": edge}, lasts_s=280.0)


def fleet(scenario: Scenario, console: Console, found: dict[str, Any]) -> None:
    """Many devices in virtual time."""
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began_s = time.perf_counter()
    seen = rehearse(scenario)
    took_s = time.perf_counter() - began_s
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / len(seen.devices)
    ok = seen.endings()[Ending.OK]
    console.print(
        f"{len(seen.devices)} devices, {scenario.lasts_s:g} s in virtual time: {took_s:.1f} s, {ok} of {len(seen.calls)} calls, "
        f"{sum(device.slow_s > 0 for device in seen.devices)} slowed down by heat, {grown:.1f} KiB a device"
    )
    found["fleet"] = {"took_s": took_s, "calls": len(seen.calls), "ok": ok, "kib_a_device": grown}


async def served(scenario: Scenario, console: Console, found: dict[str, Any]) -> None:
    """Every device asked once over HTTP, in real time."""
    specs = scenario.specs()
    body = msgspec.json.encode(
        {"model": "llama-3.2-1b", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
    )
    listen = ("127.0.0.1:0",) * 4
    async with Site(specs, scenario.timelines(), SystemClock(), speed=100.0, listen=listen) as site:
        pools = [Pool(Origin(address.host, address.port), size=_AT_ONCE) for address in site.addresses]
        gate, statuses = asyncio.Semaphore(_AT_ONCE), []

        async def ask(number: int, name: str) -> None:
            async with gate:
                answer = await fetch(pools[number % 4], "POST", f"/{name}/v1/chat/completions", body=body)
                statuses.append(answer.status)

        began_s = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number, name in enumerate(specs):
                group.create_task(ask(number, name))
        took_s = time.perf_counter() - began_s
        for pool in pools:
            await pool.close()
    console.print(
        f"{len(specs)} devices as HTTP servers behind {len(listen)} sockets: each asked once in {took_s:.1f} s, "
        f"{statuses.count(200)} answered 200"
    )
    found["served"] = {"took_s": took_s, "answered": statuses.count(200), "sockets": len(listen)}


if __name__ == "__main__":
    raise SystemExit(main())
