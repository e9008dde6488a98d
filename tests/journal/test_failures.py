"""The journal cannot be written: every way in which that happens, and that nothing is silently lost."""

import asyncio
import fcntl
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest
from tests.journal.keeping import QUICK, append_strict, ids_in, in_frames, is_whole, until, writer_at

from switchgear.core.clock import ManualClock
from switchgear.journal.errors import JournalFailing
from switchgear.journal.frame import Frame
from switchgear.journal.keeper import Keeper
from switchgear.journal.model import Settings
from switchgear.journal.store import Store

FILE = "worker-0.db"


@contextmanager
def written_by_another(path: Path) -> Iterator[None]:
    """Another process is in the middle of a transaction."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_a_locked_file_is_a_failing_journal_that_recovers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = writer_at(tmp_path)
    writer.start()
    assert await append_strict(writer, "before") is None
    with written_by_another(tmp_path / FILE):
        error = await append_strict(writer, "first")
        assert isinstance(error, JournalFailing)
        assert "locked" in str(error)
        assert not writer.healthy
        writer.append("batched", 1.0, b"")
        assert isinstance(await append_strict(writer, "second"), JournalFailing)
        status = writer.status()
        assert (status.pending, status.written, status.lost) == (3, 1, 0)
        assert "locked" in status.failing
    await until(lambda: writer.healthy)
    assert await append_strict(writer, "after") is None
    await writer.close()
    assert ids_in(tmp_path / FILE) == ["before", "first", "batched", "second", "after"]
    assert writer.status().lost == 0
    assert caplog.text.count("cannot be written") == 1  # once, however often it is tried
    assert "can be written again" in caplog.text


async def test_a_second_writer_of_the_same_file_waits_for_the_first(tmp_path: Path) -> None:
    first, second = writer_at(tmp_path), writer_at(tmp_path)
    first.start()
    second.start()
    assert not second.healthy
    assert "another process" in second.status().failing
    assert "need a directory each" in second.status().failing
    second.append("of the second", 1.0, b"")
    first.append("of the first", 1.0, b"")
    await first.close()
    await until(lambda: second.healthy and second.status().pending == 0)
    await second.close()
    assert ids_in(tmp_path / FILE) == ["of the first", "of the second"]


async def test_too_many_waiting_lose_the_oldest_and_say_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = writer_at(tmp_path, msgspec.structs.replace(QUICK, max_pending=10))
    writer.start()
    assert await append_strict(writer, "before") is None
    with written_by_another(tmp_path / FILE):
        assert await append_strict(writer, "tried") is not None
        for number in range(25):
            assert await append_strict(writer, f"{number:02}") is not None
        assert writer.status().lost == 15
        assert writer.status().pending == 11
    await until(lambda: writer.status().pending == 0)
    await writer.close()
    assert ids_in(tmp_path / FILE) == ["before", "tried", *(f"{number:02}" for number in range(15, 25))]
    assert "records lost" in caplog.text


async def test_bytes_are_bounded_too(tmp_path: Path) -> None:
    writer = writer_at(tmp_path, msgspec.structs.replace(QUICK, max_pending_bytes=1000))
    writer.start()
    assert await append_strict(writer, "before") is None
    with written_by_another(tmp_path / FILE):
        assert await append_strict(writer, "tried") is not None
        for name in ("a", "b", "c"):
            assert await append_strict(writer, name, bytes(400)) is not None
        assert writer.status().lost == 1
    await until(lambda: writer.status().pending == 0)
    await writer.close()
    assert ids_in(tmp_path / FILE) == ["before", "tried", "b", "c"]


async def test_closing_while_failing_counts_what_is_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = writer_at(tmp_path)
    writer.start()
    assert await append_strict(writer, "before") is None
    with written_by_another(tmp_path / FILE):
        writer.append("a", 1.0, b"")
        writer.append("b", 1.0, b"")
        await writer.close()
    assert writer.status().lost == 2
    assert "2 records lost" in caplog.text


async def test_a_removed_file_is_made_again(tmp_path: Path) -> None:
    writer = writer_at(tmp_path)
    writer.start()
    assert await append_strict(writer, "gone with the file") is None
    first = writer.status().journal
    for path in tmp_path.glob(f"{FILE}*"):
        path.unlink()
    assert isinstance(await append_strict(writer, "kept"), JournalFailing)
    await until(lambda: writer.healthy)
    await writer.close()
    assert ids_in(tmp_path / FILE) == ["kept"]
    assert writer.status().journal != first
    assert writer.status().lost == 0


@pytest.mark.parametrize("content", [b"this is no database, " * 400, b"SQLite format 3\x00" + bytes(range(256)) * 40])
async def test_a_file_that_is_no_database_is_moved_aside(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE).write_bytes(content)
    writer = writer_at(tmp_path)
    writer.start()
    assert await append_strict(writer, "a") is None
    await writer.close()
    assert ids_in(tmp_path / FILE) == ["a"]
    assert (tmp_path / f"{FILE}.damaged-1").read_bytes() == content
    assert writer.status().moved_aside == 1
    assert "damaged" in caplog.text


async def test_damage_found_while_writing_is_moved_aside_and_the_batch_kept(tmp_path: Path) -> None:
    (tmp_path / f"{FILE}.damaged-1").write_bytes(b"an earlier one")
    writer = writer_at(tmp_path)
    writer.start()
    for number in range(2000):
        writer.append(f"{number:04}", 1.0, bytes(100))
    await writer.close()
    content = bytearray((tmp_path / FILE).read_bytes())
    content[4096:] = bytes(len(content) - 4096)  # all pages but the first
    (tmp_path / FILE).write_bytes(content)
    writer = writer_at(tmp_path)
    writer.start()
    await append_strict(writer, "after")
    await until(lambda: writer.healthy and writer.status().pending == 0)
    await writer.close()
    assert ids_in(tmp_path / FILE) == ["after"]
    assert (tmp_path / f"{FILE}.damaged-1").read_bytes() == b"an earlier one"
    assert (tmp_path / f"{FILE}.damaged-2").read_bytes() == bytes(content)


async def test_a_foreign_database_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as other:
        other.execute("CREATE TABLE somebody_elses (a)")
    writer = writer_at(tmp_path)
    writer.start()
    assert isinstance(await append_strict(writer, "a"), Exception)
    assert "not a journal" in writer.status().failing
    await writer.close()
    with closing(sqlite3.connect(tmp_path / FILE)) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("somebody_elses",)]


async def test_a_journal_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    writer = writer_at(tmp_path)
    writer.start()
    await writer.close()
    with closing(sqlite3.connect(tmp_path / FILE)) as other:
        other.execute("PRAGMA user_version = 3")
    writer = writer_at(tmp_path)
    writer.start()
    assert "newer version" in writer.status().failing
    await writer.close()


def test_a_commit_that_failed_but_reached_the_disk_is_not_written_twice(tmp_path: Path) -> None:
    class Doubtful(Store):
        """Its commits reach the disk, and every other one reports an error, as a failing fsync does."""

        commits = 0

        def append(self, frames: Sequence[Frame]) -> None:
            super().append(frames)
            Doubtful.commits += 1
            if Doubtful.commits % 2:
                raise sqlite3.OperationalError("disk I/O error")

    clock = ManualClock()
    keeper = Keeper(tmp_path / FILE, Settings(), clock, Doubtful)
    for number in range(6):
        keeper.write(in_frames([(f"{number}a", 1.0, b"")], [(f"{number}b", 1.0, b"")]), now=True)
    clock.advance(10)
    assert keeper.write([]) is None
    keeper.close()
    assert ids_in(tmp_path / FILE) == [f"{number}{letter}" for number in range(6) for letter in "ab"]
    assert (keeper.written, keeper.lost) == (12, 0)


def test_retries_come_after_a_growing_wait(tmp_path: Path) -> None:
    clock = ManualClock()
    keeper = Keeper(tmp_path / FILE, Settings(retry_s=1.0, max_retry_s=4.0), clock)
    lock = os.open(tmp_path / f"{FILE}.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    waits = []
    keeper.open()
    for _ in range(5):
        wait_s = keeper.wake_in_s()
        assert wait_s is not None
        waits.append(wait_s)
        clock.advance(wait_s / 2)
        assert keeper.write([]) is keeper.error  # too early: nothing is tried
        clock.advance(wait_s / 2)
        assert keeper.write([]) is not None
    assert waits == [1.0, 2.0, 4.0, 4.0, 4.0]
    os.close(lock)
    clock.advance(4.0)
    assert keeper.write(in_frames([("a", 1.0, b"")])) is None
    assert keeper.error is None
    keeper.close()


_FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from tests.journal.keeping import append_strict, until, writer_at

async def main():
    writer = writer_at(Path(sys.argv[1]))
    writer.start()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    number, error = 0, None
    while error is None:
        error = await append_strict(writer, f"{number:04}", bytes(5000))
        number += 1
    print(error)
    for more in range(number, number + 20):
        writer.append(f"{more:04}", 1.0, bytes(5000))
    assert not writer.healthy
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await until(lambda: writer.healthy and writer.status().pending == 0)
    await writer.close()
    print(number + 20, writer.status().lost)

asyncio.run(main())
"""


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", _FULL_DISK, tmp_path], check=True, capture_output=True, text=True)
    error, result = ran.stdout.splitlines()
    count, lost = map(int, result.split())
    assert "disk" in error
    assert lost == 0
    assert ids_in(tmp_path / FILE) == [f"{number:04}" for number in range(count)]
    assert is_whole(tmp_path / FILE)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 KB of its own; only root may make one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("may not mount a tmpfs")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


