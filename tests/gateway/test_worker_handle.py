"""What is told of a worker's journal, the worker acts upon."""

import socket
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from tests.system.program import until

from switchgear.core.record import Record
from switchgear.gateway.channel import Channel
from switchgear.gateway.worker_handle import WorkerHandle
from switchgear.journal.frame import framed
from switchgear.journal.model import Settings
from switchgear.journal.writer import Writer


class Worker:
    """The other end of the line. Its journal begins to fail while it is asked for its state."""

    def __init__(self, path: Path) -> None:
        self.journal: Writer[Record] = Writer(path, msgspec.msgpack.encode, Settings(busy_s=0.01))
        self.handle = WorkerHandle(0, [], self.journal)
        self.believes_healthy = True
        self._holder = sqlite3.connect(path, isolation_level=None)

    async def open(self) -> None:
        self.journal.start()
        ours, theirs = socket.socketpair()
        self.handle.channel = await Channel.open(ours, {}, lambda: None)
        self.channel = await Channel.open(theirs, {"live": self._live, "journal": self._told}, lambda: None)

    async def close(self) -> None:
        self._holder.close()
        assert self.handle.channel is not None
        self.handle.channel.close()
        self.channel.close()
        await self.journal.close()

    async def _live(self, content: msgspec.Raw) -> object:
        self._holder.execute("BEGIN IMMEDIATE")
        self.journal.append_frame(framed([("call_1", 1.0, b"")]))
        await until(lambda: not self.journal.healthy, "the journal fails")
        return {}

    async def _told(self, content: msgspec.Raw) -> object:
        self.believes_healthy = msgspec.msgpack.decode(content, type=bool)
        return None


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Worker]:
    worker = Worker(tmp_path / "worker.db")
    await worker.open()
    yield worker
    await worker.close()


async def test_a_journal_that_fails_while_the_worker_tells_its_state(worker: Worker) -> None:
    _, journal = await worker.handle.live()
    assert journal.healthy == worker.believes_healthy
    assert not worker.believes_healthy
