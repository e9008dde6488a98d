"""Answers on disk: found by other processes, over after their time, unreadable without the key, and never in a call's way."""

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cache.samples import entry

from switchgear.cache.disk import Disk
from switchgear.cache.errors import BadCacheKey, CacheFailing, ForeignCache
from switchgear.cache.keys import Keys
from switchgear.cache.memory import Memory
from switchgear.cache.model import Entry
from switchgear.cache.sealing import Keyring
from switchgear.cache.service import AnswerCache
from switchgear.cache.store import Store
from switchgear.core.clock import ManualClock, SystemClock

NEW, OLD = ("new", b"n" * 32), ("old", b"o" * 32)
MEBI = 1024 * 1024


def opened(path: Path, *keys: tuple[str, bytes], max_bytes: int = 64 * MEBI) -> Store:
    return Store(path, Keyring(keys or [NEW], os.urandom), max_bytes, os.urandom)


def test_what_was_put_is_there_after_a_restart(tmp_path: Path) -> None:
    store = opened(tmp_path / "answers.db")
    store.put([(b"k" * 20, entry(b"body", ttl_s=10.0, stale_s=5.0))])
    secret = store.secret
    store.close()
    again = opened(tmp_path / "answers.db")
    assert again.secret == secret
    assert again.news() == [b"k" * 20]
    assert again.get(b"k" * 20, 14.0) == entry(b"body", ttl_s=10.0, stale_s=5.0)
    assert again.get(b"k" * 20, 15.0) is None
    again.close()


def test_nothing_readable_lies_on_disk(tmp_path: Path) -> None:
    store = opened(tmp_path / "answers.db")
    store.put([(b"k" * 20, entry(b"a very secret answer"))])
    secret = store.secret
    store.close()
    for file in tmp_path.iterdir():
        content = file.read_bytes()
        assert b"secret answer" not in content
        assert b"llama-8b" not in content
        assert secret not in content
    assert (tmp_path / "answers.db").stat().st_mode & 0o077 == 0


def test_keys_rotate_and_the_old_one_can_then_be_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "answers.db"
    store = opened(path, OLD)
    store.put([(b"k" * 20, entry(b"before"))])
    secret = store.secret
    store.close()
    both = opened(path, NEW, OLD)
    assert both.get(b"k" * 20, 1.0) is not None
    both.close()
    alone = opened(path, NEW)
    assert alone.secret == secret
    assert alone.get(b"k" * 20, 1.0) is None
    alone.close()


def test_a_file_whose_key_is_not_given_is_refused_with_a_remedy(tmp_path: Path) -> None:
    opened(tmp_path / "answers.db", OLD).close()
    with pytest.raises(BadCacheKey, match="Give the key 'old' too"):
        opened(tmp_path / "answers.db", NEW)


def test_a_row_that_was_moved_or_changed_is_a_miss(tmp_path: Path) -> None:
    path = tmp_path / "answers.db"
    store = opened(path)
    store.put([(b"a" * 20, entry(b"for a")), (b"b" * 20, entry(b"for b"))])
    with sqlite3.connect(path) as other:
        other.execute("DELETE FROM answer WHERE digest = ?", (b"b" * 20,))
        other.execute("UPDATE answer SET digest = ?", (b"b" * 20,))
    other.close()
    assert store.get(b"b" * 20, 1.0) is None
    assert store.get(b"b" * 20, 1.0) is None
    store.close()


def test_another_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "answers.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE precious (x)")
    other.close()
    with pytest.raises(ForeignCache):
        opened(path)
    path.write_bytes(b"no database at all, but long enough to look at" * 10)
    with pytest.raises(CacheFailing, match="delete it"):
        opened(path)


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    opened(tmp_path / "answers.db").close()
    with sqlite3.connect(tmp_path / "answers.db") as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(ForeignCache, match="newer version"):
        opened(tmp_path / "answers.db")


def test_the_file_is_bounded_and_the_oldest_go(tmp_path: Path) -> None:
    store = opened(tmp_path / "answers.db", max_bytes=MEBI)
    for number in range(300):
        store.put([(b"%020d" % number, entry(os.urandom(10_000), ttl_s=1e9))])
        while store.trim(0.0):
            pass
    assert store.used_bytes <= MEBI
    assert store.get(b"%020d" % 0, 0.0) is None
    assert store.get(b"%020d" % 299, 0.0) is not None
    store.close()


def test_what_is_over_is_deleted(tmp_path: Path) -> None:
    store = opened(tmp_path / "answers.db")
    store.put([(b"%020d" % number, entry(ttl_s=10.0 if number % 2 else 100.0)) for number in range(10)])
    store.trim(50.0)
    store.close()
    with sqlite3.connect(tmp_path / "answers.db") as other:
        assert other.execute("SELECT count(*) FROM answer").fetchone() == (5,)
    other.close()


