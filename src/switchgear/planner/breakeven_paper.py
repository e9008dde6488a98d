"""The break-even months of arXiv 2509.18101 from its own inputs, and with the costs that it names and does not count.

The paper's text and its tables do not say the same. Two sets of inputs are computed: `tabulated` takes the monthly capacity
of Table III and the monthly electricity that version 1 printed; `stated` takes hours, watts and tokens per second as written.
Whether a cell agrees is decided by its own rounding: half a unit of its last printed digit.
"""

import functools
import math
from collections.abc import Mapping
from enum import StrEnum
from importlib import resources
from typing import Final

import msgspec

from switchgear.planner.money_errors import MoneyError


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file."""


class Sources(_Part, frozen=True):
    """Where each figure stands."""

    title: str
    tables: str
    electricity: str


class Rules(_Part, frozen=True):
    """Section VI-B of the paper."""

    hours_per_day: float
    days_per_month: float
    usd_per_kwh: float
    prompt_share: float


class Gpu(_Part, frozen=True):
    """Table II."""

    title: str
    watts: float
    usd: float


class Service(_Part, frozen=True):
    """Table I, the commercial part."""

    name: str
    input_usd_per_mtok: float
    output_usd_per_mtok: float


class Model(_Part, frozen=True):
    """A row of Tables III and IV."""

    name: str
    gpu: str
    gpus: int
    tokens_per_second: float
    capacity_mtok_per_month: float
    electricity_usd_per_month: float
    months: tuple[str, ...]


class LeftOut(_Part, frozen=True):
    """A cost that the formulas leave out."""

    name: str
    title: str
    value: float
    unit: str
    source: str
    assumed: bool


class Life(_Part, frozen=True):
    """How long hardware is used."""

    months: int
    source: str


class Paper(_Part, frozen=True):
    """The file."""

    source: Sources
    rules: Rules
    gpus: dict[str, Gpu]
    services: tuple[Service, ...]
    models: tuple[Model, ...]
    left_out: tuple[LeftOut, ...]
    life: Life


class Inputs(StrEnum):
    """Which of the paper's figures are taken."""

    TABULATED = "tabulated"
    STATED = "stated"


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One model against one service."""

    model: str
    service: str
    printed: str
    """Months in Table IV."""
    tabulated_months: float
    stated_months: float
    agrees: bool
    """`tabulated_months` rounds to what is printed."""
    implied_usd_per_mtok: float
    """The price, one prompt token for two completion tokens, at which the printed months follow from the tables."""
    stated_usd_per_mtok: float
    """The price that follows from Table I."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Months to break even with one more cost counted; None: never."""

    added: str
    months: float | None
    outlives_hardware: bool = False
    """It comes after the hardware's own end."""


class Ladder(msgspec.Struct, frozen=True, kw_only=True):
    """One model against one service, cost after cost."""

    model: str
    service: str
    steps: list[Step]
    never_because: str = ""


class Reproduction(msgspec.Struct, frozen=True, kw_only=True):
    """The paper's table, ours, and what changes."""

    source: Sources
    cells: list[Cell]
    agreeing: int
    hours_per_month_in_table: float
    """What capacity over throughput says; the text says 160."""
    watts_in_table: dict[str, float]
    """Of each GPU, what the electricity of version 1 says at those hours; Table II says otherwise."""
    left_out: list[LeftOut]
    life: Life
    ladders: list[Ladder]


_RANGES: Final = {
    "server": (0.0, 10.0, "a share of the GPUs' price: 0.135 for 13.5 %"),
    "pue": (1.0, 5.0, "a PUE, 1 or more"),
    "space": (0.0, 10_000.0, "dollars for a rack unit and month"),
    "maintenance": (0.0, 1.0, "a share of the price each year: 0.1 for 10 %"),
    "people": (0.0, 1e7, "dollars a month"),
    "utilisation": (1e-6, 1.0, "a share above 0 and at most 1"),
    "capital": (0.0, 1.0, "a share each year: 0.08 for 8 %"),
}


@functools.cache
def paper() -> Paper:
    """The paper's figures as they ship with the package."""
    text = resources.files("switchgear.planner").joinpath("breakeven_paper.toml").read_text(encoding="utf-8")
    return msgspec.toml.decode(text, type=Paper)


