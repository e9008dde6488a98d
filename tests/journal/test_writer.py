import asyncio
import threading
from pathlib import Path

import msgspec
import pytest
from tests.journal.keeping import QUICK, append_strict, ids_in, is_whole, rows_in, until, writer_at

from switchgear.journal.errors import RecordLost
from switchgear.journal.frame import framed
from switchgear.journal.model import Settings
from switchgear.journal.writer import Writer


async def test_records_are_kept_in_order(tmp_path: Path) -> None:
    writer = writer_at(tmp_path / "journal")
    writer.start()
    for number in range(3000):
        writer.append(f"call-{number:05}", 1000.0 + number, b"body %d" % number)
        if number % 700 == 0:
            await asyncio.sleep(0.003)
    await writer.close()
    rows = rows_in(tmp_path / "journal" / "worker-0.db")
    assert rows == [(n + 1, f"call-{n:05}", 1000.0 + n, b"body %d" % n) for n in range(3000)]
    assert writer.status().written == 3000
    assert writer.status().pending == 0
    assert is_whole(tmp_path / "journal" / "worker-0.db")


@pytest.mark.parametrize("count", [1, 2, 3, 255, 256, 257, 511, 512, 513, 1025])
async def test_batches_of_every_size(tmp_path: Path, count: int) -> None:
    writer = writer_at(tmp_path)
    writer.start()
    for number in range(count):
        writer.append(str(number), 1.0, b"")
    await writer.close()
    assert ids_in(tmp_path / "worker-0.db") == [str(number) for number in range(count)]


async def test_many_at_once_are_kept_in_order_with_those_that_came_singly(tmp_path: Path) -> None:
    writer = writer_at(tmp_path)
    writer.start()
    writer.append("0", 1.0, b"")
    writer.append_frame(framed([(str(number), 1.0, b"") for number in range(1, 600)]))
    writer.append("600", 1.0, b"")
    await until(lambda: writer.status().pending == 0)
    writer.append_frame(framed([("601", 1.0, b"")]))
    await until(lambda: writer.status().pending == 0)
    await writer.close()
    assert ids_in(tmp_path / "worker-0.db") == [str(number) for number in range(602)]


async def test_more_at_once_than_may_wait_are_lost_and_counted(tmp_path: Path) -> None:
    writer = writer_at(tmp_path, msgspec.structs.replace(QUICK, max_pending=100))
    for begin in (0, 50, 100):  # nobody takes them: the thread does not run yet
        writer.append_frame(framed([(str(number), 1.0, b"") for number in range(begin, begin + 50)]))
    assert writer.status().lost == 50
    writer.start()
    await writer.close()
    assert ids_in(tmp_path / "worker-0.db") == [str(number) for number in range(100)]


async def test_a_batch_comes_by_itself_after_a_pause(tmp_path: Path) -> None:
    writer = writer_at(tmp_path)
    writer.start()
    for number in range(5):
        writer.append(str(number), 1.0, b"")
        await until(lambda: writer.status().pending == 0)
    assert ids_in(tmp_path / "worker-0.db") == ["0", "1", "2", "3", "4"]
    await writer.close()


async def test_strict_is_done_on_the_loop_after_the_commit(tmp_path: Path) -> None:
    writer = writer_at(tmp_path)
    writer.start()
    seen: list[tuple[Exception | None, list[str], int]] = []
    last = asyncio.Event()

    def done(error: Exception | None) -> None:
        seen.append((error, ids_in(tmp_path / "worker-0.db"), threading.get_ident()))
        if len(seen) == 3:
            last.set()

    for name in ("a", "b", "c"):
        writer.append_strict(name, 1.0, b"", done)
    await asyncio.wait_for(last.wait(), 20)
    for number, (error, committed, thread) in enumerate(seen):
        assert error is None
        assert "abc"[number] in committed
        assert thread == threading.get_ident()
    await writer.close()


async def test_strict_does_not_wait_for_a_batch_to_fill(tmp_path: Path) -> None:
    writer = writer_at(tmp_path, Settings(interval_s=3600.0))
    writer.start()
    writer.append("batched", 1.0, b"")
    assert await append_strict(writer, "strict") is None
    assert ids_in(tmp_path / "worker-0.db") == ["batched", "strict"]
    await writer.close()


