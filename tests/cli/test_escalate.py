"""`switchgear escalate fit`: from files or journals to a rule, a curve and a plot."""

import json
import random
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.cli.test_records import keep
from tests.confidence.test_fit import drawn, record
from tests.core.sample_records import all_samples

from switchgear.cli.escalate import escalate, plot
from switchgear.confidence.curve import Point
from switchgear.confidence.parse import parse


def files(tmp_path: Path, number: int = 300) -> list[str]:
    rng = random.Random(4)
    records, outcomes = [], ["call,good,large_good"]
    for place, one in enumerate(drawn(number, rng)):
        confidence = {**one.signals, "refusal": False, "format_failure": False}
        attempt = {"outcome": "ok", "cost_usd": 0.001, "confidence": confidence}
        records.append(json.dumps(record(f"c{place}", attempt)))
        outcomes.append(f"c{place},{int(one.good)},{int(rng.random() < 0.95)}")
    (tmp_path / "records.jsonl").write_text("\n".join(records))
    (tmp_path / "outcomes.csv").write_text("\n".join(outcomes))
    return [
        "fit",
        "--records",
        str(tmp_path / "records.jsonl"),
        "--outcomes",
        str(tmp_path / "outcomes.csv"),
        "--resamples",
        "50",
    ]


def test_the_command_prints_rule_curve_and_plot(tmp_path: Path) -> None:
    done = CliRunner().invoke(escalate, [*files(tmp_path), "--large-cost-usd", "0.02"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert 'when = "mean_logprob < -' in done.output
    assert "on answers it was not chosen on" in done.output
    assert "cost a call" in done.output
    assert " o" in done.output or "·o" in done.output


def test_the_command_prints_json(tmp_path: Path) -> None:
    done = CliRunner().invoke(escalate, [*files(tmp_path), "--min-quality", "0.9", "--json"], catch_exceptions=False)
    told = json.loads(done.output)
    assert told["reached"] is True
    assert told["chosen"]["quality"] >= 0.9
    assert told["chosen"]["cost_usd"] is None
    assert str(parse(told["rule"])) == told["rule"]
    assert told["curve"][0]["threshold"] == "never"
    assert told["curve"][-1]["threshold"] == "always"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--state", "."], "one of the two"),
        (["--min-quality", "0.9", "--max-escalated", "0.1"], "Give one goal"),
        (["--bad-answer-usd", "1"], "Without --large-cost-usd"),
        (["--model", "other"], "only 0 records"),
    ],
)
def test_the_command_refuses_what_makes_no_sense(tmp_path: Path, more: list[str], says: str) -> None:
    done = CliRunner().invoke(escalate, [*files(tmp_path), *more])
    assert done.exit_code != 0
    assert says in " ".join(done.output.split())


def test_a_plot_of_one_point_is_a_point() -> None:
    lines = plot([Point(0.0, 0.0, 0.5, None)], Point(0.0, 0.0, 0.5, None))
    assert sum(line.count("o") for line in lines[1:-1]) == 1


def test_journals_are_read_in_place_of_a_file(tmp_path: Path) -> None:
    keep(tmp_path, all_samples(), 0)
    (tmp_path / "outcomes.csv").write_text(
        "call,good,large_good\n" + "".join(f"{one.call},1,1\n" for one in all_samples())
    )
    done = CliRunner().invoke(escalate, ["fit", "--state", str(tmp_path), "--outcomes", str(tmp_path / "outcomes.csv")])
    assert done.exit_code == 1
    assert "only 0 records have a confidence" in " ".join(done.output.split())


def test_a_state_without_a_journal_is_said(tmp_path: Path) -> None:
    (tmp_path / "outcomes.csv").write_text("call,good\nc1,1\n")
    done = CliRunner().invoke(escalate, ["fit", "--state", str(tmp_path), "--outcomes", str(tmp_path / "outcomes.csv")])
    assert done.exit_code == 1
    assert "There is no journal" in done.output


def test_records_that_are_none_are_refused_with_their_line(tmp_path: Path) -> None:
    arguments = files(tmp_path)
    (tmp_path / "records.jsonl").write_text("{}\nrubbish\n")
    done = CliRunner().invoke(escalate, arguments)
    assert done.exit_code == 1
    assert "line 2: no record as JSON" in " ".join(done.output.split())
