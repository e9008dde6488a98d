"""Routing in the fast simulation: the gateway's strategies, breaker, latency and budget once more, for compiled code.

They are held to the gateway's own by tests/planner/test_simulate_same_routing.py: the same states and the same draws give the same order,
the same breaker and the same budget. Change one, and that test fails until the other follows.
"""

import math

import numpy as np

from switchgear.planner.simulate_arrays import BUCKETS, CLOSED, HALF_OPEN, OPEN, State
from switchgear.planner.simulate_compile import compiled

STRATEGIES = ("priority", "weighted", "latency", "cost", "least-loaded")
"""In the order of `world.strategy`."""
_UNMEASURED_S = 1e6
_TAU_S = 10.0
_SURE = 0.75
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


# -- chance: one stream for each call, so that no event shifts the draws of another --


@compiled
def fraction(seed: int, call_id: int, draw: int) -> float:
    """Evenly distributed from 0 to below 1 (SplitMix64: Steele, Lea and Flood 2014)."""
    x = np.uint64(seed) * _GOLDEN + np.uint64(call_id) * _FIRST + np.uint64(draw) * _SECOND
    x ^= x >> np.uint64(30)
    x *= _FIRST
    x ^= x >> np.uint64(27)
    x *= _SECOND
    x ^= x >> np.uint64(31)
    return float(x >> np.uint64(11)) * (1.0 / 9007199254740992.0)


# -- breaker --


@compiled
def breaker_state(k: State, place: int, now_s: float) -> int:
    p = k.places[place]
    if p.state == OPEN and now_s - p.opened_s >= p.open_s:
        return HALF_OPEN
    return int(p.state)


@compiled
def breaker_allows(k: State, place: int, now_s: float) -> bool:
    p = k.places[place]
    if p.state == CLOSED:
        return True
    return breaker_state(k, place, now_s) == HALF_OPEN and not p.probing


@compiled
def breaker_began(k: State, place: int, now_s: float) -> bool:
    p = k.places[place]
    if p.state == CLOSED:
        return False
    p.state = breaker_state(k, place, now_s)
    if p.state == HALF_OPEN and not p.probing:
        p.probing = 1
        return True
    return False


@compiled
def _breaker_open(k: State, place: int, now_s: float) -> None:
    p = k.places[place]
    p.state = OPEN
    p.opened_s = now_s
    p.opened += 1


@compiled
def breaker_completed(k: State, place: int, now_s: float, good: bool, duration_s: float, probe: bool) -> None:
    p = k.places[place]
    if duration_s > p.slow_call_s:
        good = False
    if probe:
        p.probing = 0
        if good:
            p.state = CLOSED
            p.row = 0
            for i in range(BUCKETS):
                k.windows[2 * place, i] = k.windows[2 * place + 1, i] = 0
        else:
            _breaker_open(k, place, now_s)
        return
    if p.state != CLOSED:
        return
    if now_s >= p.slot_end_s:
        width_s = p.window_s / BUCKETS
        slot = int(now_s / width_s)
        for passed in range(max(p.slot + 1, slot - BUCKETS + 1), slot + 1):
            k.windows[2 * place, passed % BUCKETS] = k.windows[2 * place + 1, passed % BUCKETS] = 0
        p.slot = slot
        p.slot_end_s = (slot + 1) * width_s
    if good:
        k.windows[2 * place, p.slot % BUCKETS] += 1
        p.row = 0
        return
    k.windows[2 * place + 1, p.slot % BUCKETS] += 1
    p.row += 1
    bad, total = 0, 0
    for i in range(BUCKETS):
        bad += k.windows[2 * place + 1, i]
        total += k.windows[2 * place, i] + k.windows[2 * place + 1, i]
    if p.row >= p.consecutive or (total >= p.min_calls and bad >= p.ratio * total):
        _breaker_open(k, place, now_s)


@compiled
def breaker_wait_s(k: State, place: int, now_s: float) -> float:
    """Seconds until it may let a probe through, 0 where it does now."""
    p = k.places[place]
    if p.state == CLOSED:
        return 0.0
    return float(max(0.0, p.opened_s + p.open_s - now_s))


# -- latency --


@compiled
def observe(k: State, place: int, latency_s: float, now_s: float) -> None:
    p = k.places[place]
    if latency_s >= p.peak_s:
        p.peak_s = latency_s
    else:
        weight = math.exp((p.last_s - now_s) / _TAU_S) if now_s > p.last_s else 1.0
        p.peak_s = p.peak_s * weight + latency_s * (1.0 - weight)
    p.last_s = now_s


@compiled
def _load(k: State, place: int, now_s: float) -> float:
    p = k.places[place]
    ewma_s = p.peak_s * math.exp((p.last_s - now_s) / _TAU_S)
    if ewma_s == 0 and p.in_flight > 0:
        ewma_s = _UNMEASURED_S
    return float(ewma_s * (p.in_flight + 1))


# -- the retry budget --


@compiled
def _budget_turn(k: State, now_s: float) -> None:
    w = k.world[0]
    slot = int(now_s / w.budget_width_s)
    for passed in range(max(w.budget_slot + 1, slot - BUCKETS + 1), slot + 1):
        i = passed % BUCKETS
        w.budget_calls -= k.windows[-2, i]
        w.budget_extra -= k.windows[-1, i]
        k.windows[-2, i] = k.windows[-1, i] = 0
    w.budget_slot = slot
    w.budget_end_s = (slot + 1) * w.budget_width_s


