"""A unit of the fast simulation: continuous batching, leaping over runs of steps that differ only in how long the contexts are.

The engine is the emulator's (iteration-level scheduling, paged KV cache with push-out of the latest, chunked prefill behind decoding). As
long as nobody joins or leaves, each step of a batch takes a little longer than the one before, by the same amount: the time of a run of
steps is an arithmetic series, and the moment at which a newcomer is let in is a root of a quadratic. So the result is that of simulating
every step, at the price of one event for each change of the batch.
"""

import math

from switchgear.planner.simulate_arrays import IDLE, LEAP, MIXED, NOBODY, RUNNING, WAITING, ZOMBIE, State
from switchgear.planner.simulate_compile import compiled
from switchgear.planner.simulate_kernel_queues import (
    dequeue,
    enqueue,
    finish_drop,
    finish_pop,
    finish_push,
    prefix_mark,
    prefix_touch,
    run_append,
    run_remove,
    wait_prepend,
    wait_remove,
)

_BLOCK = 16
SERIAL_BITS = 24
"""Of a finish heap's key; what ends with the same step ends in order of admission."""


@compiled
def blocks_of(tokens: int) -> int:
    return (tokens + _BLOCK - 1) // _BLOCK


@compiled
def _remainder(k: State, unit: int, call: int) -> int:
    """At steps of this remainder a decoding sequence needs one more block."""
    c = k.calls[call]
    return int((c.joined - (c.prompt + c.generated) + 1) % _BLOCK)


@compiled
def _taken(k: State, unit: int, steps: int) -> int:
    """Blocks that the next `steps` steps take."""
    u = k.units[unit]
    cycles = steps // _BLOCK
    total = cycles * u.decoding
    for i in range(steps - cycles * _BLOCK):
        total += k.phase[unit, (u.done + i) % _BLOCK]
    return int(total)


@compiled
def _leave_batch(k: State, unit: int, call: int) -> None:
    """A running call lets go of its blocks and its seat; for a decoding one the batch gets smaller."""
    u = k.units[unit]
    c = k.calls[call]
    if c.joined >= 0:
        k.phase[unit, _remainder(k, unit, call)] -= 1
        known = c.prompt + c.generated + u.done - c.joined
        u.decoding -= 1
        u.context -= known
        u.free += blocks_of(known - 1)
        c.generated += u.done - c.joined
    else:
        u.free += c.blocks
    run_remove(k, unit, call)


@compiled
def _push_out(k: State, unit: int) -> None:
    """The latest comer makes room and is computed anew later."""
    call = k.units[unit].run_tail
    if k.calls[call].joined >= 0:
        finish_drop(k, unit, call)
    _leave_batch(k, unit, call)
    c = k.calls[call]
    c.joined, c.computed, c.status = NOBODY, 0, WAITING
    wait_prepend(k, unit, call)
    k.units[unit].preemptions += 1


@compiled
def _admit(k: State, unit: int, now_s: float, budget: int) -> int:
    """Let the first in the queue in while there are seats, tokens in the step and room for the whole prompt. Returns how many came."""
    u = k.units[unit]
    p = k.places[u.place]
    came = 0
    while u.waiting > 0 and budget > 0 and u.running < p.max_batch:
        call = u.wait_head
        c = k.calls[call]
        known = c.prompt + c.generated
        need = blocks_of(known)
        if need > u.free:
            break
        u.free -= need
        wait_remove(k, unit, call)
        c.blocks = need
        c.computed = min(c.cached, known - 1)
        u.tokens_hit += c.computed
        c.status = RUNNING
        c.serial = u.admitted & (1 << SERIAL_BITS) - 1
        u.admitted += 1
        if c.queue_s < 0:
            c.queue_s = now_s - c.submitted_s
        run_append(k, unit, call)
        came += 1
        budget -= known - c.computed
    return came


@compiled
def begin(k: State, unit: int, now_s: float) -> None:
    """Start the next step, or run of steps, at a boundary between two."""
    u = k.units[unit]
    p = k.places[u.place]
    while u.decoding > 0 and k.phase[unit, u.done % _BLOCK] > u.free:
        _push_out(k, unit)
    grows = k.phase[unit, u.done % _BLOCK] if u.decoding > 0 else 0
    u.free -= grows
    budget = p.step_tokens - u.decoding
    if u.waiting > 0:
        if u.first_prefill == NOBODY:
            _admit(k, unit, now_s, budget)
        else:
            left = budget
            call = u.first_prefill
            while call != NOBODY and left > 0:
                left -= k.calls[call].prompt + k.calls[call].generated - k.calls[call].computed
                call = k.calls[call].next
            if left > 0:
                _admit(k, unit, now_s, left)
    u.start_s = now_s
    u.factor = u.slow * u.weak
    if u.free < u.least_free:
        u.least_free = u.free
    if u.first_prefill != NOBODY:
        _begin_mixed(k, unit, budget)
    elif u.decoding > 0:
        u.free += grows  # counted with the rest of the run
        _begin_leap(k, unit)
    else:
        u.mode = IDLE
        dequeue(k, unit)
        return
    enqueue(k, unit)


