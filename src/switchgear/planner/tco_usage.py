"""Who serves what: calls, tokens, energy and units of each place by year, from the plan's shares or from a simulation's results.

The shares are arithmetic on means: a place serves its share up to its capacity at the peak, the rest place takes what is left.
Queues, latency and time of day are the simulation's business (`plan size`, `plan replay`); its `Usage` replaces all this.
"""

from typing import Final

from switchgear.core.errors import Problem
from switchgear.planner.money_errors import BadPlan
from switchgear.planner.money_model import Option, Owned, Place, Reserved, Service
from switchgear.planner.money_quantity import Quantity, constant, larger, parse_unit, rounded_up, smaller
from switchgear.planner.tco_book import BYTES_PER_GB, HOURS, ONE, SECONDS, TOKENS_PER_MTOK, Book
from switchgear.planner.tco_model import Served, Usage

_NOTHING: Final = constant(0.0, "call")
SLACK: Final = 0.001
"""Share of a year's calls that a simulation may leave over: it counts a few more or less than the plan's mean."""


def calls_of(book: Book, year: int) -> Quantity:
    """Calls that are asked for in a year, of all options alike."""
    id = f"workload.calls.y{year}"
    workload = book.reader("workload", book.plan.workload)
    calls = workload.grown("calls_per_month", "growth_per_year", year) * constant(12, "month")
    if not isinstance(book.volume, float) or book.volume != 1.0:
        calls = calls * constant(book.volume)
    if id in book.sheet:
        return Quantity(calls.value, calls.unit, id)
    return book.sheet.named(id, calls.in_unit("call"), f"calls asked for in year {year}")


def serve(book: Book, name: str, option: Option) -> tuple[dict[str, list[Served]], list[Quantity]]:
    """What each place does in each year, and the calls of each year that none can serve. Raises BadPlan."""
    if any(key[0] == name for key in book.usage):
        return _from_usage(book, name, option)
    order = sorted(option.places, key=lambda place: option.places[place].share_of_calls is None)
    served: dict[str, list[Served]] = {place: [] for place in option.places}
    unserved = []
    for year in range(1, book.plan.horizon_years + 1):
        asked = left = calls_of(book, year)
        for place in order:
            part = option.places[place]
            share = book.reader(f"options.{name}.places.{place}", part)
            wanted = left if part.share_of_calls is None else asked * share("share_of_calls")
            before = served[place][-1].units if served[place] else None
            one = _place_year(book, f"{name}.{place}", f"options.{name}.places.{place}", part, wanted, year, before)
            served[place].append(one)
            left = left - one.calls
        left = book.sheet.named(
            f"{name}.unserved.y{year}", larger(_NOTHING, left), f"{name}: calls left over in year {year}"
        )
        unserved.append(left)
    return served, unserved


def capacity_of(place: Place) -> Owned | Reserved | Service | None:
    """The part of a place that has units with a capacity; None where it charges by token only."""
    return place.owned or place.reserved or place.service


def _place_year(
    book: Book, id: str, path: str, place: Place, wanted: Quantity, year: int, before: Quantity | None
) -> Served:
    units, calls = constant(0.0, "unit"), wanted
    part = capacity_of(place)
    if part is not None:
        units, calls = _within_capacity(book, id, path, part, wanted, year, before)
    calls = book.sheet.named(f"{id}.calls.y{year}", calls.in_unit("call"), f"{id}: calls served in year {year}")
    return _served(book, id, path, place, calls, units, year)


def _within_capacity(
    book: Book,
    id: str,
    path: str,
    part: Owned | Reserved | Service,
    wanted: Quantity,
    year: int,
    before: Quantity | None,
) -> tuple[Quantity, Quantity]:
    rate = book.reader(f"{path}.{_way(part)}", part)("tokens_per_second_per_unit")
    load = _tokens_per_call(book) * book.reader("workload", book.plan.workload)("peak_to_mean")
    bought = constant(float(part.units), "unit")
    if part.grow:
        needed = rounded_up(wanted * load / (rate * SECONDS))
        bought = larger(bought if before is None else before, needed)
    units = book.sheet.named(f"{id}.units.y{year}", bought, f"{id}: units in year {year}")
    return units, smaller(wanted, units * rate * SECONDS / load)


def _way(part: Owned | Reserved | Service) -> str:
    return {Owned: "owned", Reserved: "reserved", Service: "service"}[type(part)]


def _tokens_per_call(book: Book) -> Quantity:
    workload = book.reader("workload", book.plan.workload)
    return workload("prompt_tokens_per_call") + workload("completion_tokens_per_call")


