from pathlib import Path

from switchgear.gateway.config import load_file
from switchgear.gateway.reference import configuration_reference, tables

ROOT = Path(__file__).parents[2]


def test_the_example_with_two_places_is_whole() -> None:
    loaded = load_file(ROOT / "examples/two-places.toml", environment={"CLOUD_API_KEY": "k"})
    assert loaded.warnings == ()
    assert [target.backend for target in loaded.config.models["chat"].targets] == ["vllm", "cloud"]


def test_the_reference_is_what_the_types_say() -> None:
    made = configuration_reference((ROOT / "examples/full.toml").read_text(encoding="utf-8"))
    committed = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    assert made == committed, "run `.venv/bin/python tools/docs.py` and commit docs/configuration.md"


def test_the_reference_says_what_every_key_means() -> None:
    page = configuration_reference((ROOT / "examples/full.toml").read_text(encoding="utf-8"))
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    keys = [key for table in tables() for key in table.struct.__struct_encode_fields__]
    assert [row[0].strip("|` ") for row in rows] == keys
    assert all(len(row) == 4 and row[3].removesuffix(" |").strip() for row in rows)
