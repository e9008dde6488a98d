import logging
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.journal.keeping import append_strict, in_frames, writer_at

from switchgear.core.clock import ManualClock
from switchgear.journal.keeper import Keeper
from switchgear.journal.model import Entry, Row, Settings
from switchgear.journal.reader import Reader, advanced


def written(folder: Path, name: str, entries: list[Entry], batch: int = 200) -> None:
    with closing(Keeper(folder / f"{name}.db", Settings(), ManualClock())) as keeper:
        for begin in range(0, len(entries), batch):
            assert keeper.write(in_frames(entries[begin : begin + batch])) is None


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with closing(Reader(tmp_path)) as reader:
        yield reader


def ids(rows: list[Row]) -> list[str]:
    return [row.id for row in rows]


def test_journals_are_read_as_one_in_order_of_time(tmp_path: Path, reader: Reader) -> None:
    written(tmp_path, "worker-0", [(f"a{n}", n * 2.0, b"0") for n in range(1200)])
    written(tmp_path, "worker-1", [(f"b{n}", n * 2.0 + 1, b"1") for n in range(1200)])
    expected = [f"{'ab'[n % 2]}{n // 2}" for n in range(2400)]
    assert ids(list(reader.rows())) == expected
    assert ids(list(reader.newest())) == expected[::-1]
    assert reader.count() == 2400

    position: dict[str, int] = {}
    found: list[Row] = []
    while rows := reader.read(position, 170):
        position = advanced(position, rows)
        found += rows
    assert ids(found) == expected
    assert position == reader.end()


def test_bodies_and_where_they_end(tmp_path: Path, reader: Reader) -> None:
    written(tmp_path, "worker-0", [(f"a{n}", 1.0, b"a%d" % n) for n in range(25)])
    written(tmp_path, "worker-1", [(f"b{n}", 1.0, b"b%d" % n) for n in range(5)])
    bodies, position = reader.bodies({}, 10)
    assert bodies == [*(b"a%d" % n for n in range(10)), *(b"b%d" % n for n in range(5))]
    more, position = reader.bodies(position, 100)
    assert more == [b"a%d" % n for n in range(10, 25)]
    assert reader.bodies(position) == ([], reader.end())


def test_rows_since(tmp_path: Path, reader: Reader) -> None:
    written(tmp_path, "worker-0", [(f"{n:05}", float(n), b"") for n in range(5000)])
    for since_s in (0.0, 1.5, 1023.0, 1024.0, 2500.0, 4990.0, 4999.0, 5000.0, 1e12):
        assert [row.at_s for row in reader.rows(since_s)] == [float(n) for n in range(5000) if n >= since_s]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(), count=st.integers(0, 3000), disorder=st.integers(0, 400), batch=st.integers(1, 512))
def test_find_finds_what_is_there_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, disorder: int, batch: int
) -> None:
    """Ids grow with the beginning of a call, rows come at its end: the order of ids is disturbed by as much as calls take."""
    folder = tmp_path_factory.mktemp("journal")
    chance = random.Random(seed)
    numbers = sorted(range(count), key=lambda n: n + chance.random() * disorder)
    written(folder, "worker-0", [(f"{n * 2:06}", float(n), b"") for n in numbers], batch)
    with closing(Reader(folder)) as reader:
        for n in chance.sample(range(count), min(count, 20)):
            found = reader.find(f"{n * 2:06}")
            assert found is not None
            assert found.at_s == n
            assert reader.find(f"{n * 2 + 1:06}") is None


def test_the_latest_of_several_rows_of_one_call(tmp_path: Path, reader: Reader) -> None:
    written(tmp_path, "worker-0", [("same", 1.0, b"first"), ("same", 2.0, b"second"), ("other", 3.0, b"")])
    written(tmp_path, "worker-1", [("same", 1.5, b"elsewhere")])
    found = reader.find("same")
    assert found is not None
    assert found.body == b"second"


def test_follow_gives_each_row_once_from_files_that_come_later_too(tmp_path: Path, reader: Reader) -> None:
    written(tmp_path, "worker-0", [("old", 1.0, b"")])
    rounds = [["worker-0"], [], ["worker-1", "worker-0"]]
    number = 0

    def wait() -> None:
        nonlocal number
        if not rounds:
            raise KeyboardInterrupt
        for name in rounds.pop(0):
            number += 1
            written(tmp_path, name, [(f"new{number}", 10.0 + number, b"")])

    followed = reader.follow(reader.end(), wait)
    assert ids(list(islice(followed, 3))) == ["new1", "new2", "new3"]
    with pytest.raises(KeyboardInterrupt):
        next(followed)


async def test_a_reader_in_the_middle_of_reading_does_not_stop_the_writer(tmp_path: Path, reader: Reader) -> None:
    writer = writer_at(tmp_path)
    writer.start()
    for number in range(2000):
        writer.append(f"{number:04}", float(number), b"")
    assert await append_strict(writer, "x") is None
    rows = reader.rows()
    assert next(rows).id == "0000"
    for number in range(50):
        assert await append_strict(writer, f"y{number}") is None
    assert writer.status().failing == ""
    assert len(list(rows)) == 2050
    await writer.close()


def test_what_a_killed_writer_left_in_its_log_is_read(tmp_path: Path, reader: Reader) -> None:
    keeper = Keeper(tmp_path / "worker-0.db", Settings(), ManualClock())
    assert keeper.write(in_frames([("a", 1.0, b"")])) is None
    for name in ("worker-0.db", "worker-0.db-wal"):  # as it lies there after SIGKILL: not checkpointed, and no -shm
        (tmp_path / f"left-{name}").write_bytes((tmp_path / name).read_bytes())
    keeper.close()
    (tmp_path / "worker-0.db").unlink()
    assert ids(list(reader.rows())) == ["a"]


def test_unreadable_files_are_left_out_and_named(
    tmp_path: Path, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    written(tmp_path, "worker-0", [("a", 1.0, b"")])
    (tmp_path / "worker-1.db").write_bytes(b"no database at all" * 100)
    with closing(sqlite3.connect(tmp_path / "worker-2.db")) as other:
        other.execute("CREATE TABLE somebody_elses (a)")
    (tmp_path / "worker-3.db").touch()  # just made
    for _ in range(3):
        assert ids(list(reader.rows())) == ["a"]
    assert {path.name for path in reader.problems} == {"worker-1.db", "worker-2.db"}
    assert caplog.text.count("cannot be read") == 2  # each once
    (tmp_path / "worker-1.db").unlink()
    assert reader.find("a") is not None
    assert {path.name for path in reader.problems} == {"worker-2.db"}


def test_a_replaced_file_is_opened_anew(tmp_path: Path, reader: Reader) -> None:
    written(tmp_path, "worker-0", [("first", 1.0, b"")])
    end = reader.end()
    (tmp_path / "worker-0.db").unlink()
    written(tmp_path, "worker-0", [("second", 1.0, b"")])
    assert ids(reader.read(end)) == ["second"]


def test_no_folder_is_an_empty_one(tmp_path: Path) -> None:
    with closing(Reader(tmp_path / "nowhere")) as reader:
        assert reader.end() == {}
        assert reader.read({}) == []
        assert reader.find("a") is None
        assert reader.count() == 0
