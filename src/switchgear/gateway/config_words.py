"""What a key of the configuration may hold, in words: for problems and for docs/configuration.md."""

from typing import get_args

from msgspec import inspect

from switchgear.core.authorization import Jurisdiction, Word
from switchgear.core.identity import Sha256
from switchgear.core.snapshot import Name

_PATTERNS = {
    get_args(Name)[1].pattern: "a name (letters, digits and . _ : / -, at most 128, a letter or digit first)",
    get_args(Sha256)[1].pattern: "64 lower-case hexadecimal digits",
    get_args(Word)[1].pattern: "a label (letters, digits and . _ : -, at most 64, a letter or digit first)",
    get_args(Jurisdiction)[1].pattern: "a jurisdiction such as EU or EU/DE",
}


def describe(info: inspect.Type) -> str:
    """`a number above 0`, `one of cloud, onprem, appliance, edge`, `an array of text` …"""
    match info:
        case inspect.DateTimeType():
            return "a date and time with its offset, for example 2027-01-31T00:00:00Z"
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return f"a whole number{_bounds(info)}"
        case inspect.FloatType():
            return f"a number{_bounds(info)}"
        case inspect.StrType(pattern=str() as pattern):
            return _PATTERNS.get(pattern, f"text like {pattern}")
        case inspect.StrType(min_length=int()):
            return "text that is not empty"
        case inspect.StrType():
            return "text"
        case inspect.EnumType(cls=cls):
            return f"one of {', '.join(str(member.value) for member in cls)}"
        case inspect.VarTupleType(item_type=item, min_length=least):
            return f"an array of {_items(item)}{', at least one' if least else ''}"
        case inspect.DictType() | inspect.StructType():
            return "a table"
        case inspect.UnionType(types=types):
            return " or ".join(describe(one) for one in types if not isinstance(one, inspect.NoneType))
    raise NotImplementedError(f"no words for {info}")


def describe_value(value: object) -> str:
    """What stands there instead. Text is never shown: it could be a secret in the wrong place."""
    match value:
        case bool():
            return str(value).lower()
        case int() if abs(value) >= 2**63:
            return "one so large"
        case int() | float():
            return str(value)
        case "":
            return "empty text"
        case str():
            return "text"
        case dict():
            return "a table"
        case []:
            return "an empty array"
        case list():
            return "an array"
    return "a date or time"


def _items(info: inspect.Type) -> str:
    match info:
        case inspect.StructType():
            return "tables"
        case inspect.EnumType(cls=cls):
            return f"values out of {', '.join(str(member.value) for member in cls)}"
    return describe(info)


def _bounds(info: inspect.IntType | inspect.FloatType) -> str:
    low = f"above {info.gt:g}" if info.gt is not None else f"at least {info.ge:g}" if info.ge is not None else ""
    high = f"below {info.lt:g}" if info.lt is not None else f"at most {info.le:g}" if info.le is not None else ""
    if info.ge is not None and info.le is not None:
        return f" from {info.ge:g} to {info.le:g}"
    joined = " and ".join(part for part in (low, high) if part)
    if not joined:
        return ""
    return f" of {joined}" if joined.startswith("at ") else f" {joined}"
