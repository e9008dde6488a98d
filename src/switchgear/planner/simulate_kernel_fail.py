"""What follows a failed attempt in the fast simulation: the next candidate, a wait, or the end (gateway.chain, gateway.failure)."""

import math

from switchgear.planner.simulate_arrays import (
    AGAIN,
    BROKEN,
    BROKEN_PLACE,
    ELSEWHERE,
    FAILED,
    FULL,
    NOBODY,
    NOWHERE,
    RETRY,
    RUNNING,
    TIMED_OUT,
    TRAVELLING,
    WAITING,
    ZOMBIE,
    Arrivals,
    State,
)
from switchgear.planner.simulate_compile import compiled
from switchgear.planner.simulate_kernel_call import ask, end
from switchgear.planner.simulate_kernel_queues import asked_remove, first_remove, timer_push, wait_remove
from switchgear.planner.simulate_kernel_route import breaker_completed, breaker_wait_s, budget_take, busy, fraction
from switchgear.planner.simulate_kernel_unit import cut


@compiled
def give_up(k: State, call: int, now_s: float) -> int:
    """Take an attempt back from its unit. Returns the row that goes on with the call: another, while this one must end its step."""
    c = k.calls[call]
    if c.status == WAITING:
        unit = c.unit
        k.units[unit].load -= 1
        head = k.units[unit].wait_head == call
        wait_remove(k, unit, call)
        if head:
            cut(k, unit, now_s)
        return call
    if c.status == RUNNING:
        w = k.world[0]
        w.free_n -= 1
        other = k.calls[w.free_n].spare
        _copy(k, call, other)
        place = c.place
        asked_remove(k, place, call)
        first_remove(k, place, call)
        k.calls[other].first_prev = -2
        k.calls[other].all_prev = -2
        unit = c.unit
        c.status = ZOMBIE
        c.stamp += 1
        k.units[unit].load -= 1
        k.units[unit].doomed += 1
        cut(k, unit, now_s)
        return int(other)
    if c.status == TRAVELLING and c.unit != NOBODY:
        k.units[c.unit].load -= 1
    return call


@compiled
def _copy(k: State, call: int, other: int) -> None:
    c, o = k.calls[call], k.calls[other]
    o.id, o.at_s, o.prompt, o.output, o.rank, o.row, o.part = c.id, c.at_s, c.prompt, c.output, c.rank, c.row, c.part
    o.deadline_s, o.attempts, o.draws, o.order_n, o.remaining = (
        c.deadline_s,
        c.attempts,
        c.draws,
        c.order_n,
        c.remaining,
    )
    o.place, o.unit, o.asked_s, o.first_s, o.ttft_s = c.place, c.unit, c.asked_s, c.first_s, c.ttft_s
    o.probe, o.queue_s, o.cached, o.tried, o.rescued, o.generated = c.probe, c.queue_s, c.cached, c.tried, c.rescued, 0
    o.may_next, o.may_again, o.may_rescue = c.may_next, c.may_again, c.may_rescue
    for i in range(k.order.shape[1]):
        k.order[other, i] = k.order[call, i]
        k.again[other, 0, i] = k.again[call, 0, i]


@compiled
def fail(
    k: State, a: Arrivals, call: int, now_s: float, follows: int, blames: bool, rest_s: float, reason: int
) -> None:
    """An attempt failed: tell the breaker, and see what is left."""
    w, c = k.world[0], k.calls[call]
    place = c.place
    p = k.places[place]
    p.in_flight -= 1
    if c.all_prev != -2:
        asked_remove(k, place, call)
        first_remove(k, place, call)
    if rest_s > 0:
        p.rest_until_s = now_s + rest_s
    if blames:
        breaker_completed(k, place, now_s, False, now_s - c.asked_s, c.probe != 0)
    elif c.probe:
        p.probing = 0
    c.stamp += 1
    c.status = NOWHERE
    c.generated = 0
    committed = c.first_s <= now_s
    if committed and math.isnan(c.ttft_s):
        c.ttft_s = c.first_s - c.at_s
    committed = not math.isnan(c.ttft_s)
    k.again[call, 0, place] = math.inf
    wait_s = 0.0
    if follows == AGAIN:
        bound_s = min(w.max_backoff_s, w.backoff_s * 2.0 ** (c.tried >> 3 * place & 7))
        wait_s = rest_s if rest_s > 0 else fraction(w.seed, c.id, c.draws) * bound_s
        c.draws += 0 if rest_s > 0 else 1
        k.again[call, 0, place] = now_s + wait_s
    if c.tried >> 3 * place & 7 < 7:  # three bits for each place
        c.tried += 1 << 3 * place
    if committed:
        _rescue(k, a, call, now_s, reason)
    else:
        _go_on(k, a, call, now_s, reason)


