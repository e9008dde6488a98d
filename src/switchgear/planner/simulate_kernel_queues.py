"""Heaps and lists of the fast simulation. Each names rows of the tables in `simulate_arrays`."""

from switchgear.planner.simulate_arrays import NOBODY, Ints, State
from switchgear.planner.simulate_compile import compiled

_MASK = (1 << 63) - 1


# -- units by the end of what they do: an indexed heap --


@compiled
def _settle_up(k: State, at: int) -> int:
    unit = k.units[at].queued
    end_s = k.units[unit].end_s
    while at > 0:
        above = (at - 1) >> 1
        other = k.units[above].queued
        if k.units[other].end_s <= end_s:
            break
        k.units[at].queued = other
        k.units[other].pos = at
        at = above
    k.units[at].queued = unit
    k.units[unit].pos = at
    return at


@compiled
def _settle_down(k: State, at: int) -> None:
    unit = k.units[at].queued
    end_s = k.units[unit].end_s
    count = k.world[0].queued_n
    while True:
        below = 2 * at + 1
        if below >= count:
            break
        if below + 1 < count and k.units[k.units[below + 1].queued].end_s < k.units[k.units[below].queued].end_s:
            below += 1
        other = k.units[below].queued
        if k.units[other].end_s >= end_s:
            break
        k.units[at].queued = other
        k.units[other].pos = at
        at = below
    k.units[at].queued = unit
    k.units[unit].pos = at


@compiled
def enqueue(k: State, unit: int) -> None:
    """A unit's `end_s` is new: put it where it belongs."""
    at = k.units[unit].pos
    if at == NOBODY:
        at = k.world[0].queued_n
        k.world[0].queued_n += 1
        k.units[at].queued = unit
        k.units[unit].pos = at
    _settle_down(k, _settle_up(k, at))


@compiled
def dequeue(k: State, unit: int) -> None:
    """A unit has nothing to do."""
    at = k.units[unit].pos
    if at == NOBODY:
        return
    k.units[unit].pos = NOBODY
    k.world[0].queued_n -= 1
    last = k.world[0].queued_n
    if at == last:
        return
    k.units[at].queued = k.units[last].queued
    k.units[k.units[at].queued].pos = at
    _settle_down(k, _settle_up(k, at))


# -- decoding sequences of a unit by their last step --


@compiled
def finish_push(k: State, unit: int, at_step: int, call: int) -> None:
    place = k.units[unit].finishing
    k.units[unit].finishing += 1
    steps, who = k.finish[unit, 0], k.finish[unit, 1]
    while place > 0:
        above = (place - 1) >> 1
        if steps[above] <= at_step:
            break
        steps[place] = steps[above]
        who[place] = who[above]
        place = above
    steps[place] = at_step
    who[place] = call


@compiled
def _finish_sink(k: State, unit: int, place: int) -> None:
    """What stands last takes the place of what was taken out at `place`."""
    count = k.units[unit].finishing
    steps, who = k.finish[unit, 0], k.finish[unit, 1]
    at_step, call = steps[count], who[count]
    while place > 0 and steps[(place - 1) >> 1] > at_step:  # it may be smaller than what stands above
        above = (place - 1) >> 1
        steps[place] = steps[above]
        who[place] = who[above]
        place = above
    while True:
        below = 2 * place + 1
        if below >= count:
            break
        if below + 1 < count and steps[below + 1] < steps[below]:
            below += 1
        if steps[below] >= at_step:
            break
        steps[place] = steps[below]
        who[place] = who[below]
        place = below
    steps[place] = at_step
    who[place] = call


@compiled
def finish_pop(k: State, unit: int) -> int:
    call = k.finish[unit, 1, 0]
    k.units[unit].finishing -= 1
    if k.units[unit].finishing:
        _finish_sink(k, unit, 0)
    return int(call)


@compiled
def finish_drop(k: State, unit: int, call: int) -> None:
    """A sequence that will not finish: pushed out, or given up."""
    count = k.units[unit].finishing
    for place in range(count):
        if k.finish[unit, 1, place] == call:
            k.units[unit].finishing -= 1
            if place < count - 1:
                _finish_sink(k, unit, place)
            return


# -- timers --


@compiled
def timer_push(k: State, at_s: float, kind: int, who: int, stamp: int, value: float) -> None:
    w = k.world[0]
    place = w.timers_n
    order = w.timer_order
    w.timers_n += 1
    w.timer_order += 1
    timers = k.timers
    while place > 0:
        above = (place - 1) >> 1
        if timers[above].at_s <= at_s:
            break
        timers[place] = timers[above]
        place = above
    timers[place].at_s = at_s
    timers[place].order = order
    timers[place].kind = kind
    timers[place].who = who
    timers[place].stamp = stamp
    timers[place].value = value


@compiled
def _sooner(k: State, one: int, other: int) -> bool:
    a, b = k.timers[one], k.timers[other]
    return bool(a.at_s < b.at_s or (a.at_s == b.at_s and a.order < b.order))


