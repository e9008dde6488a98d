"""docs/errors.md against the code, in both directions: no code is missing from the page, and none stands there that cannot happen."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from switchgear.backends.errors import BackendError, HttpError
from switchgear.core.errors import SwitchgearError
from switchgear.gateway.candidates import REASONS
from switchgear.gateway.errors import CATALOGUE
from switchgear.gateway.errors_page import ATTEMPTS, errors_page
from switchgear.gateway.failure import failure_of
from switchgear.identity.refusals import WHAT_TO_DO
from switchgear.limits.model import RefusalCode
from switchgear.wire.errors import ExchangeError

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/errors.md"
SOURCE = ROOT / "src/switchgear"


def rows(heading: str) -> dict[str, list[str]]:
    """The rows of the table below a heading, by what stands in backticks in their first column."""
    text = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:3] == "| `"]
    return {row[0].strip("`"): row[1:] for row in cells}


def leaves(kind: type[SwitchgearError]) -> set[type[SwitchgearError]]:
    below = kind.__subclasses__()
    return {leaf for one in below for leaf in leaves(one)} if below else {kind}


def raised(*names: str) -> Iterator[list[object]]:
    """The constants among the first two arguments of each call of these names in the rooms that answer callers."""
    for room in ("gateway", "wire"):
        for path in (SOURCE / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                    yield [one.value for one in node.args[:2] if isinstance(one, ast.Constant)]


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == errors_page(), "run `make docs` and commit docs/errors.md"


def test_every_code_that_a_caller_gets_is_on_the_page_and_no_other() -> None:
    told = rows("What a caller gets")
    assert {code: (int(row[0]), row[1], row[2]) for code, row in told.items()} == {
        code: (one.status, one.type, one.meaning) for code, one in CATALOGUE.items()
    }


def test_every_reason_of_an_attempt_is_on_the_page_and_no_other() -> None:
    told = rows("Why an attempt failed")
    every = (leaves(ExchangeError) | leaves(BackendError)) - {HttpError}
    assert {type(error) for error, _ in ATTEMPTS} == every
    statuses = {"status_NNN", "status_401", "status_429", "context_length_exceeded", "content_filter"}
    assert set(told) == {kind.code for kind in every} | statuses
    for error, meaning in ATTEMPTS:
        failure = failure_of(error)
        assert told[failure.reason][0] == meaning
        assert told[failure.reason][2] == f"`{failure.code}`"


def test_every_reason_for_which_a_target_is_ruled_out_is_on_the_page_and_no_other() -> None:
    assert {reason: row[0] for reason, row in rows("Why a target was ruled out").items()} == REASONS


def test_what_the_server_refuses_by_itself_has_its_place_in_the_catalogue() -> None:
    refused = {(status, code) for status, code, *_ in filter(lambda values: len(values) == 2, raised("RefusedRequest"))}
    assert len(refused) > 10
    assert refused == {(CATALOGUE[str(code)].status, code) for _, code in refused}


@pytest.mark.parametrize("name", ["Refused", "Failed", "Failure", "error_body", "error_event"])
def test_what_the_gateway_answers_has_its_place_in_the_catalogue(name: str) -> None:
    codes = {values[0] for values in raised(name) if values}
    assert codes
    assert codes <= set(CATALOGUE)


def test_what_identity_and_limits_refuse_with_has_its_place_in_the_catalogue() -> None:
    assert set(WHAT_TO_DO) <= set(CATALOGUE)
    assert set(RefusalCode) <= set(CATALOGUE)


def test_no_code_stands_in_the_catalogue_that_nothing_answers() -> None:
    text = "\n".join(
        path.read_text(encoding="utf-8")
        for room in ("gateway", "wire", "identity", "limits")
        for path in (SOURCE / room).rglob("*.py")
        if path.name not in ("errors_page.py",)
    )
    catalogue = (SOURCE / "gateway/errors.py").read_text(encoding="utf-8")
    for code in CATALOGUE:
        assert len(re.findall(f'"{code}"', text)) > len(re.findall(f'"{code}"', catalogue)), code
