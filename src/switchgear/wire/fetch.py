"""One request, its whole answer: the client for everything that is not on the hot path."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from switchgear.wire.client import Pool
from switchgear.wire.errors import AnswerTooLarge, ResetError


@dataclass(slots=True)
class Response:
    """A whole answer; header names are in lower case."""

    status: int = 0
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""


def request_head(method: str, target: str, authority: str, headers: bytes, body: bytes | None) -> bytes:
    """A request line with Host, the given header lines (each ended by CRLF) and, with a body, its length."""
    length = b"" if body is None else b"content-length: %d\r\n" % len(body)
    return f"{method} {target} HTTP/1.1\r\nhost: {authority}\r\n".encode("latin-1") + headers + length + b"\r\n"


class _Collector:
    def __init__(self, done: "asyncio.Future[Response]", limit: int) -> None:
        self.done = done
        self.response = Response()
        self._parts: list[bytes] = []
        self._size = 0
        self._limit = limit

    def on_head(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        self.response.status = status
        self.response.headers = headers

    def on_data(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            self.on_fault(AnswerTooLarge(f"the answer is larger than {self._limit} bytes"))
        elif not self.done.done():
            self._parts.append(data)

    def on_end(self) -> None:
        self.response.body = b"".join(self._parts)
        if not self.done.done():
            self.done.set_result(self.response)

    def on_fault(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


async def fetch(
    pool: Pool,
    method: str,
    path: str,
    *,
    headers: bytes = b"",
    body: bytes | None = None,
    connect_s: float = 5.0,
    total_s: float = 30.0,
    max_bytes: int = 64 * 1024 * 1024,
) -> Response:
    """Send one request and wait for its whole answer, whatever its status.

    Pooled connections that turn out to be stale are replaced unseen. Raises an `ExchangeError`. When cancelled,
    or when the answer is larger than `max_bytes`, the connection is closed at once.
    """
    loop = asyncio.get_running_loop()
    origin = pool.origin
    headers = origin.proxy_headers + headers
    request = request_head(method, origin.prefix + path, origin.authority, headers, body) + (body or b"")
    deadline = loop.time() + total_s
    while True:
        connection = await pool.acquire(min(connect_s, max(deadline - loop.time(), 0.0)))
        done: asyncio.Future[Response] = loop.create_future()
        collector = _Collector(done, max_bytes)
        connection.send(request, collector, first_s=total_s, idle_s=total_s, deadline=deadline)
        try:
            return await done
        except ResetError as error:
            if not error.reused:
                raise
        except BaseException:
            connection.cancel(collector)
            raise
