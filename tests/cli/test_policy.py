"""`switchgear policy`, as people use it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from switchgear.cli.policy import policy
from switchgear.policy.cedar_schema import SCHEMA

CONFIG = """
[policy]
files = ["policies/*.cedar"]

[[keys]]
name = "demo"
sha256 = "not looked at here"
team = "agency"

[teams.agency]
roles = ["contractor"]

[backends.cloud]
kind = "cloud"
base_url = "http://10.0.0.1/v1"
region = "us-east"
jurisdiction = "US"

[backends.rack]
kind = "onprem"
base_url = "http://10.0.0.2/v1"

[models.chat]
targets = [{ backend = "cloud", model = "gpt-x" }, { backend = "rack", model = "llama" }]

[models.big]
labels = ["large"]
targets = [{ backend = "cloud", model = "gpt-xl" }]
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("switchgear.toml").write_text(CONFIG)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(policy, arguments)


def started() -> None:
    assert run("init").exit_code == 0


def test_the_starting_policies_are_written_checked_and_tested() -> None:
    result = run("init")
    assert (result.exit_code, result.stdout.count(" written\n")) == (0, 5)
    assert '[policy] files = ["policies/*.cedar"]' in result.stdout
    checked = run("check", "policies/*.cedar")
    assert (checked.exit_code, checked.stdout) == (0, "9 policies, no problems, no warnings\n")
    tested = run("test")
    assert (tested.exit_code, tested.stdout) == (0, "policies/starting.test.toml: 36 passed, none failed\n")
    assert run("test", "--config", "switchgear.toml").stdout == tested.stdout


def test_files_that_are_there_are_kept() -> None:
    Path("policies").mkdir()
    Path("policies/people.cedar").write_text("mine")
    result = run("init")
    assert "policies/people.cedar is there already and was kept" in result.stdout
    assert Path("policies/people.cedar").read_text() == "mine"


def test_a_problem_is_told_with_file_line_and_remedy() -> None:
    Path("a.cedar").write_text('@id("a")\npermit (principal, action, resource)\nwhen { resource.jurisdicton == 1 };\n')
    result = run("check", "a.cedar")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "problem a.cedar:3 policy a: attribute `jurisdicton` on entity type `Backend` not found",
        '  Did you mean "jurisdiction"?',
        "1 policy, 1 problem, no warnings",
    ]


def test_with_a_configuration_names_are_held_against_it() -> None:
    started()
    Path("policies/own.cedar").write_text('@id("own") forbid (principal, action, resource == Backend::"clod");')
    result = run("check", "--config", "switchgear.toml", "--json")
    said = json.loads(result.stdout)
    assert (result.exit_code, said["ok"], len(said["policies"])) == (1, False, 10)
    assert [(one["file"], one["line"], one["remedy"]) for one in said["problems"]] == [
        ("policies/own.cedar", 1, 'Did you mean "cloud"?')
    ]
    assert [one["message"] for one in said["warnings"]] == [
        'policy eu-data-stays-in-the-eu names a role that nothing here has: Role::"eu-data"',
        'policy eu-data-stays-in-the-eu names a jurisdiction that nothing here has: Jurisdiction::"EU"',
    ]


def test_files_that_are_not_there_are_problems_too() -> None:
    result = run("check", "--config", "switchgear.toml")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (1, "problem policies/*.cedar matches no file")
    assert json.loads(run("check", "none.cedar", "--json").stdout)["problems"][0]["file"] == "none.cedar"
    assert run("check").exit_code == 2
    assert run("test").exit_code == 2
    Path("switchgear.toml").write_text("[policy")
    assert "is not TOML" in run("check", "--config", "switchgear.toml").stdout


def test_a_test_that_fails_ends_with_1_and_says_what_is_so() -> None:
    started()
    Path("policies/own.test.toml").write_text(
        'config = "../switchgear.toml"\n[[tests]]\nname = "mine"\nprincipal = "demo"\nmodel = "chat"\ndata_class = "public"\n'
        'backend = ["cloud", "rack"]\nexpect = "deny"\n'
    )
    result = run("test", "policies/own.test.toml")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == (
        "failed policies/own.test.toml mine (cloud, first): expected deny, but it is allowed by everyone"
    )
    assert "warning policies/own.test.toml policy eu-data-stays-in-the-eu decides no test that passes" in lines
    assert lines[-1] == "policies/own.test.toml: 0 passed, 2 failed"
    said = json.loads(run("test", "policies/own.test.toml", "--json").stdout)
    assert (said["ok"], len(said["tests"]), said["tests"][0]["passed"], len(said["untested"])) == (False, 2, False, 9)


def test_a_file_of_tests_is_about_one_world() -> None:
    started()
    Path("x.test.toml").write_text('config = "switchgear.toml"\n[models.chat]\n[[tests]]\nname="x"\nprincipal="demo"\nmodel="chat"\n'
                                   'backend="cloud"\nexpect="deny"\n')  # fmt: skip
    result = run("test", "x.test.toml")
    assert (result.exit_code, "names a configuration and has tables of its own" in result.stdout) == (1, True)


def test_why_shows_each_target_with_its_reason() -> None:
    started()
    result = run("why", "--config", "switchgear.toml", "--principal", "demo", "--model", "chat", "--class", "internal")
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[0] == "demo of team agency, roles contractor calls chat with internal data"
    assert lines[2] == (
        "cloud/gpt-x cloud, us-east, US any yes permitted by everyone (whoever is known may call what no other policy forbids)"
    )
    assert lines[3].startswith("rack/llama onprem any yes")


def test_why_tells_the_refusal_that_the_caller_would_get() -> None:
    started()
    result = run("why", "--config", "switchgear.toml", "--principal", "demo", "--model", "big", "--purpose", "first")
    assert "restricted data (nobody told; the configured default)" in result.stdout
    assert "contractors-not-on-large-models" in result.stdout
    assert "Such a call is refused: Policy lets no target of 'big' take this call" in result.stdout


def test_why_as_json_has_the_same() -> None:
    started()
    said = json.loads(
        run(
            "why", "--config", "switchgear.toml", "--principal", "eve", "--role", "eu-data", "--model", "chat", "--class",
            "public", "--backend", "rack", "--json",
        ).stdout
    )  # fmt: skip
    assert (said["principal"], said["roles"], said["data_class"]) == ("eve", ["eu-data"], "public")
    (line,) = said["lines"]
    assert (line["backend"], line["model_there"], line["allowed"], line["purposes"]) == (
        "rack",
        "llama",
        False,
        ["any"],
    )
    assert line["policies"] == ["eu-data-stays-in-the-eu"]
    assert line["errors"] == ["eu-data-stays-in-the-eu: the backend's jurisdiction is not known"]
    assert said["refusal"]["policies"] == ["eu-data-stays-in-the-eu"]


def test_why_helps_with_names() -> None:
    started()
    base = ("why", "--config", "switchgear.toml")
    assert 'Did you mean "demo"?' in run(*base, "--principal", "demi", "--model", "chat").stdout
    assert 'Did you mean "chat"?' in run(*base, "--principal", "demo", "--model", "chit").stdout
    result = run(*base, "--principal", "demo", "--model", "chat", "--backend", "clod")
    assert (result.exit_code, 'Did you mean "cloud"?' in result.stdout) == (1, True)


def test_the_schema_is_printed() -> None:
    assert run("schema").stdout == SCHEMA
