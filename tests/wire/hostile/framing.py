"""Where a body begins and ends: lengths, codings, chunks, trailers."""

from collections.abc import Iterator

from tests.wire.hostile.case import (
    CALLED_SECOND,
    CHUNKED,
    FIRST_EMPTY,
    FIRST_HELLO,
    POST,
    SECOND,
    SMUGGLED,
    Call,
    Case,
    shown,
)


def lengths() -> Iterator[Case]:
    bad = [
        b" +5",
        b" -5",
        b" -0",
        b" 5,5",
        b" 5, 5",
        b" 5 5",
        b" 0x5",
        b" 5.0",
        b" 5e0",
        b"",
        b" ",
        b" five",
        b" 5;",
        b" 5;q=1",
        b" 5\x0b",
    ]
    bad += [
        b" 5\x00",
        b"\xa05",
        b" \xd9\xa5",
        b" 5_0",
        b' "5"',
        b" 5\x0c",
        b" (5)",
        b" ,5",
        b" 5,",
        b" 18446744073709551615",
        b" 18446744073709551616",
        b" 5\x7f",
    ]
    bad += [
        b" 99999999999999999999999999",
        b" 340282366920938463463374607431768211461",
        b" " + b"0" * 5000 + b"5",
        b" " + b"0" * 20 + b"5",
    ]
    for value in bad:
        yield Case(f"length{shown(value)}", POST + b"Content-Length:" + value + b"\r\n\r\nhello" + SMUGGLED, status=400)
    for value in (b" 9223372036854775807", b" 9223372036854775808", b" 4294967301", b" 1000001"):
        yield Case(f"length{shown(value)}", POST + b"Content-Length:" + value + b"\r\n\r\nhello", status=413)
    for value in (b" 5", b"5", b"  5", b" 5 ", b"\t5\t", b" 05", b" 0000005"):
        data = POST + b"Content-Length:" + value + b"\r\n\r\nhello" + SECOND
        yield Case(f"length{shown(value)}", data, (FIRST_HELLO, CALLED_SECOND))
    yield Case("length 0", POST + b"Content-Length: 0\r\n\r\n" + SECOND, (FIRST_EMPTY, CALLED_SECOND))
    yield Case("length 00", POST + b"Content-Length: 00\r\n\r\n" + SECOND, (FIRST_EMPTY, CALLED_SECOND))
    for name, lines in {
        "same twice": b"Content-Length: 5\r\nContent-Length: 5\r\n",
        "two": b"Content-Length: 5\r\nContent-Length: 6\r\n",
        "two, other case": b"Content-Length: 5\r\ncontent-LENGTH: 0\r\n",
        "two, apart": b"Content-Length: 5\r\nX: y\r\nContent-Length: 5\r\n",
        "three": b"Content-Length: 5\r\nContent-Length: 5\r\nContent-Length: 5\r\n",
        "empty then good": b"Content-Length:\r\nContent-Length: 5\r\n",
        "space before colon": b"Content-Length : 5\r\n",
        "tab before colon": b"Content-Length\t: 5\r\n",
        "nul in name": b"Content-\x00Length: 5\r\n",
        "folded": b"Content-Length:\r\n 5\r\n",
        "behind a bare CR": b"X: y\rContent-Length: 5\r\n",
        "behind a bare LF": b"X: y\nContent-Length: 5\r\n",
        "indented": b" Content-Length: 5\r\n",
    }.items():
        yield Case(f"lengths: {name}", POST + lines + b"\r\nhello" + SMUGGLED, status=400)
    # names that are not ours to understand: no body, so what follows is the next request, and it is none
    for name in (b"Content_Length", b"X-Content-Length", b"Content-Lengt", b"Content-Lengthh", b"Content.Length"):
        yield Case(f"unknown {shown(name)}", POST + name + b": 5\r\n\r\nhello", (FIRST_EMPTY,), 400)


