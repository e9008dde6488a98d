"""The book of one comparison: reads assumptions as quantities and collects lines of cost, each number under a name."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from switchgear.planner.money_given import Given, as_given
from switchgear.planner.money_model import Plan
from switchgear.planner.money_quantity import Quantity, Sheet, Value, constant, parse_unit
from switchgear.planner.money_read import kinds_of
from switchgear.planner.tco_model import CostKind, Line, Usage, When

MONTHS: Final = constant(12, "month")
"""Of a year. Amounts here are for whole years, so that a rate times one of these is a sum."""
HOURS: Final = constant(8760, "h")
SECONDS: Final = constant(8760 * 3600, "s")
ONE_YEAR: Final = constant(1, "year")
ONE: Final = constant(1)
TOKENS_PER_MTOK: Final = constant(1e6, "token/Mtok")
BYTES_PER_GB: Final = constant(1e9, "B/GB")

_WAYS = ("tokens", "reserved", "owned", "service")


def short_id(path: str) -> str:
    """The name of an assumption: its path in the file without the words that only give it structure."""
    steps = path.split(".")
    if steps[0] != "options":
        return path
    steps = steps[1:]
    if len(steps) > 2 and steps[1] == "places":
        del steps[1]
        if steps[2] in _WAYS:
            del steps[2]
    return ".".join(steps)


def reads(id: str) -> str:
    """An id as words."""
    return id.replace(".", ": ", 1).replace(".", ", ").replace("_", " ")


class Book:
    """One evaluation of a plan: with medians, or with draws (`draws`: for each uncertain path an array, all of one length)."""

    def __init__(
        self,
        plan: Plan,
        draws: Mapping[str, npt.NDArray[np.float64]] | None = None,
        usage: Mapping[tuple[str, str, int], Usage] | None = None,
        volume: Value = 1.0,
    ) -> None:
        self.plan = plan
        self.sheet = Sheet()
        self.usage = usage or {}
        self.volume = volume
        """Factor on the number of calls, one or several at once, for break-even volumes."""
        self.lines: list[Line] = []
        self._draws = draws or {}

    def reader(self, path: str, part: msgspec.Struct) -> "Reader":
        """Reads the assumptions of a table of the plan."""
        return Reader(self, path, part)

    def given(self, path: str, given: Given, unit: str) -> Quantity:
        """An assumption as a quantity, entered in the sheet once."""
        id = short_id(path)
        value = self._draws.get(path, given.median)
        if id in self.sheet:
            return Quantity(value, parse_unit(unit), id)
        about: dict[str, Any] = {"source": given.source, "assumed": given.assumed, "spread": given.text}
        return self.sheet.given(id, Quantity(value, parse_unit(unit)), reads(id), **about)

    def line(
        self,
        option: str,
        place: str,
        kind: CostKind,
        year: int,
        when: When,
        cash: Quantity | None,
        accrual: Quantity | None = None,
        **about: Any,
    ) -> None:
        """Enter a cost. Without `accrual` the year costs what is paid; a line of nothing is left out."""
        same = accrual is None and cash is not None
        prefix = ".".join(filter(None, [option, place, kind.value]))
        what = f"{reads('.'.join(filter(None, [option, place])))}: {kind.value.replace('_', ' ')}"
        if cash is not None and not np.any(cash.value):
            cash = None
        if cash is not None:
            cash = self.sheet.named(f"{prefix}.y{year}", cash.in_unit("USD"), f"{what}, paid in year {year}")
        if same:
            accrual = cash
        elif accrual is not None and np.any(accrual.value):
            accrual = self.sheet.named(f"{prefix}.cost_y{year}", accrual.in_unit("USD"), f"{what}, cost of year {year}")
        else:
            accrual = None
        if cash is not None or accrual is not None:
            self.lines.append(Line(option, place, kind, year, when, cash, accrual, **about))


class Reader:
    """The assumptions of one table of the plan, by the names of its fields."""

    def __init__(self, book: Book, path: str, part: msgspec.Struct) -> None:
        self._book = book
        self._path = path
        self._part = part
        self._kinds = kinds_of(type(part))

    def __call__(self, field: str) -> Quantity:
        """The quantity of a field. Raises KeyError where it is not given."""
        kind = self._kinds[field]
        given = as_given(getattr(self._part, field))
        if kind is None or given is None:
            raise KeyError(field)
        return self._book.given(f"{self._path}.{field}" if self._path else field, given, kind["unit"])

    def inner(self, field: str, part: msgspec.Struct) -> "Reader":
        """Reads a table inside this one."""
        return Reader(self._book, f"{self._path}.{field}", part)

    def grown(self, field: str, change: str, year: int) -> Quantity:
        """A price in a later year: its field times (1 + change) ** (year - 1)."""
        price = self(field)
        return price if year == 1 else price * (ONE + self(change)) ** (year - 1)
