"""A unit of the detailed simulation against the emulator's engine: two programs, one set of rules, the same times."""

import heapq
from typing import Any

import pytest
from tests.planner.fleets import calls, fleet, onprem

from switchgear.emulator.engine import BatchEngine, BatchLimits
from switchgear.hardware.roofline import Placement
from switchgear.planner.fleet_physics import Site, sites_of
from switchgear.planner.simulate_batch import Sequence, Unit
from switchgear.planner.workload import Workload


def site_of(**settings: Any) -> tuple[Site, Placement]:
    (site,) = sites_of(fleet(onprem(**settings)))
    assert site.placement is not None
    return site, site.placement


def by_emulator(placement: Placement, workload: Workload, limits: BatchLimits) -> dict[int, list[float]]:
    """Times of the first and the last token of each call."""
    engine = BatchEngine(placement, limits)
    times: dict[int, list[float]] = {row: [] for row in range(len(workload))}
    arrivals = list(enumerate(workload.at_s.tolist()))[::-1]
    while True:
        due_s = engine.next_s()
        if arrivals and (
            due_s is None or arrivals[-1][1] <= due_s or engine.load().running + engine.load().waiting == 0
        ):
            row, at_s = arrivals.pop()
            for emission in engine.advance(at_s):
                times[emission.sequence].append(emission.at_s)
            engine.submit(row, int(workload.prompt_tokens[row]), int(workload.output_tokens[row]), at_s)
            engine.advance(at_s, 0)
        elif due_s is None:
            return times
        else:
            for emission in engine.advance(due_s, 1):
                times[emission.sequence].append(emission.at_s)


def by_unit(site: Site, workload: Workload, limits: BatchLimits) -> dict[int, list[float]]:
    assert site.cost is not None
    unit = Unit(site.cost, site.kv_blocks, limits.sequences, limits.step_tokens)
    times: dict[int, list[float]] = {row: [] for row in range(len(workload))}
    rows: dict[int, int] = {}
    kept: list[Sequence] = []
    arrivals = [(at_s, 0, row) for row, at_s in enumerate(workload.at_s.tolist())]
    heapq.heapify(arrivals)
    while arrivals or unit.step is not None:
        if unit.step is None or (arrivals and arrivals[0][0] < unit.step.end_s):
            at_s, _, row = heapq.heappop(arrivals)
            one = Sequence(int(workload.prompt_tokens[row]), int(workload.output_tokens[row]))
            kept.append(one)
            rows[id(one)] = row
            unit.submit(one, 512, at_s)
        else:
            end_s = unit.step.end_s
            ended = unit.end(end_s)
            for one in (*ended.started, *ended.finished):
                times[rows[id(one)]].append(end_s)
            unit.begin(end_s)
    return times


@pytest.mark.parametrize(
    ("profile", "rate", "output", "limits"),
    [
        ("h100-sxm", 12.0, (2, 300), BatchLimits()),
        ("l4", 0.7, (200, 900), BatchLimits()),
        ("h100-sxm", 20.0, (2, 60), BatchLimits(sequences=8, step_tokens=256)),
    ],
)
def test_the_emulator_and_the_planner_tell_the_same_times(
    profile: str, rate: float, output: tuple[int, int], limits: BatchLimits
) -> None:
    site, placement = site_of(profile=profile)
    workload = calls(150, rate, output=output)
    theirs, ours = by_emulator(placement, workload, limits), by_unit(site, workload, limits)
    for row in range(len(workload)):
        assert ours[row][0] == pytest.approx(theirs[row][0], rel=1e-9)
        assert ours[row][-1] == pytest.approx(theirs[row][-1], rel=1e-9)
