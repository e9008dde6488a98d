"""Connections without sockets: real connections of `wire` at both ends of the gateway, with memory between them and whoever they talk to.

A `MemoryTransport` implements `asyncio.Transport`. What the gateway writes is the other side's at once; what the other side sends arrives
in a later turn of the loop, as it would from a socket.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from switchgear.wire.errors import ConnectError
from switchgear.wire.origin import Origin


class Side(Protocol):
    """Whoever sits at the other end of a connection."""

    def received(self, line: "MemoryTransport", data: bytes) -> None:
        """The gateway wrote something."""
        ...

    def lost(self, line: "MemoryTransport") -> None:
        """The gateway closed the connection."""
        ...


class MemoryTransport(asyncio.Transport):
    """The gateway's end of a connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol, other: Side) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._other = other
        self._paused: list[bytes] | None = None
        self.open = True

    # -- for the gateway --

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.open:
            self._other.received(self, bytes(data))

    def abort(self) -> None:
        if self.open:
            self._end()
            self._other.lost(self)

    def close(self) -> None:
        self.abort()

    def is_closing(self) -> bool:
        return not self.open

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self._paused = []

    def resume_reading(self) -> None:
        held, self._paused = self._paused or [], None
        for data in held:
            self.send(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is ever buffered here."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    # -- for the other side --

    def send(self, data: bytes) -> None:
        """Have the gateway read this."""
        if not self.open:
            return
        if self._paused is not None:
            self._paused.append(data)
        else:
            self._loop.call_soon(self._arrive, data)

    def hang_up(self) -> None:
        """Close the connection from the other side."""
        if self.open:
            self._end()

    def _arrive(self, data: bytes) -> None:
        if self.open:
            self._protocol.data_received(data)

    def _end(self) -> None:
        self.open = False
        self._loop.call_soon(self._protocol.connection_lost, None)


class Network:
    """Places by host name. `connect` takes the place of `wire.origin.connect`."""

    def __init__(self, places: dict[str, Side], refuses: Callable[[str], bool]) -> None:
        """`refuses` says whether a place takes no connection at the moment."""
        self._places = places
        self._refuses = refuses

    async def connect(self, origin: Origin, factory: Callable[[], asyncio.BaseProtocol]) -> None:
        """Raises ConnectError."""
        if self._refuses(origin.host):
            raise ConnectError(f"cannot connect to {origin.host}: refused")
        attach(factory(), self._places[origin.host])


def attach(protocol: asyncio.BaseProtocol, other: Side) -> MemoryTransport:
    """Open a connection between the gateway's protocol and the other side."""
    assert isinstance(protocol, asyncio.Protocol)
    line = MemoryTransport(asyncio.get_running_loop(), protocol, other)
    protocol.connection_made(line)
    return line
