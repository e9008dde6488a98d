"""How fast the planner simulates: `python -m bench.planner`.

- calls a second of one core (CPU time), of several fleets and workloads, and how far they are from the detailed simulation
- a site of 200,000 accelerators: an hour of it, by a sample of each class, and the error of a sample where the whole can be simulated too

Bars: 100,000 calls a second in each fleet; the site in less than a minute. Compiling is not counted: it happens once on a machine, and the
time it took is said.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich import table as rich_table
from rich.console import Console

from bench.report import machine
from switchgear.core.snapshot import Kind
from switchgear.hardware.model import Precision
from switchgear.planner.fleet import Balance, Fault, Fleet, Place, Trouble
from switchgear.planner.generate import Generator, Lengths, generate
from switchgear.planner.simulate import Method, simulate
from switchgear.planner.simulate_arrays import Table
from switchgear.planner.simulate_site import error_of, simulate_site
from switchgear.planner.traces import read_trace
from switchgear.planner.workload import Workload

BAR_PER_S = 100_000
SITE_BAR_S = 60.0
SHARED = Path("../shared/data")


def floor(**settings: Any) -> Place:
    """Eight H100."""
    return Place(**{"name": "floor", "kind": Kind.ONPREM, "profile": "h100-sxm", "units": 8, **settings})


CLOUD = Place(name="cloud", kind=Kind.CLOUD, profile="cloud-api")
OUTAGE = Fault(kind=Trouble.OUTAGE, start_s=600, lasts_s=120, every_s=3600, units=2)
MODEL = "llama-3.1-8b"
FLEETS = {
    "8 x H100": Fleet(name="8 x H100", model=MODEL, places=(floor(),)),
    "8 x H100, faults, spill to a cloud": Fleet(
        name="spill", model=MODEL, places=(floor(max_in_flight=64, faults=(OUTAGE,)), CLOUD), strategy="latency"
    ),
    "64 x H100, two choices": Fleet(
        name="64", model=MODEL, places=(floor(units=64, balance=Balance.TWO_CHOICES),), strategy="least-loaded"
    ),
}


def workloads(calls: int) -> dict[str, Workload]:
    """Generated calls at a load that keeps eight H100 busy, and the public traces where they are there."""
    asked = Generator(
        rate_per_s=60,
        duration_s=calls / 60,
        burstiness=1.5,
        prompt=Lengths(median=800, most=8000),
        output=Lengths(median=150, most=2000),
    )
    found = {f"{calls:,} generated": generate(asked, 1)}
    for name in ("azure_llm_2023_conv.csv", "mooncake_conversation.jsonl"):
        if (SHARED / name).exists():
            found[name] = read_trace(SHARED / name)
    return found


def speed(fleet: Fleet, workload: Workload, least_s: float = 0.5) -> float:
    """Calls a second of CPU time, of the best of as many runs as fit."""
    best, spent_s = float("inf"), 0.0
    while spent_s < least_s:
        begin = time.process_time()
        simulate(fleet, workload, seed=1)
        best = min(best, time.process_time() - begin)
        spent_s += best
    return len(workload) / best


def ended(fleet: Fleet, workload: Workload, method: Method) -> Table:
    """How each call ended, in order of arrival."""
    kept: list[Table] = []
    simulate(fleet, workload, seed=1, method=method, sink=lambda rows: kept.append(rows.copy()))
    rows = np.concatenate(kept)
    return rows[np.argsort(rows["id"])]


def apart(fleet: Fleet, workload: Workload) -> float:
    """The largest difference of any call's end between the fast and the detailed simulation, seconds, over its first calls."""
    rows = [ended(fleet, workload.part(0, min(1500, len(workload))), method) for method in Method]
    return float(np.max(np.abs(rows[0]["e2e_s"] - rows[1]["e2e_s"])))


def site() -> tuple[Fleet, Generator]:
    """120,000 H100 in fours and 80,000 B200 in pairs, for Llama 3.3 70B: 70,000 replicas."""
    common: dict[str, Any] = {"kind": Kind.ONPREM, "precision": Precision.FP8, "balance": Balance.TWO_CHOICES}
    places = (
        Place(name="h100", profile="h100-sxm", devices=4, units=30_000, weight=3.0, **common),
        Place(name="b200", profile="b200", devices=2, units=40_000, weight=4.0, **common),
    )
    fleet = Fleet(name="site", model="llama-3.3-70b", places=places, strategy="weighted")
    load = Generator(
        rate_per_s=140_000,
        duration_s=3600,
        burstiness=1.5,
        prompt=Lengths(most=20_000),
        output=Lengths(median=200, sigma=0.8, most=3000),
    )
    return fleet, load


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="How fast the planner simulates.")
    parser.add_argument("--calls", type=int, default=300_000, help="of the generated workload")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 150)
    begin = time.perf_counter()
    simulate(FLEETS["8 x H100"], workloads(60)["60 generated"])
    console.print(
        f"first simulation, compiled or read from the disk: {time.perf_counter() - begin:.1f} s", highlight=False
    )
    table = rich_table.Table(
        "fleet",
        "workload",
        "calls/s of a core",
        "furthest from detailed",
        title="fast simulation",
        title_justify="left",
    )
    slowest = float("inf")
    for name, fleet in FLEETS.items():
        for what, workload in workloads(options.calls).items():
            per_s = speed(fleet, workload)
            slowest = min(slowest, per_s)
            table.add_row(name, what, f"{per_s:,.0f}", f"{apart(fleet, workload):.1e} s")
    console.print(table)
    fleet, load = site()
    begin = time.perf_counter()
    answer = simulate_site(fleet, load, seed=1)
    site_s = time.perf_counter() - begin
    console.print(
        f"site of {answer.devices:,} accelerators, an hour, {answer.calls:,.0f} calls, 1 in {answer.factor:,.0f} simulated: "
        f"{site_s:.1f} s; {answer.power_board_w / 1e6:.1f} MW, TTFT p99 {answer.sampled.ttft.p99:.3g} s",
        highlight=False,
    )
    small = Fleet(name="small", model=MODEL, places=(floor(units=512, balance=Balance.TWO_CHOICES),))
    off = error_of(
        small,
        Generator(rate_per_s=3600, duration_s=60, burstiness=1.5, output=Lengths(median=150, most=2000)),
        factor=8,
    )
    console.print(
        f"64 of 512 replicas against all: TTFT p50 {off.ttft_p50:+.1%}, p99 {off.ttft_p99:+.1%}, E2E p50 {off.e2e_p50:+.1%}, "
        f"p95 {off.e2e_p95:+.1%}, utilisation {off.utilisation:+.2%}, power {off.energy:+.2%}",
        highlight=False,
    )
    console.print(", ".join(f"{name} {value}" for name, value in machine().items()), highlight=False, soft_wrap=True)
    verdicts = {f"calls/s: {slowest:,.0f}, at least {BAR_PER_S:,}": slowest >= BAR_PER_S}
    verdicts[f"site: {site_s:.1f} s, at most {SITE_BAR_S:g}"] = site_s <= SITE_BAR_S
    for text, holds in verdicts.items():
        console.print(f"{text}: {'[green]holds[/]' if holds else '[red]does not hold[/]'}", highlight=False)
    return 0 if all(verdicts.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
