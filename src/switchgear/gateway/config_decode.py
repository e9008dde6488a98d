"""From parsed TOML to typed structures, piece by piece: every wrong piece is found, with its exact path.

msgspec judges each single value; its own conversion of a whole document ends at the first error and calls a table's name `[...]`.
"""

import math
import re
from difflib import get_close_matches
from functools import cache
from typing import Any, TypeGuard, TypeVar, get_args, get_origin

import msgspec
from msgspec import inspect

from switchgear.gateway.config_secrets import is_secret_key
from switchgear.gateway.config_words import describe, describe_value
from switchgear.gateway.findings import Findings, suggest
from switchgear.gateway.lines import Path, dotted

T = TypeVar("T")
_INT64 = 2**63
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class _Bad:
    """In place of a value that could not be made; its problem is on the list."""


BAD = _Bad()


class Decoder:
    """Makes typed values of a document; `values` has each one that could be made, wherever it stands."""

    def __init__(self, raw: dict[str, Any], findings: Findings) -> None:
        self.raw = raw
        self.values: dict[Path, object] = {}
        self.findings = findings
        self.cut_names: set[str] = set()
        """Names that were cut at a dot, as they were meant."""

    def names(self, path: Path) -> list[str]:
        """The keys of a table of the file, good or bad; none where no table stands."""
        table = self._raw_at(path)
        return list(table) if isinstance(table, dict) else []

    def paths(self, path: Path) -> list[Path]:
        """Those of an array's elements, good or bad."""
        array = self._raw_at(path)
        return [(*path, index) for index in range(len(array))] if isinstance(array, list) else []

    def given(self, path: Path) -> bool:
        """Whether the file has a key, good or bad."""
        return path[-1] in self.names(path[:-1])

    def _raw_at(self, path: Path) -> object:
        found: Any = self.raw
        for part in path:
            inside = part in found if isinstance(found, dict) else isinstance(found, list) and isinstance(part, int)
            if not inside:
                return None
            found = found[part]
        return found

    def at(self, path: Path, kind: type[T]) -> T | None:
        """The value at a path, if one of that type stands there in the file and is good."""
        value = self.values.get(path)
        return value if isinstance(value, kind) else None

    def all(self, kind: type[T]) -> list[tuple[Path, T]]:
        """Every good value of a type, in the order of the file."""
        return [(path, value) for path, value in self.values.items() if isinstance(value, kind)]

    def decode(self, value: object, annotation: object, path: Path) -> object:
        """The typed value, or BAD."""
        bare = _without_none(annotation)
        origin = get_origin(_unannotated(bare))
        if _is_struct(bare):
            made = self._table(value, bare, path)
        elif origin is tuple:
            made = self._array(value, bare, path)
        elif origin is dict:
            made = self._names(value, bare, path)
        else:
            made = self._single(value, bare, path)
        if not isinstance(made, _Bad):
            self.values[path] = made
        return made

    def _table(self, value: object, struct: type[msgspec.Struct], path: Path) -> object:
        if not isinstance(value, dict):
            return self._mismatch(value, struct, path)
        fields = _fields(struct)
        made: dict[str, object] = {}
        good = True
        cut_name = False
        for key, below in value.items():
            field = fields.get(key)
            if field is None:
                good = False
                cut_name |= self._unknown(key, below, fields, path)
                continue
            piece = self.decode(below, field.type, (*path, key))
            made[field.name] = piece
            good &= not isinstance(piece, _Bad)
        for key, field in fields.items():
            if field.required and key not in value:
                good = False
                if not cut_name:
                    self._missing(key, field.type, path)
        return struct(**made) if good else BAD

    def _array(self, value: object, annotation: object, path: Path) -> object:
        if not isinstance(value, list):
            return self._mismatch(value, annotation, path)
        item = get_args(_unannotated(annotation))[0]
        pieces = [self.decode(below, item, (*path, index)) for index, below in enumerate(value)]
        if len(value) < _least(annotation):
            return self._mismatch(value, annotation, path)
        return BAD if any(isinstance(piece, _Bad) for piece in pieces) else tuple(pieces)

    def _names(self, value: object, annotation: object, path: Path) -> object:
        if not isinstance(value, dict):
            return self._mismatch(value, annotation, path)
        item = get_args(_unannotated(annotation))[1]
        made = {name: self.decode(below, item, (*path, name)) for name, below in value.items()}
        return BAD if any(isinstance(piece, _Bad) for piece in made.values()) else made

    def _single(self, value: object, annotation: object, path: Path) -> object:
        if isinstance(value, float) and not math.isfinite(value):
            return self._mismatch(value, annotation, path)
        if isinstance(value, int) and not -_INT64 <= value < _INT64:
            return self._mismatch(value, annotation, path)
        if isinstance(value, str) and _CONTROL.search(value):
            self.findings.refuse(path, "holds a line break or another control character", "Write it on one line.")
            return BAD
        try:
            return msgspec.convert(value, annotation)
        except msgspec.ValidationError:
            return self._mismatch(value, annotation, path)

    def _mismatch(self, value: object, annotation: object, path: Path) -> object:
        info = inspect.type_info(annotation)
        instead = "" if isinstance(info, inspect.StrType) and isinstance(value, str) else f", not {_shown(value, info)}"
        self.findings.refuse(path, f"must be {describe(info)}{instead}", _remedy(value, info))
        return BAD

    def _missing(self, key: str, annotation: object, path: Path) -> None:
        info = inspect.type_info(_without_none(annotation))
        remedy = f"Write it: {describe(info)}."
        if isinstance(info, inspect.DictType):
            remedy = f"Write at least one table [{dotted((*path, key))}.NAME]."
        self.findings.refuse((*path, key), "is missing", remedy)

    def _unknown(self, key: str, value: object, fields: dict[str, msgspec.structs.FieldInfo], path: Path) -> bool:
        """Refuse a key. Tells whether it is the rest of a name that was cut at its dot."""
        here = (*path, key)
        name = _cut_name(key, value, fields) if len(path) == 2 else None
        if name is not None:
            self.cut_names.add(f"{path[1]}.{name}")
            whole = dotted((path[0], f"{path[1]}.{name}"))
            self.findings.refuse(
                here, "is no key; a dot in a table's name begins a table below it", f"Quote the name: [{whole}]."
            )
        elif isinstance(value, str) and (is_secret_key(key) or (path[:1] == ("keys",) and key in ("key", "value"))):
            self.findings.refuse(here, "is a secret, and secrets are never written here", _secret_remedy(path))
        else:
            parent = next((name for name, field in fields.items() if key in _keys_of(field.type)), None)
            near = get_close_matches(key, fields, n=1, cutoff=0.85)
            remedy = (
                f"It belongs in the table {dotted((*path, parent))}."
                if parent is not None and not near
                else suggest(key, fields, what="Known here")
            )
            self.findings.refuse(here, "is not a known key", remedy)
        return name is not None


