"""One call's way in the fast simulation: its candidates, its attempts, and how a good one ends (gateway.dispatch, in short)."""

import math

from switchgear.planner.simulate_arrays import (
    DELIVER,
    DONE,
    FULL,
    IDLE,
    NO_CANDIDATE,
    NO_REASON,
    NOBODY,
    NOWHERE,
    OK,
    REFUSE,
    REFUSED,
    REST,
    SEEN,
    TRAVELLING,
    WAITING,
    Arrivals,
    State,
)
from switchgear.planner.simulate_compile import compiled
from switchgear.planner.simulate_kernel_queues import asked_append, asked_remove, first_remove, timer_push, wait_append
from switchgear.planner.simulate_kernel_route import (
    arrange,
    breaker_began,
    breaker_completed,
    budget_call,
    busy,
    fits,
    fraction,
    observe,
)
from switchgear.planner.simulate_kernel_unit import begin, cached_tokens, cut

_ANSWER_BYTES = 4.0


@compiled
def _free_call(k: State, call: int) -> None:
    w = k.world[0]
    k.calls[call].stamp += 1
    k.calls[w.free_n].spare = call
    w.free_n += 1


@compiled
def free_zombie(k: State, call: int) -> None:
    """An attempt that nobody waits for any more has left its unit."""
    _free_call(k, call)


@compiled
def end(k: State, call: int, now_s: float, outcome: int, reason: int) -> None:
    """The call has its answer, or gets none."""
    w, c = k.world[0], k.calls[call]
    row = k.ended[w.ended_n]
    w.ended_n += 1
    w.live -= 1
    row.id, row.outcome, row.reason, row.place, row.rank = c.id, outcome, reason, c.place, c.rank
    row.attempts, row.at_s, row.e2e_s, row.queue_s = c.attempts, c.at_s, now_s - c.at_s, c.queue_s
    row.ttft_s, row.prompt, row.output, row.cached = c.ttft_s, c.prompt, c.output, c.cached
    _free_call(k, call)


@compiled
def arrive(k: State, a: Arrivals, row: int) -> None:
    """A call comes in: find its candidates, put them in order, ask the first."""
    w = k.world[0]
    w.free_n -= 1
    call = k.calls[w.free_n].spare
    w.live += 1
    c = k.calls[call]
    now_s = a.at_s[row]
    c.id, c.at_s, c.prompt, c.output, c.rank = a.first_id + row, now_s, a.prompt[row], a.output[row], a.rank[row]
    c.row, c.part, c.deadline_s = row, w.part, now_s + w.deadline_s
    c.attempts, c.draws, c.order_n, c.generated, c.cached, c.tried, c.rescued = 0, 0, 0, 0, 0, 0, 0
    c.place, c.unit, c.status, c.queue_s, c.ttft_s = NOBODY, NOBODY, NOWHERE, -1.0, math.nan
    g = a.groups[a.group[row]]
    c.may, c.may_first, c.may_next, c.may_again, c.may_rescue, c.may_differ = g[0], g[1], g[2], g[3], g[4], g[5]
    if c.may == 0:
        end(k, call, now_s, REFUSED, g[6])
        return
    budget_call(k, now_s)
    full, begins = False, False
    for place in range(k.places.size):
        if not fits(k, place, call):
            continue
        if busy(k, place, now_s):
            full = True
            continue
        k.order[call, c.order_n] = place
        c.order_n += 1
        begins = begins or c.may_first >> place & 1 != 0
    if not begins:
        end(k, call, now_s, REFUSED, FULL if full else NO_CANDIDATE)
        return
    arrange(k, call, now_s)
    for place in range(k.places.size):
        k.again[call, 0, place] = math.inf
    c.remaining = (1 << c.order_n) - 2
    ask_first(k, a, call, now_s)


@compiled
def ask_first(k: State, a: Arrivals, call: int, now_s: float) -> None:
    """Ask the first candidate, after the rest that it asked for where everybody did."""
    c = k.calls[call]
    rest_until_s = k.places[k.order[call, 0]].rest_until_s
    if rest_until_s > now_s and rest_until_s < c.deadline_s:
        timer_push(k, rest_until_s, REST, call, c.stamp, 0.0)
        return
    ask(k, a, call, k.order[call, 0], now_s)


