"""`records` and `explain` over journals that a writer made."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from rich.console import Console
from tests.core.sample_records import AT_S, all_samples, answered, described, escalated, rescued

from switchgear.cli import main
from switchgear.cli.record_filter import parse_moment
from switchgear.cli.record_output import CSV_COLUMNS, printable, table_of
from switchgear.core.clock import ManualClock
from switchgear.core.record import Outcome, Record, encode_record
from switchgear.journal.frame import framed
from switchgear.journal.keeper import Keeper
from switchgear.journal.model import Settings


def keep(state: Path, records: list[Record], worker: int = 0) -> None:
    path = state / "journal" / f"worker-{worker}.db"
    with closing(Keeper(path, Settings(), ManualClock())) as keeper:
        for record in records:
            assert (
                keeper.write([framed([(record.call, record.at_s + record.duration_s, encode_record(record))])]) is None
            )


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Five calls, of two workers."""
    samples = all_samples()
    keep(tmp_path, samples[0::2], 0)
    keep(tmp_path, samples[1::2], 1)
    return tmp_path


def run(*arguments: object, state: Path | None = None) -> Result:
    where = ["--state-dir", str(state)] if state is not None else []
    return CliRunner().invoke(main, [*map(str, arguments), *where])


BY_END = "13254"
"""Last characters of the ids, in the order in which the calls ended."""


def ended() -> list[Record]:
    return sorted(all_samples(), key=lambda record: BY_END.index(record.call[-1]))


def calls(*arguments: object, state: Path) -> list[str]:
    """Last characters of the ids that a listing gives."""
    result = run("records", "--json", *arguments, state=state)
    assert result.exit_code == 0, result.output
    return [record["call"][-1] for record in json.loads(result.stdout)]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "13254"),
        (["--model", "chat"], "1254"),
        (["--backend", "cloud"], "24"),
        (["--backend", "onprem"], "2"),
        (["--outcome", "ok"], "12"),
        (["--outcome", "refused"], "3"),
        (["--key", "demo"], "1254"),
        (["--team", "platform"], "12"),
        (["--endpoint", "responses"], "5"),
        (["--status", 404], "3"),
        (["--error", "model_not_found"], "3"),
        (["--error", "answer_truncated"], "2"),
        (["--error", "any"], "324"),
        (["--since", "2025-10-09T08:53:22Z"], "354"),
        (["--until", "2025-10-09 08:53:22"], "12"),
        (["--since", "2025-10-09T10:53:21+02:00", "--until", "2025-10-09T08:53:23"], "32"),
        (["--since", "90s"], ""),
        (["--limit", 2], "54"),
        (["--limit", 1, "--model", "chat", "--outcome", "ok"], "2"),
        (["--limit", 0], ""),
        (["--model", "nobody's"], ""),
    ],
)
def test_filters(state: Path, arguments: list[object], expected: str) -> None:
    assert "".join(calls(*arguments, state=state)) == expected
    if "--limit" not in arguments:
        assert run("records", "--count", *arguments, state=state).stdout == f"{len(expected)}\n"
        exported = run("records", "--export", "jsonl", *arguments, state=state).stdout.splitlines()
        assert [json.loads(line)["call"][-1] for line in exported] == list(expected)


def test_json_has_every_field_by_name(state: Path) -> None:
    listed = json.loads(run("records", "--json", state=state).stdout)
    for record, found in zip(ended(), listed, strict=True):
        expected = described(record)
        expected["candidates"] = [{"backend": backend, "model": model} for backend, model in record.candidates]
        assert found == expected
    assert listed[2]["cost_usd"] is None


def test_csv(state: Path) -> None:
    result = run("records", "--export", "csv", state=state)
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [row["call"][-1] for row in rows] == list(BY_END)
    assert rows[0]["at"] == "2025-10-09 08:53:20.250 UTC"
    assert float(rows[0]["cost_usd"]) == 0.0000146
    assert rows[2]["cost_usd"] == "unpriced"
    assert rows[2]["ruled_out"] == "edge/tiny:lacks_tools lab/llama-8b:breaker_open"
    assert rows[2]["attempts"].startswith(
        "appliance/llama-8b:first:status_503 appliance/llama-8b:retry:answer_truncated"
    )
    assert rows[0]["attempts"] == "appliance/llama-8b:first:ok"
    assert rows[1]["outcome"] == "refused"


