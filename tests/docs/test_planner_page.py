"""docs/planner.md names every key of a fleet and of a generator, and none that is not there."""

import re

from tests.docs.pages import ROOT, first_cells, section

from switchgear.planner.fleet import Balance, Place, Trouble
from switchgear.planner.generate import Generator

PAGE = ROOT / "docs" / "planner.md"


def keys(title: str) -> set[str]:
    return {key for cell in first_cells(section(PAGE, title)) for key in re.findall(r"[a-z_]+", cell)}


def test_the_keys_of_a_place_are_those_of_the_code() -> None:
    assert keys("Fleets") == set(Place.__struct_fields__)
    text = section(PAGE, "Fleets")
    assert all(f"`{word}`" in text for word in (*Balance, *Trouble))


def test_the_keys_of_a_generator_are_those_of_the_code() -> None:
    text = section(PAGE, "Calls").partition("A generator's file")[2]
    named = set(re.findall(r"`([a-z_]+)`", text))
    assert set(Generator.__struct_fields__) - {"block_tokens"} <= named
