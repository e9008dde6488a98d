"""Limits and the shapes that the server's and the client's users fill in."""

from collections.abc import Callable, Mapping
from typing import Annotated, Protocol

import msgspec

Seconds = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one caller may take of the server. Each limit has its own answer and code; see docs/errors.md."""

    header_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 32 * 1024
    """Request line and headers together, bytes; more is answered 431."""
    header_count: Count = 100
    """Header lines; more is answered 431."""
    body_bytes: Count = 32 * 1024 * 1024
    """Body after removal of the chunked framing, bytes; more is answered 413."""
    head_s: Seconds = 10.0
    """Seconds from the first byte of a request (or from connecting) to the end of its head; then 408."""
    body_idle_s: Seconds = 20.0
    """Seconds without a further byte of the body; then 408."""
    keep_alive_s: Seconds = 75.0
    """Seconds that a connection may stay open between two requests, then it is closed without a word; or without reading of its answer."""
    connections: Count = 10_000
    """Open connections of one process; one more is answered 429 and closed."""
    linger_s: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    """Seconds for which a refused caller's further bytes are read and dropped, so that it can read the refusal."""
    write_buffer_bytes: Count = 64 * 1024
    """Bytes of an answer that may wait for a slow reader before its upstream is stalled."""


class Flow(Protocol):
    """Something that produces an answer and can be stalled while its reader does not read."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Receiver(Protocol):
    """What the client calls while an answer arrives; each call is made on the event loop and must not block.

    Exactly one of `on_end` and `on_fault` is called, last. `on_fault` gets an `ExchangeError`.
    """

    def on_head(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        """Status and headers; names in lower case, repeated headers joined by a comma."""
        ...

    def on_data(self, data: bytes) -> None:
        """What one read brought of the body, without the chunked framing."""
        ...

    def on_end(self) -> None:
        """The answer is whole."""
        ...

    def on_fault(self, error: Exception) -> None:
        """The answer will not become whole."""
        ...


class WholeReceiver(Receiver, Protocol):
    """A receiver that takes the short way: one call for an answer that came whole in one read."""

    def on_whole(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> None:
        """In place of `on_head`, `on_data` and `on_end`. The headers are not to be changed, and may lack the Content-Length."""
        ...


OnWhole = Callable[[int, Mapping[bytes, bytes], bytes], None]
"""`WholeReceiver.on_whole`."""

OnChunk = Callable[[bytes, int, int], bool]
"""Takes a whole chunk with its framing, and where in it what it holds begins and ends; returns whether that was all there was to do."""

ErrorBody = Callable[[str, str], bytes]
"""Renders (code, message) as the JSON body of an error that the server answers by itself."""