async def test_a_full_disk(small_disk: Path) -> None:
    writer = writer_at(small_disk)
    writer.start()
    assert await append_strict(writer, "000") is None
    (small_disk / "ballast").write_bytes(bytes(250_000))
    number, error = 1, None
    while error is None:
        error = await append_strict(writer, f"{number:03}", bytes(5000))
        number += 1
    assert "full" in str(error)
    for more in range(number, number + 5):
        assert await append_strict(writer, f"{more:03}", bytes(5000)) is not None
    (small_disk / "ballast").unlink()
    await until(lambda: writer.healthy and writer.status().pending == 0)
    await writer.close()
    assert writer.status().lost == 0
    assert ids_in(small_disk / FILE) == [f"{n:03}" for n in range(number + 5)]
    assert is_whole(small_disk / FILE)


async def test_a_read_only_disk(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    writer = writer_at(small_disk)
    writer.start()
    assert not writer.healthy
    assert isinstance(await append_strict(writer, "a"), JournalFailing)
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    await until(lambda: writer.healthy and writer.status().pending == 0)
    await writer.close()
    assert ids_in(small_disk / FILE) == ["a"]


async def test_a_disk_that_becomes_read_only(small_disk: Path) -> None:
    writer = writer_at(small_disk)
    writer.start()
    assert await append_strict(writer, "a") is None
    # As a kernel does after errors of the device; open files keep it from being asked for.
    remounted = subprocess.run(["mount", "-o", "remount,ro", small_disk], check=False, capture_output=True)
    if not remounted.returncode:
        assert isinstance(await append_strict(writer, "b"), JournalFailing)
        subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
        await until(lambda: writer.healthy and writer.status().pending == 0)
    else:
        assert await append_strict(writer, "b") is None
    await writer.close()
    await asyncio.sleep(0)
    assert ids_in(small_disk / FILE) == ["a", "b"]
