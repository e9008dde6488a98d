"""A workload on a fleet, in virtual time: `simulate`.

Two speeds. `fast` handles each change of a batch as one event, in compiled code with routing of its own, which tests hold to the
gateway's. `detailed` takes every step of every unit by itself and asks the gateway's own functions for each call: hundreds of times slower,
and there to check the other with. Both give the same times for the same draws.

Left out by both: hedging; that a rescue continues where the text broke (the next place gives the whole answer again); idle time-outs
between tokens; that concurrent calls share the blocks of a common beginning in memory (each takes its own).
"""

from collections.abc import Iterable
from enum import StrEnum

from switchgear.planner.errors import BadWorkload
from switchgear.planner.fleet import Fleet
from switchgear.planner.fleet_physics import sources
from switchgear.planner.simulate_arrays import Table
from switchgear.planner.simulate_fast import Sink, run_fast
from switchgear.planner.simulate_measure import Measure
from switchgear.planner.simulate_model import Result
from switchgear.planner.simulate_result import Totals, result_of, totals_of
from switchgear.planner.workload import Workload


class Method(StrEnum):
    """How a simulation is made."""

    FAST = "fast"
    DETAILED = "detailed"


def simulate(
    fleet: Fleet,
    workload: Workload | Iterable[Workload],
    *,
    seed: int = 0,
    method: Method = Method.FAST,
    sink: Sink | None = None,
) -> Result:
    """Run a workload, or pieces of one in order, on a fleet. `sink` gets each ended call too.

    Raises BadFleet, BadWorkload (no call; pieces out of order), HardwareError, and MissingExtra where numba is not installed.
    """
    source: list[str] = []
    measure = Measure(len(fleet.places))

    def count(ended: Table) -> None:
        measure.add(ended)
        if sink is not None:
            sink(ended)

    parts = _watched(workload.parts() if isinstance(workload, Workload) else workload, source)
    totals = _run(fleet, parts, seed, Method(method), count)
    if not measure.calls:
        raise BadWorkload("the workload holds no call; give a trace with at least one, or generate a workload")
    inputs = {"workload": source[0], "seed": str(seed), "fleet": fleet.name, **sources(fleet)}
    return result_of(fleet, source[0], str(Method(method)), seed, measure, totals, inputs)


def _run(fleet: Fleet, parts: Iterable[Workload], seed: int, method: Method, sink: Sink) -> Totals:
    if method is Method.FAST:
        return totals_of(run_fast(fleet, parts, seed, sink))
    # only here: it brings the whole gateway with it, and the fast simulation needs none of it
    from switchgear.planner.simulate_detailed import run_detailed

    return run_detailed(fleet, parts, seed, sink)


def _watched(parts: Iterable[Workload], source: list[str]) -> Iterable[Workload]:
    """The same pieces, each not before the one ahead of it. Raises BadWorkload."""
    before_s = 0.0
    for part in parts:
        if not len(part):
            continue
        if not source:
            source.append(part.source)
        if part.at_s[0] < before_s:
            raise BadWorkload(
                f"{part.source}: a piece begins at {part.at_s[0]:g} s, before the end of the last ({before_s:g} s); sort the calls"
            )
        before_s = float(part.at_s[-1])
        yield part
