"""Every relative link leads somewhere, to a heading too."""

import re
from pathlib import Path

import pytest
from tests.docs.pages import ROOT, pages, prose

_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and GitLab make them of the text."""
    texts = [heading.strip().lower() for heading in _HEADING.findall(prose(page))]
    return {re.sub(r"[^\w\- ]", "", text).replace(" ", "-") for text in texts}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_resolves(page: Path) -> None:
    broken = []
    for link in _LINK.findall(prose(page)):
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.is_relative_to(ROOT) or not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_the_pages_that_a_reader_needs_are_linked_from_the_readme() -> None:
    links = {link.partition("#")[0] for link in _LINK.findall(prose(ROOT / "README.md"))}
    documents = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    assert documents <= links


def test_every_decision_is_listed_with_the_architecture() -> None:
    links = set(_LINK.findall(prose(ROOT / "docs/architecture.md")))
    decisions = {f"adr/{path.name}" for path in (ROOT / "docs/adr").glob("*.md")}
    assert decisions
    assert decisions <= links


@pytest.mark.parametrize("path", sorted((ROOT / "docs/adr").glob("*.md")), ids=lambda path: path.stem)
def test_a_decision_says_why_what_and_what_follows(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# {int(path.stem[:4])}. ")
    headings = _HEADING.findall(text)[1:]
    assert headings == ["Context", "Decision", "Consequences"]
