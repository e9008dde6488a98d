"""CPU time per relayed chunk: `python -m bench.streaming`. Method and caveats: `bench/README.md`."""

import argparse
import contextlib
import sys
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop
from rich.table import Table

from bench.meter import Meter, Reading, Result, in_turn
from bench.options import chosen, finish, parser
from bench.report import Report, publish, relative_bar, table
from bench.sides import Side, free_port, process, running, wait_for_port
from bench.stream_client import Tally, relay_streams
from bench.throughput import check_records
from bench.traffic import Void

BAR = 0.9
"""Ours may cost at most this part of bare Envoy's CPU per relayed chunk (issue 2)."""
CONTENT_CHUNKS = 250
EVENTS_PER_READ_LIMIT = 1.25
"""More events than this in a read, on average, and the side held chunks back, or the machine was too busy to tell."""
SLOWEST = 0.9
"""Below this part of the pace that was asked for, the side (or the machine) could not keep up, and its chunks were joined."""


@dataclass(frozen=True)
class Shape:
    """How much is streamed: `streams` at once, each of 250 content chunks at `pace_per_s`, `waves` after one another."""

    streams: int
    pace_per_s: float
    waves: int
    include_usage: bool

    @property
    def chunks_per_s(self) -> float:
        """Chunks per second over all streams, if nothing holds them up."""
        return self.streams * self.pace_per_s


@contextlib.contextmanager
def paced_upstream(folder: Path, *options: str) -> Iterator[int]:
    """Run `bench.paced_upstream` for the length of the block; gives its port."""
    port = free_port()
    log = folder / "upstream.log"
    with process([sys.executable, "-m", "bench.paced_upstream", "--port", str(port), *options], log) as child:
        wait_for_port(port, child, log)
        yield port


def measure(side: Side, folder: Path, shape: Shape) -> Reading:
    """One side, freshly started: one wave to warm up, then the measured waves; every stream is checked. Raises `Void`."""

    def relay_waves(waves: int) -> Coroutine[None, None, Tally]:
        return relay_streams(
            relay, shape.streams, waves, CONTENT_CHUNKS, shape.pace_per_s, include_usage=shape.include_usage
        )

    pace = ("--pace", str(shape.pace_per_s), "--chunks", str(CONTENT_CHUNKS))
    with paced_upstream(folder, *pace) as port, running(side, folder, port) as relay:
        warm_up = uvloop.run(relay_waves(1))
        meter = Meter(relay.pid)
        tally = uvloop.run(relay_waves(shape.waves))
        events_per_read = tally.events / tally.reads
        reading = meter.reading(tally.events, tally.duration_s, events_per_read=events_per_read)
    if reading.per_s < SLOWEST * shape.chunks_per_s:
        raise Void(f"{side.name} relayed {reading.per_s:.0f} chunks/s of {shape.chunks_per_s:.0f}")
    if events_per_read > EVENTS_PER_READ_LIMIT:
        raise Void(f"{side.name} joined chunks: {events_per_read:.2f} events in a read")
    check_records(side, folder, warm_up.streams + tally.streams, 0)
    return reading


def add_options(options: argparse.ArgumentParser) -> None:
    """What this benchmark lets one choose."""
    options.add_argument("--streams", type=int, default=64, help="streams held open at once")
    options.add_argument("--pace", type=float, default=100.0, help="chunks per second of each stream")
    options.add_argument(
        "--no-usage", action="store_true", help="do not ask for usage; a side that asks itself keeps it from us"
    )


def compare(sides: Sequence[Side], options: argparse.Namespace) -> list[Result]:
    """All sides in turn."""
    waves = max(1, round(options.seconds * options.pace / (CONTENT_CHUNKS + 4)))
    shape = Shape(options.streams, options.pace, waves, not options.no_usage)
    return in_turn(sides, options.rounds, lambda side, folder: measure(side, folder, shape))


def fill(report: Report, results: list[Result]) -> None:
    """Put the figure and its bar into a report."""
    report.figures["chunks"] = results
    report.bars += relative_bar(results, "chunk", BAR)


def chunks_table(results: list[Result], options: argparse.Namespace) -> Table:
    """The figure as a table."""
    return table(f"CPU per relayed chunk, {options.streams} streams of {options.pace:g} chunks/s", "chunk", results)


def main() -> int:
    """Measure, print, say whether the bar holds."""
    options_of = parser("CPU time per relayed chunk of ours, nginx and Envoy.")
    add_options(options_of)
    options = options_of.parse_args()
    sides = chosen(options)
    report = Report("streaming", {"rounds": options.rounds, "seconds": options.seconds})
    results = compare(sides, options)
    fill(report, results)
    publish(report, [chunks_table(results, options)], options.json)
    return report.exit_code


if __name__ == "__main__":
    finish(main)
