"""A workload on a fleet, in virtual time: `simulate`.

Two speeds. `fast` handles each change of a batch as one event, in compiled code with routing of its own, which tests hold to the
gateway's. `detailed` takes every step of every unit by itself and asks the gateway's own functions for each call: hundreds of times slower,
and there to check the other with. Both give the same times for the same draws.

Left out by both: hedging; that a rescue continues where the text broke (the next place gives the whole answer again); idle time-outs
between tokens; that concurrent calls share the blocks of a common beginning in memory (each takes its own).
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING

from switchgear.planner.admitting import Admitting, Residency
from switchgear.planner.errors import BadWorkload
from switchgear.planner.fleet import Fleet
from switchgear.planner.fleet_physics import sites_of, sources
from switchgear.planner.simulate_arrays import Table
from switchgear.planner.simulate_fast import Sink, run_fast
from switchgear.planner.simulate_kernel_route import STRATEGIES
from switchgear.planner.simulate_measure import Measure
from switchgear.planner.simulate_model import Result
from switchgear.planner.simulate_result import Totals, result_of, totals_of
from switchgear.planner.workload import Workload

if TYPE_CHECKING:
    from switchgear.planner.routing import Router


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

    A strategy that the fast simulation does not have is simulated in detail, whatever `method` says; the result names the one taken.

    Raises BadFleet, BadWorkload (no call; pieces out of order), HardwareError, and MissingExtra where numba is not installed.
    """
    source: list[str] = []
    measure = Measure(len(fleet.places))

    def count(ended: Table) -> None:
        measure.add(ended)
        if sink is not None:
            sink(ended)

    parts = _watched(workload.parts() if isinstance(workload, Workload) else workload, source)
    method = Method(method) if fleet.strategy in STRATEGIES else Method.DETAILED
    warnings = fleet.authorization()[1]
    router = _router(fleet) if method is Method.DETAILED or fleet.has_policies else None
    admitting = Admitting(fleet, router or Residency(fleet))
    totals = _run(fleet, parts, seed, method, count, router, admitting)
    if not measure.calls:
        raise BadWorkload("the workload holds no call; give a trace with at least one, or generate a workload")
    inputs = {"workload": source[0], "seed": str(seed), "fleet": fleet.name, **sources(fleet)}
    inputs |= {f"policy.warning.{number}": warning for number, warning in enumerate(warnings, start=1)}
    return result_of(fleet, source[0], str(method), seed, measure, totals, admitting.result(), inputs)


def _run(
    fleet: Fleet,
    parts: Iterable[Workload],
    seed: int,
    method: Method,
    sink: Sink,
    router: "Router | None",
    admitting: Admitting,
) -> Totals:
    if method is Method.FAST:
        return totals_of(run_fast(fleet, parts, seed, sink, admitting))
    from switchgear.planner.simulate_detailed import run_detailed

    assert router is not None  # noqa: S101  made for this method
    return run_detailed(fleet, parts, seed, sink, router, admitting)


def _router(fleet: Fleet) -> "Router":
    # only here: it brings the whole gateway with it, and the fast simulation of a fleet without policies needs none of it
    from switchgear.planner.routing import Router

    return Router(fleet, sites_of(fleet))


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