@compiled
def _rescue(k: State, a: Arrivals, call: int, now_s: float, reason: int) -> None:
    """A stream broke: have the whole answer given again by who is free now (gateway.chain.rescuers)."""
    w, c = k.world[0], k.calls[call]
    if w.rescue and c.attempts <= w.attempts and now_s < c.deadline_s:
        for new in range(2):
            for i in range(c.order_n):
                place = k.order[call, i]
                open_to_it = c.remaining >> i & 1 if new == 0 else k.again[call, 0, place] < math.inf
                rests = k.places[place].rest_until_s > now_s
                if (
                    not c.may_rescue >> place & 1
                    or not open_to_it
                    or c.rescued >> i & 1
                    or rests
                    or busy(k, place, now_s)
                ):
                    continue
                if not budget_take(k, now_s):
                    break
                c.rescued |= 1 << i
                ask(k, a, call, place, now_s)
                return
    end(k, call, now_s, BROKEN, reason)


@compiled
def _go_on(k: State, a: Arrivals, call: int, now_s: float, reason: int) -> None:
    """Ask the next candidate, now or after a wait; without one, end (gateway.chain.next)."""
    w, c = k.world[0], k.calls[call]
    if c.attempts >= w.attempts or now_s >= c.deadline_s:
        end(k, call, now_s, FAILED, reason)
        return
    for i in range(c.order_n):
        place = k.order[call, i]
        if not c.remaining >> i & 1 or not c.may_next >> place & 1:
            continue
        if not busy(k, place, now_s) and k.places[place].rest_until_s <= now_s:
            if not budget_take(k, now_s):
                end(k, call, now_s, FAILED, reason)
                return
            c.remaining &= ~(1 << i)
            ask(k, a, call, place, now_s)
            return
    best, best_s = NOBODY, math.inf
    for i in range(c.order_n):
        place = k.order[call, i]
        when_s = k.again[call, 0, place]
        if when_s < best_s and c.may_again >> place & 1 and _open_by(k, place, when_s, now_s):
            best, best_s = place, when_s
    if best == NOBODY or max(best_s, now_s) >= c.deadline_s or not budget_take(k, now_s):
        end(k, call, now_s, FAILED, reason)
        return
    c.next_place = best
    timer_push(k, max(best_s, now_s), RETRY, call, c.stamp, 0.0)


@compiled
def _open_by(k: State, place: int, when_s: float, now_s: float) -> bool:
    if when_s <= now_s:
        return not busy(k, place, now_s)
    return bool(breaker_wait_s(k, place, now_s) <= when_s - now_s)


@compiled
def retry(k: State, a: Arrivals, call: int, now_s: float) -> None:
    """The wait is over; meanwhile others may have taken the place or broken it."""
    c = k.calls[call]
    place = c.next_place
    if busy(k, place, now_s):
        k.again[call, 0, place] = math.inf
        _go_on(k, a, call, now_s, BROKEN_PLACE)
    else:
        ask(k, a, call, place, now_s)


@compiled
def refused(k: State, a: Arrivals, call: int, now_s: float, value: float) -> None:
    """What a refusal's timer says: a rest asked for (429), a place that is off, a deadline, a link that is out."""
    if value > 0:
        fail(k, a, call, now_s, AGAIN, False, value, FULL)
    elif value == -1.0:
        fail(k, a, call, now_s, AGAIN, True, 0.0, BROKEN_PLACE)
    else:
        k.world[0].timeouts += 1
        fail(k, a, give_up(k, call, now_s), now_s, ELSEWHERE, True, 0.0, TIMED_OUT if value == -2.0 else BROKEN_PLACE)
