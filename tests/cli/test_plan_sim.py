"""`switchgear plan size | replay | bottleneck | facility | site | fit` as they are typed."""

import csv
import json
from io import StringIO
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from tests.docs.pages import ROOT

from switchgear.cli.plan_sim import COMMANDS

FLEET = str(ROOT / "examples" / "fleet.toml")
PLAN = click.Group("plan", commands={str(command.name): command for command in COMMANDS})
CALLS = """
rate_per_s = 20
duration_s = 60
prompt = { median = 400.0, sigma = 0.5 }
output = { median = 60.0, sigma = 0.5 }
"""


@pytest.fixture
def calls(tmp_path: Path) -> str:
    file = tmp_path / "calls.toml"
    file.write_text(CALLS)
    return str(file)


def plan(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(PLAN, words)
    assert result.exit_code == code, result.output
    return result.output


def as_json(*words: str) -> Any:
    return json.loads(plan(*words, "--json"))


def test_replay_in_every_form(calls: str) -> None:
    got = as_json("replay", FLEET, "--generate", calls, "--seed", "4")
    (result,) = got["results"]
    assert result["calls"] == got["workload"]["calls"]
    assert result["inputs"]["seed"] == "4"
    rows = list(csv.DictReader(StringIO(plan("replay", FLEET, "--generate", calls, "--seed", "4", "--csv"))))
    assert float(rows[0]["TTFT p99 s"]) == result["ttft"]["p99"]
    assert "two-h100" in plan("replay", FLEET, "--generate", calls)
    detailed = as_json("replay", FLEET, "--generate", calls, "--seed", "4", "--detailed")["results"][0]
    assert detailed["ttft"]["p99"] == pytest.approx(result["ttft"]["p99"])


POLICIES = """
[policy]
files = ["POLICY"]
unknown_class = "public"
[caller]
name = "someone"
"""


@pytest.fixture
def ruled(tmp_path: Path) -> str:
    policy, file = tmp_path / "rules.cedar", tmp_path / "ruled.toml"
    policy.write_text(
        '@id("all") permit (principal, action, resource);\n'
        '@id("stays") forbid (principal, action, resource)\n'
        'when { context.data_class in DataClass::"confidential" && resource.kind == Kind::"cloud" };\n'
    )
    given = Path(FLEET).read_text().replace("two-h100", "ruled")
    file.write_text(given + POLICIES.replace("POLICY", str(policy)))
    return str(file)


def test_replay_says_what_must_stay_local_by_policy(ruled: str, tmp_path: Path) -> None:
    generator = tmp_path / "classes.toml"
    generator.write_text("classes = { public = 1.0, confidential = 1.0 }\n" + CALLS)
    (result,) = as_json("replay", ruled, "--generate", str(generator))["results"]
    local = result["policy"]["local"]["forbidden:stays"]
    assert 0.4 < local / result["calls"] < 0.6
    assert result["must_stay_local_share"] == local / result["calls"]
    shown = plan("replay", ruled, "--generate", str(generator))
    assert f"{local:,} calls may go to no cloud by policy: forbidden:stays" in shown
    trace = tmp_path / "trace.jsonl"
    trace.write_text('{"timestamp": 0, "input_length": 100, "output_length": 10}\n')
    (unknown,) = as_json("replay", ruled, "--trace", str(trace))["results"]
    assert [group["data_class"] for group in unknown["policy"]["groups"]] == ["public"]
    (given,) = as_json("replay", ruled, "--trace", str(trace), "--data-class", "restricted")["results"]
    assert given["must_stay_local_share"] == 1.0


def test_policies_that_cannot_be_used_are_told_with_the_file(calls: str, ruled: str, tmp_path: Path) -> None:
    (tmp_path / "rules.cedar").write_text('@id("x") forbid (principal, action, resource == Backend::"flor");\n')
    told = plan("replay", ruled, "--generate", calls, code=1)
    assert ruled in told
    assert 'Did you mean "floor"?' in told
    (tmp_path / "rules.cedar").unlink()
    assert "rules.cedar: cannot be read" in plan("replay", ruled, "--generate", calls, code=1)


def test_a_generator_that_is_no_text_is_told_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "calls.toml").write_bytes(b'rate_per_s = "\xff"\n')
    assert "calls.toml: " in plan("replay", FLEET, "--generate", str(tmp_path / "calls.toml"), code=1)


