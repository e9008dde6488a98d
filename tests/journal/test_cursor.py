"""Exactly once: whatever crashes and whenever, each record has its effect once."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.journal.keeping import append_strict, in_frames, writer_at

from switchgear.core.clock import ManualClock
from switchgear.journal.cursor import Batch, Cursor
from switchgear.journal.errors import StaleBatch
from switchgear.journal.keeper import Keeper
from switchgear.journal.model import Entry, Settings


def write(folder: Path, name: str, entries: list[Entry]) -> None:
    with closing(Keeper(folder / f"{name}.db", Settings(), ManualClock())) as keeper:
        assert keeper.write(in_frames(entries)) is None


def ids(batch: Batch | None) -> list[str]:
    assert batch is not None
    return [row.id for row in batch.rows]


def test_a_batch_comes_again_until_it_is_acknowledged(tmp_path: Path) -> None:
    write(tmp_path, "worker-0", [(f"{n}", 1.0, b"") for n in range(5)])
    with closing(Cursor(tmp_path, "metering")) as cursor:
        assert ids(cursor.read(3)) == ids(cursor.read(3)) == ["0", "1", "2"]
        assert cursor.behind() == 5
    with closing(Cursor(tmp_path, "metering")) as cursor:
        batch = cursor.read(3)
        assert ids(batch) == ["0", "1", "2"]
        assert batch is not None
        cursor.acknowledge(batch)
        cursor.acknowledge(batch)
        assert ids(cursor.read(3)) == ["3", "4"]
    with closing(Cursor(tmp_path, "metering")) as cursor, closing(Cursor(tmp_path, "audit")) as other:
        assert ids(cursor.read()) == ["3", "4"]
        assert ids(other.read()) == ["0", "1", "2", "3", "4"]
        assert (cursor.behind(), other.behind()) == (2, 5)


def test_rows_beyond_a_place(tmp_path: Path) -> None:
    write(tmp_path, "worker-0", [(f"{n}", 1.0, b"") for n in range(4)])
    with closing(Cursor(tmp_path, "metering")) as cursor:
        batch = cursor.read()
        assert batch is not None
        for place in range(6):
            assert [row.seq for row in batch.beyond(place)] == [seq for seq in (1, 2, 3, 4) if seq > place]


def test_journals_take_turns(tmp_path: Path) -> None:
    for name in ("worker-0", "worker-1"):
        write(tmp_path, name, [(f"{name} {n}", 1.0, b"") for n in range(4)])
    found: list[str] = []
    with closing(Cursor(tmp_path, "metering")) as cursor:
        while batch := cursor.read(2):
            assert {row.journal for row in batch.rows} == {batch.journal}
            found.append(ids(batch)[0])
            cursor.acknowledge(batch)
    assert found == ["worker-0 0", "worker-1 0", "worker-0 2", "worker-1 2"]


def test_an_old_acknowledgement_does_not_take_a_position_back(tmp_path: Path) -> None:
    write(tmp_path, "worker-0", [(f"{n}", 1.0, b"") for n in range(4)])
    with closing(Cursor(tmp_path, "metering")) as cursor:
        first = cursor.read(1)
        assert first is not None
        everything = cursor.read()
        assert everything is not None
        cursor.acknowledge(everything)
        cursor.acknowledge(first)
        assert cursor.read() is None


def test_a_batch_of_a_journal_that_is_gone(tmp_path: Path) -> None:
    write(tmp_path, "worker-0", [("a", 1.0, b"")])
    with closing(Cursor(tmp_path, "metering")) as cursor:
        batch = cursor.read()
        assert batch is not None
        (tmp_path / "worker-0.db").unlink()
        write(tmp_path, "worker-0", [("b", 1.0, b"")])
        with pytest.raises(StaleBatch):
            cursor.acknowledge(batch)
        assert ids(cursor.read()) == ["b"]


async def test_beside_a_writer_at_work(tmp_path: Path) -> None:
    writer = writer_at(tmp_path, Settings())
    writer.start()
    found: list[str] = []
    with closing(Cursor(tmp_path, "metering")) as cursor:
        for number in range(200):
            writer.append(f"{number:03}", 1.0, bytes(300))
            if number % 7 == 0:
                assert await append_strict(writer, f"{number:03}s") is None
                if batch := cursor.read(5):
                    found += ids(batch)
                    cursor.acknowledge(batch)
        await writer.close()
        while batch := cursor.read():
            found += ids(batch)
            cursor.acknowledge(batch)
    expected = [name for n in range(200) for name in ([f"{n:03}", f"{n:03}s"] if n % 7 == 0 else [f"{n:03}"])]
    assert found == expected
    assert (writer.status().lost, writer.status().failing) == (0, "")


class Consumer:
    """Adds up what rows say, in a database of its own, as the docstring of `cursor` asks: the effect and the place in one transaction."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("CREATE TABLE IF NOT EXISTS effect (id TEXT)")
        self.connection.execute("CREATE TABLE IF NOT EXISTS place (journal TEXT PRIMARY KEY, seq INTEGER)")

    def apply(self, batch: Batch, crash_after: int | None = None) -> bool:
        """Whether it came to its end; with `crash_after` it dies after so many rows, before its commit."""
        self.connection.execute("BEGIN")
        place = self.connection.execute("SELECT seq FROM place WHERE journal = ?", (batch.journal,)).fetchone()
        for number, row in enumerate(batch.beyond(place[0] if place else 0)):
            if number == crash_after:
                self.connection.execute("ROLLBACK")
                return False
            self.connection.execute("INSERT INTO effect VALUES (?)", (row.id,))
        self.connection.execute(
            "INSERT INTO place VALUES (?, ?) ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)",
            (batch.journal, batch.last_seq),
        )
        self.connection.execute("COMMIT")
        return True

    def effects(self) -> list[str]:
        return [row[0] for row in self.connection.execute("SELECT id FROM effect")]


