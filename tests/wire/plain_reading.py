"""A plain reading of HTTP/1.1 requests by RFC 9112, with everything in hand and nothing clever.

What the server lets through must read so here.

It is as lenient as the server is known to be (see `switchgear.wire.request_rules`), and no judge of what should be refused.
"""

import re
from collections.abc import Iterator

from tests.wire.hostile.case import Call

_REQUEST_LINE = re.compile(rb"([A-Z_-]+) +([^ ]+) +(?:HTTP|RTSP|ICE)/1\.([01])")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*", re.DOTALL)
_ABSOLUTE = re.compile(rb"(?i:https?)://[^/?]+([^?]*)(.*)", re.DOTALL)


class Unread(Exception):
    """Here the reading stops: malformed, or not all there yet."""


def requests_in(data: bytes) -> Iterator[Call]:
    """Every whole request on one connection, up to the first that is malformed, unfinished, or the connection's last."""
    try:
        while data:
            data = data.lstrip(b"\r\n")
            call, data, last = _one(data)
            yield call
            if last:
                return
    except Unread:
        return


def _one(data: bytes) -> tuple[Call, bytes, bool]:
    head, end, rest = data.partition(b"\r\n\r\n")
    line, *lines = head.split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(line)
    if not end or match is None:
        raise Unread
    method, target, minor = match.groups()
    headers: dict[bytes, list[bytes]] = {}
    for text in lines:
        if (header := _HEADER.fullmatch(text)) is None:
            raise Unread
        headers.setdefault(header[1].lower(), []).append(header[2])
    body, rest = _body(headers, rest)
    options = {option.strip().lower() for value in headers.get(b"connection", []) for option in value.split(b",")}
    last = b"close" in options or (minor == b"0" and b"keep-alive" not in options)
    offers = b"upgrade" in options and b"upgrade" in headers
    return Call(method, _path(method, target), body), rest, last or offers


def _body(headers: dict[bytes, list[bytes]], rest: bytes) -> tuple[bytes, bytes]:
    codings = [value.lower() for value in headers.get(b"transfer-encoding", [])]
    lengths = headers.get(b"content-length", [])
    if codings and (lengths or codings != [b"chunked"]):
        raise Unread
    if codings:
        return _chunks(rest)
    if not lengths:
        return b"", rest
    if len(lengths) > 1 or not re.fullmatch(rb"[0-9]+", lengths[0]) or int(lengths[0][-20:]) > len(rest):
        raise Unread
    size = int(lengths[0][-20:])
    return rest[:size], rest[size:]


def _chunks(rest: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        line, end, rest = rest.partition(b"\r\n")
        size = re.fullmatch(rb"([0-9A-Fa-f]+)(;[^\r\n]*)?", line)
        if not end or size is None:
            raise Unread
        length = int(size[1], 16)
        if length == 0:
            break
        if rest[length : length + 2] != b"\r\n":
            raise Unread
        body += rest[:length]
        rest = rest[length + 2 :]
    while True:  # trailers
        line, end, rest = rest.partition(b"\r\n")
        if not end:
            raise Unread
        if not line:
            return body, rest


def _path(method: bytes, target: bytes) -> bytes:
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        return target
    path, query = absolute.groups()
    return (path or (b"*" if method == b"OPTIONS" and not query else b"/")) + query