def reproduce(assume: Mapping[str, float] | None = None) -> Reproduction:
    """Compute Table IV, and the ladder of costs for each cell. `assume` replaces values of [left_out]. Raises MoneyError."""
    data = paper()
    left_out = _assumed(data, assume or {})
    cells = [_cell(data, model, index) for model in data.models for index in range(len(data.services))]
    hours = [model.capacity_mtok_per_month * 1e6 / model.tokens_per_second / 3600 for model in data.models]
    mean_hours = math.fsum(hours) / len(hours)
    watts = {
        gpu: math.fsum(found) / len(found)
        for gpu in data.gpus
        if (found := [_watts(data, model, mean_hours) for model in data.models if model.gpu == gpu])
    }
    return Reproduction(
        source=data.source,
        cells=cells,
        agreeing=sum(cell.agrees for cell in cells),
        hours_per_month_in_table=mean_hours,
        watts_in_table=watts,
        left_out=left_out,
        life=data.life,
        ladders=[_ladder(data, model, service, left_out) for model in data.models for service in data.services],
    )


def _watts(data: Paper, model: Model, hours: float) -> float:
    return model.electricity_usd_per_month / data.rules.usd_per_kwh / hours / model.gpus * 1000


def _assumed(data: Paper, assume: Mapping[str, float]) -> list[LeftOut]:
    for name, value in assume.items():
        if name not in _RANGES:
            raise MoneyError(f"nothing that the paper leaves out is named {name!r}; name one of {', '.join(_RANGES)}")
        low, high, meaning = _RANGES[name]
        if not low <= value <= high:
            raise MoneyError(f"{name} = {value:g} is not between {low:g} and {high:g}; it is {meaning}")
    return [
        msgspec.structs.replace(one, value=assume[one.name], source="given with --assume", assumed=True)
        if one.name in assume
        else one
        for one in data.left_out
    ]


def usd_per_mtok(data: Paper, service: Service) -> float:
    """Price of a million tokens, prompt and completion in the paper's ratio: its formula (5)."""
    share = data.rules.prompt_share
    return share * service.input_usd_per_mtok + (1 - share) * service.output_usd_per_mtok


def _cell(data: Paper, model: Model, index: int) -> Cell:
    service, printed = data.services[index], model.months[index]
    gpu = data.gpus[model.gpu]
    hardware = model.gpus * gpu.usd  # formula (1)
    price = usd_per_mtok(data, service)
    tabulated = hardware / (model.capacity_mtok_per_month * price - model.electricity_usd_per_month)  # (3), (5) in (7)
    hours = data.rules.hours_per_day * data.rules.days_per_month
    electricity = model.gpus * gpu.watts / 1000 * hours * data.rules.usd_per_kwh  # (2)
    capacity = model.tokens_per_second * hours * 3600 / 1e6  # (4)
    half = 0.5 * 10 ** -len(printed.partition(".")[2])
    return Cell(
        model=model.name,
        service=service.name,
        printed=printed,
        tabulated_months=tabulated,
        stated_months=hardware / (capacity * price - electricity),
        agrees=abs(tabulated - float(printed)) <= half + 1e-9,
        implied_usd_per_mtok=(hardware / float(printed) + model.electricity_usd_per_month)
        / model.capacity_mtok_per_month,
        stated_usd_per_mtok=price,
    )


def _ladder(data: Paper, model: Model, service: Service, left_out: list[LeftOut]) -> Ladder:
    counted = {
        "server": 0.0,
        "pue": 1.0,
        "space": 0.0,
        "maintenance": 0.0,
        "people": 0.0,
        "utilisation": 1.0,
        "capital": 0.0,
    }
    months, why = _months(data, model, service, counted)
    steps = [_step(data, "as in the paper", months)]
    for one in left_out:
        counted[one.name] = one.value
        months, why = _months(data, model, service, counted)
        steps.append(_step(data, one.title, months))
    return Ladder(model=model.name, service=service.name, steps=steps, never_because=why)


def _step(data: Paper, added: str, months: float | None) -> Step:
    return Step(added=added, months=months, outlives_hardware=months is not None and months > data.life.months)


def _months(data: Paper, model: Model, service: Service, counted: Mapping[str, float]) -> tuple[float | None, str]:
    """Months until savings have paid for the hardware, discounted monthly; None and why, where that is never."""
    hardware = model.gpus * data.gpus[model.gpu].usd * (1 + counted["server"])
    used = model.capacity_mtok_per_month * counted["utilisation"]
    # Power is taken to follow the load, as in the paper, where a machine that is not used draws nothing.
    energy = model.electricity_usd_per_month * counted["utilisation"] * counted["pue"]
    space = math.ceil(model.gpus / 2) * counted["space"]
    running = energy + space + counted["maintenance"] * hardware / 12 + counted["people"]
    saved = used * usd_per_mtok(data, service) - running
    if saved <= 0:
        return None, "running costs are above what the service would charge"
    rate = (1 + counted["capital"]) ** (1 / 12) - 1
    if rate == 0:
        return hardware / saved, ""
    if hardware * rate >= saved:
        return None, "the savings do not pay the interest"
    return -math.log1p(-hardware * rate / saved) / math.log1p(rate), ""
