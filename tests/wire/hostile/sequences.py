"""Bodies, the ends of connections, offers, expectations, and what follows in a pipeline."""

from collections.abc import Iterator

from tests.wire.hostile.case import (
    CALLED_SECOND,
    CHUNKED,
    FIRST_EMPTY,
    FIRST_HELLO,
    HOST,
    POST,
    ROOT,
    SECOND,
    SMUGGLED,
    Call,
    Case,
    shown,
)


def bodies() -> Iterator[Case]:
    for name, body in (
        ("NULs", b"\x00\x00\x00\x00\x00"),
        ("line ends", b"\r\n\r\n\n"),
        ("high bytes", b"\xff\xfe\xfd\xfc\xfb"),
    ):
        yield Case(
            f"body: {name}",
            POST + b"Content-Length: 5\r\n\r\n" + body + SECOND,
            (Call(b"POST", b"/first", body), CALLED_SECOND),
        )
    hidden = POST + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED + SECOND
    yield Case("body: a request", hidden, (Call(b"POST", b"/first", SMUGGLED), CALLED_SECOND))
    yield Case("body: shorter than its length", POST + b"Content-Length: 5\r\n\r\nhell", status=408)
    yield Case("body: missing", POST + b"Content-Length: 5\r\n\r\n", status=408)
    yield Case("body: longer than its length", POST + b"Content-Length: 5\r\n\r\nhelloworld", (FIRST_HELLO,), 400)
    yield Case("body: without a length", POST + b"\r\nhello", (FIRST_EMPTY,), 400)
    yield Case(
        "body: for GET",
        b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello" + SECOND,
        (Call(b"GET", b"/", b"hello"), CALLED_SECOND),
    )
    yield Case("body: for GET, chunked", CHUNKED.replace(b"POST", b"GET") + b"0\r\n\r\n", (Call(b"GET", b"/first"),))
    yield Case(
        "body: for HEAD",
        b"HEAD / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello",
        (Call(b"HEAD", b"/", b"hello"),),
    )
    yield Case("body: longer than the limit", POST + b"Content-Length: 1000001\r\n\r\n" + b"x" * 1_000_001, status=413)
    full = POST + b"Content-Length: 100000\r\n\r\n" + b"x" * 100_000
    yield Case("body: large", full + SECOND, (Call(b"POST", b"/first", b"x" * 100_000), CALLED_SECOND))