class ExactlyOnce(RuleBasedStateMachine):
    """Writers append, restart and expire; a consumer reads, and crashes wherever it can."""

    folder: Path

    @initialize()
    def begin(self) -> None:
        self.number = 0
        self.appended: set[str] = set()
        self.clock = ManualClock()
        self.keepers = {name: self.opened(name) for name in ("worker-0", "worker-1")}
        self.cursor = Cursor(self.folder / "journal", "metering")
        self.cursor.read(1)
        self.consumer = Consumer(self.folder / "consumer.db")

    def opened(self, name: str) -> Keeper:
        keeper = Keeper(self.folder / "journal" / f"{name}.db", Settings(keep_days=1.0), self.clock)
        keeper.open()
        return keeper

    @rule(name=st.sampled_from(["worker-0", "worker-1"]), count=st.integers(1, 6))
    def append(self, name: str, count: int) -> None:
        entries: list[Entry] = []
        for _ in range(count):
            self.number += 1
            entries.append((f"{self.number:06}", self.clock.now_s(), b""))
        assert self.keepers[name].write(in_frames(entries)) is None
        self.appended.update(entry[0] for entry in entries)

    @rule(name=st.sampled_from(["worker-0", "worker-1"]))
    def restart_writer(self, name: str) -> None:
        self.keepers[name].close()
        self.keepers[name] = self.opened(name)

    @rule(days=st.floats(0, 2))
    def time_passes(self, days: float) -> None:
        self.clock.advance(days * 86_400)
        for keeper in self.keepers.values():
            keeper.expire()

    @rule(limit=st.integers(1, 5), crash=st.sampled_from(["no", "before", "within", "between", "after"]))
    def consume(self, limit: int, crash: str) -> None:
        batch = self.cursor.read(limit)
        dies_within = 0 if crash == "within" else None
        applied = batch is not None and crash != "before" and self.consumer.apply(batch, dies_within)
        if batch is not None and applied and crash != "between":
            self.cursor.acknowledge(batch)
        if crash != "no":
            self.cursor.close()
            self.cursor = Cursor(self.folder / "journal", "metering")

    @rule()
    @precondition(lambda self: self.number > 0)
    def catch_up(self) -> None:
        while batch := self.cursor.read(3):
            self.consumer.apply(batch)
            self.cursor.acknowledge(batch)
        assert sorted(self.consumer.effects()) == sorted(self.appended)

    @invariant()
    def no_effect_twice(self) -> None:
        effects = self.consumer.effects() if hasattr(self, "consumer") else []
        assert len(effects) == len(set(effects))

    def teardown(self) -> None:
        if hasattr(self, "consumer"):
            self.catch_up()
            self.consumer.connection.close()
            self.cursor.close()
            for keeper in self.keepers.values():
                keeper.close()


def test_every_record_has_its_effect_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    class Here(ExactlyOnce):
        @property
        def folder(self) -> Path:  # type: ignore[override]  # a new one for each run
            if not hasattr(self, "_folder"):
                self._folder = tmp_path_factory.mktemp("once")
            return self._folder

    run_state_machine_as_test(Here, settings=settings(max_examples=30, stateful_step_count=20, deadline=None))
