"""Memory over a million calls, and per open idle stream: `python -m bench.memory`. Method and caveats: `bench/README.md`."""

import argparse
import resource
import signal
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop
from rich.table import Table

from bench import nginx, wrk
from bench.installing import say
from bench.options import chosen, finish, parser
from bench.proctree import Memory, memory
from bench.report import OURS, Bar, Report, publish
from bench.sides import Side, running
from bench.stream_client import with_open_streams
from bench.streaming import paced_upstream
from bench.throughput import check_records
from bench.traffic import Void

GROWTH_LIMIT = 0.05
"""Growth after the first tenth of the calls (issue 2: the first 100,000 of a million)."""
STREAM_LIMIT_KB = 30.0
"""PSS per open idle stream, in units of 1,000 bytes (issue 2)."""
SAMPLES = 20
"""Samples over all calls: with a million, one every 50,000."""


@dataclass(frozen=True)
class Sample:
    """Memory of the side's process tree after so many calls."""

    calls: int
    memory: Memory


def growth(samples: Sequence[Sample]) -> float:
    """How far the memory rises, at its highest, after the first tenth of the calls, as a part of the PSS at that point.

    The rise is that of the private part, so that it is the side's own and not that of other programs (see `Memory`).
    """
    first = len(samples) // 10 - 1
    settled = samples[first].memory
    highest = max(sample.memory.pss_private for sample in samples[first:])
    return (highest - settled.pss_private) / settled.pss


def over_calls(side: Side, folder: Path, calls: int) -> list[Sample]:
    """Put `calls` calls through a freshly started side, with `SAMPLES` samples on the way. Raises `Void` when one fails."""
    samples = []
    with nginx.upstream(folder) as upstream, running(side, folder, upstream.port) as relay:
        load = wrk.start(relay, 24 * 3600)  # ended below, when the calls are made
        try:
            for number in range(1, SAMPLES + 1):
                while upstream.requests() < number * calls // SAMPLES and load.poll() is None:
                    time.sleep(0.05)
                samples.append(Sample(upstream.requests(), memory(relay.pid)))
                say(f"  {side.name}: {samples[-1].calls:,} calls, PSS {samples[-1].memory.pss / 1e6:.2f} MB")
        finally:
            load.send_signal(signal.SIGINT)
        answered = wrk.finish(load, side.name)
    if answered.requests < calls - wrk.CONNECTIONS:
        raise Void(f"{side.name} answered only {answered.requests} of {calls} calls")
    check_records(side, folder, answered.requests, wrk.CONNECTIONS)
    return samples


def per_open_stream(side: Side, folder: Path, streams: int) -> float:
    """Bytes of private PSS for each of `streams` streams that are open and silent, on a freshly started side. Raises `Void`."""
    with paced_upstream(folder, "--hold") as port, running(side, folder, port) as relay:

        def private_bytes() -> int:
            return memory(relay.pid).pss_private

        uvloop.run(
            with_open_streams(relay, 64, private_bytes)
        )  # what the first streams bring in is no cost of the next
        time.sleep(2.0)
        before = private_bytes()
        return (uvloop.run(with_open_streams(relay, streams, private_bytes)) - before) / streams


def _calls_table(name: str, samples: Sequence[Sample]) -> Table:
    shown = Table(title=f"Memory of {name} over its calls", title_justify="left", min_width=50)
    for head in ("calls", "RSS MB", "PSS MB", "of it in no file"):
        shown.add_column(head, justify="right")
    for sample in samples:
        used = sample.memory
        shown.add_row(
            f"{sample.calls:,}", *(f"{amount / 1e6:.2f}" for amount in (used.rss, used.pss, used.pss_private))
        )
    return shown


def _streams_table(cost: dict[str, float], streams: int) -> Table:
    shown = Table(title=f"Memory per stream, {streams:,} open and silent", title_justify="left", min_width=50)
    shown.add_column("side")
    shown.add_column("PSS KB / stream", justify="right")
    for name, cost_bytes in cost.items():
        shown.add_row(name, f"{cost_bytes / 1000:.1f}")
    return shown


def _options() -> argparse.Namespace:
    options_of = parser("Memory over many calls and many open streams.", sides=OURS)
    options_of.add_argument("--calls", type=int, default=1_000_000)
    options_of.add_argument("--streams", type=int, default=2_000)
    options = options_of.parse_args()
    if options.quick:
        options.calls, options.streams = 20_000, 200
    return options


def main() -> int:
    """Measure, print, say whether the bars hold."""
    options = _options()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))  # what is started from here inherits it
    sides = chosen(options)
    report = Report("memory", {"calls": options.calls, "streams": options.streams})
    tables, stream_cost = [], {}
    for side in sides:
        report.tools[side.name] = side.prepare()
        with tempfile.TemporaryDirectory(prefix="switchgear-bench-") as folder:
            samples = over_calls(side, Path(folder), options.calls)
        with tempfile.TemporaryDirectory(prefix="switchgear-bench-") as folder:
            stream_cost[side.name] = per_open_stream(side, Path(folder), options.streams)
        tables.append(_calls_table(side.name, samples))
        report.samples[side.name] = {
            "calls": [asdict(sample) for sample in samples],
            "growth": growth(samples),
            "bytes_per_open_stream": stream_cost[side.name],
        }
        report.notes.append(
            f"{side.name}: memory grew by {growth(samples):.1%} at most after the first tenth of the calls"
        )
        if side.name == OURS:
            report.bars.append(Bar("growth after the first tenth of the calls", growth(samples), GROWTH_LIMIT))
            report.bars.append(Bar("KB per open idle stream", stream_cost[side.name] / 1000, STREAM_LIMIT_KB))
    publish(report, [*tables, _streams_table(stream_cost, options.streams)], options.json)
    return report.exit_code


if __name__ == "__main__":
    finish(main)
