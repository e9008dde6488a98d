"""What happens to an answer while it arrives: kept until whole, or passed on event by event."""

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from switchgear.backends.errors import BackendError, Malformed
from switchgear.backends.model import Answer, Step, StreamReader
from switchgear.core.snapshot import Endpoint
from switchgear.gateway.call import Call
from switchgear.gateway.shape import DONE
from switchgear.wire.client import ClientConnection
from switchgear.wire.errors import AnswerTooLarge, Truncated
from switchgear.wire.sse import EventTooLarge, Splitter, data_of

if TYPE_CHECKING:
    from switchgear.gateway.attempt import Try

_ANSWER_BYTES = 256 * 1024 * 1024
"""A whole answer larger than this is refused (2,048 embeddings of 3,072 numbers are about 70 MiB)."""


class _Receiver:
    """What both have in common: status, headers, a body that is kept, and the future on which the attempt waits."""

    streamed = False

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.first_s = 0.0
        """When the first token (or, unstreamed, the head) came; event loop's time, 0 before."""
        self.ended = False
        """Whether the exchange ended by itself, well or not."""
        self.attempt: Try
        self.done: asyncio.Future[None]
        self._loop: asyncio.AbstractEventLoop
        self._connection: ClientConnection
        self._kept: list[bytes] = []
        self._size = 0

    def attach(self, attempt: "Try", connection: ClientConnection, loop: asyncio.AbstractEventLoop) -> None:
        """Prepare for an exchange on `connection`."""
        self.attempt = attempt
        self._connection = connection
        self._loop = loop
        self.done = loop.create_future()
        self.ended = False

    def body(self) -> bytes:
        kept = self._kept
        return kept[0] if len(kept) == 1 else b"".join(kept)

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > _ANSWER_BYTES:
            self._fail(AnswerTooLarge(f"the answer is larger than {_ANSWER_BYTES} bytes"))
        else:
            self._kept.append(data)

    def on_fault(self, error: Exception) -> None:
        self.ended = True
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def _succeed(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


class WholeReceiver(_Receiver):
    """Keeps an answer until it is whole; nothing of it goes to the caller before."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: Answer | None = None

    def on_head(self, status: int, headers: dict[bytes, bytes]) -> None:
        self.status = status
        self.headers = headers
        self.first_s = monotonic()

    def on_data(self, data: bytes) -> None:
        self._keep(data)

    def on_end(self) -> None:
        self.ended = True
        self._succeed()


class StreamReceiver(_Receiver):
    """Passes a stream on, event by event as it came, from its first token on; each event is read before it leaves.

    What comes before the first token is held back, so that a target that stalls there can still be replaced unseen. The end is held back
    too: the call sends it once its record is settled.
    """

    streamed = True

    def __init__(self, call: Call, reader: StreamReader) -> None:
        super().__init__()
        self.call = call
        self.reader = reader
        self.tail = b""
        """What is still to be sent to the caller when `done` has its result: the end, and what came with it."""
        head = call.head
        self._wants_usage = head is not None and head.wants_usage
        self._typed = call.endpoint is Endpoint.RESPONSES
        self._splitter = Splitter()
        self._preamble: list[bytes] = []
        self._passing = False
        self._plain = False

    def on_head(self, status: int, headers: dict[bytes, bytes]) -> None:
        self.status = status
        self.headers = headers
        self._plain = status != 200 or not headers.get(b"content-type", b"").startswith(b"text/event-stream")

    def on_data(self, data: bytes) -> None:
        if self._plain:
            self._keep(data)
            return
        if self.done.done():
            return
        out: list[bytes] = []
        try:
            tokens = self._take(self._splitter.feed(data), out)
        except (BackendError, EventTooLarge) as error:
            self._pass(out, tokens=bool(out) and self._passing)
            if not self._complete():
                self._fail(error if isinstance(error, BackendError) else Malformed(str(error)))
            return
        if self.tail:
            self._end(out)
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
                if self._wants_usage:
                    out.append(event)
            elif reader.whole:
                self.tail = event
                break
            else:
                raise Malformed("the stream ended before its answer was finished")
        if self._typed and reader.whole and not self.tail:
            self.tail = out.pop()
        return tokens

    def _pass(self, out: list[bytes], *, tokens: bool) -> None:
        if self._passing:
            if out:
                self.call.write(out[0] if len(out) == 1 else b"".join(out))
            return
        self._preamble += out
        if tokens and self._begin():
            self.call.write(b"".join(self._preamble))
            self._preamble = []

    def _begin(self) -> bool:
        """The first token is here: the commit point, unless another attempt has come first."""
        if not self.first_s:
            self.first_s = monotonic()
            self._connection.begun()
        call = self.call
        if not call.claim(self.attempt):
            return False
        self._passing = True
        call.commit(self.attempt, self.headers)
        exchange = call.exchange
        exchange.flow = self
        if exchange.stalled:
            self.pause()
        return True

    def _end(self, out: list[bytes]) -> None:
        if not self._passing:
            if not self._begin():
                return
            out = self._preamble + out
        self.tail = b"".join(out) + self.tail
        self.call.exchange.flow = None
        self._succeed()

    def on_end(self) -> None:
        self.ended = True
        if self.done.done():
            return
        if self._plain:
            if self.status == 200:
                self._fail(Malformed("the backend answered a streamed call without a stream"))
            else:
                self._succeed()
        elif not self._complete():
            self._fail(Truncated("the stream ended before its answer was finished"))

    def on_fault(self, error: Exception) -> None:
        self.ended = True
        if not self.done.done() and not self._complete():
            self._fail(error)

    def _complete(self) -> bool:
        """An answer that is finished but lacks its end marker gets one."""
        if not self.reader.whole:
            return False
        self.tail = b"" if self._typed else DONE
        self._end([])
        return True

    # -- wire.Flow --

    def pause(self) -> None:
        if not self.ended:
            self._connection.pause()

    def resume(self) -> None:
        if not self.ended:
            self._connection.resume()


class HeldReceiver(StreamReceiver):
    """Holds a stream back until it is whole: `delivery = "whole"`. No failure can break it after its first byte."""

    def _pass(self, out: list[bytes], *, tokens: bool) -> None:
        self._preamble += out
        if tokens and not self.first_s:
            self.first_s = monotonic()
            self._connection.begun()
