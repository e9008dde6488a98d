"""The tables of the fast simulation, filled from a fleet."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from switchgear.core.snapshot import Kind
from switchgear.hardware.link import Outage
from switchgear.hardware.thermal import resistance_k_per_w
from switchgear.planner import simulate_arrays as tables
from switchgear.planner.errors import BadFleet
from switchgear.planner.fleet import Balance, Fault, Fleet, Trouble
from switchgear.planner.fleet_physics import Site, link_times_s, sites_of
from switchgear.planner.simulate_arrays import NOBODY, State
from switchgear.planner.simulate_kernel_route import STRATEGIES
from switchgear.planner.simulate_kernel_run import refill

_BALANCES = tuple(Balance)
_CALLS = 4096
_PREFIXES = 1 << 16
TICK_S = 60.0
"""Between two looks at power where nothing gets warm."""
TICKS_PER_TAU = 20.0
"""Looks at a temperature in one time constant: its change in between is below 5 %."""


def new_state(fleet: Fleet, seed: int) -> State:
    """Everything at rest. Raises BadFleet."""
    sites = sites_of(fleet)
    n_units = sum(site.place.units for site in sites)
    if n_units > 65_000:
        raise BadFleet(f"{n_units} units are too many one by one; simulate a site of classes (`plan site`)")
    batch = max(site.place.max_batch for site in sites)
    places, units = np.zeros(len(sites), tables.PLACE), np.zeros(n_units, tables.UNIT)
    first = 0
    for row, site in enumerate(sites):
        _fill_place(places[row : row + 1], site, first)
        _fill_units(units[first : first + site.place.units], site, row)
        first += site.place.units
    state = State(
        world=_world(fleet, seed),
        places=places,
        units=units,
        calls=np.zeros(_CALLS, tables.CALL),
        timers=np.zeros(8 * _CALLS, tables.TIMER),
        finish=np.zeros((n_units, 2, batch + 1), np.int64),
        phase=np.zeros((n_units, 16), np.int64),
        again=np.full((_CALLS, 2, len(sites)), math.inf),
        order=np.zeros((_CALLS, len(sites)), np.int64),
        windows=np.zeros((2 * len(sites) + 2, tables.BUCKETS), np.int64),
        edges=np.zeros(0, tables.EDGE),
        ended=np.zeros(4 * _CALLS, tables.ENDED),
        prefixes=np.full((_PREFIXES, 2), NOBODY, np.int64),
    )
    state.calls["spare"] = np.arange(_CALLS)
    for row, site in enumerate(sites):
        if site.placement is not None:
            _push_tick(state, row, float(places["tick_s"][row]))
    return state


def grown(state: State) -> State:
    """The same with more room where it had become scarce."""
    world = state.world[0]
    if 2 * world["prefixes"] > len(state.prefixes):
        return _rehashed(state)
    old = state.calls.size
    size = 2 * old
    calls, spare = _padded(state.calls, size), int(world["free_n"])
    calls["spare"][spare : spare + old] = np.arange(old, size)
    world["free_n"] += old
    wider = np.full((size, *state.again.shape[1:]), math.inf)
    wider[:old] = state.again
    order = np.zeros((size, state.order.shape[1]), np.int64)
    order[:old] = state.order
    return state._replace(
        calls=calls,
        again=wider,
        order=order,
        timers=_padded(state.timers, 8 * size),
        ended=_padded(state.ended, 4 * size),
    )


def edges_between(fleet: Fleet, start_s: float, end_s: float) -> tables.Table:
    """When faults begin and end from `start_s` to before `end_s`, in order."""
    found = []
    first = 0
    for row, site in enumerate(sites_of(fleet)):
        place = site.place
        for fault in place.faults:
            last = first + (fault.units or place.units)
            on, off = (tables.OFF, tables.ON) if fault.kind == Trouble.OUTAGE else (tables.PACE, tables.PACE)
            for begins_s in _repeats(fault, start_s, end_s):
                found.append((begins_s, row, first, last, on, fault.factor))
                found.append((begins_s + fault.lasts_s, row, first, last, off, 1.0))
        for outage in place.link.outages if place.link is not None else ():
            for begins_s in _repeats(outage, start_s, end_s):
                found.append((begins_s, row, first, first, tables.LINK_OFF, 0.0))
                found.append((begins_s + outage.lasts_s, row, first, first, tables.LINK_ON, 0.0))
        first += place.units
    found = [edge for edge in found if start_s <= edge[0] < end_s]
    return np.array(sorted(found), dtype=tables.EDGE)


def _repeats(window: Fault | Outage, start_s: float, end_s: float) -> Iterator[float]:
    """Beginnings whose beginning or end lies between the two."""
    begins_s = window.start_s
    if window.every_s and start_s - window.lasts_s > begins_s:
        begins_s += math.floor((start_s - window.lasts_s - begins_s) / window.every_s) * window.every_s
    while begins_s < end_s:
        yield begins_s
        if not window.every_s:
            return
        begins_s += window.every_s


def _world(fleet: Fleet, seed: int) -> tables.Table:
    world = np.zeros(1, tables.WORLD)
    retry = fleet.retry
    values = {
        "seed": seed & 0xFFFFFFFFFFFFFFFF,
        "strategy": STRATEGIES.index(fleet.strategy) if fleet.strategy in STRATEGIES else NOBODY,
        "attempts": retry.attempts,
        "backoff_s": retry.backoff_s,
        "max_backoff_s": retry.max_backoff_s,
        "deadline_s": fleet.deadline_s,
        "rescue": fleet.rescue,
        "free_n": _CALLS,
        "budget_ratio": retry.budget_ratio,
        "budget_floor": retry.budget_floor,
        "budget_width_s": retry.window_s / tables.BUCKETS,
    }
    for name, value in values.items():
        world[name] = value
    return world


def _fill_place(row: tables.Table, site: Site, first_unit: int) -> None:
    place = site.place
    link_s, link_byte_s = link_times_s(place.link)
    breaker, timeouts, prices = place.breaker, place.timeouts, place.prices
    values: dict[str, float] = {
        "observed": site.observed is not None,
        "first_unit": first_unit,
        "units": place.units,
        "up_units": place.units,
        "kv_blocks": site.kv_blocks,
        "max_batch": place.max_batch,
        "step_tokens": place.step_tokens,
        "prefix_cache": place.prefix_cache,
        "balance": _BALANCES.index(Balance(place.balance)),
        "turn": -1,
        "request_s": site.request_s,
        "link_s": link_s,
        "link_byte_s": link_byte_s,
        "window": site.window,
        "max_in_flight": site.max_in_flight,
        "weight": place.weight,
        "usd_in": math.nan if prices is None else prices.input_usd_per_mtok,
        "usd_out": math.nan if prices is None else prices.output_usd_per_mtok,
        "connect_s": timeouts.connect_s,
        "first_token_s": timeouts.first_token_s,
        "total_s": timeouts.total_s,
        **dict.fromkeys(("first_head", "first_tail", "all_head", "all_tail"), NOBODY),
        "window_s": breaker.window_s,
        "min_calls": breaker.min_calls,
        "ratio": breaker.failure_ratio,
        "consecutive": breaker.consecutive,
        "slow_call_s": math.inf if breaker.slow_call_s is None else breaker.slow_call_s,
        "open_s": breaker.open_s,
        "tick_s": TICK_S,
    }
    if site.cost is not None:
        cost = site.cost
        names = ("token_s", "sampled_s", "pair_s", "cached_pair_s", "weights_s", "experts_s", "expert_miss", "cached_s")
        values |= {name: getattr(cost, name) for name in (*names, "exchange_token_s")}
        values |= {"fixed_s": cost.step_overhead_s + cost.exchange_s, "sequence_s": cost.sequence_overhead_s}
        values |= _warmth(site)
    if site.observed is not None:
        seen = site.observed
        values |= {"mu": math.log(seen.median_s), "sigma": seen.sigma, "gap_s": seen.token_s}
        values |= {"per_minute": seen.per_minute, "credit": seen.per_minute}
    for name, value in values.items():
        row[name] = value


def _warmth(site: Site) -> dict[str, float]:
    power, place = site.power, site.place
    if power is None:
        return {}
    names = ("idle_w", "arithmetic_w", "memory_w", "limit_w", "clock_exponent")
    values: dict[str, float] = {name: getattr(power, name) for name in names}
    if place.thermal is not None:
        thermal = place.thermal
        resistance = resistance_k_per_w(thermal, place.fan)
        tau_s = thermal.heat_capacity_j_per_k * resistance
        values |= {"thermal": 1, "tau_s": tau_s, "k_per_w": resistance, "ambient_c": place.ambient_c}
        values |= {"tick_s": min(TICK_S, tau_s / TICKS_PER_TAU), "throttle_clock": thermal.throttle_clock}
        values |= {"throttle_c": thermal.throttle_c, "release_c": thermal.release_c, "shutdown_c": thermal.shutdown_c}
    return values


def _fill_units(rows: tables.Table, site: Site, place: int) -> None:
    given = site.place
    rows["place"] = place
    rows["slow"] = rows["weak"] = rows["clock"] = 1.0
    if given.weak_units:
        rows["weak"][-given.weak_units :] = given.weak_factor
    rows["free"] = rows["least_free"] = site.kv_blocks
    for name in ("wait_head", "wait_tail", "run_head", "run_tail", "first_prefill", "pos"):
        rows[name] = NOBODY
    rows["temperature_c"] = rows["hottest_c"] = given.ambient_c


def _push_tick(state: State, place: int, at_s: float) -> None:
    count = int(state.world["timers_n"][0])
    state.timers[count] = (at_s, count, tables.TICK, place, 0, 0.0)
    state.world["timers_n"] = state.world["timer_order"] = count + 1
    heap = np.sort(state.timers[: count + 1], order=["at_s", "order"])  # a sorted list is a heap
    state.timers[: count + 1] = heap


def _padded(table: tables.Table, size: int) -> tables.Table:
    wider = np.zeros(size, table.dtype)
    wider[: table.size] = table
    return wider


def _rehashed(state: State) -> State:
    """Room for more prefixes; what its unit has certainly pushed out is forgotten."""
    units, places = state.units, state.places
    written = np.ascontiguousarray(units["written"])
    room = 16 * places["kv_blocks"][units["place"]]
    fresh = refill(np.zeros((0, 2), np.int64), state.prefixes, written, room)
    table = np.full((max(_PREFIXES, 1 << (4 * fresh).bit_length()), 2), NOBODY, np.int64)
    state.world["prefixes"] = refill(table, state.prefixes, written, room)
    return state._replace(prefixes=table)


def kinds(sites: Sequence[Site]) -> tuple[Kind, ...]:
    """What sort each place is of."""
    return tuple(site.place.kind for site in sites)
