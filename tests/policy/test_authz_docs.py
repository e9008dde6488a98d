"""docs/policy.md says what the code knows: every condition in it is valid Cedar of ours, every purpose is listed."""

import msgspec
import pytest
from tests.docs.pages import ROOT, blocks, first_cells, section

from switchgear.core.authorization import ATTEMPTS, PolicyText, Purpose
from switchgear.policy.authz_cases import Case
from switchgear.policy.cedar_check import check
from switchgear.policy.cedar_schema import ATTRIBUTES, TYPES

PAGE = ROOT / "docs" / "policy.md"
WORDS = section(PAGE, "Words")
CONDITIONS = [cell for cell in first_cells(WORDS) if cell not in list(Purpose)]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_of_the_page_can_be_written(condition: str) -> None:
    text = f'@id("x") permit (principal, action, resource) when {{ {condition} }};'
    assert check((PolicyText("page", text),)).problems == ()


def test_every_attribute_and_type_is_on_the_page() -> None:
    words = " ".join(CONDITIONS)
    for owner, attributes in ATTRIBUTES.items():
        variable = {"Principal": "principal", "Backend": "resource", "Model": "context.model"}.get(owner, owner)
        assert [one for one in attributes if f"{variable}.{one}" not in words] == []
    assert [one for one in TYPES if f'{one}::"' not in words] == []


def test_every_purpose_is_on_the_page_with_its_groups() -> None:
    rows = [line.split("|") for line in WORDS.splitlines() if line.startswith("| `")]
    groups = {cells[1].strip(" `"): cells[3].strip() for cells in rows}
    expected = {purpose.value: "attempt, send" if purpose in ATTEMPTS else "send" for purpose in Purpose}
    assert {purpose: groups.get(purpose) for purpose in expected} == expected


def test_the_policies_of_the_page_are_sound() -> None:
    for text in blocks(PAGE, "cedar"):
        assert check((PolicyText("page", text),)).problems == ()


def test_every_key_of_a_test_is_on_the_page() -> None:
    shown = section(PAGE, "Tests")
    left_out = {field.name for field in msgspec.structs.fields(Case) if f"{field.name} =" not in shown}
    assert left_out == {"model_there"}
