"""Records as workloads: from a journal in pieces, and from an export."""

from pathlib import Path

import pytest

from switchgear.cli.record_output import json_line
from switchgear.core.data_class import DataClass
from switchgear.core.record import Outcome, Record, encode_record
from switchgear.journal.frame import framed
from switchgear.journal.reader import Reader
from switchgear.journal.store import Store
from switchgear.planner.errors import BadWorkload
from switchgear.planner.traces import read_trace
from switchgear.planner.traces_records import Read, records_of_journal
from switchgear.planner.workload import CLASSES, Caller


def record(number: int, **fields: object) -> Record:
    given: dict[str, object] = {
        "prompt_tokens": 100 + number,
        "completion_tokens": number,
        "model": "chat",
        "status": 200,
    }
    given |= {"duration_s": 5.0, **fields}
    return Record(1, f"call_{number}", 1.7e9 + number, "host/0", "abc", "chat/completions", **given)  # type: ignore[arg-type]


def test_an_export_is_a_workload(tmp_path: Path) -> None:
    file = tmp_path / "records.jsonl"
    rows = [
        record(2, data_class="restricted"),
        record(1),
        record(3, outcome=Outcome.REFUSED),
        record(4, prompt_tokens=0),
    ]
    file.write_text("\n".join(map(json_line, rows)))
    got = read_trace(file, DataClass.CONFIDENTIAL)
    assert got.at_s.tolist() == [0.0, 1.0]
    assert got.prompt_tokens.tolist() == [101, 102]
    assert [CLASSES[index] for index in got.data_class] == [DataClass.CONFIDENTIAL, DataClass.RESTRICTED]
    nobody_said = read_trace(file)
    assert [CLASSES[index] for index in nobody_said.data_class] == [DataClass.INTERNAL, DataClass.RESTRICTED]
    assert [nobody_said.callers[at].class_told for at in nobody_said.caller] == [False, True]
    file.write_text(json_line(record(1, principal="ada", team="lab")))
    assert read_trace(file).callers == (Caller("ada", "lab", "chat", class_told=False),)
    file.write_text(json_line(record(1, data_class="secret")))
    with pytest.raises(BadWorkload, match="data class 'secret'"):
        read_trace(file)
    file.write_text(json_line(record(1, outcome=Outcome.REFUSED)))
    with pytest.raises(BadWorkload, match="no call with token counts"):
        read_trace(file)


def test_a_journal_comes_in_pieces_in_order_of_arrival(tmp_path: Path) -> None:
    store = Store(tmp_path / "worker-0.db", 1.0)
    # In order of their ends: every third call takes long, so it stands behind others that came later.
    rows = [record(number, duration_s=30.0 if number % 3 == 0 else 1.0) for number in range(1, 500)]
    rows.sort(key=lambda row: row.at_s + row.duration_s)
    store.append([framed([(row.call, row.at_s + row.duration_s, encode_record(row)) for row in rows])])
    store.append([framed([("x", 1.7e9 + 600, encode_record(record(600, model="other")))])])
    store.close()
    reader = Reader(tmp_path)
    read = Read("a journal", DataClass.INTERNAL, "chat")
    pieces = list(records_of_journal(reader, read, piece=50))
    reader.close()
    assert len(pieces) > 3
    assert [number for piece in pieces for number in piece.output_tokens.tolist()] == list(range(1, 500))
    assert pieces[1].at_s[0] > pieces[0].at_s[-1]
    assert (read.calls, read.left_out) == (499, {"another model": 1})
