"""Which counters a limit has for a call: one for each combination of values that it tells apart, and for each of its measures."""

from collections.abc import Iterable

from switchgear.core.limits import EACH, Limit, LimitMode
from switchgear.limits.model import NANO, Counter, Measure

ALL_CALLS = "all calls"
_FIELDS = ("key", "team", "model", "backend")


def counters_of(limits: Iterable[Limit], values: dict[str, str]) -> Iterable[Counter]:
    """The counters of the limits that apply to a call with these values of key, team, model and, for an attempt, backend."""
    for limit in limits:
        scope = _scope(limit, values)
        if scope is None:
            continue
        name = limit.id
        for measure in Measure:
            amount = getattr(limit, measure.value)
            if amount is not None:
                bound = round(amount * NANO) if measure in (Measure.USD_DAY, Measure.USD_MONTH) else amount
                identity = f"{name}|{scope}|{measure.value}"
                yield Counter(identity, name, scope or ALL_CALLS, measure, bound, limit.mode is LimitMode.HARD)


def _scope(limit: Limit, values: dict[str, str]) -> str | None:
    """The values that a call is counted under, for example `team=research,model=chat`; None where the limit does not apply to it."""
    parts: list[str] = []
    for field in _FIELDS:
        wanted = getattr(limit, field)
        if wanted is None:
            continue
        value = values[field]
        if wanted not in (EACH, value):
            return None
        parts.append(f"{field}={_plain(value)}")
    return ",".join(parts)


def still_counts(limit: Limit, counter: Counter) -> bool:
    """Whether a limit still has this counter."""
    pairs = (part.partition("=") for part in counter.scope.split(","))
    values = {field: value for field, _, value in pairs}
    fields = [field for field in _FIELDS if getattr(limit, field) is not None]
    return (
        getattr(limit, counter.measure.value) is not None
        and (list(values) == fields or (not fields and counter.scope == ALL_CALLS))
        and all(
            getattr(limit, field) in (EACH, values[field]) or _plain(getattr(limit, field)) == values[field]
            for field in fields
        )
    )


def _plain(value: str) -> str:
    """A value that no other can be taken for: names of callers may come from outside and hold anything."""
    return value.replace("%", "%25").replace(",", "%2C").replace("|", "%7C")
