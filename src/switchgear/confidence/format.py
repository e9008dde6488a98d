"""Whether an answer is the JSON that was asked for.

Validated by jsonschema-rs: the schema is a caller's, so its patterns must not be able to run for ever (Rust's `regex`, linear), and its
references must not make us fetch anything (offline). The pure Python `jsonschema` has backtracking patterns, and took 185 us where this
takes 0.9 (a small object with three properties); `fastjsonschema` makes Python code of the caller's schema and runs it.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from switchgear.core.decoding import UNREADABLE
from switchgear.core.snapshot import Endpoint

if TYPE_CHECKING:
    import jsonschema_rs

_decode = msgspec.json.Decoder().decode
_SCHEMA_BYTES = 256 * 1024
_FIELD = {Endpoint.CHAT: "response_format", Endpoint.COMPLETIONS: "response_format", Endpoint.RESPONSES: "text"}
_SPACE = " \t\r\n"


class Format:
    """JSON that was asked for: any object, or one that fits a schema."""

    __slots__ = ("_validator",)

    def __init__(self, validator: "jsonschema_rs.Validator | None" = None) -> None:
        self._validator = validator

    def fits(self, text: str) -> bool:
        """Whether a whole text is what was asked for."""
        try:
            value = _decode(text)
        except UNREADABLE:
            return False
        if self._validator is None:
            return isinstance(value, dict)
        try:
            return self._validator.is_valid(value)
        except ValueError:  # a number that JSON allows and the validator cannot hold, nested too deeply
            return False

    def may_fit(self, beginning: str) -> bool:
        """Whether a text that begins so may still become what was asked for: prose before the JSON never does."""
        begun = beginning.lstrip(_SPACE)
        return not begun or begun[0] == "{" or (self._validator is not None and begun[0] in '["-0123456789tfn')


ANY_OBJECT = Format()


def wanted_format(endpoint: Endpoint, fields: Mapping[str, msgspec.Raw]) -> Format | None:
    """What a call wants its answer to be; None where any text will do, or what it wants cannot be understood."""
    name = _FIELD.get(endpoint)
    if name is None or name not in fields:
        return None
    raw = bytes(fields[name])
    return _format_of(raw) if b"json" in raw and len(raw) <= _SCHEMA_BYTES else None


@lru_cache(maxsize=256)
def _format_of(raw: bytes) -> Format | None:
    try:
        wish = _decode(raw)
    except UNREADABLE:
        return None
    if isinstance(wish, dict) and isinstance(wish.get("format"), dict):
        wish = wish["format"]
    if not isinstance(wish, dict):
        return None
    if wish.get("type") == "json_object":
        return ANY_OBJECT
    if wish.get("type") != "json_schema":
        return None
    inner = wish.get("json_schema")
    return _schema_format(inner.get("schema") if isinstance(inner, dict) else wish.get("schema"))


def _schema_format(schema: Any) -> Format | None:
    if schema is None:
        return ANY_OBJECT
    import jsonschema_rs  # 5 MB, for those who judge answers by a schema alone

    try:
        validator = jsonschema_rs.validator_for(schema, pattern_options=jsonschema_rs.RegexOptions(), offline=True)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError, TypeError):
        return None  # the call's own mistake: its answer cannot be held to it
    return Format(validator)


def arguments_fit(arguments: str) -> bool:
    """Whether the arguments of a tool call are a JSON object, as every tool expects."""
    return ANY_OBJECT.fits(arguments)
