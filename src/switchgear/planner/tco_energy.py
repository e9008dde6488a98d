"""What energy costs at a site: the price by hour, day and season, the room's share, the highest power of the month."""

from typing import Final

from switchgear.planner.money_model import Site, TariffPeriod
from switchgear.planner.money_quantity import Quantity, constant, total
from switchgear.planner.tco_book import MONTHS, ONE, Book
from switchgear.planner.tco_model import CostKind, Served, When

_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def period_shares(site: Site) -> dict[str, float]:
    """Of a year's energy, the share that falls in each period; the name is empty for the hours outside of all.

    Each month counts by its days, each weekday alike, each hour by the site's load shape.
    """
    weights = [weight / sum(site.load_shape) for weight in site.load_shape]
    shares = {period.name: 0.0 for period in site.periods} | {"": 0.0}
    for month, days in enumerate(_DAYS, start=1):
        for weekday in range(1, 8):
            for hour, weight in enumerate(weights):
                shares[_period_at(site, month, weekday, hour)] += days / 365 / 7 * weight
    return shares


def _period_at(site: Site, month: int, weekday: int, hour: int) -> str:
    def fits(period: TariffPeriod) -> bool:
        inside = period.from_hour <= hour < period.to_hour
        return inside and month in period.months and weekday in period.weekdays

    return next((period.name for period in site.periods if fits(period)), "")


def energy_price(book: Book, site_name: str, year: int) -> Quantity:
    """Mean price of a kilowatt-hour there in a year, weighted by when energy is drawn."""
    site = book.plan.sites[site_name]
    reads = book.reader(f"sites.{site_name}", site)
    id = f"sites.{site_name}.mean_usd_per_kwh.y{year}"
    periods = {period.name: period for period in site.periods}
    parts = []
    for name, share in period_shares(site).items():
        if share:
            path = f"sites.{site_name}.periods.{name}"
            price = book.reader(path, periods[name])("usd_per_kwh") if name else reads("usd_per_kwh")
            parts.append(constant(round(share, 9)) * price)
    price = total(parts, "USD/kWh")
    if year > 1:
        price = price * (ONE + reads("energy_price_change_per_year")) ** (year - 1)
    if id in book.sheet:
        return Quantity(price.value, price.unit, id)
    return book.sheet.named(id, price, f"mean price of energy at {site_name}, year {year}")


def energy_lines(book: Book, option: str, place: str, site_name: str, year: int, served: Served) -> None:
    """Energy of the machines, of the room around them, and the demand charge."""
    site = book.reader(f"sites.{site_name}", book.plan.sites[site_name])
    price = energy_price(book, site_name, year)
    metered = served.energy_kwh / site("ups_efficiency")
    room = metered * (site("pue") - ONE)
    put = book.line
    put(
        option,
        place,
        CostKind.ENERGY,
        year,
        When.EVENLY,
        metered * price,
        vendor="utility",
        amount=metered,
        price=price,
    )
    put(option, place, CostKind.COOLING, year, When.EVENLY, room * price, vendor="utility", amount=room, price=price)
    peak = served.peak_kw / site("ups_efficiency") * site("pue")
    demand = peak * site("demand_usd_per_kw_month") * MONTHS
    put(option, place, CostKind.DEMAND, year, When.EVENLY, demand, vendor="utility")
