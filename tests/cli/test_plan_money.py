"""`switchgear plan compare | pilot | vendors | breakeven`, as people call them."""

import csv
import io
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from switchgear.cli import plan_money
from switchgear.core.clock import ManualClock
from switchgear.core.record import VERSION, Record, encode_record
from switchgear.journal.frame import framed
from switchgear.journal.keeper import Keeper
from switchgear.journal.model import Settings
from switchgear.planner.focus_check import focus_problems

EXAMPLES = Path(__file__).parents[2] / "examples" / "plan"


def run(command: click.Command, *arguments: str, fails: bool = False) -> Result:
    result = CliRunner().invoke(command, list(arguments))
    assert (result.exit_code != 0) == fails, result.output
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_compare_prints_tables() -> None:
    out = run(plan_money.compare, str(EXAMPLES / "compare.toml"), "--draws", "200").stdout
    assert "present value" in out
    assert "from 3.05M calls a month" in out
    assert "What matters most for the saving of hybrid" in out
    assert out.rstrip().endswith("of all draws.")


def test_compare_for_programs(tmp_path: Path) -> None:
    html, focus = tmp_path / "r.html", tmp_path / "f.csv"
    arguments = [str(EXAMPLES / "compare.toml"), "--draws", "200", "--drivers", "edge"]
    found = json.loads(run(plan_money.compare, *arguments, "--json", "--html", str(html), "--focus", str(focus)).stdout)
    assert found["comparison"]["currency"] == "USD"
    assert found["sensitivity"]["option"] == "edge"
    assert found["montecarlo"]["draws"] == 200
    entries = found["comparison"]["entries"]
    assert entries["cloud.present_value"]["value"] == pytest.approx(
        found["comparison"]["options"][0]["present_value_usd"]
    )
    assert html.read_text(encoding="utf-8").startswith("<!doctype html>")
    rows = rows_of(focus.read_text(encoding="utf-8"))
    assert list(focus_problems(list(rows[0]), rows)) == []
    table = rows_of(run(plan_money.compare, *arguments[:1], "--draws", "0", "--csv").stdout)
    assert len(table) == 25
    cloud = sum(float(row["paid_usd"]) for row in table if row["option"] == "cloud")
    assert cloud == pytest.approx(found["comparison"]["options"][0]["paid_usd"])


def test_compare_with_a_simulations_usage(tmp_path: Path) -> None:
    usage = tmp_path / "usage.json"
    served = {
        "calls": 2e8,
        "prompt_tokens": 1e11,
        "completion_tokens": 1e10,
        "energy_kwh": 20_000,
        "peak_kw": 6.0,
        "units": 2,
    }
    rows: list[dict[str, Any]] = [
        {"option": "onprem", "place": "servers", "year": year} | served for year in range(1, 6)
    ]
    usage.write_text(json.dumps(rows))
    found = json.loads(
        run(plan_money.compare, str(EXAMPLES / "compare.toml"), "--usage", str(usage), "--draws", "0", "--json").stdout
    )
    assert found["comparison"]["entries"]["onprem.servers.energy_kwh.y3"]["source"] == "usage, from simulation"
    onprem = next(one for one in found["comparison"]["options"] if one["name"] == "onprem")
    assert onprem["break_even"] is None
    usage.write_text("[{}]")
    assert (
        "usage rows"
        in run(plan_money.compare, str(EXAMPLES / "compare.toml"), "--usage", str(usage), fails=True).stderr
    )


CALLS = """rate_per_s = 1.0
duration_s = 1800.0
prompt = { median = 900 }
output = { median = 150, sigma = 0.5 }
"""


def test_compare_simulates_fleets_on_calls(tmp_path: Path) -> None:
    calls, html = tmp_path / "calls.toml", tmp_path / "r.html"
    calls.write_text(CALLS)
    plan, fleet = str(EXAMPLES / "compare.toml"), f"appliance={EXAMPLES / 'appliances.toml'}"
    arguments = [plan, "--fleet", fleet, "--generate", str(calls), "--draws", "200"]
    found = json.loads(run(plan_money.compare, *arguments, "--json", "--html", str(html)).stdout)
    assert [one["year"] for one in found["simulated"]["years"]] == [1, 2, 3, 4, 5]
    assert all(one["result"]["ttft"]["p99"] > 0 for one in found["simulated"]["years"])
    assert "workload.calls_per_month" not in found["montecarlo"]["uncertain"]
    assert found["comparison"]["entries"]["appliance.box.energy_kwh.y1"]["source"] == "usage, from simulation"
    assert "How fast it is" in html.read_text(encoding="utf-8")
    assert "How fast, and where calls go" in run(plan_money.compare, *arguments, "--draws", "0").stdout


def test_compare_refuses_fleets_without_calls_and_calls_without_fleets(tmp_path: Path) -> None:
    calls = tmp_path / "calls.toml"
    calls.write_text(CALLS)
    plan, fleet = str(EXAMPLES / "compare.toml"), str(EXAMPLES / "appliances.toml")
    for arguments, said in (
        (["--fleet", f"appliance={fleet}"], "go together"),
        (["--generate", str(calls)], "go together"),
        (["--fleet", fleet, "--generate", str(calls)], "is not like onprem=fleet.toml"),
        (["--fleet", f"aplliance={fleet}", "--generate", str(calls)], "no option 'aplliance'; name one of"),
    ):
        assert said in run(plan_money.compare, plan, *arguments, fails=True).stderr.replace("\n", " ")


