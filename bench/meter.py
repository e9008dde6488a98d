"""The CPU time of a side around a load, and how busy others kept the machine meanwhile; sides in turn, over several rounds."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.installing import say
from bench.proctree import cpu_s, machine_busy_s, tree
from bench.sides import Side
from bench.traffic import Void

SETTLE_S = 0.7
"""After a load, before the clock is read: work put off until after the answers (a journal's batch) counts too."""


@dataclass(frozen=True)
class Reading:
    """One side, one round: CPU microseconds of its process tree per unit (request or chunk), units per second, what else was seen.

    `others` is the share of the machine's CPU time that went to processes which are no part of the benchmark.
    """

    cpu_us: float
    per_s: float
    others: float
    detail: dict[str, float] = field(default_factory=dict)


class Meter:
    """Started before a load, read after it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._started = time.monotonic()
        self._processes = set(tree(pid))
        self._side_s, self._bench_s, self._machine_s = self._clocks()

    def _clocks(self) -> tuple[float, float, float]:
        # All that a benchmark runs descends from this process, the side too.
        return cpu_s(self.pid), cpu_s(os.getpid()), machine_busy_s()

    def reading(self, units: int, duration_s: float, **detail: float) -> Reading:
        """The cost of `units` that were served in `duration_s`, after a pause of `SETTLE_S`.

        Raises `Void` when a process of the side has ended meanwhile: its time may be lost, and a side that loses processes is not well.
        """
        time.sleep(SETTLE_S)
        try:
            lost = self._processes - set(tree(self.pid))
            side_s, bench_s, machine_s = self._clocks()
        except ProcessLookupError as error:
            raise Void("the side ended under its load") from error
        if lost:
            raise Void(f"{len(lost)} of the side's processes ended under its load")
        total_s = (time.monotonic() - self._started) * (os.cpu_count() or 1)
        others_s = (machine_s - self._machine_s) - (bench_s - self._bench_s)
        return Reading((side_s - self._side_s) * 1e6 / units, units / duration_s, max(0.0, others_s) / total_s, detail)


@dataclass(frozen=True)
class Result:
    """What all rounds brought for one side."""

    side: str
    version: str
    rounds: list[Reading]

    def median(self, value: Callable[[Reading], float]) -> float:
        """The median over the rounds of one figure."""
        return statistics.median(value(reading) for reading in self.rounds)

    @property
    def cpu_us(self) -> float:
        """Median CPU microseconds per unit."""
        return self.median(lambda reading: reading.cpu_us)


def in_turn(sides: Sequence[Side], rounds: int, measure: Callable[[Side, Path], Reading]) -> list[Result]:
    """Measure each side once per round, each time freshly started in a folder of its own; the first to begin changes with each round.

    Raises `Void` when a side cannot be prepared or a measurement proves nothing.
    """
    versions = {side.name: side.prepare() for side in sides}
    readings: dict[str, list[Reading]] = {side.name: [] for side in sides}
    for number in range(rounds):
        first = number % len(sides)
        for side in [*sides[first:], *sides[:first]]:
            with tempfile.TemporaryDirectory(prefix="switchgear-bench-") as folder:
                reading = measure(side, Path(folder))
            say(f"  round {number + 1} of {rounds}: {side.name:12} {reading.cpu_us:10.1f} us {reading.per_s:12,.0f} /s")
            readings[side.name].append(reading)
    return [Result(side.name, versions[side.name], readings[side.name]) for side in sides]