@compiled
def rested(k: State, a: Arrivals, call: int, now_s: float) -> None:
    """The rest is over, and things may have changed: whoever is free and rests for the shortest time is first."""
    c = k.calls[call]
    order, n = k.order[call], 0
    for i in range(c.order_n):
        if not busy(k, order[i], now_s):
            order[n] = order[i]
            n += 1
    for i in range(1, n):
        place, j = order[i], i
        while j > 0 and _after(k, call, order[j - 1], place, now_s):
            order[j] = order[j - 1]
            j -= 1
        order[j] = place
    if n == 0 or not c.may_first >> order[0] & 1:
        end(k, call, now_s, REFUSED, FULL)
        return
    c.order_n = n
    c.remaining = (1 << n) - 2
    ask_first(k, a, call, now_s)


@compiled
def _after(k: State, call: int, one: int, other: int, now_s: float) -> bool:
    """Whether one place comes after the other: a first attempt may not go there, or it rests for longer."""
    first = k.calls[call].may_first
    if (first >> one & 1) != (first >> other & 1):
        return bool(first >> other & 1)
    return bool(max(k.places[one].rest_until_s, now_s) > max(k.places[other].rest_until_s, now_s))


@compiled
def ask(k: State, a: Arrivals, call: int, place: int, now_s: float) -> None:
    """One attempt: on its way to the place, or refused by it."""
    p, c = k.places[place], k.calls[call]
    c.probe = breaker_began(k, place, now_s)
    p.in_flight += 1
    if p.in_flight > p.peak_in_flight:
        p.peak_in_flight = p.in_flight
    c.place, c.unit, c.asked_s, c.first_s = place, NOBODY, now_s, math.inf
    c.attempts += 1
    c.cached = 0
    asked_append(k, place, call)
    if now_s + p.total_s > c.deadline_s:
        timer_push(k, c.deadline_s, REFUSE, call, c.stamp, -2.0)
    if p.link_down:
        c.status = TRAVELLING
        timer_push(k, now_s + p.connect_s, REFUSE, call, c.stamp, -3.0)
        return
    if p.observed:
        c.status = SEEN
        _ask_seen(k, call, place, now_s)
        return
    if p.link_s == 0.0 and p.link_byte_s == 0.0:
        deliver(k, a, call, now_s)
        return
    sent_s = c.prompt * _ANSWER_BYTES * p.link_byte_s
    begins_s = max(now_s, p.link_free_s)
    p.link_free_s = begins_s + sent_s
    p.link_busy_s += sent_s
    c.status = TRAVELLING
    timer_push(k, p.link_free_s + p.link_s, DELIVER, call, c.stamp, 0.0)


@compiled
def _ask_seen(k: State, call: int, place: int, now_s: float) -> None:
    """A cloud: an even rate limit, then times from their distribution."""
    w, p, c = k.world[0], k.places[place], k.calls[call]
    per_s = p.per_minute / 60.0
    p.credit = min(p.per_minute, p.credit + (now_s - p.credit_s) * per_s)
    p.credit_s = now_s
    if p.up_units == 0:
        timer_push(k, now_s + 2 * p.link_s, REFUSE, call, c.stamp, -1.0)
        return
    if p.credit < 1.0:
        timer_push(k, now_s + 2 * p.link_s, REFUSE, call, c.stamp, max(1.0, math.ceil((1.0 - p.credit) / per_s)))
        return
    p.credit -= 1.0
    one, two = fraction(w.seed, c.id, c.draws), fraction(w.seed, c.id, c.draws + 1)
    c.draws += 2
    normal = math.sqrt(-2 * math.log(1 - one)) * math.cos(2 * math.pi * two)
    first_s = now_s + math.exp(p.mu + p.sigma * normal) + 2 * p.link_s
    c.queue_s = 0.0 if c.queue_s < 0 else c.queue_s
    if first_s - now_s > p.first_token_s:
        return  # its time-out comes first
    c.first_s = first_s
    first_remove(k, place, call)
    timer_push(k, first_s + max(0, c.output - 1) * p.gap_s, DONE, call, c.stamp, 0.0)


