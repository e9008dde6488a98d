"""`switchgear profile` as it is typed, against an emulated place in a process of its own."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from switchgear.cli.profile import profile
from switchgear.hardware.catalogue import parse_profiles

SHORT = [
    "--prompt-tokens",
    "32,64,128",
    "--output-tokens",
    "2,4",
    "--concurrency",
    "1,2",
    "--rounds",
    "1",
    "--max-seconds",
    "60",
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    command = ["emulate", "--profile", "appliance", "--model", "llama-8b", "--speed", "20"]
    process = subprocess.Popen([sys.executable, "-m", "switchgear", *command], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        yield found[0]
        process.stdout.close()
    finally:
        process.terminate()
        process.wait(10)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(profile, list(arguments))


def test_a_profile_is_measured_shown_and_saved(url: str, tmp_path: Path) -> None:
    saved, runs = tmp_path / "mine.toml", tmp_path / "runs.jsonl"
    result = run(url, *SHORT, "--hardware", "appliance", "--name", "mine", "--save", str(saved), "--runs", str(runs))
    assert result.exit_code == 0, result.output
    assert "12 runs" in result.output
    assert "power and temperature: unknown" in result.output
    assert "Shapes that were not fitted" in result.output
    assert "95 % interval" in result.output
    read = parse_profiles(saved.read_text())["mine"]
    assert read.physics is not None
    assert read.physics.compute_efficiency.low is not None
    assert len(runs.read_text().splitlines()) == 12


def test_as_json(url: str) -> None:
    result = run(url, *SHORT, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["runs"] == 12
    assert told["held_out"]["call"]["rows"] == 4
    assert told["power"] == dict.fromkeys(("idle_w", "busy_w", "limit_w", "boards", "warmest_c"))
    assert set(told["figures"]) >= {"compute_efficiency", "bandwidth_efficiency", "request_overhead_s"}
    assert "[profiles" in told["toml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-usd", "1"], "give what the backend charges"),
        (["--max-usd", "1", "--input-usd-per-mtok", "1"], "give both"),
        (["--input-usd-per-mtok", "-1", "--output-usd-per-mtok", "1"], "a price below zero"),
        (["--max-seconds", "0"], "bound on seconds is 0.0"),
        (["--prompt-tokens", "1,x"], "not a list of whole numbers"),
        (["--prompt-tokens", "0,1,2"], "below 1"),
        (["--prompt-tokens", "64", "--output-tokens", "8", "--concurrency", "1"], "at least three different lengths"),
        (["--spec", "lama-8b"], "did you mean 'llama-8b'"),
        (["--precision", "fp7"], "no precision 'fp7'"),
        (["--hardware", "cloud"], "only seen from outside"),
        (["--model", "nobody"], "check the model's name"),
        (["--api-key-env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE is not set"),
        (["--max-tokens", "500"], "raise --max-seconds, --max-tokens or --max-usd"),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(url: str, arguments: list[str], message: str) -> None:
    result = run(url, *SHORT, *arguments)
    assert result.exit_code != 0
    assert message in re.sub(r"\s+", " ", result.output)


@pytest.mark.parametrize("option", ["--save", "--runs"])
def test_that_a_file_cannot_be_written_is_said_before_anything_is_asked(option: str, tmp_path: Path) -> None:
    result = run("http://127.0.0.1:9/v1", *SHORT, option, str(tmp_path / "none" / "file"))
    assert result.exit_code == 2
    assert "make it first" in re.sub(r"[\s│]+", " ", result.output)


def test_a_name_needs_a_configuration_and_a_url_a_scheme() -> None:
    assert "is no URL; give --config" in run("appliance", *SHORT).output
    assert "check the URL" in run("http://127.0.0.1:9/v1", *SHORT).output


def test_the_gateway_needs_no_numpy() -> None:
    """The gateway, the emulator and this command's own file are imported without NumPy or SciPy."""
    program = (
        "import sys\n"
        "import switchgear.cli.profile, switchgear.hardware.roofline, switchgear.hardware.power, switchgear.hardware.thermal\n"
        "import switchgear.hardware.battery, switchgear.hardware.solar, switchgear.hardware.link, switchgear.hardware.catalogue\n"
        "assert not {'numpy', 'scipy'} & set(sys.modules), sorted(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
