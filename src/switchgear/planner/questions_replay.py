"""`plan replay`: the same calls on other hardware, side by side."""

from collections.abc import Sequence

import msgspec

from switchgear.planner.errors import BadQuestion
from switchgear.planner.fleet import Fleet
from switchgear.planner.simulate import Method, simulate
from switchgear.planner.simulate_model import Answer, Result
from switchgear.planner.workload import Summary, Workload, summary


class Against(msgspec.Struct, frozen=True, kw_only=True):
    """One fleet against the first; ratios below 1 are better, None where a figure is missing."""

    fleet: str
    ttft_p50: float | None
    ttft_p99: float | None
    e2e_p95: float | None
    energy_board: float | None
    cost: float | None
    availability_gained: float
    """Difference of the shares of calls with a whole answer."""
    cloud_share_gained: float


class Replay(Answer, frozen=True, kw_only=True):
    """The answer of `plan replay`."""

    workload: Summary
    results: list[Result]
    against: list[Against]
    """All but the first, against the first."""


def replay(fleets: Sequence[Fleet], workload: Workload, *, seed: int = 0, method: Method = Method.FAST) -> Replay:
    """Simulate each fleet with the same calls and the same draws. Raises BadQuestion, BadFleet, BadWorkload."""
    if not fleets:
        raise BadQuestion("no fleet to replay on; give at least one")
    names = [fleet.name for fleet in fleets]
    if len(set(names)) < len(names):
        raise BadQuestion(f"fleets of one name cannot be told apart ({', '.join(names)}); set `name` in each file")
    results = [simulate(fleet, workload, seed=seed, method=method) for fleet in fleets]
    inputs = {f"{result.fleet}: {key}": value for result in results for key, value in result.inputs.items()}
    return Replay(
        workload=summary(workload),
        results=results,
        against=[_against(result, results[0]) for result in results[1:]],
        inputs=inputs,
    )


def _against(result: Result, base: Result) -> Against:
    return Against(
        fleet=result.fleet,
        ttft_p50=_ratio(result.ttft.p50, base.ttft.p50),
        ttft_p99=_ratio(result.ttft.p99, base.ttft.p99),
        e2e_p95=_ratio(result.e2e.p95, base.e2e.p95),
        energy_board=_ratio(result.energy_board_j, base.energy_board_j),
        cost=_ratio(result.cost_usd, base.cost_usd),
        availability_gained=result.availability - base.availability,
        cloud_share_gained=result.cloud_share - base.cloud_share,
    )


def _ratio(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else one / other
