"""The fast simulation's loop: whatever comes next, an arrival, a unit, a timer, a time-out or a fault."""

import math
from collections.abc import Callable

from switchgear.planner.simulate_arrays import (
    AGAIN,
    DELIVER,
    DONE,
    ELSEWHERE,
    IDLE,
    LINK_OFF,
    LINK_ON,
    LOST,
    NOBODY,
    OFF,
    ON,
    PACE,
    REFUSE,
    REST,
    RETRY,
    TICK,
    TIMED_OUT,
    ZOMBIE,
    Arrivals,
    Ints,
    State,
)
from switchgear.planner.simulate_compile import compiled, digest, kept
from switchgear.planner.simulate_kernel_call import arrive, complete, deliver, done, first_token, free_zombie, rested
from switchgear.planner.simulate_kernel_fail import fail, give_up, refused, retry
from switchgear.planner.simulate_kernel_queues import dequeue, prefix_slot, timer_pop, timer_push
from switchgear.planner.simulate_kernel_unit import (
    begin,
    broken_off,
    close_steps,
    cut,
    finished,
    keep_blocks,
    leave,
    prefilled,
    so_far,
)

READY, FLUSH, GROW = 0, 1, 2
"""Why the loop came back: all is done; `ended` must be emptied; a table is too small."""


@compiled
def end_steps(k: State, a: Arrivals, unit: int, now_s: float) -> None:
    """A step, or a run of them, is over."""
    close_steps(k, unit)
    u = k.units[unit]
    while True:
        call = finished(k, unit)
        if call == NOBODY:
            break
        if k.calls[call].status == ZOMBIE:
            u.doomed -= 1
            free_zombie(k, call)
        else:
            done(k, call, now_s)
    while True:
        call = prefilled(k, unit)
        if call == NOBODY:
            break
        c = k.calls[call]
        if c.status == ZOMBIE:
            u.doomed -= 1
            leave(k, unit, call)
            free_zombie(k, call)
            continue
        first_token(k, call, now_s)
        if k.places[u.place].prefix_cache and c.part == k.world[0].part and a.block_ends.size:
            keep_blocks(k, unit, a.block_ids, a.block_ends[c.row], a.block_ends[c.row + 1])
        if c.joined < 0:
            leave(k, unit, call)
            done(k, call, now_s)
    call = u.run_head
    while u.doomed > 0 and call != NOBODY:
        after = k.calls[call].next
        if k.calls[call].status == ZOMBIE:
            u.doomed -= 1
            leave(k, unit, call)
            free_zombie(k, call)
        call = after
    begin(k, unit, now_s)


@compiled
def _wipe(k: State, unit: int, now_s: float) -> None:
    """A unit went off: nothing of what it had is left."""
    u = k.units[unit]
    broken_off(k, unit, now_s)
    call = u.run_head
    while call != NOBODY:
        after = k.calls[call].next
        if k.calls[call].status == ZOMBIE:
            free_zombie(k, call)
        call = after
    dequeue(k, unit)
    u.mode, u.decoding, u.running, u.context, u.load, u.waiting, u.finishing, u.doomed = IDLE, 0, 0, 0, 0, 0, 0, 0
    u.wait_head = u.wait_tail = u.run_head = u.run_tail = u.first_prefill = NOBODY
    u.free = k.places[u.place].kv_blocks
    u.written += 2 * u.free * 16  # its cache is gone
    for i in range(16):
        k.phase[unit, i] = 0


@compiled
def _lose(k: State, a: Arrivals, place: int, first: int, last: int, now_s: float) -> None:
    """The attempts of a place at some of its units fail, in the order in which they were asked: the connection is gone."""
    call, end = k.places[place].all_head, k.places[place].all_tail
    while call != NOBODY:
        after = k.calls[call].all_next
        at_end = call == end  # who asks again now is not lost
        if k.places[place].observed or first <= k.calls[call].unit < last:
            fail(k, a, call, now_s, AGAIN, True, 0.0, LOST)
        if at_end:
            break
        call = after


