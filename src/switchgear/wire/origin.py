"""Where a client connects to, and the way there: directly, through a proxy, through TLS."""

import asyncio
import base64
import errno
import ipaddress
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from switchgear.wire.errors import AddressError, ConnectError, OutOfSockets

_DEFAULT_PORTS = {"http": 80, "https": 443}
_OWN_LIMITS = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL))
"""What a connection fails with for want of something here, whoever it was to."""
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: |\r|$)")


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy: where it listens and, if it asks for them, credentials as a ready Proxy-Authorization value."""

    host: str
    port: int
    authorization: str = ""

    def __repr__(self) -> str:
        return f"Proxy({self.host}:{self.port}{', with credentials' if self.authorization else ''})"


@dataclass(frozen=True, slots=True)
class Origin:
    """One server that we send requests to. `path` names a unix socket instead of host and port."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    path: str = ""
    proxy: Proxy | None = None

    @property
    def authority(self) -> str:
        """The Host header: the port is left out where it is the scheme's own (RFC 9110, 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.tls is not None else 80
        return host if self.port == default or self.path else f"{host}:{self.port}"

    @property
    def prefix(self) -> str:
        """What stands before the path in a request line: a plain-HTTP proxy wants the absolute form (RFC 9112, 3.2.2)."""
        return f"http://{self.authority}" if self.proxy is not None and self.tls is None else ""

    @property
    def proxy_headers(self) -> bytes:
        """Header lines that every request needs on its way through a plain-HTTP proxy: its credentials (RFC 9110, 11.7.2)."""
        if self.proxy is None or self.tls is not None or not self.proxy.authorization:
            return b""
        return f"proxy-authorization: {self.proxy.authorization}\r\n".encode("latin-1")


def parse_url(url: str) -> SplitResult:
    """An absolute http or https URL without query. Raises AddressError that names what is wrong."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AddressError(f"{url!r} is not a URL: {error}") from error
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise AddressError(f"{url!r} is not an http:// or https:// URL with a host")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise AddressError(f"{url!r} must have no query, fragment or credentials; put a key into api_key_env")
    if port == 0:
        raise AddressError(f"{url!r} names port 0")
    return parts


def port_of(parts: SplitResult) -> int:
    return parts.port or _DEFAULT_PORTS[parts.scheme]


def proxy_for(url: SplitResult, environment: Mapping[str, str]) -> Proxy | None:
    """The proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY (or their lower-case forms) name for `url`.

    HTTP_PROXY in capitals is ignored where REQUEST_METHOD is set, since a CGI caller could set it (CVE-2016-5385).
    Raises AddressError.
    """
    host = (url.hostname or "").lower()
    if _bypassed(host, port_of(url), environment.get("no_proxy") or environment.get("NO_PROXY") or ""):
        return None
    name = f"{url.scheme}_proxy"
    value = environment.get(name)
    if value is None and not (url.scheme == "http" and "REQUEST_METHOD" in environment):
        value = environment.get(name.upper())
    if not value:
        return None
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        port = parts.port or 80
    except ValueError:
        raise AddressError(f"{name.upper()} is not the URL of a proxy") from None  # the cause may quote a password
    if parts.scheme != "http" or not parts.hostname:
        raise AddressError(
            f"{name.upper()} must be an http:// proxy with a host, not {parts.scheme}://{parts.hostname or ''}"
        )
    authorization = ""
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
    return Proxy(parts.hostname, port, authorization)


