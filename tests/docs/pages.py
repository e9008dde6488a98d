"""The project's prose, and what the tests of it look for in it."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """Every Markdown file that the repository keeps, by folder, so that nothing below .venv or .peers is taken for one of ours."""
    found = [*ROOT.glob("*.md")]
    for folder in ("docs", "bench", "tools", "src", "examples"):
        found += (ROOT / folder).rglob("*.md")
    return sorted(found)


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in a language, without their fences."""
    return [text for name, text in _FENCE.findall(page.read_text(encoding="utf-8")) if name == language]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def section(page: Path, heading: str) -> str:
    """What stands below a heading of the second level, up to the next."""
    _, _, rest = page.read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    assert rest, f"{page.name} has no section {heading!r}"
    return rest.partition("\n## ")[0]


def first_cells(text: str) -> Iterator[str]:
    """What stands in backticks in the first column of a text's tables."""
    for line in text.splitlines():
        if line.startswith("| `"):
            yield from re.findall(r"`([^`]+)`", line.split("|")[1])