@compiled
def edge(k: State, a: Arrivals, at: int) -> None:
    """A fault begins or ends."""
    e = k.edges[at]
    p = k.places[e.place]
    if e.kind == LINK_OFF or e.kind == LINK_ON:
        p.link_down = e.kind == LINK_OFF
        return
    if p.observed:
        p.up_units = 0 if e.kind == OFF else 1
        if e.kind == OFF:
            _lose(k, a, e.place, 0, 0, e.at_s)
        return
    for unit in range(e.first, e.last):
        u = k.units[unit]
        if e.kind == PACE:
            cut(k, unit, e.at_s)
            u.slow = e.value
        elif e.kind == OFF and not u.down:
            u.down = 1
            p.up_units -= 1
        elif e.kind == ON and u.down:
            u.down = 0
            p.up_units += 1
    if e.kind == OFF:
        for unit in range(e.first, e.last):
            _wipe(k, unit, e.at_s)
        _lose(k, a, e.place, e.first, e.last, e.at_s)


@compiled
def tick(k: State, place: int, now_s: float) -> None:
    """What the units of a place drew since the last tick, how warm that made them, and what clock that leaves."""
    p = k.places[place]
    for unit in range(p.first_unit, p.first_unit + p.units):
        u = k.units[unit]
        lasted_s = now_s - u.tick_at_s
        if lasted_s <= 0:
            continue
        more = so_far(k, unit, now_s)
        arithmetic_s, memory_s, busy_s = u.arithmetic_s + more[0], u.memory_s + more[1], u.busy_s + more[2]
        arithmetic = min(1.0, max(0.0, (arithmetic_s - u.tick_arithmetic_s) / lasted_s))
        memory = min(1.0, max(0.0, (memory_s - u.tick_memory_s) / lasted_s))
        busy = (busy_s - u.tick_busy_s) / lasted_s
        drawn_w = 0.0
        if not u.down:
            drawn_w = p.idle_w + p.arithmetic_w * arithmetic * u.clock**p.clock_exponent + p.memory_w * memory
            drawn_w = min(p.limit_w, drawn_w)
        u.energy_j += drawn_w * lasted_s
        if u.clock < 1.0:
            u.slow_s += lasted_s
        clock = 1.0
        if busy > 1e-9:
            spare_w = p.limit_w - p.idle_w - p.memory_w * min(1.0, memory / busy)
            wanted_w = p.arithmetic_w * min(1.0, arithmetic / busy)
            if wanted_w > spare_w:
                clock = max(0.1, max(0.0, spare_w / wanted_w) ** (1 / p.clock_exponent))
        if p.thermal:
            target_c = p.ambient_c + drawn_w * p.k_per_w
            u.temperature_c = target_c + (u.temperature_c - target_c) * math.exp(-lasted_s / p.tau_s)
            u.hottest_c = max(u.hottest_c, u.temperature_c)
            if u.temperature_c >= p.throttle_c:
                u.hot = 1
            elif u.temperature_c <= p.release_c:
                u.hot = 0
            if u.hot:
                clock = min(clock, p.throttle_clock)
        if abs(clock - u.clock) > 0.005:
            cut(k, unit, now_s)
            u.clock = clock
        u.tick_at_s, u.tick_arithmetic_s, u.tick_memory_s, u.tick_busy_s = now_s, arithmetic_s, memory_s, busy_s


@compiled
def on_timer(k: State, a: Arrivals) -> None:
    """The first timer is due."""
    t = k.timers[0]
    at_s, kind, who, stamp, value = t.at_s, t.kind, t.who, t.stamp, t.value
    timer_pop(k)
    if kind == TICK:
        tick(k, who, at_s)
        timer_push(k, at_s + k.places[who].tick_s, TICK, who, 0, 0.0)
        return
    if k.calls[who].stamp != stamp:
        return
    if kind == DELIVER:
        deliver(k, a, who, at_s)
    elif kind == DONE:
        complete(k, who, at_s)
    elif kind == RETRY:
        retry(k, a, who, at_s)
    elif kind == REFUSE:
        refused(k, a, who, at_s, value)
    elif kind == REST:
        rested(k, a, who, at_s)