def test_compare_refuses(tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    text = (EXAMPLES / "compare.toml").read_text(encoding="utf-8")
    file.write_text(text.replace('currency = "USD"', "").replace("value = 0.08", "value = 8"), encoding="utf-8")
    assert 'currency = "USD"' in run(plan_money.compare, str(file), fails=True).stderr
    file.write_text(text.replace("value = 0.08", "value = 8"), encoding="utf-8")
    assert "Write a fraction: 0.08 for 8 %." in run(plan_money.compare, str(file), fails=True).stderr
    assert "name one of" in run(plan_money.compare, str(EXAMPLES / "compare.toml"), "--drivers", "x", fails=True).stderr
    assert (
        "not both"
        in run(plan_money.compare, str(EXAMPLES / "compare.toml"), "--draws", "0", "--json", "--csv", fails=True).stderr
    )
    missing = run(
        plan_money.compare,
        str(EXAMPLES / "compare.toml"),
        "--draws",
        "0",
        "--html",
        str(tmp_path / "no" / "r.html"),
        fails=True,
    )
    assert "cannot be written" in missing.stderr


def test_vendors() -> None:
    file = str(EXAMPLES / "vendors.toml")
    out = run(plan_money.vendors, file).stdout
    assert "1. Alder Systems" in out
    assert "Cedar Edge is ruled out" in out
    assert "warranty_years: 10.0 % to 13.0 %" in out
    assert json.loads(run(plan_money.vendors, file, "--json").stdout)["ranked"][0]["name"] == "alder"
    assert len(rows_of(run(plan_money.vendors, file, "--csv").stdout)) == 16


def test_breakeven() -> None:
    out = run(plan_money.breakeven).stdout
    assert "69.3 / 69.3" in out
    assert "35 of 45 cells agree" in out
    assert "never" in out
    found = json.loads(run(plan_money.breakeven, "--assume", "people=0", "--assume", "pue=1.1", "--json").stdout)
    assert {one["name"]: one["value"] for one in found["left_out"]}["pue"] == 1.1
    assert len(rows_of(run(plan_money.breakeven, "--csv").stdout)) == 45
    assert "NAME=VALUE" in run(plan_money.breakeven, "--assume", "people=many", fails=True).stderr
    assert "name one of" in run(plan_money.breakeven, "--assume", "luck=1", fails=True).stderr
    assert "not between" in run(plan_money.breakeven, "--assume", "people", fails=True).stderr


@pytest.fixture
def state(tmp_path: Path) -> Path:
    with closing(Keeper(tmp_path / "journal" / "worker-0.db", Settings(), ManualClock())) as keeper:
        for number in range(100):
            odd = bool(number % 2)
            record = Record(
                version=VERSION,
                call=f"c{number}",
                at_s=1.7e9 + number * 8000,
                gateway="g/0",
                snapshot="s",
                endpoint="chat/completions",
                principal="=web" if odd else "batch",
                team="shop",
                model="chat",
                backend="api",
                status=200,
                ttft_s=0.9,
                duration_s=4.0,
                prompt_tokens=500,
                completion_tokens=100,
                cost_usd=0.004 if odd else 0.001,
                data_class="confidential" if odd else "public",
            )
            assert keeper.write([framed([(record.call, record.at_s, encode_record(record))])]) is None
    return tmp_path


def test_pilot(state: Path) -> None:
    out = run(plan_money.pilot, "--state-dir", str(state), "--cloud", "api")
    assert "Workloads to try on local hardware first: 100 cloud calls of 9.2 days" in out.stdout
    assert "1,237 answers of each place" in out.stdout
    rows = rows_of(run(plan_money.pilot, "--state-dir", str(state), "--cloud", "api", "--csv").stdout)
    assert [row["key"] for row in rows] == ["'=web", "batch"], "what a spreadsheet would run is made harmless"
    config = state / "gateway.toml"
    config.write_text(f'[gateway]\nstate_dir = "{state}"\n[backends.api]\nkind = "cloud"\n')
    found = json.loads(run(plan_money.pilot, "--config", str(config), "--json", "--most", "1").stdout)
    assert [one["key"] for one in found["candidates"]] == ["=web"]
    assert found["others"] == 1


def test_pilot_refuses(state: Path, tmp_path: Path) -> None:
    assert "--cloud NAME" in run(plan_money.pilot, "--state-dir", str(state), fails=True).stderr
    assert "no cloud answered" in run(plan_money.pilot, "--state-dir", str(state), "--local", "api", fails=True).stderr
    assert "There is no journal" in run(plan_money.pilot, "--state-dir", str(tmp_path / "none"), fails=True).stderr
    assert (
        "above zero"
        in run(plan_money.pilot, "--state-dir", str(state), "--cloud", "api", "--rate", "0", fails=True).stderr
    )
    for words, said in (
        (("--ttft", "nan"), "nan seconds to the first token"),
        (("--usd-per-mtok", "-1"), "is no price"),
        (("--weights", "nan", "1", "1"), "a weight of nan"),
        (("--least-calls", "-5"), "x>=1"),
    ):
        told = run(plan_money.pilot, "--state-dir", str(state), "--cloud", "api", *words, fails=True).stderr
        assert said in told


def test_more_draws_than_memory_holds_are_refused() -> None:
    assert (
        "1000000"
        in run(plan_money.compare, str(EXAMPLES / "compare.toml"), "--draws", "1000000000000", fails=True).stderr
    )


def test_a_missing_library_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'numpy'", name="numpy")

    monkeypatch.setattr("switchgear.planner.money_read.read_plan", gone)
    assert (
        "pip install 'switchgear[plan]'" in run(plan_money.compare, str(EXAMPLES / "compare.toml"), fails=True).stderr
    )
