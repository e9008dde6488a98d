"""`switchgear rehearse` as people and CI use it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from switchgear.cli.rehearse import rehearse

SCENARIO = """
name = "a cut"
lasts_s = 40
seed = 3
[devices.box]
profile = "appliance"
model = "llama-3.1-8b"
[devices.spare]
profile = "l4"
model = "llama-3.1-8b"
[[load]]
rate_per_s = 1.0
prompt_tokens = 50
output_tokens = 12
[[events]]
kind = "power_cut"
on = ["box"]
at_s = 10
for_s = 20
[objectives]
availability = 0.99
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(rehearse, [str(argument) for argument in arguments])


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    file = tmp_path / "cut.toml"
    file.write_text(SCENARIO)
    return file


def test_a_table_a_timeline_and_a_verdict(scenario: Path) -> None:
    told = run(scenario)
    assert told.exit_code == 0, told.output
    for expected in ("a cut: 40 s in virtual time", "power_cut on box begins", "box is off", "availability", "PASSED"):
        assert expected in told.output


def test_json_for_scripts(scenario: Path) -> None:
    told = json.loads(run(scenario, "--json").output)
    assert told["passed"] is True
    assert told["calls"]["all"] == told["calls"]["ok"]
    assert {check["name"] for check in told["checks"]} >= {"availability", "records lost or repeated"}
    assert len(told["timeline"]) == 12
    assert {device["name"] for device in told["devices"]} == {"box", "spare"}


def test_an_objective_that_does_not_hold_is_exit_code_1(scenario: Path) -> None:
    scenario.write_text(SCENARIO + "latency_p99_s = 0.001\n")
    told = run(scenario)
    assert told.exit_code == 1
    assert "does not hold" in told.output
    assert "FAILED" in told.output


def test_a_scenario_that_makes_no_sense_is_exit_code_2(scenario: Path) -> None:
    scenario.write_text(SCENARIO.replace("for_s = 20", "for_s = -20"))
    told = run(scenario)
    assert told.exit_code == 2
    assert "line 19, events[0].for_s: must be a number above 0" in told.output


def test_a_users_configuration(scenario: Path, tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(
        "[[keys]]\nname = 'me'\nsha256 = '" + "0" * 64 + "'\n"
        + "".join(
            f"[backends.{name}]\nkind = 'onprem'\nbase_url = 'http://10.0.0.{number}:8000/v1'\n"
            f"prices = {{ input_usd_per_mtok = 1, output_usd_per_mtok = 1 }}\n"
            for number, name in enumerate(("box", "spare"))
        )
        + "[models.chat]\ntargets = [\n  { backend = 'box', model = 'llama-3.1-8b' },\n"
        "  { backend = 'spare', model = 'llama-3.1-8b' },\n]\n"
    )  # fmt: skip
    told = run(scenario, "--config", config)
    assert told.exit_code == 0, told.output
    config.write_text(config.read_text().replace("[backends.spare]", "[backends.other]").replace("'spare'", "'other'"))
    refused = run(scenario, "--config", config)
    assert refused.exit_code == 2
    assert "[devices.other]" in refused.output


def test_real_time_at_a_speed(scenario: Path) -> None:
    told = run(scenario, "--real", "--speed", "20")
    assert told.exit_code == 0, told.output
    assert "real time x 20" in told.output


def test_as_a_process_it_says_nothing_but_its_result(scenario: Path) -> None:
    code = "from switchgear.cli.rehearse import rehearse; rehearse()"
    done = subprocess.run(
        [sys.executable, "-c", code, str(scenario), "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ,
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert json.loads(done.stdout)["passed"] is True