class Loop:
    """In place of the event loop: runs what is delivered when it is asked to, in the thread of the test."""

    def __init__(self) -> None:
        self._delivered: list[Callable[[], None]] = []
        self._there = threading.Semaphore(0)

    def deliver(self, step: Callable[[], None]) -> None:
        self._delivered.append(step)
        self._there.release()

    def run_one(self) -> None:
        assert self._there.acquire(timeout=10.0)
        self._delivered.pop(0)()


def fetched(disk: Disk, loop: Loop, key: bytes) -> Entry | None:
    found: list[Entry | None] = []
    disk.fetch(key, found.append)
    assert found == []
    loop.run_one()
    return found[0]


def test_the_thread_writes_and_reads(tmp_path: Path) -> None:
    loop, clock = Loop(), ManualClock(0.0)
    disk = Disk(opened(tmp_path / "answers.db"), clock, loop.deliver)
    assert not disk.holds(b"k" * 20)
    disk.put(b"k" * 20, entry(b"body"))
    assert fetched(disk, loop, b"x" * 20) is None
    assert fetched(disk, loop, b"k" * 20) == entry(b"body")
    assert disk.holds(b"k" * 20)
    clock.advance(60.0)
    assert fetched(disk, loop, b"k" * 20) is None
    assert not disk.holds(b"k" * 20)
    disk.close()


def test_what_waits_is_written_before_it_closes(tmp_path: Path) -> None:
    disk = Disk(opened(tmp_path / "answers.db"), SystemClock(), Loop().deliver)
    for number in range(1000):
        disk.put(b"%020d" % number, entry())
    disk.close()
    store = opened(tmp_path / "answers.db")
    assert len(store.news()) == 1000
    store.close()


def test_another_process_learns_of_it(tmp_path: Path) -> None:
    loop = Loop()
    one = Disk(opened(tmp_path / "answers.db"), ManualClock(0.0), loop.deliver)
    other = Disk(opened(tmp_path / "answers.db"), ManualClock(0.0), loop.deliver)
    one.put(b"k" * 20, entry(b"body"))
    one.close()
    other._tidy()  # what its thread does each second
    assert other.holds(b"k" * 20)
    assert fetched(other, loop, b"k" * 20) == entry(b"body")
    other.close()


def test_a_file_that_fails_costs_answers_and_nothing_else(tmp_path: Path) -> None:
    loop = Loop()
    path = tmp_path / "answers.db"
    disk = Disk(opened(path), ManualClock(0.0), loop.deliver)
    with sqlite3.connect(path) as other:
        other.execute("DROP TABLE answer")
    other.close()
    disk.put(b"k" * 20, entry())
    assert fetched(disk, loop, b"k" * 20) is None
    assert fetched(disk, loop, b"k" * 20) is None
    assert disk.dropped == 1
    assert "answer" in disk.failing
    disk.close()


def test_no_more_waits_than_fits(tmp_path: Path) -> None:
    disk = Disk(opened(tmp_path / "answers.db"), ManualClock(0.0), Loop().deliver)
    large = entry(b"x" * (20 * MEBI))
    disk.put(b"k" * 20, large)
    assert disk.dropped == 1
    disk.close()


def test_the_service_forgets_what_is_over_within_half_a_minute() -> None:
    cache: AnswerCache[str] = AnswerCache(Memory(64 * MEBI), Keys(bytes(32)))
    for number in range(5000):
        cache.keep(b"%020d" % number, entry().answer, 0.0, 10.0, 0.0, on_disk=True)
    assert len(cache.memory) == 5000
    assert sum(cache.tidy(10.0 + second) for second in range(30)) == 5000


def test_the_service_looks_in_memory_and_then_on_disk(tmp_path: Path) -> None:
    loop, clock = Loop(), ManualClock(0.0)
    store = opened(tmp_path / "answers.db")
    writer: AnswerCache[str] = AnswerCache(Memory(MEBI), Keys(store.secret), Disk(store, clock, loop.deliver))
    key = b"k" * 20
    assert not writer.find_later(key, clock.now_s, lambda entry: None)
    writer.keep(key, entry(b"body").answer, 0.0, 60.0, 30.0, on_disk=True)
    found = writer.find(key, 59.0)
    assert found is not None
    assert found.answer.body == b"body"
    assert writer.find(key, 60.0) is None
    assert writer.stale(key, 80.0, 10.0) is None
    assert writer.stale(key, 80.0, 20.0) is found
    assert (writer.hits, writer.misses) == (1, 1)
    writer.close()

    store = opened(tmp_path / "answers.db")
    reader: AnswerCache[str] = AnswerCache(Memory(MEBI), Keys(store.secret), Disk(store, clock, loop.deliver))
    assert reader.find(key, 1.0) is None
    came: list[Entry | None] = []
    assert reader.find_later(key, clock.now_s, came.append)
    loop.run_one()
    assert came[0] is not None
    assert came[0].answer.body == b"body"
    assert reader.find(key, 1.0) is came[0]
    assert (reader.hits, reader.misses) == (2, 0)
    reader.close()
