"""A JSON schema in a sketch: its structure as it was, its names hashed, its texts noise."""

from typing import Any

from switchgear.sketches.values import Values
from switchgear.sketches.vocabulary import SCHEMA_FORMATS, SCHEMA_TYPES, SCHEMA_WORDS

_BY_NAME = frozenset(("properties", "$defs", "definitions"))
_EXAMPLES = frozenset(("default", "examples"))
_LONGEST_REFERENCE = 20


def sketch_schema(value: Any, values: Values) -> Any:
    """Keywords, types, formats, bounds and who is required stay; a pattern becomes one that every text matches."""
    if isinstance(value, list):
        return [sketch_schema(below, values) for below in value]
    if not isinstance(value, dict):
        return values.data(value)
    return {
        keyword if keyword in SCHEMA_WORDS else values.name(keyword): _keyword(keyword, below, values)
        for keyword, below in value.items()
        if keyword not in ("patternProperties", "$id")
    }


def _keyword(keyword: str, value: Any, values: Values) -> Any:
    if keyword in _BY_NAME and isinstance(value, dict):
        return {values.name(name): sketch_schema(below, values) for name, below in value.items()}
    if keyword == "required" and isinstance(value, list):
        return [_named(name, values) for name in value]
    if keyword == "dependentRequired" and isinstance(value, dict):
        return {values.name(key): [_named(one, values) for one in below] for key, below in value.items()}
    if keyword in ("enum", "const"):
        return _choice(value, values)
    if keyword in _EXAMPLES:
        return values.data(value)
    if isinstance(value, str):
        return _text(keyword, value, values)
    if keyword == "type" and isinstance(value, list):
        return [one if one in SCHEMA_TYPES else "string" for one in value]
    return value if isinstance(value, int | float) or value is None else sketch_schema(value, values)


def _named(name: Any, values: Values) -> Any:
    return values.name(name) if isinstance(name, str) else values.data(name)


def _choice(value: Any, values: Values) -> Any:
    """A value that an answer may have to repeat: hashed, so that it stays one of several."""
    if isinstance(value, list):
        return [_choice(below, values) for below in value]
    return values.name(value) if isinstance(value, str) else values.data(value)


def _text(keyword: str, value: str, values: Values) -> str:
    if keyword == "type":
        return value if value in SCHEMA_TYPES else "string"
    if keyword == "format":
        return value if value in SCHEMA_FORMATS else values.name(value)
    if keyword == "pattern":
        return ".*"
    if keyword == "$schema":
        return "https://json-schema.org/draft/2020-12/schema"
    if keyword == "$ref":
        parts = value.split("/")[:_LONGEST_REFERENCE]
        return "/".join(part if part in ("#", "") or part in SCHEMA_WORDS else values.name(part) for part in parts)
    return values.text(value)
