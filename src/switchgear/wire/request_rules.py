"""What a request must be beyond what llhttp asks in its strict mode, so that nobody on its way can read it differently.

llhttp refuses folded headers, bare CR or LF, signed, repeated or listed lengths, a length together with chunks, bad
chunk sizes. It lets through what is refused here. One leniency of llhttp stays: it reads `RTSP/1.1` where `HTTP/1.1`
belongs, and any number of spaces between the words of the request line; neither makes a second reading.
"""

import re

from switchgear.wire.errors import RefusedRequest
from switchgear.wire.model import Limits

_ONCE = frozenset((b"host", b"authorization", b"content-length", b"transfer-encoding", b"content-type", b"expect"))
_NOT_IN_TRAILERS = frozenset((b"connection", b"content-encoding", b"te", b"trailer", b"upgrade", *_ONCE))
_HOST = re.compile(rb"(?:\[[0-9A-Za-z:.%_~-]+\]|[0-9A-Za-z._~!$&'()*+,;=%-]*)(?::[0-9]{0,5})?")
_ABSOLUTE = re.compile(rb"https?://([^/?]+)(/[^?]*)?(\?.*)?", re.IGNORECASE)
_LENGTH_DIGITS = 19
_KNOWN_HOSTS = 1024
_KNOWN_HOST_BYTES = 256


def check_repeated(name: bytes) -> None:
    """Refuse a repetition that would let two readers choose differently."""
    if name in _ONCE:
        raise RefusedRequest(400, "repeated_header", f"Header {name.decode('latin-1')} is given twice; send it once.")


def check_trailer(name: bytes) -> None:
    """What frames, routes or authorizes a request must stand in its head (RFC 9110, 6.5.1)."""
    if name in _NOT_IN_TRAILERS:
        text = f"Header {name.decode('latin-1')} stands in a trailer; send it in the head."
        raise RefusedRequest(400, "malformed_request", text)


def check_no_tunnel(method: bytes) -> None:
    """Refuse CONNECT."""
    if method == b"CONNECT":
        raise RefusedRequest(405, "method_not_allowed", "This is no proxy: CONNECT is not served.")


def check_expectation(expectation: bytes) -> None:
    """Refuse what RFC 9110, 10.1.1, does not define."""
    if expectation.lower() != b"100-continue":
        raise RefusedRequest(417, "expectation_failed", "Only Expect: 100-continue is understood.")


def check_host(host: bytes | None, http_1_0: bool, known: set[bytes | None]) -> None:
    """Refuse a missing or impossible Host (RFC 9112, 3.2); one that is good is remembered in `known`."""
    if host is None:
        if not http_1_0:
            raise RefusedRequest(400, "missing_host", "An HTTP/1.1 request needs a Host header.")
        return
    if _HOST.fullmatch(host) is None:
        raise RefusedRequest(400, "invalid_host", "The Host header is no host with an optional port.")
    if len(known) >= _KNOWN_HOSTS:
        known.clear()
    if len(host) <= _KNOWN_HOST_BYTES:
        known.add(host)


def check_coding(coding: bytes, http_1_0: bool) -> None:
    """Only `chunked`, only in HTTP/1.1 (RFC 9112, 6.1)."""
    if coding.lower() != b"chunked":
        raise RefusedRequest(400, "unsupported_transfer_encoding", "Only Transfer-Encoding: chunked is read.")
    if http_1_0:
        raise RefusedRequest(400, "malformed_request", "Transfer-Encoding has no meaning in HTTP/1.0.")


def check_length(length: bytes, limits: Limits) -> None:
    """Llhttp has seen to it that `length` is digits alone; any number of zeros may lead."""
    if len(length) > _LENGTH_DIGITS:
        raise RefusedRequest(400, "malformed_request", f"Content-Length has more than {_LENGTH_DIGITS} digits.")
    if int(length) > limits.body_bytes:
        raise body_too_large(limits)


def origin_form(method: bytes, target: bytes, headers: dict[bytes, bytes]) -> bytes:
    """A target that is not `/path` alone: the absolute form becomes path and Host, `*` is for OPTIONS (RFC 9112, 3.2).

    The rest is refused.
    """
    if target == b"*" and method == b"OPTIONS":
        return target
    if b"#" not in target:
        match = _ABSOLUTE.fullmatch(target)
        if match is not None and _HOST.fullmatch(match[1]) is not None:
            headers[b"host"] = match[1]
            return (match[2] or (b"*" if method == b"OPTIONS" and not match[3] else b"/")) + (match[3] or b"")
    raise RefusedRequest(400, "malformed_request", "The request target is neither a path nor an absolute URL.")


def body_too_large(limits: Limits) -> RefusedRequest:
    text = f"The body is larger than {limits.body_bytes} bytes; send a smaller one, or have limits.body_bytes raised."
    return RefusedRequest(413, "body_too_large", text)


def head_too_large(limits: Limits) -> RefusedRequest:
    return RefusedRequest(
        431,
        "header_too_large",
        f"Request line and headers are larger than {limits.header_bytes} bytes; send less, or have limits.header_bytes raised.",
    )


def too_many_headers(limits: Limits) -> RefusedRequest:
    text = f"More than {limits.header_count} headers; send fewer, or have limits.header_count raised."
    return RefusedRequest(431, "too_many_headers", text)


def head_too_slow(limits: Limits) -> RefusedRequest:
    text = f"The head was not whole within {limits.head_s:g} s; send it in one piece, or have limits.head_s raised."
    return RefusedRequest(408, "head_timeout", text)


def body_too_slow(limits: Limits) -> RefusedRequest:
    return RefusedRequest(
        408,
        "body_timeout",
        f"No further byte of the body came for {limits.body_idle_s:g} s; send it without a pause, or have limits.body_idle_s raised.",
    )
