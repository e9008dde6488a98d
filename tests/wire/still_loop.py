"""A connection without a network: what a caller's bytes make of it, whatever the pieces they come in, with time standing still."""

import asyncio
import math
from collections.abc import Callable, Iterable
from typing import Any

from tests.wire.hostile.corpus import Call

from switchgear.wire.exchange import Exchange
from switchgear.wire.model import Limits
from switchgear.wire.server import Server
from switchgear.wire.server_connection import ServerConnection

_READ_BYTES = 64 * 1024
"""No read of a socket brings more at once."""


class StillTimer:
    def __init__(self, when: float, callback: Callable[[], object]) -> None:
        self.when = when
        self.callback = callback
        self.gone = False

    def cancel(self) -> None:
        self.gone = True


class StillLoop(asyncio.AbstractEventLoop):
    """As much of an event loop as a connection asks for: a time, which stands until it is moved, and timers."""

    def __init__(self) -> None:
        self._now_s = 1000.0
        self._timers: list[StillTimer] = []

    def time(self) -> float:
        return self._now_s

    def call_at(self, when: float, callback: Callable[..., object], *args: Any, **kwargs: Any) -> Any:
        timer = StillTimer(when, callback)
        self._timers = [other for other in self._timers if not other.gone] + [timer]
        return timer

    def advance(self, seconds: float) -> None:
        """Move time on, and fire what is due on the way at its own time."""
        end_s = self._now_s + seconds
        while True:
            due = [timer for timer in self._timers if not timer.gone and timer.when <= end_s]
            if not due:
                break
            first = min(due, key=lambda timer: timer.when)
            first.gone = True
            self._now_s = max(self._now_s, first.when)
            first.callback()
        self._now_s = end_s

    @property
    def armed(self) -> int:
        """Timers that will fire."""
        return sum(not timer.gone for timer in self._timers)


class KeptTransport(asyncio.Transport):
    """Keeps what is written and how it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False
        self.reading = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed, "written after the end"
        self.written.append(bytes(data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.closed = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Outcome:
    """How a caller's bytes ended. Two outcomes are equal if the handler saw the same requests and the same was refused."""

    def __init__(self, calls: list[Call], statuses: list[int], closed: bool, unfinished: bool) -> None:
        self.calls = tuple(calls)
        self.statuses = tuple(statuses)
        self.closed = closed
        self.unfinished = unfinished

    def _key(self) -> tuple[object, ...]:
        return self.calls, self.statuses, self.closed, self.unfinished

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Outcome) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"Outcome{self._key()!r}"


def play(pieces: Iterable[bytes], limits: Limits, *, later: bool = False) -> Outcome:
    """Feed `pieces` to a connection whose handler answers 200 at once, or `later`: after the piece that completed the request."""
    calls: list[Call] = []
    statuses: list[int] = []
    waiting: list[Exchange] = []

    def handler(exchange: Exchange) -> None:
        calls.append(Call(exchange.method, exchange.target, exchange.body))
        if later:
            waiting.append(exchange)
        else:
            exchange.reply(200, b"{}")

    server = Server(handler, limits=limits, error_body=lambda code, message: code.encode())
    server.known_hosts.add(b"a")  # as after a first request: else the short way is never taken
    connection = ServerConnection(server, StillLoop())
    transport = KeptTransport()
    connection.connection_made(transport)
    for piece in (whole[at : at + _READ_BYTES] for whole in pieces for at in range(0, len(whole), _READ_BYTES)):
        if not transport.closed or connection._lingering:
            connection.data_received(piece)
        while waiting:
            waiting.pop().reply(200, b"{}")
    for answer in transport.written:
        status = int(answer.split(b" ", 2)[1])
        if status >= 200:
            statuses.append(status)
    unfinished = not transport.closed and (connection._in_head or connection._exchange is not None)
    assert transport.closed or connection._deadline < math.inf, "an open connection waits without a limit"
    outcome = Outcome(calls, statuses, transport.closed, unfinished)
    connection.connection_lost(None)
    assert not server.connections
    return outcome