def connections() -> Iterator[Case]:
    get = b"GET / HTTP/1.1\r\n" + HOST
    for name, line in (("authority", b"a:80"), ("name", b"a"), ("path", b"/"), ("absolute", b"http://a/")):
        yield Case(f"CONNECT {name}", b"CONNECT " + line + b" HTTP/1.1\r\n" + HOST + b"\r\n" + SMUGGLED, status=405)
    yield Case(
        "CONNECT with a body",
        b"CONNECT a:80 HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello" + SMUGGLED,
        status=405,
    )
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
    socket = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    yield Case("upgrade: h2c", get + offer + b"\r\n", (ROOT,), closes=True)
    yield Case("upgrade: websocket", get + socket + b"\r\n", (ROOT,), closes=True)
    yield Case("upgrade: bytes behind", get + socket + b"\r\n" + SMUGGLED, (ROOT,), closes=True)
    yield Case("upgrade: preface behind", get + offer + b"\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (ROOT,), closes=True)
    yield Case("upgrade: with a body", POST + offer + b"Content-Length: 5\r\n\r\nhello", (FIRST_HELLO,), closes=True)
    yield Case(
        "upgrade: with a body of none",
        POST + offer + b"Content-Length: 0\r\n\r\n" + SMUGGLED,
        (FIRST_EMPTY,),
        closes=True,
    )
    yield Case(
        "upgrade: with a body and more",
        POST + offer + b"Content-Length: 5\r\n\r\nhello" + SMUGGLED,
        (FIRST_HELLO,),
        closes=True,
    )
    chunked = POST + offer + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    yield Case("upgrade: with chunks", chunked, (FIRST_HELLO,), closes=True)
    yield Case("upgrade: with chunks and more", chunked + SMUGGLED, (FIRST_HELLO,), closes=True)
    yield Case(
        "upgrade: with bad chunks",
        POST + offer + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello" + SMUGGLED,
        status=400,
    )
    yield Case("upgrade: with half a body", POST + offer + b"Content-Length: 5\r\n\r\nhel", status=408)
    yield Case("upgrade: with too large a body", POST + offer + b"Content-Length: 1000001\r\n\r\nhel", status=413)
    yield Case("upgrade: without Connection", get + b"Upgrade: h2c\r\n\r\n" + SECOND, (ROOT, CALLED_SECOND))
    yield Case("upgrade: in HTTP/1.0", b"GET / HTTP/1.0\r\n" + socket + b"\r\n" + SMUGGLED, (ROOT,), closes=True)
    yield Case("close: and more", get + b"Connection: close\r\n\r\n" + SMUGGLED, (ROOT,), closes=True)
    yield Case("close: and CRLF", get + b"Connection: close\r\n\r\n\r\n", (ROOT,), closes=True)
    yield Case("close: and keep-alive", get + b"Connection: close, keep-alive\r\n\r\n" + SMUGGLED, (ROOT,), closes=True)
    yield Case(
        "close: on two lines",
        get + b"Connection: keep-alive\r\nConnection: close\r\n\r\n" + SMUGGLED,
        (ROOT,),
        closes=True,
    )
    yield Case("close: other case", get + b"Connection: CLOSE\r\n\r\n" + SMUGGLED, (ROOT,), closes=True)
    yield Case(
        "close: hides a length",
        POST + b"Connection: close, content-length\r\nContent-Length: 5\r\n\r\nhello" + SMUGGLED,
        (FIRST_HELLO,),
        closes=True,
    )
    yield Case(
        "keep-alive: HTTP/1.0", b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + SECOND, (ROOT, CALLED_SECOND)
    )
    yield Case("keep-alive: HTTP/1.0 and more", b"GET / HTTP/1.0\r\n\r\n" + SMUGGLED, (ROOT,), closes=True)


def expectations() -> Iterator[Case]:
    for value in (b"200-ok", b"100", b"100-continued", b"100-continue, x", b"", b"x=y", b"100 continue"):
        data = POST + b"Expect: " + value + b"\r\nContent-Length: 5\r\n\r\nhello" + SMUGGLED
        yield Case(f"expect {shown(value)}", data, status=417)
    for value in (b"100-continue", b"100-Continue", b"100-continue "):
        data = POST + b"Expect: " + value + b"\r\nContent-Length: 5\r\n\r\nhello" + SECOND
        yield Case(f"expect {shown(value)}", data, (FIRST_HELLO, CALLED_SECOND))
    yield Case(
        "expect without a body",
        b"GET / HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\n\r\n" + SECOND,
        (ROOT, CALLED_SECOND),
    )
    yield Case(
        "expect in HTTP/1.0",
        b"POST /first HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
        (FIRST_HELLO,),
        closes=True,
    )
    yield Case("expect too much", POST + b"Expect: 100-continue\r\nContent-Length: 1000001\r\n\r\n", status=413)
    yield Case("expect, and nothing", POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", status=408)


def pipelines() -> Iterator[Case]:
    get = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
    for garbage in (
        b"GARBAGE",
        b"\x00",
        b"{}",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"GET /x\r\n\r\n",
        b"\x16\x03\x01",
        b"0\r\n\r\n",
        b"G\r\n\r\n",
    ):
        yield Case(f"pipeline: then {shown(garbage)}", get + garbage + SMUGGLED, (ROOT,), 400)
    yield Case("pipeline: two", get + SECOND, (ROOT, CALLED_SECOND))
    yield Case("pipeline: CRLF between", get + b"\r\n" + SECOND, (ROOT, CALLED_SECOND))
    yield Case("pipeline: fifty", get * 49 + SECOND, (ROOT,) * 49 + (CALLED_SECOND,))
    yield Case(
        "pipeline: good, ambiguous",
        get + POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        (ROOT,),
        400,
    )
    yield Case("pipeline: good, too large", get + POST + b"Content-Length: 1000001\r\n\r\n", (ROOT,), 413)
    yield Case("pipeline: good, without host", get + b"GET / HTTP/1.1\r\n\r\n" + SMUGGLED, (ROOT,), 400)
    yield Case("pipeline: good, half", get + b"GET /second HTT", (ROOT,), 408)
    yield Case("pipeline: good, half a body", get + POST + b"Content-Length: 5\r\n\r\nhel", (ROOT,), 408)
    posts = POST + b"Content-Length: 5\r\n\r\nhello" + CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"
    yield Case("pipeline: length, chunks, none", posts + SECOND, (FIRST_HELLO, FIRST_HELLO, CALLED_SECOND))
