"""CPU time that limits cost a call: `python -m bench.limits`.

The sides take turns over several rounds in one process; the figure is the median over rounds of each round's best pass, so that what else
runs on the machine disturbs it least. A call is what the gateway does for it: look up the plan, reserve, settle with other figures than
estimated. Beside it: a refusal, the header lines, a turn in the fair queue, one round with the shared database.

Where the package `limits` (used by slowapi and flask-limiter) is installed, its moving and fixed windows in memory stand beside ours: two
rules on requests, asked one after the other as its users do. It has no settling, no tokens, no budgets.
"""

import argparse
import importlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic

from rich.console import Console
from rich.table import Table

from switchgear.core.clock import SystemClock
from switchgear.core.limits import Limit, LimitSharing
from switchgear.limits.fair import FairQueue
from switchgear.limits.limiter import Limiter
from switchgear.limits.memory_store import MemoryStore
from switchgear.limits.ports import Store
from switchgear.limits.reservation import Reservation
from switchgear.limits.shares import Shares
from switchgear.limits.stores import open_store
from switchgear.limits.supply import Supply

PLENTY, RICH = 10**12, 1e6
CLOCK = SystemClock()
RATES = {"requests_per_minute": PLENTY, "tokens_per_minute": PLENTY}
ALL = {**RATES, "in_flight": PLENTY, "usd_per_day": RICH, "usd_per_month": RICH}
Pass = Callable[[int], None]


def rules(count: int, amounts: Mapping[str, float]) -> list[Limit]:
    """So many limits that all apply to the call."""
    places: list[dict[str, str]] = [{"team": "research"}, {"key": "*"}, {"model": "chat"}, {"team": "*", "model": "*"}]
    return [Limit(**place, **amounts) for place in places[:count]]  # type: ignore[arg-type]  # names of its own fields


def calls(limits: list[Limit], store: Store | None = None) -> Pass:
    """Calls that are admitted and end."""
    shares = Shares(CLOCK, leased=store is not None)
    limiter = Limiter(limits, shares)
    limiter.prepare([("demo", "research")], ["chat"], [])
    if store is not None:
        supply = Supply(shares, LimitSharing(lease_s=300.0))
        told = supply.round(monotonic())
        supply.answered(told, store.settle("bench", told.asks, 300.0), monotonic())

    def run(count: int) -> None:
        for _ in range(count):
            answer = limiter.reserve(limiter.plan("demo", "research", "chat"), 500, 0.0001, monotonic())
            answer.settle(400, 0.00009, monotonic())  # type: ignore[union-attr]  # there is plenty

    return run


def refusals() -> Pass:
    """Calls of which none is admitted any more."""
    limiter = Limiter([Limit(requests_per_minute=1, tokens_per_minute=PLENTY)], Shares(CLOCK))
    plan = limiter.plan("demo", "research", "chat")

    def run(count: int) -> None:
        for _ in range(count):
            limiter.reserve(plan, 500, 0.0001, 0.5)

    return run


def headers() -> Pass:
    """The six lines."""
    plan = Limiter(rules(2, RATES), Shares(CLOCK)).plan("demo", "research", "chat")

    def run(count: int) -> None:
        for _ in range(count):
            plan.headers.lines()

    return run


def turns() -> Pass:
    """One call waits, one ends and calls up another; four teams with sixteen waiting each."""
    queue = FairQueue(1, {"team 0": 3.0})
    queue.try_enter()

    def nothing() -> None: ...

    for number in range(64):
        queue.wait(f"team {number % 4}", 1e12, nothing, nothing)

    def run(count: int) -> None:
        for number in range(count):
            queue.wait(f"team {number % 4}", 1e12, nothing, nothing)
            queue.leave(0.0)

    return run


