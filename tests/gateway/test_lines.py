import tomllib
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.gateway.lines import Lines, Path, dotted

DOCUMENT = """\
# a comment with [brackets] and "quotes"
title = "x"  # = [

[gateway]
listen = [   # the first
  "127.0.0.1:8080",

  'unix:/run/[x]',  # ]
]
limits = { body_bytes = 1, nested = { deep = [
  1, { a = 2 },
] }, last = 3 }
text = \"\"\"
[not.a.table]
key = 1 \\\"\"\" \"\"\"\"\"
raw = '''
[[nor.this]]'''''

[backends.cloud.timeouts]
total_s = 1.0
[backends.cloud]
"quoted \\u0041" . 'lit.eral' = 1979-05-27 07:32:00

[[keys]]
name = "a"
[[keys]]
  name = "b"
  [keys.extra]
  x.y = 1
  [[keys.inner]]
  z = 1
  [[keys.inner]]
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 2),
        (("gateway",), 4),
        (("gateway", "listen"), 5),
        (("gateway", "listen", 0), 6),
        (("gateway", "listen", 1), 8),
        (("gateway", "limits", "body_bytes"), 10),
        (("gateway", "limits", "nested", "deep", 1, "a"), 11),
        (("gateway", "limits", "last"), 12),
        (("gateway", "text"), 13),
        (("gateway", "raw"), 16),
        (("backends",), 19),
        (("backends", "cloud"), 21),
        (("backends", "cloud", "timeouts", "total_s"), 20),
        (("backends", "cloud", "quoted A", "lit.eral"), 22),
        (("keys",), 24),
        (("keys", 0, "name"), 25),
        (("keys", 1), 26),
        (("keys", 1, "extra", "x"), 29),
        (("keys", 1, "inner", 0, "z"), 31),
        (("keys", 1, "inner", 1), 32),
    ],
)
def test_every_way_to_write_a_key(path: Path, line: int) -> None:
    assert Lines(DOCUMENT).paths[path] == line


def test_what_is_not_there_has_the_line_of_what_encloses_it() -> None:
    lines = Lines(DOCUMENT)
    assert lines.line(("gateway", "limits", "nested", "missing")) == 10
    assert lines.line(("keys", 1, "sha256")) == 26
    assert lines.line(("keys", 7, "sha256")) == 24
    assert lines.line(("models", "chat")) is None
    assert lines.line(()) is None


def test_windows_line_ends_count_once() -> None:
    assert Lines(DOCUMENT.replace("\n", "\r\n")).paths == Lines(DOCUMENT).paths


def test_repetitions_are_found_though_tomllib_refuses_them() -> None:
    text = "[a]\nx = 1\ny = 2\nx = 3\n[b]\n[a]\n"
    with pytest.raises(tomllib.TOMLDecodeError):
        tomllib.loads(text)
    assert Lines(text).repeated == [(("a", "x"), 4), (("a",), 6)]


def test_a_path_is_written_as_in_toml() -> None:
    assert dotted(("models", "gpt-4.1", "targets", 0, "backend")) == 'models."gpt-4.1".targets[0].backend'
    assert dotted(("a", 'q"\n', "")) == 'a."q\\"\\n".""'


def all_paths(value: object, path: Path = ()) -> set[Path]:
    found = {path} if path else set()
    if isinstance(value, dict):
        for key, below in value.items():
            found |= all_paths(below, (*path, key))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            found |= all_paths(below, (*path, index))
    return found


@dataclass
class Written:
    """A document as it is being written; the line of each path is noted when it is."""

    text: str = ""
    expected: dict[Path, int] = field(default_factory=dict)

    @property
    def line(self) -> int:
        return self.text.count("\n") + 1

    def note(self, path: Path, *, implied: bool = False) -> None:
        if implied:
            self.expected.setdefault(path, self.line)
        else:
            self.expected[path] = self.line

    def __iadd__(self, text: str) -> "Written":
        self.text += text
        return self


NAMES = st.text(st.sampled_from("ab-_1.é \"'\\#[]={}\t\n"), max_size=4)
SCALARS = st.sampled_from(
    [
        "1",
        "-0.5e3",
        "true",
        "inf",
        "0xff",
        "1979-05-27 07:32:00Z",
        "07:32:00",
        '""',
        "''",
        '"a ] } , # \\" \\\\"',
        "'[x] = \"#'",
    ]
)
TEXTS = st.sampled_from(
    [
        '"""\n[a]\nb = 1"""',
        "'''[[a]]\n'' \n'''",
        '"""a""b\\\n  c\\""" """',
        '"""x"""""',
        "'''\n'''''",
        '""""a"""',
        '""""""',
    ]
)
BREAKS = st.sampled_from(["", " ", "\n", ' # ] } = "\n', "\n\n\t"])


