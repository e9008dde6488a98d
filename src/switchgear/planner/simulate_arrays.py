"""The state of the fast simulation: tables with a row for each place, unit and call under way, and the queues between them.

Rows are records of NumPy tables, so that compiled code and Python see the same names. Where a row names another, -1 is nobody.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.void]
Ints = NDArray[np.int64]

NOBODY = -1
BUCKETS = 10
"""Of a breaker's and a budget's sliding window, as in the gateway."""

# What a unit does.
IDLE, LEAP, MIXED = 0, 1, 2
# Where an attempt is.
NOWHERE, TRAVELLING, WAITING, RUNNING, SEEN, ZOMBIE = 0, 1, 2, 3, 4, 5
# What a timer is for.
DELIVER, RETRY, DONE, REFUSE, TICK, REST = 0, 1, 2, 3, 4, 5
# How a call ended.
OK, REFUSED, FAILED, BROKEN = 0, 1, 2, 3
# What a failed attempt leaves open (gateway.failure.Next).
AGAIN, ELSEWHERE = 0, 1
# Breaker states.
CLOSED, OPEN, HALF_OPEN = 0, 1, 2

PLACE = np.dtype(
    [
        # how long steps take (hardware.roofline.StepCost)
        *((name, "f8") for name in ("token_s", "sampled_s", "pair_s", "cached_pair_s", "weights_s", "experts_s")),
        *((name, "f8") for name in ("expert_miss", "cached_s", "fixed_s", "exchange_token_s", "sequence_s", "request_s")),
        ("observed", "i1"), ("first_unit", "i8"), ("units", "i8"), ("kv_blocks", "i8"), ("max_batch", "i8"),
        ("step_tokens", "i8"), ("prefix_cache", "i1"), ("balance", "i1"), ("turn", "i8"), ("up_units", "i8"),
        # seen from outside
        ("mu", "f8"), ("sigma", "f8"), ("gap_s", "f8"), ("per_minute", "f8"), ("credit", "f8"), ("credit_s", "f8"),
        # the way there
        ("link_s", "f8"), ("link_byte_s", "f8"), ("link_free_s", "f8"), ("link_down", "i1"), ("link_busy_s", "f8"),
        # what the gateway holds of it
        ("window", "i8"), ("max_in_flight", "i8"), ("in_flight", "i8"), ("weight", "f8"),
        ("usd_in", "f8"), ("usd_out", "f8"), ("rest_until_s", "f8"), ("peak_s", "f8"), ("last_s", "f8"),
        ("connect_s", "f8"), ("first_token_s", "f8"), ("total_s", "f8"), ("first_head", "i8"), ("first_tail", "i8"),
        ("all_head", "i8"), ("all_tail", "i8"),
        ("window_s", "f8"), ("min_calls", "i8"), ("ratio", "f8"), ("consecutive", "i8"), ("slow_call_s", "f8"),
        ("open_s", "f8"), ("state", "i1"), ("opened_s", "f8"), ("opened", "i8"), ("probing", "i1"), ("row", "i8"),
        ("slot", "i8"), ("slot_end_s", "f8"),
        # what it draws and how warm it gets, of one device
        ("idle_w", "f8"), ("arithmetic_w", "f8"), ("memory_w", "f8"), ("limit_w", "f8"), ("clock_exponent", "f8"),
        ("tick_s", "f8"), ("tau_s", "f8"), ("k_per_w", "f8"), ("ambient_c", "f8"), ("throttle_c", "f8"), ("release_c", "f8"),
        ("shutdown_c", "f8"), ("throttle_clock", "f8"), ("thermal", "i1"),
        ("peak_in_flight", "i8"),
    ]
)  # fmt: skip

UNIT = np.dtype(
    [
        ("place", "i8"), ("down", "i1"), ("mode", "i1"), ("slow", "f8"), ("weak", "f8"), ("clock", "f8"), ("doomed", "i8"),
        ("start_s", "f8"), ("end_s", "f8"), ("d0", "f8"), ("d1", "f8"), ("steps", "i8"), ("factor", "f8"),
        ("a0", "f8"), ("a1", "f8"), ("b0", "f8"), ("b1", "f8"),
        ("done", "i8"), ("decoding", "i8"), ("running", "i8"), ("context", "i8"), ("free", "i8"), ("load", "i8"),
        ("wait_head", "i8"), ("wait_tail", "i8"), ("waiting", "i8"), ("run_head", "i8"), ("run_tail", "i8"), ("first_prefill", "i8"),
        ("queued", "i8"), ("admitted", "i8"), ("finishing", "i8"), ("pos", "i8"), ("written", "i8"),
        ("arithmetic_s", "f8"), ("memory_s", "f8"), ("busy_s", "f8"), ("batch_s", "f8"), ("least_free", "i8"),
        ("preemptions", "i8"), ("tokens_in", "i8"), ("tokens_hit", "i8"), ("tokens_out", "i8"),
        ("temperature_c", "f8"), ("hottest_c", "f8"), ("hot", "i1"), ("slow_s", "f8"), ("energy_j", "f8"),
        ("tick_at_s", "f8"), ("tick_arithmetic_s", "f8"), ("tick_memory_s", "f8"), ("tick_busy_s", "f8"),
    ]
)  # fmt: skip

# `spare` of row i is entry i of the stack of rows that nobody uses; `queued` of a unit, of the heap of units by the end of what they do.
CALL = np.dtype(
    [
        ("id", "i8"), ("at_s", "f8"), ("prompt", "i8"), ("output", "i8"), ("rank", "i1"), ("row", "i8"), ("part", "i8"),
        ("deadline_s", "f8"), ("attempts", "i8"), ("draws", "i8"), ("order_n", "i8"), ("remaining", "i8"), ("stamp", "i8"),
        ("status", "i1"), ("place", "i8"), ("unit", "i8"), ("asked_s", "f8"), ("first_s", "f8"), ("ttft_s", "f8"), ("probe", "i1"),
        ("generated", "i8"), ("joined", "i8"), ("computed", "i8"), ("chunk", "i8"), ("blocks", "i8"), ("cached", "i8"),
        ("submitted_s", "f8"), ("queue_s", "f8"), ("next_place", "i8"), ("tried", "i8"), ("rescued", "i8"), ("serial", "i8"),
        # bits of places: for any attempt, the first, a fallback, a retry, a rescue; and whether these differ
        ("may", "i8"), ("may_first", "i8"), ("may_next", "i8"), ("may_again", "i8"), ("may_rescue", "i8"), ("may_differ", "i8"),
        ("prev", "i8"), ("next", "i8"), ("first_prev", "i8"), ("first_next", "i8"), ("all_prev", "i8"), ("all_next", "i8"), ("spare", "i8"),
    ]
)  # fmt: skip

TIMER = np.dtype([("at_s", "f8"), ("order", "i8"), ("kind", "i8"), ("who", "i8"), ("stamp", "i8"), ("value", "f8")])
EDGE = np.dtype([("at_s", "f8"), ("place", "i8"), ("first", "i8"), ("last", "i8"), ("kind", "i8"), ("value", "f8")])
# What happens at an edge.
OFF, ON, PACE, LINK_OFF, LINK_ON = 0, 1, 2, 3, 4

ENDED = np.dtype(
    [
        ("id", "i8"), ("outcome", "i1"), ("place", "i1"), ("attempts", "i2"), ("rank", "i1"), ("reason", "i1"),
        ("at_s", "f8"), ("ttft_s", "f8"), ("e2e_s", "f8"), ("queue_s", "f8"), ("prompt", "i8"), ("output", "i8"), ("cached", "i8"),
    ]
)  # fmt: skip
# Why a call without a whole answer ended so.
NO_REASON, NO_CANDIDATE, FULL, BROKEN_PLACE, TIMED_OUT, LOST, FORBIDDEN = 0, 1, 2, 3, 4, 5, 6

WORLD = np.dtype(
    [
        ("seed", "u8"), ("now_s", "f8"), ("strategy", "i8"), ("attempts", "i8"), ("backoff_s", "f8"), ("max_backoff_s", "f8"),
        ("deadline_s", "f8"), ("rescue", "i1"), ("free_n", "i8"), ("timers_n", "i8"), ("timer_order", "i8"), ("queued_n", "i8"),
        ("ended_n", "i8"), ("edge", "i8"), ("part", "i8"), ("live", "i8"),
        ("budget_ratio", "f8"), ("budget_floor", "f8"), ("budget_width_s", "f8"), ("budget_slot", "i8"), ("budget_end_s", "f8"),
        ("budget_calls", "i8"), ("budget_extra", "i8"), ("prefixes", "i8"), ("retries", "i8"), ("timeouts", "i8"), ("events", "i8"),
    ]
)  # fmt: skip


class State(NamedTuple):
    """Everything that goes on. Compiled code changes it in place."""

    world: Table
    places: Table
    units: Table
    calls: Table
    timers: Table
    """A heap by time, then by order."""
    finish: NDArray[np.int64]
    """For each unit a heap of the steps after which its decoding sequences end, and of who they are."""
    phase: NDArray[np.int64]
    """For each unit how many decoding sequences need a block at steps of each remainder."""
    again: NDArray[np.float64]
    """For each call and place from when it may be asked again, infinite where not; and room for draws."""
    order: NDArray[np.int64]
    """For each call its candidates in order."""
    windows: NDArray[np.int64]
    """Good and bad calls in each slot of each place's breaker; last, calls and extra attempts of the retry budget."""
    edges: Table
    ended: Table
    prefixes: NDArray[np.int64]
    """Keys of unit and block, and what the unit had written when it last had the block."""


class Arrivals(NamedTuple):
    """A piece of a workload as compiled code reads it."""

    at_s: NDArray[np.float64]
    prompt: NDArray[np.int64]
    output: NDArray[np.int64]
    rank: NDArray[np.int8]
    group: NDArray[np.int64]
    """Row in `groups`."""
    groups: NDArray[np.int64]
    """Where calls may go (columns: `planner.admitting`)."""
    block_ids: NDArray[np.int64]
    block_ends: NDArray[np.int64]
    block_tokens: int
    first_id: int