@pytest.mark.parametrize(
    ("key", "number"), [("rate_per_s", "inf"), ("prompt.sigma", "nan"), ("system_tokens", f"1{'0' * 30}")]
)
def test_a_generators_number_that_is_none_is_told_with_its_key(tmp_path: Path, key: str, number: str) -> None:
    (tmp_path / "calls.toml").write_text(f"{key} = {number}\n")
    told = plan("replay", FLEET, "--generate", str(tmp_path / "calls.toml"), code=1)
    assert f"{key} is {number[:4]}" in told
    assert "Give a finite number" in told


def test_size_and_bottleneck_and_site(calls: str) -> None:
    got = as_json("size", FLEET, "--place", "floor", "--generate", calls, "--ttft-p99", "1", "--cloud-share", "0")
    assert got["units_n_plus_1"] > got["units"] >= 1
    assert as_json("bottleneck", FLEET, "--generate", calls)["limits"]
    assert as_json("site", FLEET, "--generate", calls)["units"] == 2


def test_facility_in_numbers() -> None:
    got = as_json("facility", FLEET, "--volts", "208", "--breaker-a", "30", "--pue", "1.5")
    assert got["cooling_btu_per_h"] == pytest.approx(got["it_kw"] * 3412.141633)
    assert got["total_kw"] == pytest.approx(1.5 * got["it_kw"])
    assert got["energy_mwh_per_year"] is None


def test_facility_says_what_nobody_stated_and_what_calls_draw(calls: str, tmp_path: Path) -> None:
    assert "of floor nobody says what stands around the devices" in plan("facility", FLEET)
    hosted = tmp_path / "hosted.toml"
    text = Path(FLEET).read_text()
    hosted.write_text(text.replace("max_in_flight = 128", "max_in_flight = 128\nhost = { idle_w = 100, busy_w = 200 }"))
    assert "nobody says" not in plan("facility", str(hosted))
    got = as_json("facility", str(hosted), "--generate", calls, "--pue", "1.5")
    (floor,) = got["places"]
    assert 2 * 100 < floor["wall_mean_w"] < floor["wall_peak_w"]
    assert got["energy_mwh_per_year"] == pytest.approx(floor["wall_mean_w"] * 1.5 * 8766 / 1e6)
    assert "MWh a year" in plan("facility", str(hosted), "--generate", calls)


def test_what_has_no_price_is_in_no_sum_and_said(calls: str) -> None:
    out = plan("replay", FLEET, "--generate", calls)
    assert "unpriced, and in no sum: floor (" in out
    assert as_json("replay", FLEET, "--generate", calls)["results"][0]["cost_usd"] is None


def test_a_fit_is_kept_and_can_be_used(calls: str, tmp_path: Path) -> None:
    kept = tmp_path / "fit.toml"
    got = as_json("fit", "--generate", calls, "--write", str(kept))
    assert got["goodness"]["prompt_tokens"] < 0.1
    again = as_json("replay", FLEET, "--generate", str(kept))
    assert again["workload"]["prompt_tokens_median"] == pytest.approx(400, rel=0.1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("replay", FLEET), "Say which calls"),
        (("size", FLEET, "--place", "floor", "--generate", "CALLS"), "no objective"),
        (("size", FLEET, "--place", "roof", "--generate", "CALLS", "--ttft-p99", "1"), "has no place 'roof'"),
        (("replay", "CALLS", "--generate", "CALLS"), "docs/planner.md lists the keys"),
        (("replay", FLEET, "--trace", "CALLS"), "lacks the column TIMESTAMP"),
        (("replay", FLEET, "--generate", "CALLS", "--load", "0"), "--load"),
        (("replay", FLEET, "--generate", FLEET), "docs/planner.md lists the keys"),
        (("replay", FLEET, "--generate", "CALLS", "--model", "chat"), "--since and --model choose among the records"),
        (("replay", FLEET, "--generate", "CALLS", "--since", "7d"), "--since and --model choose among the records"),
        (("facility", FLEET, "--volts", "0.23"), "volts of low voltage"),
    ],
)
def test_what_cannot_be_answered_is_said(words: tuple[str, ...], said: str, calls: str) -> None:
    result = CliRunner().invoke(PLAN, [calls if word == "CALLS" else word for word in words])
    assert result.exit_code in (1, 2)
    assert said in result.output
    assert "Traceback" not in result.output
