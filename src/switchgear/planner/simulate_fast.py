"""The fast simulation: one event for each change of a batch, compiled. Streams workloads of any length."""

from collections.abc import Callable, Iterable

import numpy as np

from switchgear.planner.admitting import Admitting
from switchgear.planner.fleet import Fleet
from switchgear.planner.simulate_arrays import Arrivals, State, Table
from switchgear.planner.simulate_compile import need_numba
from switchgear.planner.simulate_kernel_run import FLUSH, GROW, run
from switchgear.planner.simulate_setup import edges_between, grown, new_state
from switchgear.planner.workload import Workload

Sink = Callable[[Table], None]
"""Gets calls that have ended, as rows of `simulate_arrays.ENDED`; a view that is valid during the call."""
_FOREVER = np.inf


def run_fast(fleet: Fleet, parts: Iterable[Workload], seed: int, sink: Sink, admitting: Admitting) -> State:
    """Simulate calls that come in pieces, in order, with times that go on from piece to piece.

    Returns the state at the end. Raises MissingExtra without numba, and BadFleet.
    """
    need_numba()
    state = new_state(fleet, seed)
    first_id, until_s = 0, 0.0
    last: Arrivals | None = None
    for part in parts:
        arrivals = _arrivals(part, first_id, admitting)
        state.world["part"] += 1
        end_s = float(np.nextafter(part.at_s[-1], _FOREVER))
        state = _with_edges(state, fleet, until_s, end_s)
        state = _drive(state, arrivals, sink, final=False)
        first_id, until_s, last = first_id + len(part), end_s, arrivals
    if last is not None:
        tail_s = until_s + 2 * fleet.deadline_s + 1.0  # no call outlives its deadline
        state = _with_edges(state, fleet, until_s, tail_s)
        empty = last._replace(at_s=last.at_s[:0])
        state = _drive(state, empty, sink, final=True)
    return state


def _drive(state: State, arrivals: Arrivals, sink: Sink, *, final: bool) -> State:
    row = 0
    while True:
        reason, row = run(state, arrivals, row, final, _FOREVER)
        ended = int(state.world["ended_n"][0])
        sink(state.ended[:ended])
        state.world["ended_n"] = 0
        if reason == GROW or (reason == FLUSH and not ended):
            state = grown(state)
        elif reason != FLUSH:
            return state


def _with_edges(state: State, fleet: Fleet, start_s: float, end_s: float) -> State:
    left = state.edges[int(state.world["edge"][0]) :]
    state.world["edge"] = 0
    return state._replace(edges=np.concatenate([left, edges_between(fleet, start_s, end_s)]))


def _arrivals(part: Workload, first_id: int, admitting: Admitting) -> Arrivals:
    groups = admitting.groups_of(part)
    return Arrivals(
        np.ascontiguousarray(part.at_s),
        np.ascontiguousarray(part.prompt_tokens),
        np.ascontiguousarray(part.output_tokens),
        admitting.ranks_of(groups),
        groups,
        admitting.rows,
        np.ascontiguousarray(part.block_ids),
        np.ascontiguousarray(part.block_ends),
        part.block_tokens,
        first_id,
    )