def codings() -> Iterator[Case]:
    rest = b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    bad = [
        b" xchunked",
        b" chunkedx",
        b" chunked, chunked",
        b" chunked,chunked",
        b" gzip",
        b" gzip, chunked",
        b" chunked, gzip",
        b" identity",
    ]
    bad += [
        b" identity, chunked",
        b" chunked, identity",
        b"",
        b" ",
        b' "chunked"',
        b" chunked;q=1",
        b" chunked,",
        b" ,chunked",
        b" chun\tked",
    ]
    bad += [
        b" chunked\x0b",
        b" \x0bchunked",
        b" cow",
        b" chunked\x00",
        b" chunk",
        b" chunked cow",
        b" c\xe2\x84\xaahunked",
        b" deflate",
        b" br",
    ]
    bad += [
        b"\tchunked\t",
        b" chunked\t",
        b" x-chunked",
        b" chunked\r\n\tchunked",
        b" \x00chunked",
        b" null",
        b" trailers, chunked",
    ]
    for value in bad:
        yield Case(f"coding{shown(value)}", POST + b"Transfer-Encoding:" + value + rest + SMUGGLED, status=400)
    for value in (b" chunked", b"chunked", b"\tchunked", b" Chunked", b" CHUNKED", b" cHuNkEd", b" chunked "):
        data = POST + b"Transfer-Encoding:" + value + rest + SECOND
        yield Case(f"coding{shown(value)}", data, (FIRST_HELLO, CALLED_SECOND))
    for name, lines in {
        "length first": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "length last": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "length 0 first": b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "length 0 last": b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "length and identity": b"Content-Length: 5\r\nTransfer-Encoding: identity\r\n",
        "length and xchunked": b"Content-Length: 5\r\nTransfer-Encoding: xchunked\r\n",
        "length, other case": b"cOnTeNt-LeNgTh: 5\r\ntRaNsFeR-eNcOdInG: chunked\r\n",
        "length, far apart": b"Content-Length: 5\r\n" + b"X: y\r\n" * 20 + b"Transfer-Encoding: chunked\r\n",
        "length and Transfer-Encoding with space": b"Content-Length: 5\r\nTransfer-Encoding : chunked\r\n",
        "twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "gzip, then chunked": b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        "chunked, then identity": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "identity, then chunked": b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        "space before colon": b"Transfer-Encoding : chunked\r\n",
        "tab before colon": b"Transfer-Encoding\t: chunked\r\n",
        "folded": b"Transfer-Encoding:\r\n chunked\r\n",
        "behind a bare CR": b"X: y\rTransfer-Encoding: chunked\r\n",
        "behind a bare LF": b"X: y\nTransfer-Encoding: chunked\r\n",
        "indented": b" Transfer-Encoding: chunked\r\n",
        "nul in name": b"Transfer-Encoding\x00: chunked\r\n",
        "no-break space in name": b"Transfer-Encoding\xa0: chunked\r\n",
    }.items():
        yield Case(f"codings: {name}", POST + lines + b"\r\n5\r\nhello\r\n0\r\n\r\n" + SMUGGLED, status=400)
    old = b"POST /first HTTP/1.0\r\nConnection: keep-alive\r\n"
    yield Case("coding in HTTP/1.0", old + b"Transfer-Encoding: chunked" + rest + SMUGGLED, status=400)
    yield Case(
        "coding and length in HTTP/1.0",
        old + b"Content-Length: 5\r\nTransfer-Encoding: chunked" + rest + SMUGGLED,
        status=400,
    )
    yield Case("unknown Transfer_Encoding", POST + b"Transfer_Encoding: chunked" + rest, (FIRST_EMPTY,), 400)
    yield Case("unknown X-Transfer-Encoding", POST + b"X-Transfer-Encoding: chunked" + rest, (FIRST_EMPTY,), 400)