@compiled
def _begin_mixed(k: State, unit: int, budget: int) -> None:
    """One step with pieces of prompts in it."""
    u = k.units[unit]
    p = k.places[u.place]
    tokens, pairs, context, ended = 0, 0.0, 0, 0
    call = u.first_prefill
    while call != NOBODY and budget > 0:
        c = k.calls[call]
        rest = c.prompt + c.generated - c.computed
        size = min(rest, budget)
        c.chunk = size
        budget -= size
        tokens += size
        pairs += size * c.computed + size * (size + 1) / 2
        context += c.computed
        if size == rest:
            ended += 1
        call = c.next
    if call != NOBODY:
        k.calls[call].chunk = 0
    b = u.decoding
    all_tokens, sampled = b + tokens, b + ended
    u.a0 = (all_tokens * p.token_s + sampled * p.sampled_s + (pairs * p.pair_s + u.context * p.cached_pair_s)) / u.clock
    u.b0 = p.weights_s + p.experts_s * (1 - p.expert_miss**all_tokens) + (u.context + context + all_tokens) * p.cached_s
    overhead = p.fixed_s + all_tokens * p.exchange_token_s + sampled * p.sequence_s
    u.a1, u.b1, u.d1 = 0.0, 0.0, 0.0
    u.d0 = (max(u.a0, u.b0) + overhead) * u.factor
    u.steps = 1
    u.mode = MIXED
    u.tokens_in += tokens
    u.end_s = u.start_s + u.d0