def peers() -> dict[str, Pass]:
    """The package `limits`, if it is there."""
    try:
        package = importlib.import_module("limits")
        strategies = importlib.import_module("limits.strategies")
    except ImportError:
        return {}
    sides: dict[str, Pass] = {}
    for name in ("MovingWindowRateLimiter", "FixedWindowRateLimiter"):
        limiter = getattr(strategies, name)(package.storage.MemoryStorage())
        team, key = package.parse("100000000/minute"), package.parse("100000000/minute")

        def run(count: int, limiter: object = limiter, team: object = team, key: object = key) -> None:
            hit = limiter.hit  # type: ignore[attr-defined]  # of a package without types
            for _ in range(count):
                hit(team, "team", "research")
                hit(key, "key", "demo")

        sides[f"limits {package.__version__}: {name}, 2 rules on requests"] = run
    return sides


def sides() -> dict[str, Pass]:
    """By name, in the order in which they are shown."""
    memory = MemoryStore(CLOCK)
    return {
        "no limits": calls([]),
        "1 rule: requests": calls(rules(1, {"requests_per_minute": PLENTY})),
        "2 rules: requests": calls(rules(2, {"requests_per_minute": PLENTY})),
        "2 rules: requests, tokens": calls(rules(2, RATES)),
        "2 rules: all five measures": calls(rules(2, ALL)),
        "4 rules: all five measures": calls(rules(4, ALL)),
        "2 rules: requests, tokens, leased": calls(rules(2, RATES), memory),
        "a refusal": refusals(),
        "header lines": headers(),
        "fair queue: wait and leave": turns(),
        **peers(),
    }


def database_round_ms(database: str, counters: int, rounds: int) -> tuple[float, float]:
    """Wall and CPU milliseconds of one round with so many counters that all were used: medians."""
    shares = Shares(CLOCK, leased=True)
    limiter = Limiter([Limit(key="*", requests_per_minute=PLENTY)], shares)
    plans = [limiter.plan(f"key {number}", "t", "m") for number in range(counters)]
    store, supply = open_store(database, CLOCK), Supply(shares, LimitSharing(lease_s=300.0))
    walls, cpus = [], []
    for number in range(rounds + 2):
        wall, cpu = time.perf_counter(), time.process_time()
        told = supply.round(monotonic())
        supply.answered(told, store.settle("bench", told.asks, 300.0), monotonic())
        if number >= 2:  # the first makes the books
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
        for plan in plans:
            answer = limiter.reserve(plan, 1, 0.0, monotonic())
            if not isinstance(answer, Reservation):
                raise TypeError(f"refused: {answer.message}")
    store.close()
    return statistics.median(walls) * 1e3, statistics.median(cpus) * 1e3


def measure(rounds: int, count: int) -> dict[str, float]:
    """Microseconds for one of each."""
    found = sides()
    taken: dict[str, list[float]] = {name: [] for name in found}
    for run in found.values():
        run(count // 4)
    for _ in range(rounds):
        for name, run in found.items():
            passes = []
            for _ in range(3):
                begin = time.process_time()
                run(count)
                passes.append(time.process_time() - begin)
            taken[name].append(min(passes) * 1e6 / count)
    return {name: statistics.median(values) for name, values in taken.items()}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="CPU time that limits cost a call.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=10_000, help="calls of one pass")
    parser.add_argument("--database", help="postgresql://… to measure rounds with, beside SQLite")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    figures = measure(options.rounds, options.count)
    base = figures["2 rules: requests, tokens"]
    table = Table("", "CPU us", "x two rules", title="one call: plan, reserve, settle")
    for name, cost_us in figures.items():
        table.add_row(name, f"{cost_us:.2f}", f"{cost_us / base:.2f}")
    console = Console()
    console.print(table)
    with tempfile.TemporaryDirectory() as folder:
        databases = {"SQLite": f"sqlite:///{folder}/limits.db"}
        if options.database:
            databases["PostgreSQL"] = options.database
        for name, address in databases.items():
            for counters in (4, 100):
                wall_ms, cpu_ms = database_round_ms(address, counters, 30)
                console.print(
                    f"{name}, a round of {counters} counters: {wall_ms:.2f} ms, of them {cpu_ms:.2f} ms CPU here"
                )
    if options.json:
        options.json.write_text(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
