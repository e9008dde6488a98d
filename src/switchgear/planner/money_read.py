"""From a file of assumptions to a `Plan`, or to every problem in it with its remedy."""

import difflib
import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from switchgear.core.errors import Problem
from switchgear.planner.money_errors import BadPlan
from switchgear.planner.money_given import Given, as_given
from switchgear.planner.money_model import Kind, Owned, Place, Plan
from switchgear.planner.numbers import NO_TOML, REMEDY, unusable, values_of

T = TypeVar("T", bound=msgspec.Struct)

_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>[^`]*)`(?: - at `(?P<where>[^`]*)`)?")
_MISSING = re.compile(r"Object missing required field `(?P<name>[^`]*)`(?: - at `(?P<where>[^`]*)`)?")
_ELSE = re.compile(r"(?P<what>.*?)(?: - at `(?P<where>[^`]*)`)?$")
_TAKEN = {"workload", "sites", "plan", "usage"}
_REMEDIES = {
    "currency": 'Write `currency = "USD"` at the top: a sum without a currency says nothing.',
    "discount_rate_per_year": "Give the company's cost of capital as a fraction, for example 0.08.",
    "usd_per_kwh": "Give the price of energy in dollars for each kilowatt-hour, for example 0.15.",
}


def read_plan(path: Path) -> Plan:
    """Read a file of assumptions. Raises BadPlan with every problem found."""
    return plan_of(read_toml(path))


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file. Raises BadPlan."""
    try:
        data = values_of(path.read_bytes())
    except OSError as error:
        raise BadPlan([Problem(str(path), f"cannot be read: {error.strerror}", "Give the path of a file.")]) from error
    except NO_TOML as error:
        raise BadPlan([Problem(str(path), f"is no TOML: {error}", "See examples/plan/ for working files.")]) from error
    problems = [Problem(key, f"is {number}", REMEDY) for key, number in unusable(data)]
    if problems:
        raise BadPlan(problems)
    return data


def plan_of(data: Mapping[str, Any]) -> Plan:
    """A plan from decoded TOML. Raises BadPlan."""
    plan = decoded(data, Plan)
    problems = [*range_problems(plan), *_problems(plan)]
    if problems:
        raise BadPlan(problems)
    return plan


def decoded(data: Mapping[str, Any], kind: type[T]) -> T:
    """Decoded TOML as `kind`. All unknown keys are reported, and the first key that is missing or of a wrong type. Raises BadPlan."""
    content = _copied(data)
    problems: list[Problem] = []
    while True:
        try:
            result = msgspec.convert(content, kind)
        except msgspec.ValidationError as error:
            unknown = _UNKNOWN.match(str(error))
            if unknown is None:
                problems.append(_problem(str(error)))
                break
            problems.append(_unknown(content, kind, unknown["name"], _steps(unknown["where"])))
        else:
            break
    if problems:
        raise BadPlan(problems)
    return result


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(part) for key, part in value.items()}
    return [_copied(part) for part in value] if isinstance(value, list) else value


def _steps(where: str | None) -> list[str]:
    return [step or index for index, step in re.findall(r"\[([^\]]*)\]|\.?([^.\[\]$]+)", where or "")]


def _unknown(content: Any, kind: type[msgspec.Struct], name: str, steps: list[str]) -> Problem:
    """Report an unknown key and take it out, so that the next problem shows."""
    table, path = _table_with(content, name, steps)
    del table[name]
    known = sorted(_known_names(kind))
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    longer = [other for other in known if other.startswith(f"{name}_")]
    if close or longer:
        remedy = f"Did you mean `{(close or longer)[0]}`? The unit is part of a name."
    else:
        remedy = "Take it out; docs/planner-money.md lists the keys."
    return Problem(".".join([*path, name]), "there is no such key here", remedy)


def _table_with(content: Any, name: str, steps: list[str]) -> tuple[dict[str, Any], list[str]]:
    """For a key of a mapping msgspec writes `[...]`: look at all of them for the one that holds the unknown name."""
    if not steps:
        return content, []
    first, *rest = steps
    keys = list(content) if first == "..." else [first]
    for key in keys:
        inner = content[int(key)] if isinstance(content, list) else content[key]
        if not isinstance(inner, dict | list):
            continue
        try:
            table, path = _table_with(inner, name, rest)
        except (KeyError, IndexError, ValueError):
            continue
        if name in table:
            return table, [str(key), *path]
    raise KeyError(name)


def _known_names(kind: Any, seen: set[Any] | None = None) -> set[str]:
    seen = set() if seen is None else seen
    names: set[str] = set()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        if kind in seen:
            return names
        seen.add(kind)
        names |= set(kind.__struct_fields__)
        for hint in get_type_hints(kind).values():
            names |= _known_names(hint, seen)
        return names
    for inner in get_args(kind):
        names |= _known_names(inner, seen)
    return names


def _problem(message: str) -> Problem:
    missing = _MISSING.match(message)
    if missing:
        name = missing["name"]
        remedy = _REMEDIES.get(name, f"Add `{name}`; docs/planner-money.md says what it means.")
        return Problem(".".join([*_steps(missing["where"]), name]), "is missing", remedy)
    matched = _ELSE.match(message)
    assert matched is not None  # noqa: S101  the pattern matches every text
    steps = _steps(matched["where"])
    remedy = "Correct the value."
    if steps[-1:] == ["currency"]:
        remedy = 'Write "USD": convert other currencies before, and say the rate in `source`.'
    elif re.search(r"`(float|int)` [<>]", matched["what"]):
        remedy = "Correct the value: give one in that range."
    elif "float" in matched["what"] or "Given" in matched["what"]:
        remedy = "Give a number without quotes, or a distribution such as { triangular = [low, mode, high] }."
    return Problem(".".join(steps) or "the file", matched["what"], remedy)


def assumptions(part: msgspec.Struct, path: str = "") -> Iterator[tuple[str, Given, dict[str, Any]]]:
    """Every assumption of a structure: its path, what is given, and its kind (unit, range, remedy)."""
    kinds = kinds_of(type(part))
    for name in part.__struct_fields__:
        value = getattr(part, name)
        here = f"{path}.{name}" if path else name
        kind = kinds[name]
        if kind is not None:
            given = as_given(value)
            if given is not None:
                yield here, given, kind
        elif isinstance(value, msgspec.Struct):
            yield from assumptions(value, here)
        elif isinstance(value, dict):
            for key, inner in value.items():
                if isinstance(inner, msgspec.Struct):
                    yield from assumptions(inner, f"{here}.{key}")
        elif isinstance(value, tuple):
            for index, inner in enumerate(value):
                if isinstance(inner, msgspec.Struct):
                    yield from assumptions(inner, f"{here}.{getattr(inner, 'name', index)}")


@functools.cache
def kinds_of(part: type[msgspec.Struct]) -> dict[str, dict[str, Any] | None]:
    """For each field of a table that holds an assumption its unit, range and remedy; None for any other field."""
    hints = get_type_hints(part, include_extras=True)
    return {name: _kind_of(hints[name]) for name in part.__struct_fields__}


def _kind_of(hint: Any) -> dict[str, Any] | None:
    for meta in getattr(hint, "__metadata__", ()):
        if isinstance(meta, msgspec.Meta) and meta.extra and "unit" in meta.extra:
            return meta.extra
    for inner in get_args(hint):
        if (found := _kind_of(inner)) is not None:
            return found
    return None


def range_problems(part: msgspec.Struct) -> Iterator[Problem]:
    """Distributions that are none, and values outside of what makes sense for their kind."""
    for path, given, kind in assumptions(part):
        if given.problem:
            what, _, remedy = given.problem.partition(". ")
            yield Problem(path, what, remedy)
            continue
        low, high = given.support
        lowest, highest = kind["low"], kind["high"]
        unit = f" {kind['unit']}" if kind["unit"] else ""
        if given.lognormal is not None and (lowest > 0 or highest == 1.0):
            yield Problem(
                path, "has a lognormal distribution, which has no ends", "Give triangular or uniform, within its range."
            )
            continue
        if not (low > lowest if kind["above"] else low >= lowest) or low != low:
            bound = f"above {lowest:g}" if kind["above"] else f"{lowest:g} or more"
            yield Problem(path, f"is {low:g}{unit}", kind["hint"] or f"Give {bound}{unit}.")
        elif high != high or (highest is not None and given.lognormal is None and high > highest):
            yield Problem(path, f"is {high:g}{unit}", kind["hint"] or f"Give at most {highest:g}{unit}.")
        elif highest is not None and given.lognormal is not None and given.lognormal.p90 > highest:
            yield Problem(path, f"has its P90 at {given.lognormal.p90:g}{unit}", kind["hint"])
        elif high == float("inf") and given.lognormal is None:
            yield Problem(path, "is infinite", "Give a finite number.")


def _problems(plan: Plan) -> Iterator[Problem]:
    if plan.baseline not in plan.options:
        yield Problem("baseline", f"no option is named {plan.baseline!r}", f"Name one of {', '.join(plan.options)}.")
    if len(plan.options) < 2:
        yield Problem("options", "there is nothing to compare", "Give at least two options.")
    for name, site in plan.sites.items():
        if len(site.load_shape) != 24 or not any(site.load_shape):
            yield Problem(
                f"sites.{name}.load_shape", "does not have 24 weights, some above zero", "Give one for each hour."
            )
        for period in site.periods:
            if period.from_hour >= period.to_hour:
                yield Problem(f"sites.{name}.periods.{period.name}", "ends before it begins", "Split it at midnight.")
    for name, option in plan.options.items():
        where = f"options.{name}"
        if name in _TAKEN:
            yield Problem(where, "has a name that is used otherwise", "Choose another name.")
        if not option.places:
            yield Problem(f"{where}.places", "is empty", "Give at least one place that serves calls.")
        yield from _place_problems(plan, where, option.places)
        if option.kind is Kind.HYBRID and len(option.places) < 2:
            yield Problem(f"{where}.kind", "is hybrid with one place", "Add the other place, or give its own kind.")


def _place_problems(plan: Plan, where: str, places: Mapping[str, Place]) -> Iterator[Problem]:
    rest = [name for name, place in places.items() if place.share_of_calls is None]
    if len(rest) > 1:
        yield Problem(
            f"{where}.places", f"{' and '.join(rest)} have no share_of_calls", "Leave it out in one place only."
        )
    shares = [given.support[1] for place in places.values() if (given := as_given(place.share_of_calls)) is not None]
    if sum(shares) > 1 + 1e-9:
        yield Problem(
            f"{where}.places", f"the shares of calls add up to {sum(shares):g}", "They are at most 1 together."
        )
    if not rest and sum(shares) < 1 - 1e-9:
        remedy = "Leave share_of_calls out in the place that takes the rest, or make the shares add up to 1."
        yield Problem(f"{where}.places", f"only {sum(shares):g} of the calls are served", remedy)
    for name, place in places.items():
        ways = [way for way in ("tokens", "reserved", "owned", "service") if getattr(place, way) is not None]
        if len(ways) != 1:
            remedy = "Give exactly one of tokens, reserved, owned and service."
            yield Problem(f"{where}.places.{name}", f"has {' and '.join(ways) or 'no way to pay'}", remedy)
        if place.owned is not None:
            yield from _owned_problems(plan, f"{where}.places.{name}.owned", place.owned)


def _owned_problems(plan: Plan, where: str, owned: Owned) -> Iterator[Problem]:
    if owned.site not in plan.sites:
        known = ", ".join(plan.sites) or "none is given"
        yield Problem(f"{where}.site", f"no site is named {owned.site!r}", f"Add [sites.{owned.site}] ({known}).")
    if owned.loan is not None and owned.lease is not None:
        yield Problem(where, "has a loan and a lease", "Give one of them, or neither to pay at once.")
    idle, busy = as_given(owned.idle_kw_per_unit), as_given(owned.busy_kw_per_unit)
    if (
        idle is not None
        and busy is not None
        and idle.support[1] > busy.support[0]
        and not (idle.problem or busy.problem)
    ):
        yield Problem(f"{where}.idle_kw_per_unit", "can be above busy_kw_per_unit", "Idle power is at most busy power.")