@compiled
def _begin_leap(k: State, unit: int) -> None:
    """A run of steps in which the same sequences decode: until one ends, the cache is full, or the other side of the roofline counts."""
    u = k.units[unit]
    p = k.places[u.place]
    b = u.decoding
    u.a0 = (b * (p.token_s + p.sampled_s) + u.context * p.cached_pair_s) / u.clock
    u.a1 = b * p.cached_pair_s / u.clock
    u.b0 = p.weights_s + p.experts_s * (1 - p.expert_miss**b) + (u.context + b) * p.cached_s
    u.b1 = b * p.cached_s
    overhead = p.fixed_s + b * (p.exchange_token_s + p.sequence_s)
    steps = (k.finish[unit, 0, 0] >> SERIAL_BITS) - u.done
    arithmetic = u.a0 >= u.b0
    gap, gain = (u.a0 - u.b0, u.b1 - u.a1) if arithmetic else (u.b0 - u.a0, u.a1 - u.b1)
    if gain > 0 and gap / gain + 1 < steps:
        steps = int(gap / gain) + 1
    if _taken(k, unit, steps) > u.free:
        steps = min(steps, u.free // b * _BLOCK + _BLOCK)
        while _taken(k, unit, steps) > u.free:
            steps -= 1
    u.steps = max(1, steps)
    u.d0 = ((u.a0 if arithmetic else u.b0) + overhead) * u.factor
    u.d1 = (u.a1 if arithmetic else u.b1) * u.factor
    u.mode = LEAP
    u.end_s = u.start_s + _series(u.d0, u.d1, u.steps)


@compiled
def _series(first: float, more: float, count: float) -> float:
    return count * first + more * count * (count - 1) / 2


@compiled
def _whole_steps(k: State, unit: int, now_s: float) -> int:
    """How many steps of the present run are over by `now_s`."""
    u = k.units[unit]
    past_s = now_s - u.start_s
    half = u.d1 / 2
    linear = u.d0 - half
    root = math.sqrt(linear * linear + 4 * half * past_s)
    steps = max(0, min(int((root - linear) / (2 * half) if half > 0 else past_s / u.d0), u.steps))
    while steps > 0 and u.start_s + _series(u.d0, u.d1, steps) > now_s:
        steps -= 1
    while steps < u.steps and u.start_s + _series(u.d0, u.d1, steps + 1) <= now_s:
        steps += 1
    return int(steps)


@compiled
def cut(k: State, unit: int, now_s: float) -> None:
    """Let a run of steps end at the first boundary from `now_s` on: somebody wants to join, or the pace changes."""
    u = k.units[unit]
    if u.mode != LEAP or u.steps == 1:
        return
    steps = _whole_steps(k, unit, now_s)
    if steps == 0 or u.start_s + _series(u.d0, u.d1, steps) < now_s:
        steps += 1
    if steps < u.steps:
        u.steps = steps
        u.end_s = u.start_s + _series(u.d0, u.d1, steps)
        enqueue(k, unit)


@compiled
def so_far(k: State, unit: int, now_s: float) -> tuple[float, float, float]:
    """Seconds of the present run until now that arithmetic was busy, that memory was, and that the unit computed."""
    u = k.units[unit]
    if u.mode == IDLE:
        return 0.0, 0.0, 0.0
    n = _whole_steps(k, unit, now_s)
    part = 0.0
    if n < u.steps:
        part = (now_s - u.start_s - _series(u.d0, u.d1, n)) / (u.d0 + u.d1 * n)
    arithmetic_s = (_series(u.a0, u.a1, n) + part * (u.a0 + u.a1 * n)) * u.factor
    memory_s = (_series(u.b0, u.b1, n) + part * (u.b0 + u.b1 * n)) * u.factor
    return arithmetic_s, memory_s, min(now_s, u.end_s) - u.start_s


@compiled
def broken_off(k: State, unit: int, now_s: float) -> None:
    """The unit goes off in the middle of a run: count what it did until now."""
    u = k.units[unit]
    arithmetic_s, memory_s, busy_s = so_far(k, unit, now_s)
    u.arithmetic_s += arithmetic_s
    u.memory_s += memory_s
    u.busy_s += busy_s
    u.batch_s += busy_s * u.running
    if u.mode == LEAP:
        u.tokens_out += u.decoding * _whole_steps(k, unit, now_s)


@compiled
def close_steps(k: State, unit: int) -> None:
    """Count what a step, or a run of them, did. Sequences that ended then stand on top of the finish heap."""
    u = k.units[unit]
    b, n = u.decoding, u.steps
    lasted_s = u.end_s - u.start_s
    u.arithmetic_s += _series(u.a0, u.a1, n) * u.factor
    u.memory_s += _series(u.b0, u.b1, n) * u.factor
    u.busy_s += lasted_s
    u.batch_s += lasted_s * u.running
    if u.mode == LEAP:
        u.free -= _taken(k, unit, n)
    u.tokens_out += b * n
    u.done += n
    u.context += b * n
    if u.free < u.least_free:
        u.least_free = u.free
    u.mode = IDLE


@compiled
def prefilled(k: State, unit: int) -> int:
    """The first prompt that the step took in to its end, as one that decodes from now on; NOBODY when there is none left."""
    u = k.units[unit]
    call = u.first_prefill
    if call == NOBODY or k.calls[call].chunk == 0:
        return NOBODY
    c = k.calls[call]
    c.computed += c.chunk
    u.written += c.chunk
    c.chunk = 0
    if c.computed < c.prompt + c.generated:
        return NOBODY
    u.first_prefill = c.next
    if c.generated < c.output:
        c.generated += 1
        u.tokens_out += 1
    if c.status != ZOMBIE and c.generated < c.output:
        c.joined = u.done
        u.decoding += 1
        u.context += c.prompt + c.generated
        k.phase[unit, _remainder(k, unit, call)] += 1
        finish_push(k, unit, (u.done + c.output - c.generated) << SERIAL_BITS | c.serial, call)
    return int(call)


@compiled
def finished(k: State, unit: int) -> int:
    """The next sequence that has all its tokens, out of the batch; NOBODY when there is none left."""
    u = k.units[unit]
    if u.finishing == 0 or k.finish[unit, 0, 0] >> SERIAL_BITS > u.done:
        return NOBODY
    call = finish_pop(k, unit)
    u.written += k.calls[call].output
    _leave_batch(k, unit, call)
    return call


@compiled
def leave(k: State, unit: int, call: int) -> None:
    """Take a running call out between two steps."""
    if k.calls[call].joined >= 0:
        finish_drop(k, unit, call)
    _leave_batch(k, unit, call)


@compiled
def cached_tokens(k: State, unit: int, call: int, ids: object, start: int, stop: int, block_tokens: int) -> int:
    """Tokens of a prompt's beginning that the unit's cache should still hold: blocks written to since no more than it has room for.

    A bound on the distance in the order of least recent use (Mattson et al., "Evaluation techniques for storage hierarchies", 1970): what
    was written since the block was last used, used again or not, is at least what stands between.
    """
    u = k.units[unit]
    room = u.free * _BLOCK
    hit = 0
    for row in range(start, stop):
        mark = prefix_mark(k, unit, ids[row])  # type: ignore[index]  # an array; numba knows its type
        if mark == NOBODY or u.written - mark > room:
            break
        hit += block_tokens
    return min(hit, int(k.calls[call].prompt))


@compiled
def keep_blocks(k: State, unit: int, ids: object, start: int, stop: int) -> None:
    """A prompt's blocks are in the unit's cache from now on."""
    for row in range(start, stop):
        prefix_touch(k, unit, ids[row], k.units[unit].written)  # type: ignore[index]  # as above
