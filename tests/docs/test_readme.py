"""The README's configuration is the example beside it and can be served from."""

import pytest
from tests.docs.pages import ROOT, blocks, pages

from switchgear.core.snapshot import Kind
from switchgear.gateway.config import load

README = ROOT / "README.md"
EXAMPLE = ROOT / "examples/two-places.toml"


def test_the_configuration_is_the_example() -> None:
    assert blocks(README, "toml") == [EXAMPLE.read_text(encoding="utf-8")]


def test_the_configuration_can_be_served_from() -> None:
    (text,) = blocks(README, "toml")
    loaded = load(text.encode(), name="README.md", environment={"CLOUD_API_KEY": "sk-of-a-cloud"})
    assert not loaded.warnings
    assert {backend.kind for backend in loaded.config.backends.values()} == {Kind.ONPREM, Kind.CLOUD}
    assert [target.backend for target in loaded.config.models["chat"].targets] == ["vllm", "cloud"]


def test_the_measured_figures_have_their_place() -> None:
    text = README.read_text(encoding="utf-8")
    begin, end = text.index("<!-- measured -->"), text.index("<!-- /measured -->")
    assert "|---|" in text[begin:end]


@pytest.mark.parametrize("language", ["python"])
def test_python_snippets_compile(language: str) -> None:
    snippets = [(page.name, text) for page in pages() for text in blocks(page, language)]
    assert snippets
    for name, text in snippets:
        compile(text, name, "exec")
