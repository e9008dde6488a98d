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

from switchgear.core.record import Record, encode_record
from switchgear.gateway.channel import Channel, ChannelClosed, ChannelError
from switchgear.journal.errors import JournalError
from switchgear.journal.frame import Frame, pack
from switchgear.journal.writer import Writer

log = logging.getLogger(__name__)
_GATHER_S = 0.004
"""With the way between, the commit that takes a record in is begun within 5 ms; the fewer commits, the less each record costs."""
_ANSWER_S = 0.05
_LATE_S = 1.0
_MOST = 50_000
"""Records that may wait for the supervisor's word; further ones are lost, counted and told of."""

Done = Callable[[Exception | None], None]


class Batch(msgspec.Struct, array_like=True):
    """Records of one worker, as they are kept."""

    strict: bool
    """Whether the answer waits for the commit."""
    frame: Frame


class Kept(msgspec.Struct, array_like=True):
    """The supervisor's word on a batch. How the journal is doing comes in messages of its own, which cannot overtake each other."""

    error: str = ""
    """Why a strict batch is not on the disk."""


class ChannelRecorder:
    """The worker's side: the `Recorder` of its data plane."""

    def __init__(self, channel: Channel, *, strict: bool) -> None:
        self.strict = strict
        self.lost = 0
        self.writable = True
        """Whether records reach the disk, as far as is known here: the supervisor says so, and lets none wait for long."""
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        # In three lists, as a frame has them. Each record is encoded where it comes: its parts are at hand then, and none is kept.
        self._ids: list[str] = []
        self._times: list[float] = []
        self._bodies: list[bytes] = []
        self._waiting: list[Done] = []
        self._gathering = False
        """Whether what is gathered is about to be sent."""
        self._write: Callable[[], None] | None = None
        """Appends the records that are expected."""
        self._journal_healthy = True
        """As the supervisor last said."""
        self._sent: dict[int, tuple[float, int]] = {}
        """Batches without an answer yet: when each was sent, and how many records it holds."""
        self._unanswered = 0
        """Records in them."""
        self._number = 0
        self._all_answered = asyncio.Event()
        self._all_answered.set()

    def append(self, record: Record) -> None:
        self.append_encoded(record.call, record.at_s + record.duration_s, encode_record(record))

    def append_encoded(self, call_id: str, ended_s: float, record: bytes) -> None:
        ids = self._ids
        ids.append(call_id)
        self._times.append(ended_s)
        self._bodies.append(record)
        if not self._gathering:
            self._gather()

    def expect(self, write: Callable[[], None]) -> None:
        self._write = write
        if not self._gathering:
            self._gather()

    def _gather(self) -> None:
        self._gathering = True
        self._loop.call_later(_GATHER_S, self._send)

    def append_strict(self, record: Record, done: Done) -> None:
        self._waiting.append(done)
        if len(self._waiting) == 1:
            self._loop.call_soon(self._send)
        self.append(record)

    def told(self, *, healthy: bool) -> None:
        """The supervisor says how the journal is doing."""
        self._journal_healthy = healthy
        self._judge()

    async def close(self) -> None:
        """Send what is gathered and wait for the supervisor's word on all of it."""
        self._send()
        await self._all_answered.wait()

    def _judge(self) -> None:
        """Whether the journal takes records, by what is known now."""
        self.writable = self._journal_healthy and (
            not self._sent or monotonic() - next(iter(self._sent.values()))[0] < _LATE_S
        )

    def _send(self) -> None:
        write, self._write = self._write, None
        try:
            if write is not None:
                write()
        finally:
            self._gathering = False
        ids, times, bodies = self._ids, self._times, self._bodies
        waiting, self._waiting = self._waiting, []
        if not ids:
            return
        self._ids, self._times, self._bodies = [], [], []
        count = len(ids)
        if self._unanswered > _MOST:
            self._lose(count, waiting, "too many records wait to be written")
            return
        frame = pack(ids, times, bodies)
        self._number = number = self._number + 1
        self._sent[number] = (monotonic(), count)
        self._unanswered += count
        self._all_answered.clear()
        self._judge()
        self._channel.post(
            "records", Batch(bool(waiting), frame), lambda answer: self._answered(number, waiting, answer)
        )

    def _answered(self, number: int, waiting: list[Done], answer: msgspec.Raw | ChannelError) -> None:
        _, count = self._sent.pop(number)
        self._unanswered -= count
        if not self._sent:
            self._all_answered.set()
        self._judge()
        if isinstance(answer, ChannelClosed):
            # The supervisor is gone, and so is this process in a moment. A strict answer that waits for its record is not given.
            self._lose(count, [], "the supervisor is gone")
        elif isinstance(answer, ChannelError):
            self._lose(count, waiting, str(answer))
        else:
            kept = _decode_kept(answer)
            failed = JournalError(kept.error) if kept.error else None
            for done in waiting:
                done(failed)

    def _lose(self, count: int, waiting: list[Done], why: str) -> None:
        self.lost += count
        log.error("%d records lost: %s", count, why)
        for done in waiting:
            done(JournalError(why))


class Keeping:
    """The supervisor's side: appends a worker's batches to its journal, and answers each with `Kept`.

    A strict one is answered when it is committed. For the others the word is only that they are here; they get it many at once, as each
    message costs both sides a way out of their sleep.
    """

    def __init__(self, writer: Writer[Record]) -> None:
        self._writer = writer
        self._unanswered: list[Callable[[object], None]] = []

    def keep(self, content: msgspec.Raw, answer: Callable[[object], None]) -> None:
        """Take a batch. Raises msgspec.DecodeError for what is none."""
        batch = _decode_batch(content)
        if not batch.strict:
            self._writer.append_frame(batch.frame)
            self._unanswered.append(answer)
            if len(self._unanswered) == 1:
                asyncio.get_running_loop().call_later(_ANSWER_S, self._answer)
            return

        def committed(error: Exception | None) -> None:
            answer(Kept(str(error)) if error is not None else _KEPT)

        self._writer.append_frame(batch.frame, committed)

    def _answer(self) -> None:
        unanswered, self._unanswered = self._unanswered, []
        for answer in unanswered:
            answer(_KEPT)


_decode_batch = msgspec.msgpack.Decoder(Batch).decode
_decode_kept = msgspec.msgpack.Decoder(Kept).decode
_KEPT = Kept()