@compiled
def budget_call(k: State, now_s: float) -> None:
    w = k.world[0]
    if now_s >= w.budget_end_s:
        _budget_turn(k, now_s)
    k.windows[-2, w.budget_slot % BUCKETS] += 1
    w.budget_calls += 1


@compiled
def budget_take(k: State, now_s: float) -> bool:
    w = k.world[0]
    if now_s >= w.budget_end_s:
        _budget_turn(k, now_s)
    if w.budget_extra + 1 > max(w.budget_floor, w.budget_ratio * w.budget_calls):
        return False
    k.windows[-1, w.budget_slot % BUCKETS] += 1
    w.budget_extra += 1
    w.retries += 1
    return True


# -- candidates and their order --


@compiled
def busy(k: State, place: int, now_s: float) -> bool:
    p = k.places[place]
    return not breaker_allows(k, place, now_s) or p.in_flight >= p.max_in_flight


@compiled
def fits(k: State, place: int, call: int) -> bool:
    """Whether at least one of the call's attempts may go there and it is not surely too long."""
    p, c = k.places[place], k.calls[call]
    return bool(c.may >> place & 1 and c.prompt * _SURE + c.output <= p.window)


@compiled
def _key(k: State, place: int, call: int, now_s: float) -> float:
    """What a strategy sorts by, ascending."""
    w, p, c = k.world[0], k.places[place], k.calls[call]
    if w.strategy == 2:
        return _load(k, place, now_s)
    if w.strategy == 3:
        if math.isnan(p.usd_in):
            return math.inf
        return float((c.prompt * p.usd_in + c.output * p.usd_out) / 1e6)
    if w.strategy == 4:
        return float(p.in_flight / p.max_in_flight)
    return 0.0


@compiled
def arrange(k: State, call: int, now_s: float) -> None:
    """Put the candidates in `order` (as configured so far) into the strategy's order."""
    w, c = k.world[0], k.calls[call]
    n = c.order_n
    if n < 2:
        return
    order = k.order[call]
    if w.strategy == 1 or w.strategy == 4:
        _arrange_drawn(k, call, now_s)
    elif w.strategy == 2 or w.strategy == 3:
        for i in range(1, n):
            place, key, j = order[i], _key(k, order[i], call, now_s), i
            while j > 0 and _key(k, order[j - 1], call, now_s) > key:
                order[j] = order[j - 1]
                j -= 1
            order[j] = place
        if w.strategy == 2 and n > 2:
            first = int(fraction(w.seed, c.id, c.draws) * n)
            second = int(fraction(w.seed, c.id, c.draws + 1) * (n - 1))
            c.draws += 2
            if second >= first:
                second += 1
            a, b = _key(k, order[first], call, now_s), _key(k, order[second], call, now_s)
            at = first if a <= b else second
            place = order[at]
            for j in range(at, 0, -1):
                order[j] = order[j - 1]
            order[0] = place
    if c.may_differ:
        _first_ones_first(k, call, now_s)
    elif k.places[order[0]].rest_until_s > now_s:  # it asked to be left alone: whoever did not comes first
        for i in range(1, n):
            place, j = order[i], i
            if k.places[place].rest_until_s <= now_s:
                while j > 0 and k.places[order[j - 1]].rest_until_s > now_s:
                    order[j] = order[j - 1]
                    j -= 1
                order[j] = place


@compiled
def _first_ones_first(k: State, call: int, now_s: float) -> None:
    """Who may be asked later only comes last, and of each kind who asked to be left alone."""
    c, order = k.calls[call], k.order[call]
    for i in range(1, c.order_n):
        place, j = order[i], i
        key = _later(k, call, place, now_s)
        while j > 0 and _later(k, call, order[j - 1], now_s) > key:
            order[j] = order[j - 1]
            j -= 1
        order[j] = place


@compiled
def _later(k: State, call: int, place: int, now_s: float) -> int:
    only_later = 0 if k.calls[call].may_first >> place & 1 else 2
    return only_later + (1 if k.places[place].rest_until_s > now_s else 0)


@compiled
def _arrange_drawn(k: State, call: int, now_s: float) -> None:
    """Weighted and least loaded: a key, and a draw for each candidate in the configured order."""
    w, c = k.world[0], k.calls[call]
    n = c.order_n
    order = k.order[call]
    first_draw = c.draws
    draws = first_draw
    keys, ties = k.again[call, 0], k.again[call, 1]  # not in use before the first attempt
    for i in range(n):
        place = order[i]
        weight = k.places[place].weight
        if w.strategy == 1:
            if weight > 0:
                keys[i] = -(fraction(w.seed, c.id, draws) ** (1.0 / weight))
                draws += 1
            else:
                keys[i] = 1.0
            ties[i] = i
        else:
            keys[i] = _key(k, place, call, now_s)
            ties[i] = fraction(w.seed, c.id, draws)
            draws += 1
    c.draws = draws
    for i in range(1, n):
        place, key, tie, j = order[i], keys[i], ties[i], i
        while j > 0 and (keys[j - 1] > key or (keys[j - 1] == key and ties[j - 1] > tie)):
            order[j], keys[j], ties[j] = order[j - 1], keys[j - 1], ties[j - 1]
            j -= 1
        order[j], keys[j], ties[j] = place, key, tie
