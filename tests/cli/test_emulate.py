"""`switchgear emulate` as people and scripts use it."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from switchgear.cli.emulate import emulate

COMMAND = [sys.executable, "-c", "from switchgear.cli.emulate import emulate; emulate()"]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(emulate, arguments)


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def test_every_figure_is_listed_with_its_source() -> None:
    listed = run("--list-profiles")
    assert listed.exit_code == 0
    for expected in ("h100-sxm", "coral-edge-tpu", "No place for a language model", "assumed:", "llama-3.1-8b"):
        assert expected in listed.output


def test_the_list_for_scripts() -> None:
    listed = json.loads(run("--list-profiles", "--json").output)
    figure = listed["profiles"]["h100-sxm"]["physics"]["memory_bytes"]
    assert figure["value"] == 80e9
    assert figure["source"].startswith("NVIDIA H100")
    assert listed["models"]["gpt-x"]["architecture"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --profile and --model"),
        (["--profile", "aplliance", "--model", "llama-8b"], "did you mean 'appliance'?"),
        (["--profile", "l4", "--model", "llama-70b"], "choose a narrower precision"),
        (["--profile", "cloud", "--model", "gpt-x", "--speed", "0"], "speed is 0.0"),
        (["--profile", "cloud", "--model", "gpt-x!stal"], "fault 'stal' is unknown"),
        (
            ["--profile", "cloud", "--model", "gpt-x", "--api-key-env", "NOT_SET_ANYWHERE"],
            "NOT_SET_ANYWHERE is not set",
        ),
        (["--profile", "cloud", "--model", "gpt-x", "--listen", "nowhere"], "is not host:port"),
        (["--scenario", __file__], "is not valid TOML"),
        (["--scenario", __file__, "--profile", "l4"], "leave --profile, --model and --faults out"),
    ],
)
def test_what_cannot_be_emulated_is_refused_with_the_remedy(arguments: list[str], message: str) -> None:
    refused = run(*arguments)
    assert refused.exit_code != 0
    assert message in refused.output
    assert "Traceback" not in refused.output


def test_a_file_of_rules_must_be_json(tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text("{")
    refused = run("--profile", "cloud", "--model", "gpt-x", "--faults", str(rules))
    assert "give a JSON list of rules" in refused.output


def test_it_serves_until_it_is_told_to_end(tmp_path: Path, started: list[subprocess.Popen[str]]) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text('[{"fault": "status;code=503", "endpoint": "embeddings"}]')
    models = ["--model", "llama-8b", "--model", "mine=llama-1b", "--precision", "fp8"]
    process = subprocess.Popen(
        [*COMMAND, "--profile", "appliance", *models, "--faults", str(rules), "--api-key-env", "PLACE_KEY"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PLACE_KEY": "secret"},
    )
    started.append(process)
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line.startswith("appliance (Anticipated inference appliance) serves llama-8b, mine on http://127.0.0.1:")
    base_url = line.rpartition(" ")[2]
    request = urllib.request.Request(f"{base_url}/models", headers={"authorization": "Bearer secret"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert [model["id"] for model in json.load(answer)["data"]] == ["llama-8b", "mine"]
    with urllib.request.urlopen(f"{base_url.removesuffix('/v1')}/emulator/faults", timeout=5) as answer:
        assert json.load(answer)["rules"][0]["endpoint"] == "embeddings"
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0


def test_it_serves_on_a_unix_socket(tmp_path: Path, started: list[subprocess.Popen[str]]) -> None:
    path = tmp_path / "place.sock"
    process = subprocess.Popen(
        [*COMMAND, "--profile", "cloud", "--model", "gpt-x", "--listen", f"unix:{path}"],
        stdout=subprocess.PIPE,
        text=True,
    )
    started.append(process)
    assert process.stdout is not None
    assert process.stdout.readline().strip().endswith(f"on unix:{path}")
    assert path.is_socket()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 0


SCENARIO = """
name = "two boxes"
lasts_s = 600
[devices.box]
profile = "appliance"
model = "llama-8b"
count = 2
[[load]]
rate_per_s = 1.0
[[events]]
kind = "power_cut"
on = ["box-0002"]
"""


def test_the_devices_of_a_scenario_for_a_gateway_of_ones_own(
    tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    file = tmp_path / "scenario.toml"
    file.write_text(SCENARIO)
    process = subprocess.Popen([*COMMAND, "--scenario", str(file)], stdout=subprocess.PIPE, text=True)
    started.append(process)
    assert process.stdout is not None
    base_url = process.stdout.readline().strip().rpartition(" ")[2].removesuffix("/NAME")
    assert base_url.startswith("http://127.0.0.1:")
    assert process.stdout.readline().strip() == "box-0001 (appliance) serves llama-8b"
    with urllib.request.urlopen(f"{base_url}/box-0001/v1/models", timeout=5) as answer:
        assert json.load(answer)["data"][0]["id"] == "llama-8b"
    with urllib.request.urlopen(f"{base_url}/box-0001/metrics", timeout=5) as answer:
        assert b"DCGM_FI_DEV_GPU_TEMP{" in answer.read()
    with pytest.raises(OSError, match=r"closed connection|reset"):
        urllib.request.urlopen(f"{base_url}/box-0002/v1/models", timeout=5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0
