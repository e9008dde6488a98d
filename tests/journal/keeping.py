"""What the journal's tests share: a writer of plain bytes, waiting for it, and looking at its file from outside."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from switchgear.journal.model import Settings
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
        return connection.execute("SELECT seq, id, at_s, body FROM record ORDER BY seq").fetchall()


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