def _served(book: Book, id: str, path: str, place: Place, calls: Quantity, units: Quantity, year: int) -> Served:
    workload = book.reader("workload", book.plan.workload)
    prompt = calls * workload("prompt_tokens_per_call") / TOKENS_PER_MTOK
    cached = workload("cached_share_of_prompt")
    energy, peak, busy = constant(0.0, "kWh"), constant(0.0, "kW"), constant(0.0, "unit*h")
    part = capacity_of(place)
    if part is not None:
        reads = book.reader(f"{path}.{_way(part)}", part)
        utilisation = book.sheet.named(
            f"{id}.utilisation.y{year}",
            (calls * _tokens_per_call(book) / (units * reads("tokens_per_second_per_unit") * SECONDS)).in_unit(""),
            f"{id}: mean utilisation in year {year}",
        )
        busy = units * utilisation * HOURS
        if isinstance(part, Owned):
            idle, full = reads("idle_kw_per_unit"), reads("busy_kw_per_unit")
            energy = units * (idle + (full - idle) * utilisation) * HOURS
            peak = units * full
    name = book.sheet.named
    return Served(
        calls=calls,
        fresh_mtok=name(
            f"{id}.fresh_mtok.y{year}", prompt * (ONE - cached), f"{id}: uncached prompt tokens in year {year}"
        ),
        cached_mtok=name(f"{id}.cached_mtok.y{year}", prompt * cached, f"{id}: cached prompt tokens in year {year}"),
        output_mtok=name(
            f"{id}.output_mtok.y{year}",
            calls * workload("completion_tokens_per_call") / TOKENS_PER_MTOK,
            f"{id}: completion tokens in year {year}",
        ),
        energy_kwh=name(
            f"{id}.energy_kwh.y{year}", energy.in_unit("kWh"), f"{id}: energy of the machines in year {year}"
        ),
        peak_kw=name(f"{id}.peak_kw.y{year}", peak.in_unit("kW"), f"{id}: highest power in year {year}"),
        egress_gb=name(
            f"{id}.egress_gb.y{year}",
            calls * workload("answer_bytes_per_call") / BYTES_PER_GB,
            f"{id}: data that leaves in year {year}",
        ),
        busy_unit_hours=name(
            f"{id}.busy_unit_hours.y{year}", busy.in_unit("unit*h"), f"{id}: busy hours in year {year}"
        ),
        units=units,
    )


def _from_usage(book: Book, name: str, option: Option) -> tuple[dict[str, list[Served]], list[Quantity]]:
    years = range(1, book.plan.horizon_years + 1)
    unknown = sorted({key[1] for key in book.usage if key[0] == name} - set(option.places))
    if unknown:
        raise BadPlan(
            [Problem(f"usage of {name}", f"there is no place {unknown[0]!r}", f"Name {', '.join(option.places)}.")]
        )
    missing = [year for year in years if not any((name, place, year) in book.usage for place in option.places)]
    if missing:
        remedy = "Give a row for each place and year of the horizon."
        raise BadPlan([Problem(f"usage of {name}", f"year {missing[0]} is missing", remedy)])
    served = {
        place: [_from_row(book, f"{name}.{place}", book.usage.get((name, place, year)), part, year) for year in years]
        for place, part in option.places.items()
    }
    unserved = []
    for year in years:
        asked = calls_of(book, year)
        left = asked
        for rows in served.values():
            left = left - rows[year - 1].calls
        slack = asked * constant(SLACK)
        left = larger(_NOTHING, left - slack)
        unserved.append(book.sheet.named(f"{name}.unserved.y{year}", left, f"{name}: calls left over in year {year}"))
    return served, unserved


def _from_row(book: Book, id: str, row: Usage | None, place: Place, year: int) -> Served:
    def put(what: str, value: float, unit: str) -> Quantity:
        quantity = Quantity(float(value), parse_unit(unit))
        return book.sheet.given(
            f"{id}.{what}.y{year}", quantity, f"{id}: {what}, year {year}", source="usage, from simulation"
        )

    part = capacity_of(place)
    units = float(part.units) if part is not None else 0.0
    if row is not None and row.units is not None:
        units = float(row.units)
    if row is None:
        row = Usage(option="", place="", year=year, calls=0, prompt_tokens=0)
    return Served(
        calls=put("calls", row.calls, "call"),
        fresh_mtok=put("fresh_mtok", (row.prompt_tokens - row.cached_tokens) / 1e6, "Mtok"),
        cached_mtok=put("cached_mtok", row.cached_tokens / 1e6, "Mtok"),
        output_mtok=put("output_mtok", row.completion_tokens / 1e6, "Mtok"),
        energy_kwh=put("energy_kwh", row.energy_kwh, "kWh"),
        peak_kw=put("peak_kw", row.peak_kw, "kW"),
        egress_gb=put("egress_gb", row.egress_bytes / 1e9, "GB"),
        busy_unit_hours=put("busy_unit_hours", row.busy_unit_hours, "unit*h"),
        units=put("units", units, "unit"),
    )
