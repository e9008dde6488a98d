"""Addresses as people write them (`host:port`, `[::1]:port`, `unix:/path`) and listening sockets made from them."""

import contextlib
import os
import socket
import stat
from dataclasses import dataclass

from switchgear.wire.errors import AddressError

BACKLOG = 2048
"""Connections that the kernel completes and keeps until they are accepted."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen or connect: either `path` (a unix socket) or `host` and `port`."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read `host:port`, `[v6]:port`, `:port` (all interfaces) or `unix:/path`.

    Raises AddressError that says what is expected.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path:
            raise AddressError(f"address {text!r} names no path; write unix:/path/to/socket")
        return Address(path=path)
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or len(port) > 5 or int(port) > 65535:
        raise AddressError(f"address {text!r} is not host:port or unix:/path; for example 127.0.0.1:8080")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise AddressError(f"address {text!r}: write an IPv6 host in brackets, for example [::1]:8080")
    return Address(host=host or "0.0.0.0", port=int(port))


def bind(address: Address, *, reuse_port: bool = False, backlog: int = BACKLOG) -> socket.socket:
    """A listening, non-blocking socket.

    `reuse_port` lets several sockets share a TCP port, among which the kernel spreads new connections (SO_REUSEPORT,
    Linux 3.9). A unix socket left behind by a process that is gone is replaced; one that still answers is not. Raises
    AddressError.
    """
    if address.path:
        return _bind_unix(address, backlog)
    try:
        family, _, _, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise AddressError(f"cannot resolve {address.host!r}: {error.strerror or error}") from error
    except UnicodeError as error:  # a label too long for IDNA
        raise AddressError(f"cannot resolve {address.host!r}: {error}") from error
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(where)
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise AddressError(f"cannot listen on {address}: {error.strerror or error}; choose another address") from error
    sock.setblocking(False)
    return sock


def _bind_unix(address: Address, backlog: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _is_dead_socket(address.path):
            os.unlink(address.path)
        sock.bind(address.path)
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise AddressError(f"cannot listen on {address}: {error.strerror or error}; choose another address") from error
    sock.setblocking(False)
    return sock


def _is_dead_socket(path: str) -> bool:
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return False
    except FileNotFoundError:
        return False
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        probe.settimeout(0.5)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def unbind(sock: socket.socket) -> None:
    """Close a listening socket, and remove the file of a unix one first: while it is open nobody else has taken that path."""
    if sock.family == socket.AF_UNIX:
        with contextlib.suppress(OSError):
            os.unlink(sock.getsockname())
    sock.close()


def bound_address(sock: socket.socket) -> Address:
    """Where a listening socket really listens (a port of 0 has become a number)."""
    name = sock.getsockname()
    if isinstance(name, str):
        return Address(path=name)
    return Address(host=name[0], port=name[1])
