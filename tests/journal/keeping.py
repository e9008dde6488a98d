"""What the journal's tests share: a writer of plain bytes, waiting for it, and looking at its file from outside."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec

from switchgear.journal.frame import Frame, framed
from switchgear.journal.model import Entry, Settings
from switchgear.journal.writer import Writer

QUICK = Settings(interval_s=0.001, retry_s=0.01, max_retry_s=0.05, busy_s=0.02)


def writer_at(folder: Path, settings: Settings = QUICK, name: str = "worker-0.db") -> Writer[bytes]:
    return Writer(folder / name, bytes, settings)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that other threads bring about."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


def rows_in(path: Path) -> list[tuple[int, str, float, bytes]]:
    with closing(sqlite3.connect(path)) as connection:
        frames = connection.execute("SELECT last_seq, count, rows FROM frame ORDER BY last_seq").fetchall()
    rows: list[tuple[int, str, float, bytes]] = []
    for last_seq, count, data in frames:
        ids, times, bodies = msgspec.msgpack.decode(data)
        rows += zip(range(last_seq - count + 1, last_seq + 1), ids, times, bodies, strict=True)
    return rows


def in_frames(*batches: list[Entry]) -> list[Frame]:
    """A frame for each batch that is not empty."""
    return [framed(batch) for batch in batches if batch]


def ids_in(path: Path) -> list[str]:
    return [row[1] for row in rows_in(path)]


def is_whole(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def append_strict(writer: Writer[bytes], call_id: str, body: bytes = b"body") -> Exception | None:
    """Append and wait until `done` is called."""
    told: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    writer.append_strict(call_id, 1.0, body, told.set_result)
    return await asyncio.wait_for(told, 20)
