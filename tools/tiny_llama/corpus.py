"""The text: what `pydoc` shows, cut into a part to learn from and a part only measured.

Two sources, both of the Python Software Foundation's distribution, under the PSF licence: the language reference in the standard
library's `pydoc_data.topics` (0.34 MB without its repetitions), and the docstrings of the standard library's modules (1.7 MB).

The held-out part is whole topics of the reference. Topics quote one another (`specialnames` holds all of `customization`, for
instance), so a split by topic alone would leak: paragraphs of a held-out topic are taken out of everything that is
trained on, and repeated topics are trained on once.
"""

import ast
import hashlib
import sysconfig
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics

HELD_OUT_SHARE = 0.08
LARGEST_HELD_OUT_TOPIC_BYTES = 12_000
SHORTEST_QUOTED_PARAGRAPH = 40
SHORTEST_MODULE = 400
# Installed packages (whatever their licences), tests, programs rather than libraries, and the reference itself.
LEFT_OUT = frozenset(
    {"site-packages", "test", "tests", "idlelib", "lib2to3", "ensurepip", "turtledemo", "tkinter", "pydoc_data"}
)


@dataclass(frozen=True)
class Corpus:
    """Name to text: `reference` and `docstrings` are learned from, `held_out` only measured; `sha256` names the whole text."""

    reference: dict[str, str]
    docstrings: dict[str, str]
    held_out: dict[str, str]
    sha256: str


def _key(paragraph: str) -> str:
    return " ".join(paragraph.split())


def _without(text: str, banned: set[str]) -> str:
    return "\n\n".join(part for part in text.split("\n\n") if _key(part) not in banned)


def _held_out_names(texts: dict[str, str]) -> set[str]:
    """Topics in the order of their names' hashes, until they are `HELD_OUT_SHARE` of all bytes."""
    wanted = HELD_OUT_SHARE * sum(len(text.encode()) for text in texts.values())
    chosen: set[str] = set()
    taken = 0
    for name in sorted(texts, key=lambda name: hashlib.sha256(name.encode()).digest()):
        size = len(texts[name].encode())
        if size > LARGEST_HELD_OUT_TOPIC_BYTES:
            continue
        if taken >= wanted:
            break
        chosen.add(name)
        taken += size
    return chosen


def _entries(tree: ast.Module, seen: set[str]) -> Iterator[str]:
    """Each docstring under the line that it documents, as `pydoc` prints it; a docstring that was seen before is left out."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        text = ast.get_docstring(node)
        if not text or text in seen:
            continue
        seen.add(text)
        if isinstance(node, ast.Module):
            yield text
            continue
        heading = f"class {node.name}" if isinstance(node, ast.ClassDef) else f"{node.name}({ast.unparse(node.args)})"
        yield f"{heading}\n\n{textwrap.indent(text, '   ')}"


def _modules() -> dict[str, str]:
    root = Path(sysconfig.get_path("stdlib"))
    seen: set[str] = set()
    texts: dict[str, str] = {}
    for file in sorted(root.rglob("*.py")):
        name = file.relative_to(root).as_posix()
        if LEFT_OUT.intersection(name.split("/")):
            continue
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        text = "\n\n\n".join(_entries(tree, seen)) + "\n"
        if len(text) >= SHORTEST_MODULE:
            texts[name] = text
    return texts


def load() -> Corpus:
    """Cut the running Python's text in two; deterministic for a given text."""
    texts = {name: text.strip("\n") + "\n" for name, text in sorted(topics.items())}
    modules = _modules()
    digest = hashlib.sha256("\0".join(f"{n}\0{t}" for n, t in (texts | modules).items()).encode()).hexdigest()
    held_out_names = _held_out_names(texts)
    held_out = {name: texts[name] for name in sorted(held_out_names)}
    banned = {
        key
        for text in held_out.values()
        for part in text.split("\n\n")
        if len(key := _key(part)) >= SHORTEST_QUOTED_PARAGRAPH
    }
    reference: dict[str, str] = {}
    seen: set[str] = set()
    for name in sorted(texts.keys() - held_out_names, key=lambda name: -len(texts[name])):
        text = _without(texts[name], banned)
        parts = [part for part in text.split("\n\n") if part.strip()]
        if sum(len(part) for part in parts if _key(part) not in seen) < len(text) / 2:
            continue
        seen.update(_key(part) for part in parts)
        reference[name] = text
    docstrings = {name: _without(text, banned) for name, text in modules.items()}
    return Corpus(reference=reference, docstrings=docstrings, held_out=held_out, sha256=digest)
