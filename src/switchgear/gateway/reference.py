"""docs/configuration.md, made from the types of the configuration and their docstrings. Pure but for reading this program's own source.

A line of the reference is a field: its docstring says what it means, its type what it may hold, its suffix the unit. Each table's example
is cut from examples/full.toml, which a test loads, so that no example can be wrong.
"""

import ast
import inspect as python
import json
import textwrap
from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple, get_args, get_origin

import msgspec
from msgspec import inspect

from switchgear.backends.registry import PROTOCOLS
from switchgear.gateway.config_model import Config
from switchgear.gateway.config_words import describe
from switchgear.gateway.lines import Lines
from switchgear.gateway.strategies import STRATEGIES

_UNITS = {"_usd_per_mtok": "US dollars", "_usd": "US dollars", "_bytes": "bytes", "_s": "seconds", "_days": "days"}
_CHOICES: Mapping[str, Mapping[str, object]] = {"protocol": PROTOCOLS, "strategy": STRATEGIES}
"""Keys whose values are the names of a registry."""
_INTRODUCTION = """\
# The configuration file

One TOML file says what a gateway serves: `switchgear gateway --config FILE`. `switchgear check FILE` tells everything that is wrong in
it at once, each with its line and a remedy, and what a good one means.

- Unknown keys are refused, with the nearest known name.
- Secrets never stand in the file. A backend's key comes from the environment (`api_key_env`) or a file (`api_key_file`); of a caller's
  key only the SHA-256 is written, and `switchgear key new` prints both.
- Paths are relative to the directory that the gateway is started in.
- A name with a dot needs quotes: `[models."gpt-4.1"]`.
- SIGHUP reads the file again. What is wrong then changes nothing: the gateway goes on with what it has.

[`examples/two-places.toml`](../examples/two-places.toml) is a file to start from, [`examples/full.toml`](../examples/full.toml) has
every key.

This page is made from the program's types by `tools/docs.py`; change the docstrings, not the page.
"""


class Table(NamedTuple):
    """One table of the file."""

    title: str
    """As its header is written, with NAME for what the user chooses."""
    struct: type[msgspec.Struct]
    path: tuple[str, ...]
    """The same as keys of the document."""


def tables() -> list[Table]:
    """All tables, each before those within it. One that stands in several places is listed where it comes first."""
    found: dict[type[msgspec.Struct], Table] = {}
    _collect(found, Config, "", ())
    return list(found.values())


def _collect(
    found: dict[type[msgspec.Struct], Table], struct: type[msgspec.Struct], title: str, path: tuple[str, ...]
) -> None:
    for field in msgspec.structs.fields(struct):
        within, shape = _struct_within(field.type)
        if within is None or within in found:
            continue
        name = f"{title}.{field.encode_name}" if title else field.encode_name
        here = (*path, field.encode_name)
        if shape is dict:
            name, here = f"{name}.NAME", (*here, "NAME")
        found[within] = Table(f"[[{name}]]" if shape is tuple else f"[{name}]", within, here)
        _collect(found, within, name, here)


def configuration_reference(full_example: str) -> str:
    """The whole page. `full_example` is the text of examples/full.toml."""
    sections = [_INTRODUCTION]
    for table in tables():
        sections.append(_section(table, full_example))
    return "\n".join(sections)


def _section(table: Table, full_example: str) -> str:
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    meanings = docstrings(table.struct)
    for field in msgspec.structs.fields(table.struct):
        cells = (f"`{field.encode_name}`", _value(field), _default(field), _meaning(field, meanings))
        rows.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    introduction = python.cleandoc(table.struct.__doc__ or "")
    example = _example(table.path, full_example)
    return "\n".join([f"## `{table.title}`", "", introduction, "", *rows, "", "```toml", example, "```", ""])


def docstrings(cls: type) -> dict[str, str]:
    """The string that stands below each field or member in the source of a class, which Python itself forgets."""
    found: dict[str, str] = {}
    body = ast.parse(textwrap.dedent(python.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)  # noqa: S101  getsource of a class is a class
    for field, below in zip(body.body, body.body[1:], strict=False):
        match field, below:
            case (
                (ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)])),
                ast.Expr(value=ast.Constant(value=str() as text)),
            ):
                found[name] = " ".join(text.split())
    return found


def _value(field: msgspec.structs.FieldInfo) -> str:
    if field.encode_name in _CHOICES:
        return f"one of {', '.join(_CHOICES[field.encode_name])}"
    words = describe(inspect.type_info(field.type))
    unit = next((unit for suffix, unit in _UNITS.items() if field.encode_name.endswith(suffix)), "")
    return f"{words}, {unit}" if unit else words


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    default: Any = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    if default is None or default == ():
        return "none"
    if isinstance(default, msgspec.Struct):
        return "its own defaults"
    return f"`{_toml(default)}`"


def _meaning(field: msgspec.structs.FieldInfo, meanings: Mapping[str, str]) -> str:
    parts = [meanings.get(field.name, "")]
    if isinstance(field.type, type) and issubclass(field.type, Enum):
        docs = docstrings(field.type)
        parts += [f"`{member.value}`: {docs[name]}" for name, member in field.type.__members__.items() if name in docs]
    within, _ = _struct_within(field.type)
    if within is not None:
        title = next(table.title for table in tables() if table.struct is within)
        anchor = "".join(letter for letter in title.lower() if letter.isalnum() or letter in "-_")
        parts.append(f"See [`{title}`](#{anchor}).")
    return " ".join(part for part in parts if part)


def _struct_within(annotation: object) -> tuple[type[msgspec.Struct] | None, object]:
    """The structure that a field holds one of, an array of (tuple) or a table of (dict)."""
    bare = (
        next((one for one in get_args(annotation) if one is not type(None)), annotation)
        if _optional(annotation)
        else annotation
    )
    if hasattr(bare, "__metadata__"):
        bare = get_args(bare)[0]
    origin = get_origin(bare)
    if origin in (tuple, dict):
        bare = get_args(bare)[0 if origin is tuple else 1]
    return (bare, origin) if isinstance(bare, type) and issubclass(bare, msgspec.Struct) else (None, origin)


def _optional(annotation: object) -> bool:
    return type(None) in get_args(annotation)


def _toml(value: object) -> str:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(one) for one in value)}]"
    return json.dumps(value, ensure_ascii=False)


def _example(path: tuple[str, ...], text: str) -> str:
    """The first lines of the example under a header of this path, up to the next empty line."""
    wanted = [(found, line) for found, line in Lines(text).paths.items() if _is_at(found, path)]
    first = min(line for _, line in wanted)
    lines = text.split("\n")[first - 1 :]
    end = lines.index("") if "" in lines else len(lines)
    return "\n".join(lines[:end])


def _is_at(found: tuple[str | int, ...], path: tuple[str, ...]) -> bool:
    names = [part for part in found if isinstance(part, str)]
    return len(names) == len(path) and all(one in ("NAME", name) for one, name in zip(path, names, strict=True))
