"""Where each key of a TOML text stands. `tomllib` forgets lines; this scan keeps nothing else (TOML 1.0, toml.io/en/v1.0.0).

The text is read by `tomllib` as well, which alone decides what is valid. Here an invalid text only ends the scan early.
"""

import json
import re
import tomllib
from bisect import bisect_right

Path = tuple[str | int, ...]
"""Where something stands in a document: names of tables and keys, and indexes of arrays (from 0)."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SPACE = re.compile(r"[ \t]*")
_VOID = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'  # up to two quotes of the text may stand before the closing three
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]*")


def dotted(path: Path) -> str:
    """A path as people write it: `models."gpt-4.1".targets[0].backend`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        name = part if _BARE.fullmatch(part) else json.dumps(part, ensure_ascii=False)
        text += f".{name}" if text else name
    return text


def path_of(text: str) -> Path:
    """The path that `limits[0].team` writes; names with dots in them stay whole at the end only."""
    parts: list[str | int] = []
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", text):
        parts.append(int(index) if index else name)
    return tuple(parts)


class Lines:
    """The lines of a TOML text, counted from 1."""

    def __init__(self, text: str) -> None:
        scan = _Scan(text)
        scan.run()
        self.paths: dict[Path, int] = scan.paths
        """Every table, key and array element with the line on which it begins; a table that is only implied, with that of its first key."""
        self.repeated: list[tuple[Path, int]] = scan.repeated
        """Keys and tables that are given again, with the line of the repetition: an error in TOML."""

    def line(self, path: Path) -> int | None:
        """The line of a path, or of what encloses it most closely; None where not even that is known."""
        for end in range(len(path), 0, -1):
            found = self.paths.get(path[:end])
            if found is not None:
                return found
        return None


class _Invalid(Exception):
    """Not TOML from here on."""


class _Scan:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._ends = [match.start() for match in re.finditer("\n", text)]
        self._explicit: set[Path] = set()
        self._last: dict[Path, int] = {}
        """The index of the last element of each array of tables."""
        self.paths: dict[Path, int] = {}
        self.repeated: list[tuple[Path, int]] = []

    def run(self) -> None:
        table: Path = ()
        try:
            self._skip(_VOID)
            while self._at < len(self._text):
                if self._take("[["):
                    table = self._array_header()
                elif self._take("["):
                    table = self._header()
                else:
                    self._pair(table)
                self._skip(_VOID)
        except (_Invalid, RecursionError):
            return  # tomllib has its own word on such a text

    def _array_header(self) -> Path:
        line = self._line()
        *parents, name = self._keys()
        self._expect("]]")
        array = (*self._resolve(parents, line), name)
        self.paths.setdefault(array, line)
        index = self._last[array] = self._last.get(array, -1) + 1
        self._mark((*array, index), line)
        return (*array, index)

    def _header(self) -> Path:
        line = self._line()
        *parents, name = self._keys()
        self._expect("]")
        table = (*self._resolve(parents, line), name)
        self._mark(table, line)
        return table

    def _resolve(self, names: list[str], line: int) -> Path:
        """A header's leading names; one that is an array of tables means its last element."""
        path: Path = ()
        for name in names:
            path = (*path, name)
            self.paths.setdefault(path, line)
            if path in self._last:
                path = (*path, self._last[path])
        return path

    def _pair(self, table: Path) -> None:
        line = self._line()
        path = table
        names = self._keys()
        for name in names[:-1]:
            path = (*path, name)
            self.paths.setdefault(path, line)
        path = (*path, names[-1])
        self._mark(path, line)
        self._expect("=")
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: Path) -> None:
        if self._take("["):
            self._array(path)
        elif self._take("{"):
            self._inline_table(path)
        elif self._text.startswith(("'", '"'), self._at):
            self._string()
        else:
            self._skip(_SCALAR)

    def _array(self, path: Path) -> None:
        index = 0
        self._skip(_VOID)
        while not self._take("]"):
            self._mark((*path, index), self._line())
            self._value((*path, index))
            index += 1
            self._skip(_VOID)
            if not self._take(",") and not self._text.startswith("]", self._at):
                raise _Invalid
            self._skip(_VOID)

    def _inline_table(self, path: Path) -> None:
        self._skip(_VOID)
        while not self._take("}"):
            self._pair(path)
            self._skip(_VOID)
            if not self._take(",") and not self._text.startswith("}", self._at):
                raise _Invalid
            self._skip(_VOID)

    def _keys(self) -> list[str]:
        names = []
        while True:
            self._skip(_SPACE)
            if self._text.startswith(("'", '"'), self._at):
                names.append(_unquoted(self._string()))
            else:
                bare = _BARE.match(self._text, self._at)
                if bare is None:
                    raise _Invalid
                self._at = bare.end()
                names.append(bare[0])
            self._skip(_SPACE)
            if not self._take("."):
                return names

    def _string(self) -> str:
        match = _STRING.match(self._text, self._at)
        if match is None:
            raise _Invalid
        self._at = match.end()
        return match[0]

    def _mark(self, path: Path, line: int) -> None:
        if path in self._explicit:
            self.repeated.append((path, line))
            return
        self._explicit.add(path)
        self.paths[path] = line

    def _line(self) -> int:
        return bisect_right(self._ends, self._at - 1) + 1

    def _take(self, token: str) -> bool:
        if not self._text.startswith(token, self._at):
            return False
        self._at += len(token)
        return True

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise _Invalid

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        if match is not None:
            self._at = match.end()


def _unquoted(string: str) -> str:
    try:
        return str(tomllib.loads(f"x = {string}")["x"])
    except tomllib.TOMLDecodeError as error:
        raise _Invalid from error
