"""A client's connection without a network: what an origin's bytes make of it, whatever the pieces they come in."""

from collections.abc import Iterable, Mapping

from tests.wire.still_loop import KeptTransport, StillLoop

from switchgear.wire.client import Pool
from switchgear.wire.client_connection import ClientConnection
from switchgear.wire.origin import Origin


class Said:
    """One exchange as its receiver hears it; checks the order in which it does."""

    def __init__(self, connection: ClientConnection, *, short_way: bool) -> None:
        self._connection = connection
        self._short_way = short_way
        self._events = 0
        self.status = 0
        self.headers: Mapping[bytes, bytes] = {}
        self.body = b""
        self.end = "open"
        """open, whole, or the name of the fault."""
        if short_way:
            self.on_whole = self._on_whole

    def _on_whole(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> None:
        self.on_head(status, headers)
        self.body = body
        self.on_end()

    def on_head(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        assert (self.status, self.body, self.end) == (0, b"", "open")
        assert 200 <= status <= 999
        self.status = status
        self.headers = headers
        if self._short_way:
            self._connection.chunks_to(self._on_chunk)

    def _on_chunk(self, data: bytes, begin: int, end: int) -> bool:
        """Takes two of three; the third goes the long way."""
        assert self.status
        assert self.end == "open"
        self._events += 1
        if self._events % 3 == 0:
            return False
        content = data[begin:end]
        assert data == b"%x\r\n%b\r\n" % (len(content), content)
        self.body += content
        return True

    def on_data(self, data: bytes) -> None:
        assert self.status
        assert self.end == "open"
        assert data
        self.body += data

    def on_end(self) -> None:
        assert self.status
        assert self.end == "open"
        self.end = "whole"

    def on_fault(self, error: Exception) -> None:
        assert self.end == "open"
        self.end = type(error).__name__


class Exchanged:
    """Every exchange of one connection, and whether the connection would serve another."""

    def __init__(self, said: list[Said], kept: bool) -> None:
        self.said = said
        self.kept = kept

    @property
    def whole(self) -> list[tuple[int, Mapping[bytes, bytes], bytes]]:
        """The answers that came to their end."""
        return [(one.status, one.headers, one.body) for one in self.said if one.end == "whole"]


def converse(
    reads: Iterable[bytes], *, short_way: bool, closes: bool, request: bytes = b"GET / HTTP/1.1\r\n\r\n"
) -> Exchanged:
    """Send a request, and another as soon as the last is answered, while `reads` arrive; then the origin closes, if it does."""
    loop = StillLoop()
    pool = Pool(Origin("origin", 80))
    connection = ClientConnection(pool, loop)
    pool._open.add(connection)
    transport = KeptTransport()
    connection.connection_made(transport)
    said: list[Said] = []

    def send() -> None:
        said.append(Said(connection, short_way=short_way))
        connection.send(request, said[-1], first_s=1.0, idle_s=1.0, deadline=loop.time() + 10.0)

    send()
    for read in reads:
        if transport.closed:
            break
        connection.data_received(read)
        if said[-1].end == "whole" and pool.try_acquire() is connection:
            send()
    kept = not transport.closed
    if closes and kept:
        assert connection.eof_received() is None
    connection.connection_lost(None)
    assert said[-1].end != "open", "an exchange was left open by its connection"
    assert pool.open == 0
    return Exchanged(said, kept)
