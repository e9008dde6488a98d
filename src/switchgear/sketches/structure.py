"""A call's body in a sketch: which of it is the API's and stays, and which is the caller's and is replaced."""

from typing import Any

from switchgear.sketches import images
from switchgear.sketches.schema import sketch_schema
from switchgear.sketches.values import Values
from switchgear.sketches.vocabulary import (
    BINARY_KEYS,
    KEYS,
    NAME_KEYS,
    NUMBER_KEYS,
    OPAQUE_KEYS,
    SCHEMA_KEYS,
    VALUES,
    WORD_KEYS,
)


def sketch_body(fields: dict[str, Any], values: Values, model: str) -> dict[str, Any]:
    """The body of the sketch, which names the same model. A `metadata` is the caller's own."""
    body = _object(fields, values)
    body["model"] = model
    return body


def _object(value: dict[str, Any], values: Values) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, below in value.items():
        if key in OPAQUE_KEYS:
            continue
        if key not in KEYS:
            made[values.name(key)] = values.data(below)
        elif key in SCHEMA_KEYS:
            made[key] = sketch_schema(below, values)
        elif key == "logit_bias" and isinstance(below, dict):
            made[key] = {str(values.token()): bias for bias in below.values() if isinstance(bias, int | float)}
        elif key == "metadata":
            made[key] = values.data(below)
        else:
            made[key] = _value(key, below, values)
    return made


def _value(key: str, value: Any, values: Values) -> Any:
    if isinstance(value, str):
        return _text(key, value, values)
    if isinstance(value, dict):
        return _object(value, values)
    if isinstance(value, list):
        return [_element(key, below, values) for below in value]
    if isinstance(value, bool) or value is None or key in NUMBER_KEYS:
        return value
    return values.number(value)


def _element(key: str, value: Any, values: Values) -> Any:
    """An element of a list. Whole numbers where texts may stand are tokens."""
    if isinstance(value, int) and not isinstance(value, bool) and key in ("input", "prompt"):
        return values.token()
    return _value(key, value, values)


def _text(key: str, value: str, values: Values) -> str:
    if key in WORD_KEYS and value in VALUES:
        return value
    if key in NAME_KEYS:
        return values.name(value)
    if key in BINARY_KEYS and (key != "data" or len(value) > 256):
        return images.describe(value)
    if key == "arguments":
        return values.arguments(value)
    return values.text(value)


def expanded(value: Any, rng: Any) -> Any:
    """A sketch's body as it is sent: each description of an image or a file as one of noise."""
    if isinstance(value, dict):
        return {key: expanded(below, rng) for key, below in value.items()}
    if isinstance(value, list):
        return [expanded(below, rng) for below in value]
    return images.expand(value, rng) if isinstance(value, str) else value