@cache
def _fields(struct: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.encode_name: field for field in msgspec.structs.fields(struct)}


def _least(annotation: object) -> int:
    """How many elements an array must have."""
    constraints = getattr(annotation, "__metadata__", ())
    return max((one.min_length or 0 for one in constraints if isinstance(one, msgspec.Meta)), default=0)


def _without_none(annotation: object) -> object:
    """`X | None` as X: TOML has no null."""
    if type(None) in get_args(annotation):
        return next(one for one in get_args(annotation) if one is not type(None))
    return annotation


def _unannotated(annotation: object) -> object:
    return get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation


def _is_struct(annotation: object) -> TypeGuard[type[msgspec.Struct]]:
    return isinstance(annotation, type) and issubclass(annotation, msgspec.Struct)


def _keys_of(annotation: object) -> tuple[str, ...]:
    bare = _without_none(annotation)
    return bare.__struct_encode_fields__ if _is_struct(bare) else ()


def _cut_name(key: str, value: object, fields: dict[str, msgspec.structs.FieldInfo]) -> str | None:
    """`1.8b`, where `[models.llama-3.1.8b]` was written for `[models."llama-3.1.8b"]`: below the last part are this table's own keys."""
    while isinstance(value, dict):
        if any(below in fields for below in value):
            return key
        if len(value) != 1:
            return None
        ((part, value),) = value.items()
        key = f"{key}.{part}"
    return None


def _shown(value: object, info: inspect.Type) -> str:
    if isinstance(info, inspect.EnumType) and isinstance(value, str) and value.isascii() and len(value) <= 40:
        return f'"{value}"'
    return describe_value(value)


def _remedy(value: object, info: inspect.Type) -> str:
    match info, value:
        case inspect.EnumType(cls=cls), str():
            return suggest(value, [str(member.value) for member in cls], what="Known here")
        case ((inspect.IntType() | inspect.FloatType() | inspect.BoolType()), str()):
            return "Write the bare value, without quotes and without a unit."
        case inspect.VarTupleType(), str() | dict():
            return "Put it into brackets: [ … ], or its header into two: [[ … ]]."
        case inspect.VarTupleType(), []:
            return "Write at least one, or leave the key out."
        case inspect.StrType(pattern=None), bool() | int() | float():
            return "Put it into quotes."
        case inspect.StrType(pattern=str() as pattern), str() if "64" in pattern:
            return "`switchgear key new` prints a key and its hash."
        case ((inspect.IntType() | inspect.FloatType()), int() | float()) if not isinstance(value, bool):
            return "Choose another, or leave it out for its default."
        case inspect.StrType(), str():
            return "Choose another."
        case ((inspect.StructType() | inspect.DictType()), list()):
            return "Write one table, with single brackets in its header."
        case ((inspect.StructType() | inspect.DictType()), _):
            return "Write a table: { key = value, … }."
    return f"Write {describe(info)}."


def _secret_remedy(path: Path) -> str:
    if path[:1] == ("keys",):
        return "Write the SHA-256 of the key as sha256; `switchgear key new` prints both."
    return "Secrets come from the environment or a file: use api_key_env (or api_key_file)."