@compiled
def _unit_for(k: State, a: Arrivals, call: int, place: int) -> int:
    """The unit that the place's own balancer picks; NOBODY when all are off."""
    w, p, c = k.world[0], k.places[place], k.calls[call]
    if p.up_units == 0:
        return NOBODY
    first, n = p.first_unit, p.units
    if n == 1:
        return int(first)
    if p.balance == 1 and p.up_units == n:
        one = int(fraction(w.seed, c.id, c.draws) * n)
        two = int(fraction(w.seed, c.id, c.draws + 1) * (n - 1))
        c.draws += 2
        if two >= one:
            two += 1
        return int(first + (one if k.units[first + one].load <= k.units[first + two].load else two))
    if p.balance == 2:
        for _ in range(n):
            p.turn = (p.turn + 1) % n
            if not k.units[first + p.turn].down:
                return int(first + p.turn)
    if p.balance == 3 and c.part == w.part and a.block_ends.size:
        start = a.block_ends[c.row]
        if start < a.block_ends[c.row + 1]:
            at = int(fraction(w.seed, a.block_ids[start], 0) * n)
            for _ in range(n):
                u = k.units[first + at]
                if not u.down and u.load * p.up_units <= 2 * p.in_flight:
                    return int(first + at)
                at = (at + 1) % n
    best = NOBODY
    for unit in range(first, first + n):
        if not k.units[unit].down and (best == NOBODY or k.units[unit].load < k.units[best].load):
            best = unit
    return int(best)


@compiled
def deliver(k: State, a: Arrivals, call: int, now_s: float) -> None:
    """An attempt has reached its place."""
    w, c = k.world[0], k.calls[call]
    place = c.place
    p = k.places[place]
    unit = _unit_for(k, a, call, place)
    c.status = TRAVELLING
    if unit == NOBODY:
        timer_push(k, now_s + p.link_s, REFUSE, call, c.stamp, -1.0)
        return
    if p.request_s > 0 and c.unit == NOBODY:  # the server's front, then the engine
        c.unit = unit
        timer_push(k, now_s + p.request_s, DELIVER, call, c.stamp, 0.0)
        k.units[unit].load += 1
        return
    if c.unit != NOBODY:
        unit = c.unit
    else:
        k.units[unit].load += 1
    c.unit, c.status = unit, WAITING
    c.joined, c.computed, c.chunk, c.blocks = NOBODY, 0, 0, 0
    c.submitted_s = now_s
    if p.prefix_cache and c.part == w.part and a.block_ends.size:
        start, stop = a.block_ends[c.row], a.block_ends[c.row + 1]
        c.cached = cached_tokens(k, unit, call, a.block_ids, start, stop, a.block_tokens)
    u = k.units[unit]
    wait_append(k, unit, call)
    if u.mode == IDLE:
        begin(k, unit, now_s)
    elif u.waiting == 1 and u.running < p.max_batch:
        cut(k, unit, now_s)


@compiled
def first_token(k: State, call: int, at_s: float) -> None:
    c = k.calls[call]
    p = k.places[c.place]
    if c.first_s == math.inf:
        c.first_s = at_s + p.link_s
        first_remove(k, c.place, call)


@compiled
def complete(k: State, call: int, now_s: float) -> None:
    """A whole answer."""
    c = k.calls[call]
    place = c.place
    p = k.places[place]
    p.in_flight -= 1
    first_remove(k, place, call)
    asked_remove(k, place, call)
    first_s = min(c.first_s, now_s)
    if math.isnan(c.ttft_s):
        c.ttft_s = first_s - c.at_s
    observe(k, place, first_s - c.asked_s, now_s)
    breaker_completed(k, place, now_s, True, now_s - c.asked_s, c.probe != 0)
    end(k, call, now_s, OK, NO_REASON)


@compiled
def done(k: State, call: int, now_s: float) -> None:
    """The last token left its unit; it may have a way to go."""
    p = k.places[k.calls[call].place]
    k.units[k.calls[call].unit].load -= 1
    k.calls[call].unit = NOBODY
    if p.link_s > 0 or p.link_byte_s > 0:
        k.calls[call].status = SEEN
        timer_push(k, now_s + p.link_s, DONE, call, k.calls[call].stamp, 0.0)
    else:
        complete(k, call, now_s)