def chunks() -> Iterator[Case]:
    bad = {
        "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
        "negative": b"-5\r\nhello\r\n0\r\n\r\n",
        "plus": b"+5\r\nhello\r\n0\r\n\r\n",
        "leading space": b" 5\r\nhello\r\n0\r\n\r\n",
        "trailing space": b"5 \r\nhello\r\n0\r\n\r\n",
        "trailing tab": b"5\t\r\nhello\r\n0\r\n\r\n",
        "space before extension": b"5 ;a=b\r\nhello\r\n0\r\n\r\n",
        "space in extension": b"5; a=b\r\nhello\r\n0\r\n\r\n",
        "no digits": b"\r\nhello\r\n0\r\n\r\n",
        "extension alone": b";a=b\r\nhello\r\n0\r\n\r\n",
        "not hex": b"g\r\nhello\r\n0\r\n\r\n",
        "hex then not": b"5g\r\nhello\r\n0\r\n\r\n",
        "fraction": b"5.0\r\nhello\r\n0\r\n\r\n",
        "underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
        "seventeen digits": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
        "overflow": b"FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
        "LF after size": b"5\nhello\r\n0\r\n\r\n",
        "CR after size": b"5\rhello\r\n0\r\n\r\n",
        "CR CR LF after size": b"5\r\r\nhello\r\n0\r\n\r\n",
        "NUL after size": b"5\x00\r\nhello\r\n0\r\n\r\n",
        "nothing after data": b"5\r\nhello0\r\n\r\n",
        "LF after data": b"5\r\nhello\n0\r\n\r\n",
        "CR after data": b"5\r\nhello\r0\r\n\r\n",
        "data too long": b"5\r\nhello!\r\n0\r\n\r\n",
        "data too short": b"5\r\nhell\r\n0\r\n\r\n",
        "empty line between": b"5\r\nhello\r\n\r\n0\r\n\r\n",
        "LF after last": b"5\r\nhello\r\n0\n\r\n",
        "LF alone after last": b"5\r\nhello\r\n0\n\n",
        "LF ends trailers": b"5\r\nhello\r\n0\r\n\n",
        "empty extension": b"5;\r\nhello\r\n0\r\n\r\n",
        "LF in extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        "CR in extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        "NUL in extension": b"5;\x00\r\nhello\r\n0\r\n\r\n",
        "unclosed quote in extension": b'5;a="b\r\nhello\r\n0\r\n\r\n',
        "LF in quoted extension": b'5;a="\n0\n\nGET /smuggled HTTP/1.1"\r\nhello\r\n0\r\n\r\n',
        "request in place of a size": SMUGGLED,
    }
    for name, body in bad.items():
        yield Case(f"chunk: {name}", CHUNKED + body + SMUGGLED, status=400)
    good = {
        "plain": b"5\r\nhello\r\n0\r\n\r\n",
        "two": b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        "five": b"1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n",
        "zeros lead": b"0005\r\nhello\r\n000\r\n\r\n",
        "extension": b"5;a=b\r\nhello\r\n0;last\r\n\r\n",
        "quoted extension": b'5;a="x;y\\"z"\r\nhello\r\n0\r\n\r\n',
        "trailer": b"5\r\nhello\r\n0\r\nX: y\r\n\r\n",
        "two trailers": b"5\r\nhello\r\n0\r\nX: y\r\nZ:\r\n\r\n",
    }
    for name, body in good.items():
        yield Case(f"chunk: {name}", CHUNKED + body + SECOND, (FIRST_HELLO, CALLED_SECOND))
    yield Case("chunk: none", CHUNKED + b"0\r\n\r\n" + SECOND, (FIRST_EMPTY, CALLED_SECOND))
    hexadecimal = CHUNKED + b"1a\r\n" + b"z" * 26 + b"\r\n1A\r\n" + b"Z" * 26 + b"\r\n0\r\n\r\n" + SECOND
    yield Case(
        "chunk: both cases of hex", hexadecimal, (Call(b"POST", b"/first", b"z" * 26 + b"Z" * 26), CALLED_SECOND)
    )
    nuls = CHUNKED + b"5\r\n\x00\r\n\x00\n\r\n0\r\n\r\n" + SECOND
    yield Case("chunk: NUL and line ends in data", nuls, (Call(b"POST", b"/first", b"\x00\r\n\x00\n"), CALLED_SECOND))
    yield Case("chunk: last is missing", CHUNKED + b"5\r\nhello\r\n", status=408)
    yield Case("chunk: end is missing", CHUNKED + b"5\r\nhello\r\n0\r\n", status=408)
    yield Case("chunk: size is missing", CHUNKED, status=408)
    yield Case("chunk: a huge one begins", CHUNKED + b"7fffffffffffffff\r\nhello", status=408)
    yield Case(
        "chunk: more than the limit",
        CHUNKED + b"f4241\r\n" + b"x" * 1_000_001 + b"\r\n0\r\n\r\n" + SMUGGLED,
        status=413,
    )
    yield Case("chunk: endless zeros", CHUNKED + b"0" * 500_000, status=431)
    yield Case("chunk: endless extension", CHUNKED + b"5;" + b"a" * 500_000, status=431)
    yield Case("chunk: endless trailer", CHUNKED + b"0\r\nX: " + b"a" * 500_000, status=431)
    yield Case("chunk: endless trailers", CHUNKED + b"0\r\n" + b"X: y\r\n" * 100_000, status=431)


def trailers() -> Iterator[Case]:
    lines = [
        b"Content-Length: 5",
        b"Content-Length: 0",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: identity",
        b"Host: evil",
    ]
    lines += [
        b"Connection: close",
        b"Connection: keep-alive",
        b"Upgrade: h2c",
        b"Authorization: Bearer other",
        b"Trailer: x",
        b"TE: trailers",
    ]
    lines += [b"Content-Type: text/plain", b"Expect: 100-continue", b"CONTENT-LENGTH: 35", b"Content-Encoding: gzip"]
    lines += [
        b"X : y",
        b" X: y",
        b": y",
        b"X",
        b"X: a\nb",
        b"X: a\rb",
        b"X: \x00",
        b"X: y\r\n folded",
        b"X\x00: y",
        b"(X): y",
    ]
    for line in lines:
        data = CHUNKED + b"5\r\nhello\r\n0\r\n" + line + b"\r\n\r\n" + SMUGGLED
        yield Case(f"trailer {shown(line)}", data, status=400)