def test_what_a_record_lists_is_told_in_words_not_in_pythons(tmp_path: Path) -> None:
    keep(tmp_path, [escalated()])
    (row,) = csv.DictReader(io.StringIO(run("records", "--export", "csv", state=tmp_path).stdout))
    assert (row["findings"], row["answer_findings"]) == ("email:2", "aws_key:1")
    assert (row["flags"], row["screen_rules"]) == ("gentle.requests_per_minute", "no-mail")
    assert row["standings"] == "good unknown"
    assert not set("[]()") & set("".join(row.values()))
    (told,) = json.loads(run("records", "--json", state=tmp_path).stdout)
    assert told["findings"] == [{"type": "email", "count": 2, "offsets": [[0, 10, 30], [1, 0, 12]]}]
    assert told["answer_findings"] == [{"type": "aws_key", "count": 1, "offsets": [[0, 5, 25]]}]


def test_a_narrow_terminal_loses_columns_but_no_id() -> None:
    records = [answered(), rescued(), escalated()]
    before: list[str] = []
    for width in (200, 120, 100, 80):
        table, left_out = table_of(records, width)
        assert left_out[: len(before)] == before  # always the same ones first
        before = left_out
        assert (width == 200) == (not left_out)
        console = Console(width=width, file=io.StringIO())
        console.print(table)
        assert isinstance(console.file, io.StringIO)
        shown = console.file.getvalue()
        assert all(record.call in shown for record in records)
        assert "\N{HORIZONTAL ELLIPSIS}" not in shown
    assert {"call", "answered by", "outcome", "error"} == {column.header for column in table.columns} - {"status"}


def test_an_export_can_be_limited_to_the_newest(state: Path) -> None:
    lines = run("records", "--export", "jsonl", "--limit", 2, state=state).stdout.splitlines()
    assert [json.loads(line)["call"][-1] for line in lines] == ["5", "4"]


def test_the_table(state: Path) -> None:
    result = run("records", state=state)
    assert result.exit_code == 0
    head, *rows = result.stdout.splitlines()
    for name in ("at (UTC)", "call", "key", "model", "answered by", "outcome", "cost"):
        assert name in head
    assert len(rows) == 5
    first = (
        "2025-10-09 08:53:20.250 call_019a0000001 demo chat appliance/llama-8b 1 ok 200 60 ms 300 ms 250+121 $0.0000146"
    )
    assert " ".join(rows[0].split()) == first
    assert "model_not_found" in rows[1]
    assert "unpriced" in rows[2]
    assert run("records", "--model", "none", state=state).stderr == "No record matches.\n"


HOSTILE = "\x1b[31m[bold]=1+1[/bold]\x07\n\u202e"


def test_what_a_caller_wrote_has_no_power(tmp_path: Path) -> None:
    keep(
        tmp_path,
        [msgspec.structs.replace(answered(), model=HOSTILE), msgspec.structs.replace(answered(), model="=1+1")],
    )
    for arguments in (("records",), ("explain", answered().call)):
        text = run(*arguments, state=tmp_path).stdout
        assert not set("\x1b\x07\u202e") & set(text)
    assert "[bold]=1+1[/bold]" in run("records", state=tmp_path).stdout
    rows = list(csv.DictReader(io.StringIO(run("records", "--export", "csv", state=tmp_path).stdout)))
    assert [row["model"] for row in rows] == [printable(HOSTILE), "'=1+1"]
    assert json.loads(run("records", "--json", state=tmp_path).stdout)[0]["model"] == HOSTILE
    assert printable("plain text") == "plain text"
    assert printable("a\x1bb\nc") == "a\ufffdb\ufffdc"


def test_explain_tells_the_story(state: Path) -> None:
    result = run("explain", "call_019a0000002", state=state)
    assert result.exit_code == 0
    text = result.stdout
    for part in (
        "call call_019a0000002",
        "Ruled out: edge (tiny) cannot call tools.",
        "which carried a broken stream to its end",
        "unpriced",
        "first byte to the caller (the commit point)",
    ):
        assert part in text


