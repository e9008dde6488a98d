import json
import math
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from switchgear.gateway.config import Config, inspect
from switchgear.gateway.config_decode import Decoder
from switchgear.gateway.findings import Findings
from switchgear.gateway.lines import Lines

ROOT = Path(__file__).parents[2]
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none().map(lambda _: "chat") | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
FULL = tomllib.loads((ROOT / "examples/full.toml").read_text(encoding="utf-8"))


def toml_of(value: Any) -> str:
    """A value as TOML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{string_of(key)} = {toml_of(below)}" for key, below in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml_of(below) for below in value) + "]"
    if isinstance(value, str):
        return string_of(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else f"{'-' if value < 0 else ''}inf"
    return json.dumps(value)


def string_of(text: str) -> str:
    escaped = json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
    return escaped.encode("utf-8", "replace").decode()


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in below for place in places(inner, (*path, key)))]


def changed(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    """A copy with another value at a place, or with a key more where `new` is a pair."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(copy[path[0]], path[1:], new)  # type: ignore[index]  # the path was taken from this value
    return copy


@given(st.data())
def test_no_document_is_taken_that_msgspec_would_not_take_and_none_is_taken_otherwise(data: st.DataObject) -> None:
    raw = FULL
    for _ in range(data.draw(st.integers(1, 3))):
        raw = changed(raw, data.draw(st.sampled_from(places(raw)[1:])), data.draw(ANYTHING))
    text = "".join(f"{string_of(key)} = {toml_of(value)}\n" for key, value in raw.items())
    raw = tomllib.loads(text)
    findings = Findings(Lines(text))
    made = Decoder(raw, findings).decode(raw, Config, ())
    try:
        expected: Config | None = msgspec.convert(raw, Config)
    except msgspec.ValidationError:
        expected = None
    if expected is None:
        assert findings.problems
    elif not findings.problems:  # ours is the stricter: no control characters, nothing infinite
        assert made == expected
    for found in findings.problems:
        assert found.line is not None
        assert found.path.partition(".")[0].partition("[")[0].strip('"') in text.split("\n")[found.line - 1]
    judged = inspect(text.encode(), environment={})
    assert (judged.config is None) == bool(judged.problems)
    assert {str(found) for found in findings.problems} <= {str(found) for found in judged.problems}
