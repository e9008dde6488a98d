"""The way to an origin: directly, or through the proxy that the environment names."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.wire.certificates import Authority
from tests.wire.scripted_origin import Line, ScriptedOrigin
from tests.wire.serving import PATIENCE_S, serving
from tests.wire.test_exchange import Keeper

from switchgear.wire.address import Address
from switchgear.wire.client import Pool
from switchgear.wire.errors import AddressError, ConnectError, ConnectTimeout
from switchgear.wire.fetch import fetch
from switchgear.wire.origin import Origin, Proxy, parse_url, port_of, proxy_for
from switchgear.wire.server import Server
from switchgear.wire.tls import client_context


class SmallProxy:
    """Forwards requests in absolute form, tunnels CONNECT, and asks for credentials if it is given some."""

    def __init__(self, credentials: str = "") -> None:
        self.asked: list[str] = []
        """Request lines, in the order in which they came."""
        self._expected = base64.b64encode(credentials.encode()).decode() if credentials else ""

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Address]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield Address(*server.sockets[0].getsockname()[:2])
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError), contextlib.closing(writer):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.split("\r\n")[:-2]
            self.asked.append(first)
            if self._expected and f"proxy-authorization: Basic {self._expected}" not in lines:
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
                return
            method, target, _ = first.split(" ")
            if method == "CONNECT":
                host, _, port = target.rpartition(":")
                writer.write(b"HTTP/1.1 200 Connection established\r\nvia: small\r\n\r\n")
                await self._relay(reader, writer, host.strip("[]"), int(port), b"")
            else:
                parts = parse_url(target.partition("?")[0])
                kept = [line for line in lines if not line.startswith("proxy-")]
                request = "\r\n".join([f"{method} {parts.path or '/'} HTTP/1.1", *kept, "", ""]).encode()
                assert parts.hostname is not None
                await self._relay(reader, writer, parts.hostname, port_of(parts), request)

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int, first: bytes
    ) -> None:
        there, back = await asyncio.open_connection(host, port)
        back.write(first)

        async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
                sink.close()

        await asyncio.gather(pass_on(reader, back), pass_on(there, writer))


async def test_plain_http_goes_through_the_proxy_in_absolute_form() -> None:
    proxy, keeper = SmallProxy(), Keeper()
    async with serving(Server(keeper)) as address, proxy.serving() as at:
        environment = {"HTTP_PROXY": f"http://{at}"}
        url = parse_url(f"http://{address}")
        pool = Pool(Origin(address.host, address.port, proxy=proxy_for(url, environment)))
        task = asyncio.get_running_loop().create_task(fetch(pool, "GET", "/v1/models"))
        exchange = await keeper.next()
        assert exchange.headers[b"host"] == str(address).encode()
        exchange.reply(200, b"seen")
        assert (await task).body == b"seen"
        assert proxy.asked == [f"GET http://{address}/v1/models HTTP/1.1"]
        await pool.close()


async def test_https_goes_through_a_tunnel_and_is_verified_within_it(tmp_path: Path) -> None:
    proxy, keeper, authority = SmallProxy(), Keeper(), Authority(tmp_path)
    async with serving(Server(keeper), tls=authority.server()) as address, proxy.serving() as at:
        url = parse_url(f"https://localhost:{address.port}")
        way = proxy_for(url, {"https_proxy": f"http://{at}"})
        pool = Pool(Origin("localhost", address.port, authority.client(), proxy=way))
        for count in (1, 2):
            task = asyncio.get_running_loop().create_task(fetch(pool, "POST", "/", body=b"x" * 100_000))
            exchange = await keeper.next(count)
            assert len(exchange.body) == 100_000
            exchange.reply(200, b"y" * 100_000)
            assert len((await task).body) == 100_000
        assert proxy.asked == [f"CONNECT localhost:{address.port} HTTP/1.1"]
        await pool.close()
        stranger = Pool(Origin("localhost", address.port, Authority(tmp_path, "other.example").client(), proxy=way))
        with pytest.raises(ConnectError, match="is not trusted"):
            await fetch(stranger, "GET", "/")
        await stranger.close()


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(("given", "works"), [("us%40er:p%3Ass@", True), ("us%40er:wrong@", False), ("", False)])
async def test_credentials_are_shown_to_the_proxy_and_to_nobody_else(
    tls: bool, given: str, works: bool, tmp_path: Path
) -> None:
    proxy, keeper, authority = SmallProxy("us@er:p:ss"), Keeper(), Authority(tmp_path)
    async with serving(Server(keeper), tls=authority.server() if tls else None) as address, proxy.serving() as at:
        scheme = "https" if tls else "http"
        url = parse_url(f"{scheme}://localhost:{address.port}")
        way = proxy_for(url, {f"{scheme}_proxy": f"http://{given}{at}"})
        assert "p:ss" not in repr(way)
        pool = Pool(Origin("localhost", address.port, authority.client() if tls else None, proxy=way))
        task = asyncio.get_running_loop().create_task(fetch(pool, "GET", "/"))
        if works:
            exchange = await keeper.next()
            assert b"proxy-authorization" not in exchange.headers
            exchange.reply(200, b"seen")
            assert (await task).body == b"seen"
        elif tls:
            with pytest.raises(ConnectError, match=r"answered CONNECT localhost:\d+ with 407"):
                await task
        else:
            assert (await task).status == 407
        await pool.close()


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "with 502; whoever runs it can say why"),
        (b"HTTP/1.1 407 No\r\ncontent-length: 2\r\n\r\nno", "with 407; put its user and password into HTTPS_PROXY"),
        (b"HTTP/1.1 200", "closed the connection"),
        (b"", "closed the connection"),
        (b"SSH-2.0-x\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\n\r\nsmuggled", "not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 20_000, "too long"),
    ],
)
async def test_a_proxy_that_does_not_let_us_through(said: bytes, error: str, tmp_path: Path) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(said)

    async with ScriptedOrigin(script).serving() as at:
        way = Proxy(at.host, at.port)
        pool = Pool(Origin("localhost", 1, Authority(tmp_path).client(), proxy=way))
        with pytest.raises(ConnectError, match=error):
            await fetch(pool, "GET", "/")
        assert pool.open == 0
        await pool.close()


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 201 Created\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200\r\n\r\n"]
)
async def test_every_2xx_opens_a_tunnel(answer: bytes, tmp_path: Path) -> None:
    began = asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        await line.send(answer)
        assert (await line.some())[:1] == b"\x16", "TLS begins"
        began.set()

    async with ScriptedOrigin(script).serving() as at:
        pool = Pool(Origin("localhost", 1, Authority(tmp_path).client(), proxy=Proxy(at.host, at.port)))
        with pytest.raises(ConnectError):
            await fetch(pool, "GET", "/")
        assert began.is_set()
        await pool.close()


async def test_a_proxy_that_says_nothing_uses_up_the_time_to_connect(tmp_path: Path) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.hung_up()

    origin = ScriptedOrigin(script)
    async with origin.serving() as at:
        pool = Pool(Origin("localhost", 1, Authority(tmp_path).client(), proxy=Proxy(at.host, at.port)))
        with pytest.raises(ConnectTimeout):
            await pool.acquire(0.05)
        async with asyncio.timeout(PATIENCE_S):
            while not origin.ended:
                await asyncio.sleep(0.001)
        await pool.close()


async def test_a_proxy_that_is_not_there_is_named() -> None:
    async with ScriptedOrigin().serving() as at:
        pass
    for tls in (None, client_context()):
        pool = Pool(Origin("place.example", 8443, tls, proxy=Proxy(at.host, at.port)))
        with pytest.raises(ConnectError, match=rf"place\.example:8443 through the proxy 127\.0\.0\.1:{at.port}"):
            await fetch(pool, "GET", "/")
        await pool.close()


PROXY = {"http_proxy": "http://proxy:3128"}


@pytest.mark.parametrize(
    ("url", "environment", "found"),
    [
        ("http://a", {}, None),
        ("http://a", {"http_proxy": ""}, None),
        ("http://a", {"http_proxy": "http://p:1"}, Proxy("p", 1)),
        ("http://a", {"HTTP_PROXY": "http://p:1"}, Proxy("p", 1)),
        ("http://a", {"http_proxy": "http://p:1", "HTTP_PROXY": "http://q:2"}, Proxy("p", 1)),
        ("http://a", {"http_proxy": "", "HTTP_PROXY": "http://q:2"}, None),
        ("http://a", {"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, None),
        ("http://a", {"http_proxy": "http://p:1", "REQUEST_METHOD": "GET"}, Proxy("p", 1)),
        ("https://a", {"http_proxy": "http://p:1"}, None),
        ("https://a", {"HTTPS_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, Proxy("p", 1)),
        ("http://a", {"https_proxy": "http://p:1"}, None),
        ("http://a", {"http_proxy": "p:1"}, Proxy("p", 1)),
        ("http://a", {"http_proxy": "http://p"}, Proxy("p", 80)),
        ("http://a", {"http_proxy": "http://[::1]:1"}, Proxy("::1", 1)),
        ("http://a", {"http_proxy": "http://u:s@p:1"}, Proxy("p", 1, "Basic dTpz")),
        ("http://a", {"http_proxy": "http://u@p:1"}, Proxy("p", 1, "Basic dTo=")),
    ],
)
def test_the_environment_names_the_proxy(url: str, environment: dict[str, str], found: Proxy | None) -> None:
    assert proxy_for(parse_url(url), environment) == found


@pytest.mark.parametrize("value", ["socks5://p:1", "https://p:1", "http://", "ftp://p", "http://p:port"])
def test_a_proxy_of_another_kind_is_refused(value: str) -> None:
    with pytest.raises(AddressError):
        proxy_for(parse_url("http://a"), {"http_proxy": value})


@pytest.mark.parametrize(
    ("host", "no_proxy", "direct"),
    [
        ("a.example", "", False),
        ("a.example", "*", True),
        ("a.example", "a.example", True),
        ("A.Example", "a.EXAMPLE", True),
        ("a.example", "example", True),
        ("a.example", ".example", True),
        ("a.example", "*.example", True),
        ("aexample", "example", False),
        ("example", ".example", True),
        ("a.example", "b.example", False),
        ("a.example", "b.example, a.example", True),
        ("a.example", "b.example a.example", True),
        ("a.example", ",,", False),
        ("a.example:81", "a.example:81", True),
        ("a.example:81", "a.example:82", False),
        ("a.example", "a.example:80", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.0/8", True),
        ("10.1.2.3", "10.0.0.0/8,192.168.0.0/16", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("11.1.2.3", "2.3", False),
        ("[::1]", "::1", True),
        ("[::1]", "[::1]", True),
        ("[::1]:81", "[::1]:81", True),
        ("[::1]:81", "[::1]:82", False),
        ("[fd00::5]", "fd00::/8", True),
        ("[fe00::5]", "fd00::/16", False),
        ("[::1]", "10.0.0.0/8", False),
    ],
)
def test_no_proxy_names_what_is_reached_directly(host: str, no_proxy: str, direct: bool) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        assert (proxy_for(parse_url(f"http://{host}"), PROXY | {name: no_proxy}) is None) is direct


@pytest.mark.parametrize(
    "url", ["", "a", "a:80", "http://", "http:///x", "ftp://a", "http://[::1", "http://a?q", "http://a#f"]
)
def test_what_is_no_url_of_an_origin_is_refused(url: str) -> None:
    with pytest.raises(AddressError):
        parse_url(url)


@pytest.mark.parametrize("authority", ["a:b", "a:70000", "a:0", "u@a", ":p@a", "u:p@a"])
def test_an_authority_with_a_bad_port_or_with_credentials_is_refused(authority: str) -> None:
    with pytest.raises(AddressError):
        parse_url(f"http://{authority}")


@pytest.mark.parametrize(
    ("origin", "authority"),
    [
        (Origin("a", 80), "a"),
        (Origin("a", 81), "a:81"),
        (Origin("a", 443), "a:443"),
        (Origin("::1", 80), "[::1]"),
        (Origin("::1", 81), "[::1]:81"),
        (Origin("localhost", 0, path="/s"), "localhost"),
    ],
)
def test_the_host_header_is_the_authority(origin: Origin, authority: str) -> None:
    assert origin.authority == authority
