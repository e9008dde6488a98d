"""The line between the supervisor and one worker: requests and answers over a socket pair, both ways.

A frame is its length (4 bytes, big-endian) and a MessagePack array. When the line ends, the other side is gone: a worker then ends too, so
that none outlives its supervisor, however that ended.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import msgspec

from switchgear.core.errors import SwitchgearError
from switchgear.core.tasks import TaskOwner

log = logging.getLogger(__name__)
_LENGTH = struct.Struct(">I")
_LARGEST = 256 * 1024 * 1024


class ChannelError(SwitchgearError):
    """The other side answered a request with an error, or not at all; `ChannelClosed`: it is gone."""

    code = "channel_failed"


class ChannelClosed(ChannelError):
    """The other side is gone."""

    code = "channel_closed"


Posted = Callable[["msgspec.Raw | ChannelError"], None]


class _Frame(msgspec.Struct, array_like=True):
    number: int
    """Of the request; its answer has the same, negative."""
    operation: str
    """Empty in an answer; `error` in one that failed."""
    content: msgspec.Raw


_decode_frame = msgspec.msgpack.Decoder(_Frame).decode
Operation = Callable[[msgspec.Raw], Awaitable[object]]
Answer = Callable[[object], None]
Quick = Callable[[msgspec.Raw, Answer], None]
"""Takes a request's content and answers it, now or later, without a task of its own: for what comes hundreds of times a second."""


class Channel(asyncio.Protocol):
    """One end. `operations` and `quick` are what the other side may ask for; each takes the request's content, undecoded."""

    def __init__(
        self,
        operations: Mapping[str, Operation],
        on_closed: Callable[[], None],
        quick: Mapping[str, Quick] | None = None,
    ) -> None:
        self._operations = operations
        self._quick = quick or {}
        self._on_closed = on_closed
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiting: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._posted: dict[int, Posted] = {}
        self._number = 0
        self._tasks = TaskOwner("channel")

    @classmethod
    async def open(
        cls,
        sock: socket.socket,
        operations: Mapping[str, Operation],
        on_closed: Callable[[], None],
        quick: Mapping[str, Quick] | None = None,
    ) -> "Channel":
        """Speak over one end of a socket pair."""
        sock.setblocking(False)
        channel = cls(operations, on_closed, quick)
        await asyncio.get_running_loop().create_unix_connection(lambda: channel, sock=sock)
        return channel

    async def ask(self, operation: str, content: object = None, *, timeout_s: float = 10.0) -> msgspec.Raw:
        """Send a request and wait for its answer's content. Raises ChannelError, or ChannelClosed of its kind."""
        self._number += 1
        answer: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._waiting[self._number] = answer
        number = self._number
        try:
            self._send(number, operation, content)
            return await asyncio.wait_for(answer, timeout_s)
        except TimeoutError as error:
            raise ChannelError(f"no answer to {operation!r} within {timeout_s:g} s") from error
        finally:
            del self._waiting[number]

    def post(self, operation: str, content: object, answered: Posted) -> None:
        """Send a request; `answered` gets its answer's content, or the ChannelError, on the event loop. It may be a long time in coming."""
        self._number += 1
        if self._transport is None:
            answered(ChannelClosed("the other side is gone"))
            return
        self._posted[self._number] = answered
        self._send(self._number, operation, content)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # -- asyncio.Protocol --

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ChannelClosed("the other side is gone"))
        posted, self._posted = self._posted, {}
        for answered in posted.values():
            answered(ChannelClosed("the other side is gone"))
        self._on_closed()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        if buffer:
            buffer += data
            data = bytes(buffer)
            buffer.clear()
        at, size = 0, len(data)
        while size - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(data, at)
            begin = at + _LENGTH.size
            if length > _LARGEST:
                self.close()
                return
            if size - begin < length:
                break
            at = begin + length
            self._received(_decode_frame(memoryview(data)[begin:at]))
        if at < size:
            buffer += memoryview(data)[at:]

    def _received(self, frame: _Frame) -> None:
        number = frame.number
        if number > 0:
            quick = self._quick.get(frame.operation)
            if quick is None:
                self._tasks.start(self._answer(frame))
            else:
                self._answer_quickly(quick, number, frame.content)
            return
        error = ChannelError(msgspec.msgpack.decode(frame.content, type=str)) if frame.operation else None
        posted = self._posted.pop(-number, None)
        if posted is not None:
            posted(error or frame.content)
            return
        answer = self._waiting.get(-number)
        if answer is None or answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(frame.content)

    def _answer_quickly(self, quick: Quick, number: int, content: msgspec.Raw) -> None:
        try:
            quick(content, lambda answer: self._send(-number, "", answer))
        except Exception as error:
            log.exception("an operation met a defect")
            self._send(-number, "error", f"a defect: {error!r}")

    async def _answer(self, frame: _Frame) -> None:
        try:
            content = await self._operations[frame.operation](frame.content)
        except (SwitchgearError, msgspec.MsgspecError, OSError) as error:
            self._send(-frame.number, "error", str(error))
        except Exception as error:
            log.exception("operation %s met a defect", frame.operation)
            self._send(-frame.number, "error", f"a defect: {error!r}")  # without an answer the other side would wait
        else:
            self._send(-frame.number, "", content)

    def _send(self, number: int, operation: str, content: Any) -> None:
        if self._transport is None:
            if number > 0:
                raise ChannelClosed("the other side is gone")
            return
        data = msgspec.msgpack.encode(_Frame(number, operation, msgspec.Raw(msgspec.msgpack.encode(content))))
        self._transport.write(_LENGTH.pack(len(data)) + data)