def _bypassed(host: str, port: int, no_proxy: str) -> bool:
    """NO_PROXY holds names (with all names below them), addresses and networks, each with an optional port; `*` is every host."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    for entry in no_proxy.lower().replace(",", " ").split():
        name, only_port = _split_port(entry)
        if only_port and only_port != str(port):
            continue
        if name == "*":
            return True
        if address is not None:
            if _holds(name, address):
                return True
            continue
        name = name.removeprefix("*").removeprefix(".")
        if name and (host == name or host.endswith("." + name)):
            return True
    return False


def _split_port(entry: str) -> tuple[str, str]:
    if entry.startswith("["):
        name, _, port = entry[1:].partition("]")
        return name, port.removeprefix(":")
    name, _, port = entry.partition(":")
    return (entry, "") if ":" in port else (name, port)


def _holds(network: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


async def connect(origin: Origin, factory: Callable[[], asyncio.Protocol]) -> None:
    """Make one connection whose protocol comes from `factory`. Raises ConnectError or OutOfSockets; the caller bounds the time."""
    loop = asyncio.get_running_loop()
    try:
        if origin.path:
            await loop.create_unix_connection(factory, origin.path, ssl=origin.tls)
        elif origin.proxy is not None:
            await _connect_through_proxy(loop, origin, origin.proxy, factory)
        else:
            await loop.create_connection(
                factory, origin.host, origin.port, ssl=origin.tls, server_hostname=origin.host if origin.tls else None
            )
    except ssl.SSLCertVerificationError as error:
        raise ConnectError(
            f"the certificate of {origin.authority} is not trusted: {error.verify_message}; name its authority with ca"
        ) from error
    except (
        OSError,
        UnicodeError,
    ) as error:  # ssl.SSLError and socket.gaierror are OSErrors; a name too long for IDNA is not
        where = origin.path or origin.authority
        if origin.proxy is not None:
            where = f"{where} through the proxy {origin.proxy.host}:{origin.proxy.port}"
        why = (error.strerror if isinstance(error, OSError) else None) or error
        if isinstance(error, OSError) and error.errno in _OWN_LIMITS:
            raise OutOfSockets(
                f"cannot connect to {where}: {why}; raise this process's limit of open files (ulimit -n, LimitNOFILE)"
            ) from error
        raise ConnectError(f"cannot connect to {where}: {why}") from error


async def _connect_through_proxy(
    loop: asyncio.AbstractEventLoop, origin: Origin, proxy: Proxy, factory: Callable[[], asyncio.Protocol]
) -> None:
    if origin.tls is None:
        await loop.create_connection(factory, proxy.host, proxy.port)
        return
    transport, tunnel = await loop.create_connection(lambda: _Tunnel(loop), proxy.host, proxy.port)
    try:
        authority = f"[{origin.host}]:{origin.port}" if ":" in origin.host else f"{origin.host}:{origin.port}"
        head = f"CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n"
        if proxy.authorization:
            head += f"proxy-authorization: {proxy.authorization}\r\n"
        transport.write(head.encode("latin-1") + b"\r\n")
        status = await tunnel.status
        if not 200 <= status < 300:
            remedy = "put its user and password into HTTPS_PROXY" if status == 407 else "whoever runs it can say why"
            raise ConnectError(
                f"the proxy {proxy.host}:{proxy.port} answered CONNECT {authority} with {status}; {remedy}"
            )
        protocol = factory()
        secured = await loop.start_tls(transport, protocol, origin.tls, server_hostname=origin.host)
        if secured is None:
            raise ConnectError(f"the proxy {proxy.host}:{proxy.port} closed the tunnel to {authority}")
        protocol.connection_made(secured)
    except BaseException:
        transport.abort()
        raise


class _Tunnel(asyncio.Protocol):
    """Reads the proxy's answer to CONNECT: a status line and headers, nothing after them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.status: asyncio.Future[int] = loop.create_future()
        self._head = b""

    def data_received(self, data: bytes) -> None:
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end:
            if len(head) > 16 * 1024:
                self._fail("the proxy's answer to CONNECT is too long")
            return
        status = _STATUS_LINE.match(head)
        if status is None or (rest and status[1].startswith(b"2")):
            self._fail("the proxy's answer to CONNECT is not HTTP/1.1")
        elif not self.status.done():
            self.status.set_result(int(status[1]))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("the proxy closed the connection")

    def _fail(self, why: str) -> None:
        if not self.status.done():
            self.status.set_exception(ConnectError(why))
