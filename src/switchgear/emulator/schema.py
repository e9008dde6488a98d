"""An instance of a JSON schema, chosen by the prompt: what an emulated model answers where JSON or a tool call is asked for.

Understood: type, enum, const, properties, required, items, prefixItems, the size and range keywords, format (the common
ones), anyOf, oneOf, allOf, local $ref. A schema with keywords that would need a search (pattern, not, if) is refused rather than answered
wrongly.
"""

import math
from collections.abc import Mapping
from typing import Any

from switchgear.emulator.errors import ApiError
from switchgear.emulator.text import Draws

_WORDS = (
    "amber",
    "bridge",
    "copper",
    "delta",
    "ember",
    "field",
    "granite",
    "harbour",
    "island",
    "juniper",
    "kettle",
    "lantern",
)
_FORMATS = {
    "date-time": "2025-01-15T09:30:00Z",
    "date": "2025-01-15",
    "time": "09:30:00Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_REFUSED = (
    "pattern",
    "patternProperties",
    "not",
    "if",
    "dependentSchemas",
    "dependentRequired",
    "contains",
    "propertyNames",
)
_DEEPEST = 16
"""Levels of nesting after which optional properties are left out; twice as many are refused (a schema that needs itself)."""
_MOST_VALUES = 20_000
_LONGEST = 100_000
"""Values of one instance and characters of one of its strings: more would keep all other callers of the place waiting."""

Schema = Mapping[str, Any] | bool


def instance(schema: Schema, draws: Draws, param: str) -> Any:
    """A value that `schema` allows. Raises ApiError, naming `param`, where it cannot tell."""
    maker = _Maker(schema, draws, param)
    try:
        return maker.make(schema, 0)
    except (
        TypeError,
        ValueError,
        AttributeError,
        LookupError,
        ArithmeticError,
    ) as error:  # keywords with values of any kind
        raise maker.refuse("it is no JSON schema") from error