@compiled
def timer_pop(k: State) -> None:
    """Take the first away; read it before."""
    w = k.world[0]
    w.timers_n -= 1
    count = w.timers_n
    place = 0
    while True:
        below = 2 * place + 1
        if below >= count:
            break
        if below + 1 < count and _sooner(k, below + 1, below):
            below += 1
        if not _sooner(k, below, count):
            break
        k.timers[place] = k.timers[below]
        place = below
    k.timers[place] = k.timers[count]


# -- a unit's waiting and running calls, in order --


@compiled
def wait_append(k: State, unit: int, call: int) -> None:
    u = k.units[unit]
    k.calls[call].prev = u.wait_tail
    k.calls[call].next = NOBODY
    if u.wait_tail == NOBODY:
        u.wait_head = call
    else:
        k.calls[u.wait_tail].next = call
    u.wait_tail = call
    u.waiting += 1


@compiled
def wait_prepend(k: State, unit: int, call: int) -> None:
    u = k.units[unit]
    k.calls[call].next = u.wait_head
    k.calls[call].prev = NOBODY
    if u.wait_head == NOBODY:
        u.wait_tail = call
    else:
        k.calls[u.wait_head].prev = call
    u.wait_head = call
    u.waiting += 1


@compiled
def wait_remove(k: State, unit: int, call: int) -> None:
    u = k.units[unit]
    before, after = k.calls[call].prev, k.calls[call].next
    if before == NOBODY:
        u.wait_head = after
    else:
        k.calls[before].next = after
    if after == NOBODY:
        u.wait_tail = before
    else:
        k.calls[after].prev = before
    u.waiting -= 1


@compiled
def run_append(k: State, unit: int, call: int) -> None:
    """Prompts are taken in in order of admission, so those still being taken in are the end of the list."""
    u = k.units[unit]
    k.calls[call].prev = u.run_tail
    k.calls[call].next = NOBODY
    if u.run_tail == NOBODY:
        u.run_head = call
    else:
        k.calls[u.run_tail].next = call
    u.run_tail = call
    u.running += 1
    if u.first_prefill == NOBODY:
        u.first_prefill = call


@compiled
def run_remove(k: State, unit: int, call: int) -> None:
    u = k.units[unit]
    before, after = k.calls[call].prev, k.calls[call].next
    if before == NOBODY:
        u.run_head = after
    else:
        k.calls[before].next = after
    if after == NOBODY:
        u.run_tail = before
    else:
        k.calls[after].prev = before
    if u.first_prefill == call:
        u.first_prefill = after
    u.running -= 1


# -- a place's attempts in the order in which they were asked: all, and those without a first token --


@compiled
def asked_append(k: State, place: int, call: int) -> None:
    p = k.places[place]
    c = k.calls[call]
    c.all_prev, c.all_next = p.all_tail, NOBODY
    c.first_prev, c.first_next = p.first_tail, NOBODY
    if p.all_tail == NOBODY:
        p.all_head = call
    else:
        k.calls[p.all_tail].all_next = call
    p.all_tail = call
    if p.first_tail == NOBODY:
        p.first_head = call
    else:
        k.calls[p.first_tail].first_next = call
    p.first_tail = call


@compiled
def asked_remove(k: State, place: int, call: int) -> None:
    p = k.places[place]
    before, after = k.calls[call].all_prev, k.calls[call].all_next
    if before == NOBODY:
        p.all_head = after
    else:
        k.calls[before].all_next = after
    if after == NOBODY:
        p.all_tail = before
    else:
        k.calls[after].all_prev = before


@compiled
def first_remove(k: State, place: int, call: int) -> None:
    """Its first token is there. `first_prev` -2 says so."""
    c = k.calls[call]
    if c.first_prev == -2:
        return
    p = k.places[place]
    before, after = c.first_prev, c.first_next
    if before == NOBODY:
        p.first_head = after
    else:
        k.calls[before].first_next = after
    if after == NOBODY:
        p.first_tail = before
    else:
        k.calls[after].first_prev = before
    c.first_prev = -2


# -- which blocks of prompts a unit's cache holds: a hash table from unit and block to what was written by then --


@compiled
def prefix_slot(table: Ints, key: int) -> int:
    """Where a key is, or would be."""
    size = table.shape[0]
    at = (key * 0x9E3779B97F4A7C1 & _MASK) >> 17 & size - 1
    while table[at, 0] != NOBODY and table[at, 0] != key:
        at = at + 1 & size - 1
    return int(at)


@compiled
def prefix_mark(k: State, unit: int, block: int) -> int:
    """Tokens written to the unit's cache when it last had the block; NOBODY where it never had."""
    at = prefix_slot(k.prefixes, block * 65_536 + unit)
    return int(k.prefixes[at, 1]) if k.prefixes[at, 0] != NOBODY else NOBODY


@compiled
def prefix_touch(k: State, unit: int, block: int, written: int) -> None:
    key = block * 65_536 + unit
    at = prefix_slot(k.prefixes, key)
    if k.prefixes[at, 0] == NOBODY:
        k.prefixes[at, 0] = key
        k.world[0].prefixes += 1
    k.prefixes[at, 1] = written
