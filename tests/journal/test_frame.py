"""Records lie in frames; whoever reads, trims or converts them sees records with places of their own."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.journal.keeping import in_frames, rows_in

from switchgear.core.clock import ManualClock
from switchgear.journal.cursor import Cursor
from switchgear.journal.frame import LAST, pack
from switchgear.journal.keeper import Keeper
from switchgear.journal.model import Entry, Settings
from switchgear.journal.reader import Reader
from switchgear.journal.schema import APPLICATION_ID
from switchgear.journal.store import Store

FILE = "worker-0.db"


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    after=st.integers(0, 60),
    limit=st.integers(1, 30),
)
def test_any_piece_is_read_record_by_record(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], after: int, limit: int
) -> None:
    folder = tmp_path_factory.mktemp("frames")
    entries: list[Entry] = [(f"{n:03}", float(n), b"%d" % n) for n in range(sum(sizes))]
    begins = [sum(sizes[:number]) for number in range(len(sizes))]
    with closing(Store(folder / FILE, 1.0)) as store:
        store.append(in_frames(*(entries[begin : begin + size] for begin, size in zip(begins, sizes, strict=True))))
        journal = store.id
    every = [entry[0] for entry in entries]
    with closing(Reader(folder)) as reader:
        assert [row.id for row in reader.read({journal: after}, limit)] == every[after : after + limit]
        bodies, position = reader.bodies({journal: after}, limit)
        assert bodies == [entry[2] for entry in entries[after : after + limit]]
        assert position[journal] == (after + len(bodies))
        assert [(row.seq, row.id) for row in reader.newest()] == list(enumerate(every, 1))[::-1]
        assert reader.end() == {journal: len(every)}
        assert reader.count() == len(every)
    with closing(Cursor(folder, "metering")) as cursor:
        read = 0
        while batch := cursor.read(limit):
            assert [row.seq for row in batch.rows] == list(range(read + 1, read + 1 + len(batch.rows)))
            assert len(batch.rows) <= limit
            read = batch.last_seq
            cursor.acknowledge(batch)
            assert cursor.behind() == len(every) - read
        assert read == len(every)


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=8), before_s=st.floats(0, 80))
def test_age_deletes_within_a_frame_too(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], before_s: float
) -> None:
    path = tmp_path_factory.mktemp("frames") / FILE
    count = 0
    with closing(Store(path, 1.0)) as store:
        for size in sizes:
            store.append(in_frames([(f"{n:03}", float(n), b"") for n in range(count, count + size)]))
            count += size
        deleted, more = store.expire(before_s, drop_unacknowledged=True)
        left = [(n + 1, f"{n:03}", float(n), b"") for n in range(count) if n >= before_s]
        assert not more
        assert deleted == count - len(left)
        assert rows_in(path) == left
        store.append(in_frames([("next", 100.0, b"")]))
    assert rows_in(path)[-1][:2] == (count + 1, "next")


@pytest.mark.parametrize(("call_id", "at_s"), [("\ud800", 1.0), ("call", float("nan"))])
def test_what_cannot_lie_in_a_file_makes_no_frame(call_id: str, at_s: float) -> None:
    with pytest.raises(ValueError, match=r"surrogates|no number"):
        pack(["first", call_id], [1.0, at_s], [b"", b""])


@pytest.mark.parametrize(
    ("damage", "bodies"), [(lambda rows: b"\0", 1), (lambda rows: rows.replace(b"worker", b"work\xffr"), 2)]
)
def test_a_damaged_frame_is_a_problem_of_its_file_and_of_no_other(
    tmp_path: Path, damage: Callable[[bytes], bytes], bodies: int
) -> None:
    for name in ("worker-0", "worker-1"):
        with closing(Keeper(tmp_path / f"{name}.db", Settings(), ManualClock())) as keeper:
            assert keeper.write(in_frames([(name, 1.0, b"")])) is None
    with closing(sqlite3.connect(tmp_path / FILE)) as other, other:
        ((rows,),) = other.execute("SELECT rows FROM frame")
        other.execute("UPDATE frame SET rows = ?", (damage(rows),))
    with closing(Reader(tmp_path)) as reader:
        for ids in (
            [row.id for row in reader.rows()],
            [row.id for row in reader.newest()],
            [row.id for row in reader.read({})],
        ):
            assert ids == ["worker-1"]
            assert {path.name for path in reader.problems} == {FILE}
        assert len(reader.bodies({})[0]) == bodies  # ids are not looked at there
        assert reader.find("worker-0") is None


def made_by_version_1(path: Path, rows: list[tuple[int, str, float, bytes]], given: int) -> None:
    """A journal as the first version made it: a row for each record, and `given` places in all."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in (
            "CREATE TABLE journal (id TEXT NOT NULL)",
            "CREATE TABLE record (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, at_s REAL NOT NULL, body BLOB NOT NULL)",
            "CREATE TABLE extent (first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, min_id TEXT NOT NULL,"
            " max_id TEXT NOT NULL, min_at_s REAL NOT NULL, max_at_s REAL NOT NULL)",
            "CREATE TABLE consumer (name TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID",
            "INSERT INTO journal VALUES ('0123456789abcdef')",
            "INSERT INTO consumer VALUES ('metering', 3)",
            f"PRAGMA application_id = {APPLICATION_ID}",
            "PRAGMA user_version = 1",
        ):
            connection.execute(statement)
        connection.execute("INSERT INTO sqlite_sequence VALUES ('record', ?)", (given,))
        connection.executemany("INSERT INTO record VALUES (?, ?, ?, ?)", rows)


@pytest.mark.parametrize("places", [[], [1], range(3, 1300), [3, 4, 7, 8, 9]])
def test_a_journal_of_version_1_is_converted(tmp_path: Path, places: list[int]) -> None:
    rows = [(seq, f"{seq:05}", float(seq), b"%d" % seq) for seq in places]
    made_by_version_1(tmp_path / FILE, rows, 2000)
    with closing(Reader(tmp_path)) as reader:
        assert list(reader.rows()) == []
        assert "older version" in reader.problems[tmp_path / FILE]
        with closing(Keeper(tmp_path / FILE, Settings(), ManualClock())) as keeper:
            assert keeper.write(in_frames([("new", 5000.0, b"")])) is None
        expected = [*rows, (2001, "new", 5000.0, b"")]
        assert rows_in(tmp_path / FILE) == expected
        assert [row[1:] for row in reader.rows()] == expected
        assert reader.problems == {}
        for _, call_id, _, _ in expected[:: max(1, len(expected) // 7)]:
            assert reader.find(call_id) is not None
    with closing(Cursor(tmp_path, "metering")) as cursor:
        batch = cursor.read(LAST)
        assert batch is not None
        assert [row.seq for row in batch.rows] == [seq for seq, *_ in expected if seq > 3]