async def test_who_waits_for_a_frame_is_told_once_all_of_it_is_on_the_disk(tmp_path: Path) -> None:
    writer = writer_at(tmp_path, Settings(interval_s=3600.0))
    writer.start()
    told: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    writer.append("before", 1.0, b"")
    writer.append_frame(framed([("a", 1.0, b""), ("b", 2.0, b"")]), told.set_result)
    assert await asyncio.wait_for(told, 20) is None
    assert ids_in(tmp_path / "worker-0.db") == ["before", "a", "b"]
    assert writer.status().written == 3
    await writer.close()


async def test_one_caller_that_raises_does_not_stop_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = writer_at(tmp_path)
    writer.start()

    def defect(error: Exception | None) -> None:
        raise RuntimeError("a defect")

    writer.append_strict("a", 1.0, b"", defect)
    assert await append_strict(writer, "b") is None
    assert "a defect" in caplog.text
    await writer.close()


async def test_a_record_that_cannot_be_encoded_is_lost_alone_and_counted(tmp_path: Path) -> None:
    writer: Writer[object] = Writer(tmp_path / "w.db", msgspec.msgpack.Encoder().encode, QUICK)
    writer.start()
    told: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    writer.append("before", 1.0, 1)
    writer.append_strict("broken", 1.0, object(), told.set_result)
    writer.append("after", 1.0, 2)
    assert isinstance(await asyncio.wait_for(told, 20), RecordLost)
    await writer.close()
    assert ids_in(tmp_path / "w.db") == ["before", "after"]
    assert writer.status().lost == 1


@pytest.mark.parametrize(("call_id", "at_s"), [("\ud800", 1.0), ("nan", float("nan"))])
async def test_what_sqlite_cannot_store_is_lost_alone_and_counted(tmp_path: Path, call_id: str, at_s: float) -> None:
    writer = writer_at(tmp_path)
    writer.start()
    told: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    writer.append("before", 1.0, b"")
    writer.append_strict(call_id, at_s, b"", told.set_result)
    assert isinstance(await asyncio.wait_for(told, 20), RecordLost)
    assert await append_strict(writer, "after") is None
    await writer.close()
    assert ids_in(tmp_path / "worker-0.db") == ["before", "after"]
    assert writer.status().lost == 1
    assert writer.status().written == 2


async def test_a_second_start_goes_on_where_the_first_ended(tmp_path: Path) -> None:
    for name in ("a", "b"):
        writer = writer_at(tmp_path)
        writer.start()
        writer.append(name, 1.0, b"")
        await writer.close()
    assert [row[:2] for row in rows_in(tmp_path / "worker-0.db")] == [(1, "a"), (2, "b")]


async def test_closing_what_never_started(tmp_path: Path) -> None:
    writer = writer_at(tmp_path)
    await writer.close()
    assert not (tmp_path / "worker-0.db").exists()


async def test_while_the_disk_hangs_the_loop_goes_on_and_the_newest_are_lost(tmp_path: Path) -> None:
    gate, reached = threading.Event(), threading.Event()

    def encode(body: bytes) -> bytes:  # a call to the system that does not return, as far as the thread can tell
        reached.set()
        gate.wait(20)
        return body

    writer: Writer[bytes] = Writer(
        tmp_path / "w.db", encode, msgspec.structs.replace(QUICK, max_pending=3, stall_s=0.01)
    )
    writer.start()
    writer.append("held", 1.0, b"")
    await until(reached.is_set)
    told: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    for name in ("a", "b", "c"):
        writer.append(name, 1.0, b"")
    writer.append("d", 1.0, b"")
    writer.append_strict("e", 1.0, b"", told.set_result)
    assert isinstance(await told, RecordLost)
    await until(lambda: not writer.healthy)
    status = writer.status()
    assert (status.pending, status.lost, status.healthy, status.failing) == (4, 2, False, "")
    assert status.lag_s > 0
    gate.set()
    await until(lambda: writer.healthy)
    await writer.close()
    assert ids_in(tmp_path / "w.db") == ["held", "a", "b", "c"]
