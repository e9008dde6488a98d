"""The figures of a simulation, from what was counted."""

from typing import NamedTuple

from switchgear.core.snapshot import Kind
from switchgear.hardware.power import wall_w
from switchgear.planner import simulate_arrays as tables
from switchgear.planner.fleet import Fleet
from switchgear.planner.fleet_physics import Site, sites_of
from switchgear.planner.simulate_measure import Measure
from switchgear.planner.simulate_model import Admitted, PlaceResult, Result
from switchgear.planner.workload import CLASSES


class Totals(NamedTuple):
    """What units and places counted while they ran: rows of `simulate_arrays.UNIT` and `PLACE`."""

    units: tables.Table
    places: tables.Table
    duration_s: float
    retries: int
    timeouts: int


def totals_of(state: tables.State) -> Totals:
    """Of a fast simulation that has ended."""
    world = state.world[0]
    return Totals(state.units, state.places, float(world["now_s"]), int(world["retries"]), int(world["timeouts"]))


def result_of(
    fleet: Fleet,
    source: str,
    method: str,
    seed: int,
    measure: Measure,
    totals: Totals,
    admitted: Admitted,
    inputs: dict[str, str],
) -> Result:
    """All of it together."""
    sites = sites_of(fleet)
    places, first = [], 0
    for index, site in enumerate(sites):
        rows = totals.units[first : first + site.place.units]
        places.append(_place(index, site, rows, measure, totals))
        first += site.place.units
    answered = int(measure.answered.sum())
    cloud = sum(place.answered for place in places if place.kind == Kind.CLOUD)
    walls = [place.energy_wall_j for place, site in zip(places, sites, strict=True) if site.placement is not None]
    costs = [place.cost_usd for place in places if place.answered]
    return Result(
        fleet=fleet.name,
        workload=source,
        method=method,
        seed=seed,
        calls=measure.calls,
        answered=answered,
        refused=measure.outcomes[tables.REFUSED],
        failed=measure.outcomes[tables.FAILED],
        broken=measure.outcomes[tables.BROKEN],
        availability=answered / measure.calls,
        cloud_share=cloud / answered if answered else 0.0,
        must_stay_local_share=None if admitted.must_stay_local is None else admitted.must_stay_local / measure.calls,
        policy=admitted.policy,
        arrivals_s=measure.last_arrival_s,
        duration_s=measure.last_s,
        attempts_mean=measure.attempts / measure.calls,
        retries=totals.retries,
        timeouts=totals.timeouts,
        ttft=measure.ttft.spread(),
        e2e=measure.e2e.spread(),
        tpot=measure.tpot.spread(),
        queue=measure.queue.spread(),
        ttft_by_class={str(CLASSES[i]): h.spread() for i, h in enumerate(measure.ttft_by_class) if h.count},
        tokens_in=int(measure.tokens_in.sum()),
        tokens_out=int(measure.tokens_out.sum()),
        energy_board_j=sum(place.energy_board_j or 0.0 for place in places),
        energy_wall_j=None if None in walls else sum(wall or 0.0 for wall in walls),
        cost_usd=None if None in costs else sum(cost or 0.0 for cost in costs),
        places=places,
        inputs=inputs,
    )


def _place(index: int, site: Site, units: tables.Table, measure: Measure, totals: Totals) -> PlaceResult:
    place, row = site.place, totals.places[index]
    lasted_s = max(totals.duration_s, 1e-9)
    tokens_in, tokens_out = int(measure.tokens_in[index]), int(measure.tokens_out[index])
    cost = None
    if place.prices is not None:
        cost = (tokens_in * place.prices.input_usd_per_mtok + tokens_out * place.prices.output_usd_per_mtok) / 1e6
    busy_s = float(units["busy_s"].sum())
    seen = site.placement is not None
    energy_j = float(units["energy_j"].sum()) * place.devices if seen else None
    taken = float(units["tokens_in"].sum() + units["tokens_hit"].sum())
    return PlaceResult(
        name=place.name,
        kind=str(place.kind),
        units=place.units,
        devices=site.devices,
        answered=int(measure.answered[index]),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        utilisation=busy_s / (place.units * lasted_s) if seen else None,
        busiest_utilisation=float(units["busy_s"].max()) / lasted_s if seen else None,
        batch_mean=float(units["batch_s"].sum()) / busy_s if seen and busy_s else None,
        kv_peak=1 - float(units["least_free"].min()) / site.kv_blocks if seen else None,
        preemptions=int(units["preemptions"].sum()),
        prefix_hit_share=float(units["tokens_hit"].sum()) / taken if seen and taken else None,
        queue=measure.queue_by_place[index].spread(),
        in_flight_peak=int(row["peak_in_flight"]),
        breaker_opened=int(row["opened"]),
        energy_board_j=energy_j,
        energy_wall_j=_wall_j(site, energy_j, busy_s, lasted_s) if energy_j is not None else None,
        hottest_c=float(units["hottest_c"].max()) if seen and place.thermal is not None else None,
        slow_share=float(units["slow_s"].sum()) / (place.units * lasted_s) if seen else None,
        link_utilisation=float(row["link_busy_s"]) / lasted_s if place.link is not None else None,
        cost_usd=cost,
        arithmetic_share=float(units["arithmetic_s"].sum()) / busy_s if seen and busy_s else None,
        memory_share=float(units["memory_s"].sum()) / busy_s if seen and busy_s else None,
    )


def _wall_j(site: Site, board_j: float, busy_s: float, lasted_s: float) -> float | None:
    """At the socket: the mean load of the place's servers through their supplies."""
    place = site.place
    if place.host is None or site.power is None:
        return None
    servers = -(-site.devices // place.host.boards)
    busy = min(1.0, busy_s / (place.units * lasted_s))
    return servers * wall_w(place.host, site.power, board_j / lasted_s / servers, busy) * lasted_s