def test_explain_as_json(state: Path) -> None:
    told = json.loads(run("explain", "call_019a0000002", "--json", state=state).stdout)
    assert told["record"]["call"] == "call_019a0000002"
    assert told["story"][1] == "Ruled out: edge (tiny) cannot call tools."
    assert told["timeline"][0] == {"at_s": 0.0, "what": "asked", "text": "chat/completions for chat, 1 200 bytes"}


def test_explain_a_call_that_is_not_there(state: Path) -> None:
    result = run("explain", "call_nowhere", state=state)
    assert result.exit_code == 1
    assert "no record of call call_nowhere" in result.stderr


def test_no_journal_there(tmp_path: Path) -> None:
    result = run("records", state=tmp_path)
    assert result.exit_code == 1
    assert f"There is no journal in {tmp_path / 'journal'}" in result.stderr


def test_the_state_directory_from_a_configuration(state: Path, tmp_path: Path) -> None:
    config = tmp_path / "switchgear.toml"
    config.write_text(f"[gateway]\nstate_dir = {json.dumps(str(state))}\n")
    assert run("records", "--config", config, "--count").stdout == "5\n"
    assert run("records", "--config", config, "--count", state=state).exit_code == 2
    config.write_text("[gateway\n")
    broken = run("records", "--config", config)
    assert broken.exit_code == 1
    assert "cannot be read" in broken.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--since", "yesterday"],
        ["--outcome", "maybe"],
        ["--limit", "-1"],
        ["--follow", "--count"],
        ["--follow", "--export", "csv"],
        ["--export", "csv", "--json"],
        ["--export", "csv", "--count"],
    ],
)
def test_options_that_make_no_sense(state: Path, arguments: list[str]) -> None:
    assert run("records", *arguments, state=state).exit_code == 2


def test_unreadable_records_and_files_are_left_out_with_a_warning(state: Path) -> None:
    (state / "journal" / "worker-7.db").write_bytes(b"not a database" * 100)
    with closing(Keeper(state / "journal" / "worker-8.db", Settings(), ManualClock())) as keeper:
        assert keeper.write([framed([("call_odd", AT_S, b"\xc1")])]) is None
    result = run("records", "--json", state=state)
    assert [record["call"][-1] for record in json.loads(result.stdout)] == list(BY_END)
    assert "worker-7.db was left out" in result.stderr
    assert "the record of call call_odd cannot be read" in result.stderr
    assert run("explain", "call_odd", state=state).exit_code == 1


def followed(state: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-c",
        "from switchgear.cli import main; main()",
        "records",
        "--follow",
        "--state-dir",
        str(state),
    ]
    return subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("as_json", [True, False])
def test_follow_shows_the_last_and_then_what_comes(state: Path, as_json: bool) -> None:
    process = followed(state, "--limit", "2", "--model", "chat", *(["--json"] if as_json else []))
    assert process.stdout is not None
    with process.stdout as shown:

        def next_call() -> str:
            line = shown.readline()
            told: dict[str, Any] = json.loads(line) if as_json else {"call": line.split()[2]}
            return str(told["call"])

        assert [next_call(), next_call()] == ["call_019a0000005", "call_019a0000004"]
        keep(state, [msgspec.structs.replace(answered(), call="new", at_s=AT_S + 100)], worker=5)
        keep(state, [msgspec.structs.replace(answered(), model="another", call="passed over")])
        keep(state, [msgspec.structs.replace(answered(), call="newer", outcome=Outcome.FAILED, at_s=AT_S + 101)])
        assert [next_call(), next_call()] == ["new", "newer"]
        os.kill(process.pid, signal.SIGINT)
        assert shown.read() == ""
    assert process.wait(20) == 0


def test_moments() -> None:
    assert parse_moment("90s", 1000.0) == 910.0
    assert parse_moment("1.5h", 10_000.0) == 4600.0
    assert parse_moment("2d", 200_000.0) == 27_200.0
    assert parse_moment("2025-10-09", 0.0) == 1_759_968_000.0
    with pytest.raises(ValueError, match="Invalid isoformat"):
        parse_moment("soon", 0.0)
