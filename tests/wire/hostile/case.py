"""What a hostile case is, and the pieces that many of them are made of."""

from typing import NamedTuple

from switchgear.wire.model import Limits

LIMITS = Limits(body_bytes=1_000_000)
"""What the corpus is written for."""


class Call(NamedTuple):
    """A request as the handler sees it."""

    method: bytes
    target: bytes
    body: bytes = b""


class Case(NamedTuple):
    name: str
    data: bytes
    seen: tuple[Call, ...] = ()
    status: int | None = None
    closes: bool = False

    @property
    def unfinished(self) -> bool:
        """Whether the caller leaves it at that and is refused for want of the rest."""
        return self.status == 408


HOST = b"Host: a\r\n"
POST = b"POST /first HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
SECOND = b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n"
FIRST_HELLO = Call(b"POST", b"/first", b"hello")
FIRST_EMPTY = Call(b"POST", b"/first")
ROOT = Call(b"GET", b"/")
CALLED_SECOND = Call(b"GET", b"/second")


def shown(data: bytes) -> str:
    """A short name for the variant of a case: printable and unique enough."""
    text = data if len(data) <= 24 else data[:10] + b"..%d.." % len(data) + data[-6:]
    return text.decode("latin-1").encode("unicode_escape").decode()