class _Maker:
    def __init__(self, root: Schema, draws: Draws, param: str) -> None:
        self._root = root
        self._draws = draws
        self._param = param
        self._made = 0

    def make(self, schema: Schema, depth: int) -> Any:
        self._made += 1
        if self._made > _MOST_VALUES:
            raise self.refuse(f"it wants more than {_MOST_VALUES:,} values")
        if isinstance(schema, bool):
            if not schema:
                raise self.refuse("it allows nothing (false)")
            return self._word()
        if depth > 2 * _DEEPEST:
            raise self.refuse("it nests without end")
        for keyword in _REFUSED:
            if keyword in schema:
                raise self.refuse(f"the emulator does not understand {keyword!r}")
        if "$ref" in schema:
            return self.make(self._resolve(schema["$ref"]), depth + 1)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][self._draws.below(len(schema["enum"]))]
        if "allOf" in schema:
            return self.make(self._merged(schema), depth + 1)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                rest = {key: value for key, value in schema.items() if key != keyword}
                return self.make(self._combine(rest, self._simplest(schema[keyword], depth)), depth + 1)
        return self._typed(schema, depth)

    def _typed(self, schema: Mapping[str, Any], depth: int) -> Any:
        kind = schema.get("type", "object" if "properties" in schema else "array" if "items" in schema else "string")
        if isinstance(kind, list):
            kind = next((one for one in kind if one != "null"), "null")
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "string":
                return self._string(schema)
            case "integer":
                return int(self._number(schema, whole=True))
            case "number":
                return self._number(schema, whole=False)
            case "boolean":
                return self._draws.below(2) == 1
            case "null":
                return None
        raise self.refuse(f"type {kind!r} is unknown")

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        names = [name for name in properties if name in required or depth < _DEEPEST]
        made = {name: self.make(properties[name], depth + 1) for name in names}
        extra = schema.get("additionalProperties", True)
        for name in required:
            if name not in made:
                made[name] = self.make(True if isinstance(extra, bool) else extra, depth + 1)
        while len(made) < schema.get("minProperties", 0):
            made[f"{self._word()}_{len(made)}"] = self.make(True if isinstance(extra, bool) else extra, depth + 1)
        return made

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        made = [self.make(item, depth + 1) for item in schema.get("prefixItems", [])]
        least = schema.get("minItems", 0 if depth >= _DEEPEST else 1)
        least = min(least, schema.get("maxItems", least))
        items = schema.get("items", True)
        tries = 0
        while items is not False and len(made) < least:
            value = self.make(items, depth + 1)
            tries += 1
            if schema.get("uniqueItems") and value in made:
                if tries > 64 * (least + 1):
                    raise self.refuse("it wants more different items than the emulator finds")
                continue
            made.append(value)
        return made

    def _string(self, schema: Mapping[str, Any]) -> str:
        if (known := _FORMATS.get(schema.get("format", ""))) is not None:
            return known
        least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
        if least > _LONGEST:
            raise self.refuse(f"it wants a string of more than {_LONGEST:,} characters")
        text = self._word()
        while len(text) < least:
            text += f" {self._word()}"
        return text if len(text) <= most else text[: int(most)]

    def _number(self, schema: Mapping[str, Any], *, whole: bool) -> float:
        step = schema.get("multipleOf", 1 if whole else 0.5)
        over, under = schema.get("exclusiveMinimum", -math.inf), schema.get("exclusiveMaximum", math.inf)
        low, high = max(over, schema.get("minimum", -math.inf)), min(under, schema.get("maximum", math.inf))
        if low == -math.inf:
            low = 0 if high > 0 else high - 100 * step
        first = math.ceil(low / step) + (math.ceil(low / step) * step == over)
        last = first + 100
        if high < last * step:
            last = math.floor(high / step) - (math.floor(high / step) * step == under)
        if last < first:
            middle = (low + high) / 2
            if whole or "multipleOf" in schema or middle in (over, under) or not low <= middle <= high:
                raise self.refuse("its range holds no number")
            return float(middle)
        value = (first + self._draws.below(last - first + 1)) * step
        return int(value) if whole else value

    def _simplest(self, schemas: list[Schema], depth: int) -> Schema:
        """The alternative that asks for least: a type before a reference before null, but null before a reference deep down."""

        def weight(one: Schema) -> int:
            if isinstance(one, bool):
                return 4 if one else 9
            if "$ref" in one:
                return 1 if depth < _DEEPEST // 4 else 3
            return 2 if one.get("type") == "null" else 0

        return min(schemas, key=weight)

    def _merged(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        rest: Schema = {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema["allOf"]:
            rest = self._combine(rest, part)
        return rest if isinstance(rest, Mapping) else {"enum": []}

    def _combine(self, one: Schema, other: Schema) -> Schema:
        if isinstance(other, Mapping) and "$ref" in other:
            other = self._resolve(other["$ref"])
        if isinstance(one, bool) or isinstance(other, bool):
            if one is False or other is False:
                return False
            return other if one is True else one
        properties = {**one.get("properties", {}), **other.get("properties", {})}
        required = [*one.get("required", []), *other.get("required", [])]
        return {
            **one,
            **other,
            **({"properties": properties} if properties else {}),
            **({"required": required} if required else {}),
        }

    def _resolve(self, reference: Any) -> Schema:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise self.refuse(f"reference {reference!r} is not local")
        found: Any = self._root
        for part in reference[1:].split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, Mapping) or key not in found:
                raise self.refuse(f"reference {reference!r} leads nowhere")
            found = found[key]
        if not isinstance(found, Mapping | bool):
            raise self.refuse(f"reference {reference!r} leads to no schema")
        return found

    def _word(self) -> str:
        return self._draws.pick(_WORDS)

    def refuse(self, reason: str) -> ApiError:
        return ApiError(
            400, f"Invalid schema for {self._param}: {reason}.", param=self._param, error_code="invalid_schema"
        )