@compiled
def due_place(k: State) -> tuple[float, int, int]:
    """The next time-out: when, of which place's oldest attempt, of its first token (0) or of its end (1)."""
    at_s, found, which = math.inf, NOBODY, 0
    for place in range(k.places.size):
        p = k.places[place]
        if p.first_head != NOBODY:
            limit_s = k.calls[p.first_head].asked_s + p.first_token_s
            if limit_s < at_s:
                at_s, found, which = limit_s, place, 0
        if p.all_head != NOBODY:
            limit_s = k.calls[p.all_head].asked_s + p.total_s
            if limit_s < at_s:
                at_s, found, which = limit_s, place, 1
    return at_s, found, which


@compiled
def time_out(k: State, a: Arrivals, place: int, which: int, now_s: float) -> None:
    """An attempt was silent for too long, or took too long."""
    p = k.places[place]
    call = p.first_head if which == 0 else p.all_head
    k.world[0].timeouts += 1
    fail(k, a, give_up(k, call, now_s), now_s, ELSEWHERE, True, 0.0, TIMED_OUT)


@compiled
def crowded(k: State) -> int:
    """Whether a table could overflow in the next event."""
    w = k.world[0]
    if w.ended_n + w.live + 8 > k.ended.size:
        return FLUSH
    if w.free_n < 4 or w.timers_n + 4 * w.live + 64 > k.timers.size or 2 * w.prefixes > k.prefixes.shape[0]:
        return GROW
    return READY


@compiled
def settle(k: State) -> None:
    """At the end: what was drawn since the last tick."""
    for place in range(k.places.size):
        if not k.places[place].observed:
            tick(k, place, k.world[0].now_s)


def _make(version: str) -> Callable[[State, Arrivals, int, bool, float], tuple[int, int]]:
    def run(k: State, a: Arrivals, row: int, final: bool, until_s: float) -> tuple[int, int]:
        """Go on from arrival `row`. Returns why it came back and the next arrival to take."""
        w = k.world[0]
        if version == "":
            return READY, row
        count = a.at_s.size
        while True:
            reason = crowded(k)
            if reason != READY:
                return reason, row
            arrival_s = a.at_s[row] if row < count else math.inf
            if row == count and (not final or w.live == 0):
                if final:
                    settle(k)
                return READY, row
            unit_s = k.units[k.units[0].queued].end_s if w.queued_n > 0 else math.inf
            timer_s = k.timers[0].at_s if w.timers_n > 0 else math.inf
            edge_s = k.edges[w.edge].at_s if w.edge < k.edges.size else math.inf
            due_s, place, which = due_place(k)
            now_s = min(arrival_s, unit_s, timer_s, edge_s, due_s)
            if now_s > until_s:
                return READY, row
            w.now_s = now_s
            w.events += 1
            if unit_s == now_s:
                end_steps(k, a, k.units[0].queued, now_s)
            elif edge_s == now_s:
                edge(k, a, w.edge)
                w.edge += 1
            elif timer_s == now_s:
                on_timer(k, a)
            elif due_s == now_s:
                time_out(k, a, place, which, now_s)
            else:
                arrive(k, a, row)
                row += 1

    return kept(run)


def _make_refill(version: str) -> Callable[[Ints, Ints, Ints, Ints], int]:
    def refill(table: Ints, old: Ints, written: Ints, room: Ints) -> int:
        """Put what is fresh of an `old` prefix table into an empty one, or, where that has no slot, only count it.

        Fresh is what its unit has not certainly pushed out: of `written` tokens no more than it has `room` for came later.
        """
        count = 0
        if version == "":
            return count
        for row in range(old.shape[0]):
            key = old[row, 0]
            if key == NOBODY:
                continue
            unit = key & 65_535
            if written[unit] - old[row, 1] > room[unit]:
                continue
            count += 1
            if table.shape[0] > 0:
                at = prefix_slot(table, key)
                table[at, 0], table[at, 1] = key, old[row, 1]
        return count

    return kept(refill)


refill = _make_refill(digest())
run = _make(digest())
