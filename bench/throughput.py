"""CPU time per request, and requests per second: `python -m bench.throughput`. Method and caveats: `bench/README.md`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from bench import nginx, wrk
from bench.meter import Meter, Reading, Result, in_turn
from bench.options import chosen, finish, parser
from bench.report import Report, publish, relative_bar, table
from bench.sides import Side, running
from bench.traffic import Void

BAR = 0.7
"""Ours may cost at most this part of bare Envoy's CPU per request (issue 2)."""
BAR_WITH_POLICY = 1.0
"""The same with policies, limits and the content screen (issue 3)."""
WARM_UP_S = 2.0


def measure(side: Side, folder: Path, seconds: float) -> Reading:
    """One side, freshly started: warm up, load, CPU time; then whether the counts agree. Raises `Void` when they do not."""
    with nginx.upstream(folder) as upstream, running(side, folder, upstream.port) as relay:
        warm_up = wrk.run(relay, min(WARM_UP_S, seconds))
        reached = upstream.requests()
        meter = Meter(relay.pid)
        load = wrk.run(relay, seconds)
        reading = meter.reading(load.requests, load.duration_s, p50_ms=load.p50_ms, p99_ms=load.p99_ms)
        reached = upstream.requests() - reached
    # wrk leaves what is under way when its time ends, after the warm-up too: up to two calls per connection more may have got through.
    if not load.requests <= reached <= load.requests + 2 * wrk.CONNECTIONS:
        raise Void(f"{side.name} answered {load.requests} calls, but {reached} reached the upstream")
    check_records(side, folder, warm_up.requests + load.requests, 2 * wrk.CONNECTIONS)
    return reading


def check_records(side: Side, folder: Path, answered: int, unfinished: int) -> None:
    """Hold the side's journal, where it keeps one, against the calls that were answered.

    Each answered call has its record; at most `unfinished` more were hung up on. Raises `Void` when the journal says otherwise.
    """
    records = side.records(folder)
    if records is not None and not answered <= records <= answered + unfinished:
        raise Void(f"{side.name} answered {answered} calls, but its journal holds {records} records")


def compare(sides: Sequence[Side], options: argparse.Namespace) -> list[Result]:
    """All sides in turn."""
    return in_turn(sides, options.rounds, lambda side, folder: measure(side, folder, options.seconds))


def fill(report: Report, results: list[Result]) -> None:
    """Put the figure and its bar into a report."""
    report.figures["requests"] = results
    report.tools["wrk"] = wrk.version()
    report.bars += relative_bar(results, "request", BAR)
    report.bars += relative_bar(results, "request", BAR_WITH_POLICY, side="switchgear-policy")


def requests_table(results: list[Result]) -> Table:
    """The figure as a table."""
    return table(f"CPU per request, {wrk.CONNECTIONS} connections, 1 KB prompt, 600 B answer", "request", results)


def main() -> int:
    """Measure, print, say whether the bar holds."""
    options = parser(
        "CPU time per request of ours, nginx and Envoy.", "switchgear,switchgear-policy,nginx,envoy"
    ).parse_args()
    sides = chosen(options)
    report = Report("throughput", {"rounds": options.rounds, "seconds": options.seconds})
    results = compare(sides, options)
    fill(report, results)
    publish(report, [requests_table(results)], options.json)
    return report.exit_code


if __name__ == "__main__":
    finish(main)
