"""Streams: passed on event by event as they came, each read before it leaves."""

import logging
from collections.abc import Callable, Mapping
from time import monotonic
from typing import ClassVar

import msgspec

from switchgear.backends.errors import BackendError, Malformed
from switchgear.backends.model import SPECIAL, Step, StreamReader
from switchgear.core.snapshot import Endpoint
from switchgear.gateway.attempt import ANSWER_BYTES, Try
from switchgear.gateway.shape import DONE
from switchgear.wire.errors import AnswerTooLarge, Truncated
from switchgear.wire.sse import EventTooLarge, Splitter, data_of

log = logging.getLogger(__name__)
_MISSES = 3
"""Events that are no plain text before a stream (of tool calls, say) is no longer tried the short way."""


class StreamTry(Try, eq=False):
    """An attempt whose answer is streamed on.

    What comes before the first token is held back, so that a target that stalls there can still be replaced unseen. The end is held back
    too: the call sends it once its record is settled.
    """

    streamed: ClassVar[bool] = True
    reader: StreamReader = None  # type: ignore[assignment]  # made below, as it depends on the call
    tail: bytes = b""
    """What is still to be sent to the caller when the attempt has ended well: the end, and what came with it."""
    splitter: Splitter = msgspec.field(default_factory=Splitter)
    preamble: list[bytes] = msgspec.field(default_factory=list)
    passing: bool = False
    chunk_writer: Callable[[bytes], None] | None = None
    """The short way to the caller, for events that go to it as they came; None: there is none, or it did not pay."""
    misses: int = 0
    plain: bool = False
    """Whether the answer is no stream."""
    detached: bool = False
    wants_usage: bool = False
    typed: bool = False

    def __post_init__(self) -> None:
        call, head = self.call, self.call.head
        self.reader = self.target.adapter.reader(call.endpoint, head.choices if head is not None else 1)
        self.wants_usage = head is not None and head.wants_usage
        self.typed = call.endpoint is Endpoint.RESPONSES

    def on_whole(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> None:
        self.on_head(status, headers)
        self.on_data(body)
        self.on_end()

    def on_head(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        self.status = status
        self.headers = headers
        self.plain = status != 200 or not headers.get(b"content-type", b"").lower().startswith(b"text/event-stream")

    def on_data(self, data: bytes) -> None:
        if self.plain:
            super().on_data(data)
            return
        if self.over:
            return
        out: list[bytes] = []
        try:
            tokens = self._take(self.splitter.feed(data), out)
        except (BackendError, EventTooLarge) as error:
            self._pass(out, tokens=bool(out) and self.passing)
            if not self._complete():
                self._failed(error if isinstance(error, BackendError) else Malformed(str(error)))
            return
        except Exception as error:  # of ours: the target is not to blame, as it would be for a connection that ends
            log.exception("call %s met a defect", self.call.id)
            self.call.defect(error)
            return
        if self.tail:
            self.detached = True
            self._finish(out)
        else:
            self._pass(out, tokens=tokens)

    def _take(self, events: list[bytes], out: list[bytes]) -> bool:
        """Read events and put what the caller is to get into `out`. Returns whether a token was among them; sets `tail` at the end."""
        tokens = False
        reader = self.reader
        for event in events:
            data = data_of(event)
            if data is None:
                continue  # a comment: the backend keeping its connection alive
            step = reader.read(data)
            if step is Step.TOKEN:
                tokens = True
                out.append(event)
            elif step is Step.PREAMBLE:
                out.append(event)
            elif step is Step.USAGE:
                if self.wants_usage:
                    out.append(event)
            elif reader.whole:
                self.tail = event
                break
            else:
                raise Malformed("the stream ended before its answer was finished")
        if self.typed and reader.whole and not self.tail:
            self.tail = out.pop()
        return tokens

    def _pass(self, out: list[bytes], *, tokens: bool) -> None:
        call = self.call
        if self.passing:
            if call.watch is not None:
                out = call.watch.feed(out)
            if out:
                call.write(out[0] if len(out) == 1 else b"".join(out))
            call.block_if_told()
            return
        self.preamble += out
        if tokens and self._begin():
            out, self.preamble = self.preamble, []
            if call.watch is not None:
                out = call.watch.feed(out)
            if out:
                call.write(b"".join(out))
            call.block_if_told()
            self._take_short_way()

    def _take_short_way(self) -> None:
        """From the second event on: a chunk that is one event that is a piece of plain text goes on as it came, in one step."""
        self.chunk_writer = self.call.exchange.chunk_writer
        watched = self.call.watch is not None
        if self.chunk_writer is not None and self.reader.plain and self.connection is not None and not watched:
            self.connection.chunks_to(self._on_chunk)

    def _on_chunk(self, data: bytes, begin: int, end: int) -> bool:
        write = self.chunk_writer
        if write is None or self.over or self.splitter.parts:
            return False
        reader = self.reader
        before = reader.before
        if before is not None and data.startswith(before, begin) and data.endswith(reader.after, begin, end):
            # what nearly every chunk of a stream is, without a call: see `StreamReader.before`
            raw = data[begin + len(before) : end - len(reader.after)]
            if raw and SPECIAL.isdisjoint(raw):
                reader.text.append(raw.decode("ascii"))
                self.call.answer_bytes += end - begin
                write(data)
                return True
        if reader.read_token(data, begin, end):
            self.call.answer_bytes += end - begin
            write(data)
            return True
        self.misses += 1
        if self.misses > _MISSES and self.connection is not None:
            self.connection.chunks_to(None)
        return False

    def _first(self) -> None:
        """The first token is here."""
        if not self.first_s:
            self.first_s = monotonic()
            if self.connection is not None:
                self.connection.begun()

    def _begin(self) -> bool:
        """The commit point, unless another attempt has come first."""
        self._first()
        call = self.call
        if not call.claim(self):
            return False
        self.passing = True
        call.commit(self)
        exchange = call.exchange
        exchange.flow = self
        if exchange.stalled:
            self.pause()
        return True

    def _finish(self, out: list[bytes]) -> None:
        """The answer is whole; `tail` holds its end."""
        if not self.passing:
            if not self._begin():
                return
            out = self.preamble + out
        self.tail = self._last_events(out)
        self.call.exchange.flow = None
        reader = self.reader
        self.finish_reason = reader.finish_reason
        self.bill(reader.usage, 0 if reader.usage is not None else reader.text_bytes)
        self._succeeded(monotonic())
        if not self.call.block_if_told() and self.ended is not None:
            self.ended(self, None)

    def _last_events(self, out: list[bytes]) -> bytes:
        """What is still to be sent: these events, what the screen has held back, and the end."""
        watch = self.call.watch
        if watch is None:
            return b"".join(out) + self.tail
        if self.typed and self.tail:  # the last event repeats the answer
            return b"".join((*watch.feed([*out, self.tail]), *watch.finish()))
        return b"".join((*watch.feed(out), *watch.finish(), self.tail))

    def on_end(self) -> None:
        self.connection = None
        if self.over:
            return
        if self.plain:
            try:
                self._judge_status()
            except BackendError as error:
                self._failed(error)
            else:
                self._failed(Malformed("the backend answered a streamed call without a stream"))
        elif not self._complete():
            self._failed(Truncated("the stream ended before its answer was finished"))

    def on_fault(self, error: Exception) -> None:
        if self.over or not self._complete():
            super().on_fault(error)

    def _complete(self) -> bool:
        """An answer that is finished but lacks its end marker gets one."""
        if self.over or not self.reader.whole:
            return False
        self.tail = b"" if self.typed else DONE
        self._finish([])
        return True

    def _detach(self) -> bool:
        return (
            self.detached
        )  # the end of the HTTP message follows the end of the stream: the connection can be used again

    # -- usage and cost --

    def _bill_partly(self) -> None:
        if self.reader.text:
            self.bill_sent()
        else:
            super()._bill_partly()

    def bill_sent(self) -> None:
        """A stream that was cut off, whose text was paid for: by estimate where usage was not reported."""
        self.bill(self.reader.usage, self.reader.text_bytes)

    # -- wire.Flow --

    def pause(self) -> None:
        if self.connection is not None and not self.over:
            self.connection.pause()

    def resume(self) -> None:
        if self.connection is not None and not self.over:
            self.connection.resume()


class HeldTry(StreamTry, eq=False):
    """Holds a stream back until it is whole: `delivery = "whole"`. No failure can break it after its first byte."""

    def _pass(self, out: list[bytes], *, tokens: bool) -> None:
        self.preamble += out
        self.size += sum(map(len, out))
        if tokens:
            self._first()
        if self.size > ANSWER_BYTES:
            self._failed(AnswerTooLarge(f"the answer is larger than {ANSWER_BYTES} bytes"))