def write_name(draw: st.DrawFn, name: str) -> str:
    if name and all(letter in "ab-_1" for letter in name) and draw(st.booleans()):
        return name
    if not set(name) & set("'\n") and draw(st.booleans()):
        return f"'{name}'"
    for raw, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n")):
        name = name.replace(raw, escaped)
    return f'"{name}"'


def write_value(draw: st.DrawFn, doc: Written, path: Path, depth: int) -> None:
    kind = draw(st.sampled_from(["scalar", "text", "array", "table"] if depth else ["scalar", "text"]))
    if kind == "array":
        doc += "["
        for index in range(draw(st.integers(0, 3))):
            doc += ("," if index else "") + draw(BREAKS)
            doc.note((*path, index))
            write_value(draw, doc, (*path, index), depth - 1)
            doc += draw(BREAKS)
        doc += "]"
    elif kind == "table":
        doc += "{ "
        for index, name in enumerate(draw(st.lists(NAMES, max_size=3, unique=True))):
            doc += ", " if index else ""
            write_pair(draw, doc, path, name, depth - 1)
        doc += " }"
    else:
        doc += draw(SCALARS if kind == "scalar" else TEXTS)


def write_pair(draw: st.DrawFn, doc: Written, table: Path, name: str, depth: int) -> None:
    """A key and its value; the key is dotted sometimes, below a table that only this key implies."""
    path = (*table, name)
    doc_name = write_name(draw, name)
    for below in draw(st.lists(NAMES, max_size=2)):
        doc.note(path, implied=True)
        path = (*path, below)
        doc_name += draw(st.sampled_from([".", " . "])) + write_name(draw, below)
    doc.note(path)
    doc += f"{doc_name}{draw(st.sampled_from(['=', ' = ']))}"
    write_value(draw, doc, path, depth)


def write_pairs(draw: st.DrawFn, doc: Written, table: Path) -> None:
    for name in draw(st.lists(NAMES.map(lambda name: f"k{name}"), max_size=3, unique=True)):
        doc += draw(st.sampled_from(["", "  ", "\n", "# [x]\n"]))
        write_pair(draw, doc, table, name, 2)
        doc += draw(st.sampled_from(["\n", "  # c\n"]))


@st.composite
def documents(draw: st.DrawFn) -> Written:
    """Documents with every construct of TOML. Tables' names begin with t or r and keys' with k, so that they never clash."""
    doc = Written()
    write_pairs(draw, doc, ())
    for name in draw(st.lists(NAMES.map(lambda name: f"t{name}"), max_size=3, unique=True)):
        table = (name, "sub")
        doc.note(table[:1], implied=True)
        doc.note(table)
        doc += f"[ {write_name(draw, name)} .sub]\n"
        write_pairs(draw, doc, table)
        if draw(st.booleans()):
            doc.note(table[:1])
            doc += f"  [{write_name(draw, name)}] # later\n"
            write_pairs(draw, doc, table[:1])
    for name in draw(st.lists(NAMES.map(lambda name: f"r{name}"), max_size=2, unique=True)):
        for index in range(draw(st.integers(1, 3))):
            element = (name, index)
            doc.note(element[:1], implied=True)
            doc.note(element)
            doc += f"[[{write_name(draw, name)}]]\n"
            write_pairs(draw, doc, element)
            for inner in range(draw(st.integers(0, 2))):
                doc.note((*element, "rows"), implied=True)
                doc.note((*element, "rows", inner))
                doc += f"[[{write_name(draw, name)}.rows]]\n"
                write_pairs(draw, doc, (*element, "rows", inner))
            if draw(st.booleans()):
                doc.note((*element, "table"))
                doc += f"[{write_name(draw, name)}.table]\n"
    return doc


@given(documents())
def test_lines_agree_with_tomllib_and_with_how_the_text_was_written(doc: Written) -> None:
    lines = Lines(doc.text)
    assert set(lines.paths) == all_paths(tomllib.loads(doc.text))
    assert lines.paths == doc.expected
    assert not lines.repeated


@given(st.text(st.sampled_from("ab.=[]{}\"'\\#, \n\t1é"), max_size=60))
def test_any_text_ends_the_scan_without_an_error(text: str) -> None:
    lines = Lines(text)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        assert all(1 <= line <= text.count("\n") + 1 for line in lines.paths.values())
    else:
        assert set(lines.paths) == all_paths(data)
