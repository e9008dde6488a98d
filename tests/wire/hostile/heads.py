"""Request lines, hosts and header lines."""

from collections.abc import Iterator

from tests.wire.hostile.case import CALLED_SECOND, HOST, ROOT, SECOND, SMUGGLED, Call, Case, shown


def request_lines() -> Iterator[Case]:
    for name, line in {
        "no version": b"GET /",
        "no version, but a space": b"GET / ",
        "HTTP/0.9": b"GET / HTTP/0.9",
        "HTTP/1.2": b"GET / HTTP/1.2",
        "HTTP/1.10": b"GET / HTTP/1.10",
        "HTTP/01.1": b"GET / HTTP/01.1",
        "HTTP/1": b"GET / HTTP/1",
        "HTTP/1.": b"GET / HTTP/1.",
        "HTTP/.1": b"GET / HTTP/.1",
        "HTTP/2.0": b"GET / HTTP/2.0",
        "HTTP/2": b"GET / HTTP/2",
        "HTTP/3.0": b"GET / HTTP/3.0",
        "HTTP/11": b"GET / HTTP/11",
        "HTTP/-1.1": b"GET / HTTP/-1.1",
        "HTTP/1,1": b"GET / HTTP/1,1",
        "http/1.1": b"GET / http/1.1",
        "HTP/1.1": b"GET / HTP/1.1",
        "HTTPS/1.1": b"GET / HTTPS/1.1",
        "HTTP 1.1": b"GET / HTTP 1.1",
        "HTTP/ 1.1": b"GET / HTTP/ 1.1",
        "version with a word behind": b"GET / HTTP/1.1 x",
        "version with a space behind": b"GET / HTTP/1.1 ",
        "version with a tab behind": b"GET / HTTP/1.1\t",
        "version with a NUL behind": b"GET / HTTP/1.1\x00",
        "version with a CR behind": b"GET / HTTP/1.1\r",
        "get": b"get / HTTP/1.1",
        "Get": b"Get / HTTP/1.1",
        "GETT": b"GETT / HTTP/1.1",
        "unknown method": b"BREW / HTTP/1.1",
        "method of symbols": b"!#$% / HTTP/1.1",
        "no method": b" / HTTP/1.1",
        "method alone": b"GET",
        "no target": b"GET HTTP/1.1",
        "no target, two spaces": b"GET  HTTP/1.1",
        "tabs between": b"GET\t/\tHTTP/1.1",
        "tab before version": b"GET /\tHTTP/1.1",
        "form feed between": b"GET\x0c/ HTTP/1.1",
        "NUL in method": b"GE\x00T / HTTP/1.1",
        "NUL first": b"\x00GET / HTTP/1.1",
        "space first": b" GET / HTTP/1.1",
        "tab first": b"\tGET / HTTP/1.1",
        "byte order mark first": b"\xef\xbb\xbfGET / HTTP/1.1",
        "NUL in target": b"GET /\x00 HTTP/1.1",
        "ESC in target": b"GET /\x1b HTTP/1.1",
        "DEL in target": b"GET /\x7f HTTP/1.1",
        "raw UTF-8 in target": b"GET /\xc3\xa4 HTTP/1.1",
        "space in target": b"GET /a b HTTP/1.1",
        "CR in target": b"GET /a\rb HTTP/1.1",
        "LF in target": b"GET /a\nb HTTP/1.1",
        "fragment": b"GET /a#b HTTP/1.1",
        "fragment alone": b"GET # HTTP/1.1",
        "query alone": b"GET ?a HTTP/1.1",
        "relative target": b"GET a/b HTTP/1.1",
        "dot target": b"GET ../a HTTP/1.1",
        "backslash target": b"GET \\a HTTP/1.1",
        "asterisk for GET": b"GET * HTTP/1.1",
        "asterisk for POST": b"POST * HTTP/1.1",
        "asterisk and more": b"OPTIONS *a HTTP/1.1",
        "asterisk and path": b"OPTIONS */a HTTP/1.1",
        "authority": b"GET a:80 HTTP/1.1",
        "authority with user": b"GET u@a:80 HTTP/1.1",
        "scheme alone": b"GET http: HTTP/1.1",
        "scheme and one slash": b"GET http:/a HTTP/1.1",
        "no authority": b"GET http:///a HTTP/1.1",
        "ftp": b"GET ftp://a/b HTTP/1.1",
        "file": b"GET file:///etc/passwd HTTP/1.1",
        "user in authority": b"GET http://good@evil/ HTTP/1.1",
        "bad port in authority": b"GET http://a:b/ HTTP/1.1",
        "fragment in absolute": b"GET http://a/#b HTTP/1.1",
        "a response": b"HTTP/1.1 200 OK",
        "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "SSH": b"SSH-2.0-OpenSSH_9.2",
        "SMTP": b"EHLO a",
        "JSON": b'{"method": "GET"}',
        "proxy protocol": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2",
        "ICE for GET": b"GET / ICE/1.0",
        "DESCRIBE in HTTP": b"DESCRIBE / HTTP/1.1",
    }.items():
        yield Case(f"line: {name}", line + b"\r\n" + HOST + b"\r\n" + SMUGGLED, status=400)
    yield Case("line: HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SMUGGLED, status=400)
    yield Case("line: LF only", b"GET / HTTP/1.1\nHost: a\n\n" + SMUGGLED, status=400)
    yield Case("line: LF after version", b"GET / HTTP/1.1\nHost: a\r\n\r\n" + SMUGGLED, status=400)
    yield Case("line: CR only", b"GET / HTTP/1.1\rHost: a\r\r" + SMUGGLED, status=400)
    yield Case("line: unfinished", b"GET / HTT", status=408)
    yield Case("line: the method begins", b"G", status=408)
    yield Case("line: SOURCE in ICE", b"SOURCE / ICE/1.0\r\n" + HOST + b"\r\n", (Call(b"SOURCE", b"/"),), closes=True)
    # One way to read it, and nobody on its way forwards it: llhttp takes RTSP for HTTP.
    yield Case("line: RTSP/1.0", b"GET / RTSP/1.0\r\n" + HOST + b"\r\n", (ROOT,), closes=True)
    for name, line, call in (
        ("two spaces", b"GET  / HTTP/1.1", ROOT),
        ("two spaces before version", b"GET /  HTTP/1.1", ROOT),
        ("absolute", b"GET http://a/b?c HTTP/1.1", Call(b"GET", b"/b?c")),
        ("absolute, other case", b"GET HtTp://a/b HTTP/1.1", Call(b"GET", b"/b")),
        ("absolute, https", b"GET https://a/b HTTP/1.1", Call(b"GET", b"/b")),
        ("absolute, no path", b"GET http://a HTTP/1.1", ROOT),
        ("absolute, query and no path", b"GET http://a?b HTTP/1.1", Call(b"GET", b"/?b")),
        ("absolute, for OPTIONS", b"OPTIONS http://a HTTP/1.1", Call(b"OPTIONS", b"*")),
        ("asterisk", b"OPTIONS * HTTP/1.1", Call(b"OPTIONS", b"*")),
        ("two slashes", b"GET //evil/a HTTP/1.1", Call(b"GET", b"//evil/a")),
        ("dots", b"GET /../../etc/passwd HTTP/1.1", Call(b"GET", b"/../../etc/passwd")),
        ("encoded", b"GET /%00%0d%0a%2e HTTP/1.1", Call(b"GET", b"/%00%0d%0a%2e")),
        ("symbols", b'GET /<>{}|^`" HTTP/1.1', Call(b"GET", b'/<>{}|^`"')),
        ("two question marks", b"GET /a?b?c HTTP/1.1", Call(b"GET", b"/a?b?c")),
        ("DELETE", b"DELETE /a HTTP/1.1", Call(b"DELETE", b"/a")),
        ("TRACE", b"TRACE / HTTP/1.1", Call(b"TRACE", b"/")),
    ):
        yield Case(f"line: {name}", line + b"\r\n" + HOST + b"\r\n" + SECOND, (call, CALLED_SECOND))
    for name, before in (("CRLF", b"\r\n"), ("three CRLF", b"\r\n\r\n\r\n"), ("LF", b"\n")):
        yield Case(f"line: {name} first", before + b"GET / HTTP/1.1\r\n" + HOST + b"\r\n", (ROOT,))


def hosts() -> Iterator[Case]:
    line = b"GET / HTTP/1.1\r\n"
    for name, lines in {
        "missing": b"",
        "missing, another instead": b"X-Host: a\r\n",
        "twice": b"Host: a\r\nHost: b\r\n",
        "twice the same": b"Host: a\r\nHost: a\r\n",
        "twice, other case": b"Host: a\r\nhOST: a\r\n",
        "space before colon": b"Host : a\r\n",
        "folded": b"Host:\r\n a\r\n",
    }.items():
        yield Case(f"host: {name}", line + lines + b"\r\n" + SMUGGLED, status=400)
    bad = [
        b"a b",
        b"a,b",
        b"a/b",
        b"a?b",
        b"a#b",
        b"u@a",
        b"a:b",
        b"a:80:80",
        b"a:-1",
        b"[::1",
        b"::1",
        b"a\\b",
        b"\xc3\xa4",
        b"a:123456",
        b"http://a",
    ]
    bad += [b"[a]b", b"<a>", b'"a"', b"a\tb", b"[]", b"[::1]:x", b"a|b", b"a^b"]
    for value in bad:
        good = value == b"a,b"  # RFC 3986 lets a name have sub-delims
        yield Case(
            f"host: {shown(value)}",
            line + b"Host: " + value + b"\r\n\r\n",
            (ROOT,) if good else (),
            None if good else 400,
        )
    for value in (
        b"a",
        b"a:80",
        b"a:",
        b"127.0.0.1:8080",
        b"[::1]",
        b"[::1]:8080",
        b"[fe80::1%25eth0]",
        b"A-b_c.D~e",
        b"a%20b",
        b"",
        b" a ",
    ):
        yield Case(f"host: {shown(value)}", line + b"Host: " + value + b"\r\n\r\n", (ROOT,))
    yield Case("host: none in HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", (ROOT,), closes=True)
    yield Case("host: twice in HTTP/1.0", b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", status=400)
    yield Case("host: longer than names are", line + b"Host: " + b"a" * 2000 + b"\r\n\r\n", (ROOT,))


def headers() -> Iterator[Case]:
    start = b"GET / HTTP/1.1\r\n" + HOST
    bad = [
        b": y",
        b"X: y\x00",
        b"X: \x01",
        b"X: y\x0b",
        b"X: y\x1b[0m",
        b"X: y\x7f",
        b"X y: z",
        b"X",
        b"X y",
        b"X\x00: y",
        b"\xe9: y",
        b"(X): y",
        b"X;: y",
    ]
    bad += [
        b'"X": y',
        b"X@: y",
        b"X[]: y",
        b"X{}: y",
        b"X/Y: z",
        b"X=: y",
        b"X?: y",
        b"X,: y",
        b"X\\: y",
        b"<X>: y",
        b"X\x7f: y",
        b"X\t: y",
        b"X : y",
    ]
    bad += [
        b" X: y",
        b"\tX: y",
        b"X: y\r\n folded",
        b"X: y\r\n\tfolded",
        b"X:\r\n folded",
        b"X: y\r\n \r\nZ: w",
        b"X: a\rb",
        b"X: a\nb: c",
        b"X: a\n b",
    ]
    bad += [
        b"X: y\r",
        b"X: y\r\r",
        b"X: a\r\rb",
        b"\r",
        b"\rX: y",
        b"X: y\n",
        b"Content-Type: a\r\nContent-Type: b",
        b"Authorization: a\r\nauthorization: b",
    ]
    bad += [b"Expect: 100-continue\r\nExpect: 100-continue"]
    for line in bad:
        yield Case(f"header {shown(line)}", start + line + b"\r\n\r\n" + SMUGGLED, status=400)
    yield Case("headers: LF ends them", start + b"X: y\n\n" + SMUGGLED, status=400)
    yield Case("headers: LF after CRLF ends them", start + b"X: y\r\n\n" + SMUGGLED, status=400)
    yield Case("headers: CR ends them", start + b"X: y\r\n\r" + SMUGGLED, status=400)
    yield Case("headers: unfinished", start + b"X: y\r\n", status=408)
    yield Case("headers: unfinished line", start + b"X: y", status=408)
    yield Case("headers: last LF is missing", start + b"\r", status=408)
    good = [
        b"X:",
        b"X: ",
        b"X:y",
        b"X:   y   ",
        b"X: \xe9\xff",
        b"X: a, b",
        b"X: y\r\nX: z",
        b"!#$%&'*+-.^_`|~0aZ: y",
        b"X: \ty\t",
        b"X: :",
        b"X: y: z",
    ]
    for line in good:
        yield Case(f"header {shown(line)}", start + line + b"\r\n\r\n" + SECOND, (ROOT, CALLED_SECOND))
    yield Case("headers: as many as may be", start + b"X: y\r\n" * 99 + b"\r\n", (ROOT,))
    yield Case("headers: one too many", start + b"X: y\r\n" * 100 + b"\r\n", status=431)
    distinct = b"".join(b"X-%d: y\r\n" % number for number in range(150))
    yield Case("headers: too many distinct", start + distinct + b"\r\n", status=431)
    yield Case("headers: flood", start + b"X: y\r\n" * 20_000 + b"\r\n", status=431)
    yield Case("headers: endless flood", start + b"X: y\r\n" * 50_000, status=431)
    yield Case("headers: giant value", start + b"X: " + b"y" * 40_000 + b"\r\n\r\n", status=431)
    yield Case("headers: endless value", start + b"X: " + b"y" * 400_000, status=431)
    yield Case("headers: giant name", start + b"X" * 40_000 + b": y\r\n\r\n", status=431)
    yield Case("headers: endless name", start + b"X" * 400_000, status=431)
    yield Case("headers: endless spaces", start + b"X:" + b" " * 500_000, status=431)
    yield Case("headers: endless empty values", start + b"X:\r\n" * 100_000, status=431)
    yield Case("headers: giant target", b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", status=431)
    yield Case("headers: endless target", b"GET /" + b"a" * 400_000, status=431)
    yield Case("headers: endless query", b"GET /?" + b"a" * 400_000, status=431)
    yield Case(
        "headers: together too large",
        start + b"X: " + b"y" * 20_000 + b"\r\nZ: " + b"y" * 20_000 + b"\r\n\r\n",
        status=431,
    )
    large = b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 20_000 + b"\r\n\r\n"
    yield Case("headers: nearly too large", large, (Call(b"GET", b"/" + b"a" * 10_000),))
