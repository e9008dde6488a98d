"""What the client promises of any bytes that an origin may answer with, however they are cut.

No exception, each exchange ends exactly once, no broken answer is taken for whole, no bytes answer a request that was not sent, and
an answer that is whole in one cut is the same and whole in every other, by the short ways as by the long one.
"""

import re

from tests.fuzz.program import Input
from tests.wire.still_client import Exchanged, converse

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
SEEDS = [
    b"\0" + answer
    for answer in (
        OK,
        OK + OK,
        CHUNKED + b"2\r\nok\r\n3;x=y\r\n...\r\n0\r\n\r\n",
        CHUNKED + b"9\r\ndata: 1\n\n\r\n" * 5 + b"0\r\nx-trailer: y\r\n\r\n",
        CHUNKED + b'f\r\ndata: {"a":1}\n\n\r\n' * 5 + b"0\r\n\r\n" + OK,
        CHUNKED + b"2\r\n\r\n\r\n2\r\n\r\n\r\n0\r\n\r\n" + OK,
        b"HTTP/1.1 204 No Content\r\n\r\n" + OK,
        b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\n\r\nto the end",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\nto the end",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK,
        b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-One: 1 \r\nx-one: 2\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: y\r\n folded\r\n\r\n",
    )
]


def check(data: bytes) -> None:
    """Raises AssertionError where a promise is broken."""
    given = Input(data)
    for closes in (True, False):
        readings = [
            converse(reads, short_way=short_way, closes=closes)
            for short_way in (False, True)
            for reads in (given.bytewise(), given.pieces(), chunkwise(given.rest), [given.rest] if given.rest else [])
        ]
        first = readings[0]  # byte by byte and the long way: the plainest
        for reading in readings[1:]:
            agree(reading, first)
    head = converse(given.pieces(), short_way=True, closes=True, request=b"HEAD / HTTP/1.1\r\n\r\n")
    assert all(one.body == b"" for one in head.said)


def chunkwise(data: bytes) -> list[bytes]:
    """As a server sends that writes each event as a chunk: the head in one read, then a read for each two lines."""
    head, blank, body = data.partition(b"\r\n\r\n")
    return [read for read in (head + blank, *re.findall(rb"[^\r]*\r\n[^\r]*\r\n|.+", body, re.DOTALL)) if read]


def agree(reading: Exchanged, other: Exchanged) -> None:
    """Bytes behind an answer close the connection if they come with it, and answer the next request if they come after it was sent.

    So where one reading goes on, the other may have stopped; what both have is the same.
    """
    both = min(len(reading.said), len(other.said))
    for one, two in zip(reading.said[:both], other.said[:both], strict=True):
        if "whole" in (one.end, two.end):
            assert (one.end, one.status, one.headers, one.body) == (two.end, two.status, two.headers, two.body)
        else:
            assert one.body.startswith(two.body) or two.body.startswith(one.body)
