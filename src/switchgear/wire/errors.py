"""What can go wrong between two sockets.

::

    WireError
    ├── RefusedRequest        a request that the server will not read: its status, code and message go to the caller
    ├── AddressError          an address that cannot be parsed or bound
    ├── TlsError              a certificate, key or CA file that cannot be used
    └── ExchangeError         a request of ours that did not end in a whole answer
        ├── ConnectError      no connection: refused, unreachable, name unknown, TLS failed
        ├── ConnectTimeout    no connection within `connect_s`
        ├── OutOfSockets      no connection, for this process has no descriptor left or this machine no port
        ├── PoolExhausted     every connection that the pool may open is in use, and none came free in time
        ├── ResetError        the connection ended before any byte of the answer
        ├── Truncated         the connection ended within the answer
        ├── FirstByteTimeout  nothing came within `first_s`
        ├── IdleTimeout       the answer stopped for `idle_s`
        ├── TotalTimeout      the answer was not whole within `total_s`
        ├── ProtocolError     what came is not HTTP/1.1
        ├── AnswerTooLarge    the answer's head is larger than we accept
        └── Cancelled         we ended the exchange ourselves
"""

from switchgear.core.errors import SwitchgearError


class WireError(SwitchgearError):
    code = "wire_error"


class RefusedRequest(WireError):
    """A request that the server refuses to read any further; the connection closes after the answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code  # type: ignore[misc]  # one class, many codes: each limit has its own


class AddressError(WireError):
    code = "invalid_address"


class TlsError(WireError):
    code = "invalid_tls"


class ExchangeError(WireError):
    code = "exchange_failed"


class ConnectError(ExchangeError):
    code = "connect_failed"


class ConnectTimeout(ExchangeError):
    code = "connect_timeout"


class OutOfSockets(ExchangeError):
    """It says nothing about the origin."""

    code = "out_of_sockets"


class PoolExhausted(ExchangeError):
    code = "pool_exhausted"


class ResetError(ExchangeError):
    """No byte came. With `reused`, the connection had served before and was stale: the request may be sent again unseen."""

    code = "connection_reset"

    def __init__(self, message: str, *, reused: bool = False) -> None:
        super().__init__(message)
        self.reused = reused


class Truncated(ExchangeError):
    code = "answer_truncated"


class FirstByteTimeout(ExchangeError):
    code = "first_byte_timeout"


class IdleTimeout(ExchangeError):
    code = "idle_timeout"


class TotalTimeout(ExchangeError):
    code = "total_timeout"


class ProtocolError(ExchangeError):
    code = "protocol_error"


class AnswerTooLarge(ExchangeError):
    code = "answer_too_large"


class Cancelled(ExchangeError):
    code = "exchange_cancelled"
