"""Records on their way from a worker to its journal, which the supervisor writes.

A writer's thread beside a busy event loop costs more than the writing: each of its steps takes the interpreter's lock away
from the loop and gives it back. So a worker gathers records for a few milliseconds and sends them as one frame; the
supervisor, whose loop is idle, has the thread. A frame that was sent outlives the worker.
"""

import asyncio
import logging
from collections.abc import Callable
from time import monotonic

import msgspec

from switchgear.core.record import Record
from switchgear.core.tasks import TaskOwner
from switchgear.gateway.channel import Channel, ChannelClosed, ChannelError
from switchgear.journal.errors import JournalError
from switchgear.journal.writer import Writer

log = logging.getLogger(__name__)
_GATHER_S = 0.003
"""With the writer's own wait and the way between, the commit that takes a record in is begun within 5 ms."""
_LATE_S = 1.0
_ANSWER_S = 60.0
_MOST = 50_000
"""Records that may wait for the supervisor's word; further ones are lost, counted and told of."""

Done = Callable[[Exception | None], None]


class Batch(msgspec.Struct, array_like=True):
    """Records of one worker: id of the call, Unix time of its end, the record as it is kept."""

    strict: bool
    """Whether the answer waits for the commit."""
    rows: list[tuple[str, float, msgspec.Raw]]


class Kept(msgspec.Struct, array_like=True):
    """The supervisor's word on a batch. How the journal is doing comes in messages of its own, which cannot overtake each other."""

    error: str = ""
    """Why a strict batch is not on the disk."""


class ChannelRecorder:
    """The worker's side: the `Recorder` of its data plane."""

    def __init__(self, channel: Channel, *, strict: bool) -> None:
        self.strict = strict
        self.lost = 0
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._tasks = TaskOwner("recorder")
        self._gathered: list[Record] = []
        self._waiting: list[Done] = []
        self.journal_healthy = True
        """As the supervisor last said."""
        self._sent: dict[int, tuple[float, int]] = {}
        """Batches without an answer yet: when each was sent, and how many records it holds."""
        self._number = 0

    def append(self, record: Record) -> None:
        gathered = self._gathered
        gathered.append(record)
        if len(gathered) == 1:
            self._loop.call_later(_GATHER_S, self._send)

    def append_strict(self, record: Record, done: Done) -> None:
        self._gathered.append(record)
        self._waiting.append(done)
        if len(self._gathered) == 1:
            self._loop.call_soon(self._send)

    @property
    def healthy(self) -> bool:
        """Whether records reach the disk, as far as is known here: the supervisor says so, and lets none wait for long."""
        if not self.journal_healthy:
            return False
        if not self._sent:
            return True
        oldest_s, _ = next(iter(self._sent.values()))
        return monotonic() - oldest_s < _LATE_S

    async def close(self) -> None:
        """Send what is gathered and wait for the supervisor's word on all of it."""
        self._send()
        await self._tasks.wait()

    def _send(self) -> None:
        records, self._gathered = self._gathered, []
        waiting, self._waiting = self._waiting, []
        if not records:
            return
        if sum(count for _, count in self._sent.values()) > _MOST:
            self._lose(len(records), waiting, "too many records wait to be written")
            return
        rows = [(record.call, record.at_s + record.duration_s, record) for record in records]
        self._number += 1
        self._sent[self._number] = (monotonic(), len(records))
        self._tasks.start(self._deliver(self._number, rows, waiting))

    async def _deliver(self, number: int, rows: list[tuple[str, float, Record]], waiting: list[Done]) -> None:
        try:
            answer = await self._channel.ask("records", (bool(waiting), rows), timeout_s=_ANSWER_S)
        except ChannelClosed:
            # The supervisor is gone, and so is this process in a moment. A strict answer that waits for its record is not given.
            self._lose(len(rows), [], "the supervisor is gone")
            return
        except ChannelError as error:
            self._lose(len(rows), waiting, str(error))
            return
        finally:
            del self._sent[number]
        kept = msgspec.msgpack.decode(answer, type=Kept)
        failed = JournalError(kept.error) if kept.error else None
        for done in waiting:
            done(failed)

    def _lose(self, count: int, waiting: list[Done], why: str) -> None:
        self.lost += count
        log.error("%d records lost: %s", count, why)
        for done in waiting:
            done(JournalError(why))


async def keep(content: msgspec.Raw, writer: Writer[msgspec.Raw]) -> Kept:
    """The supervisor's side: append a batch to the worker's journal; a strict one waits for its commit."""
    batch = msgspec.msgpack.decode(content, type=Batch)
    if not batch.strict:
        writer.extend(batch.rows)
        return Kept()
    *others, (call_id, at_s, record) = batch.rows
    writer.extend(others)
    committed: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    writer.append_strict(call_id, at_s, record, committed.set_result)
    error = await committed
    return Kept(str(error) if error is not None else "")
