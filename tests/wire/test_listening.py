"""Addresses as people write them, and sockets made from them."""

import asyncio
import os
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.wire.serving import PATIENCE_S, Caller, answer_ok, needs_ipv6, serving

from switchgear.wire.address import Address, bind, bound_address, parse_address
from switchgear.wire.errors import AddressError
from switchgear.wire.server import Server

GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("text", "address", "shown"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080), "127.0.0.1:8080"),
        ("localhost:0", Address("localhost", 0), "localhost:0"),
        (":80", Address("0.0.0.0", 80), "0.0.0.0:80"),
        ("[::1]:8080", Address("::1", 8080), "[::1]:8080"),
        ("[::]:65535", Address("::", 65535), "[::]:65535"),
        ("unix:/run/s", Address(path="/run/s"), "unix:/run/s"),
        ("unix:s", Address(path="s"), "unix:s"),
    ],
)
def test_addresses_are_read_and_shown(text: str, address: Address, shown: str) -> None:
    assert parse_address(text) == address
    assert str(address) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8080",
        "localhost",
        "localhost:",
        "localhost:http",
        "localhost:65536",
        "localhost:-1",
        "localhost:+1",
        "a:1 ",
        "::1:80",
        "unix:",
        "a:٨٠",
        "a:" + "9" * 5000,
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_address(text)


@pytest.mark.parametrize("at", ["127.0.0.1:0", pytest.param("[::1]:0", marks=needs_ipv6), "localhost:0"])
async def test_requests_are_served_at(at: str) -> None:
    async with serving(Server(answer_ok), at) as address, Caller(address) as caller:
        await caller.send(GET)
        assert (await caller.answer()).status == 200


async def test_a_unix_socket_serves_and_one_left_behind_is_replaced(tmp_path: Path) -> None:
    at = f"unix:{tmp_path}/s"
    for _ in range(2):
        async with serving(Server(answer_ok), at) as address, Caller(address) as caller:
            assert str(address) == at
            await caller.send(GET)
            assert (await caller.answer()).status == 200


async def test_a_unix_socket_that_still_answers_is_not_taken(tmp_path: Path) -> None:
    at = f"unix:{tmp_path}/s"
    async with serving(Server(answer_ok), at) as address:
        with pytest.raises(AddressError, match="choose another"):
            bind(parse_address(at))
        async with Caller(address) as caller:
            await caller.send(GET)
            assert (await caller.answer()).status == 200


def test_a_file_that_is_no_socket_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(AddressError):
        bind(Address(path=str(path)))
    assert path.read_text() == "precious"


def test_a_name_that_cannot_be_resolved_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(AddressError, match="cannot resolve 'place': Name or service not known"):
        bind(Address("place", 1))


def test_what_cannot_be_bound_is_said(tmp_path: Path) -> None:
    with (
        bind(parse_address("127.0.0.1:0")) as taken,
        pytest.raises(AddressError, match=r"cannot listen on 127\.0\.0\.1:\d+: .*; choose another"),
    ):
        bind(bound_address(taken))
    with pytest.raises(AddressError, match="cannot resolve"):
        bind(Address("a" * 70, 1))
    with pytest.raises(AddressError):
        bind(Address(path=str(tmp_path / ("x" * 200))))
    with pytest.raises(AddressError):
        bind(Address(path=str(tmp_path / "no" / "folder")))


_WORKER = """
import asyncio, os, sys, uvloop
from switchgear.wire.address import bind, parse_address
from switchgear.wire.server import Server

async def main():
    server = Server(lambda exchange: exchange.reply(200, b"%d" % os.getpid()))
    await server.listen(bind(parse_address(sys.argv[1]), reuse_port=True))
    sys.stdout.write("ready\\n"); sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.drain(5)

uvloop.run(main())
"""


async def test_two_processes_share_a_port() -> None:
    with bind(parse_address("127.0.0.1:0"), reuse_port=True) as reserved:
        address = bound_address(reserved)
        workers = []
        for _ in range(2):
            workers.append(
                await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-c",
                    _WORKER,
                    str(address),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                )
            )
        for worker in workers:
            assert worker.stdout is not None
            assert await worker.stdout.readline() == b"ready\n"
    served: Counter[int] = Counter()
    for _ in range(64):
        async with Caller(address) as caller:
            await caller.send(GET)
            served[int((await caller.answer()).body)] += 1
    assert set(served) == {worker.pid for worker in workers}
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.close()
        assert await worker.wait() == 0


def test_a_port_is_shared_only_when_asked() -> None:
    with bind(parse_address("127.0.0.1:0")) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0
        assert not sock.getblocking()


async def test_a_burst_of_callers_is_let_in_while_the_server_is_busy() -> None:
    """The kernel completes their connections though nobody accepts them yet; none waits for a second attempt."""
    burst = min(500, int(Path("/proc/sys/net/core/somaxconn").read_text()))
    async with serving(Server(answer_ok)) as address:
        callers = []
        for _ in range(burst):
            caller = socket.create_connection((address.host, address.port), timeout=0.5)
            caller.sendall(GET)
            callers.append(caller)
        await asyncio.sleep(0)
        for caller in callers:
            reader, writer = await asyncio.open_connection(sock=caller)
            assert (await asyncio.wait_for(reader.readline(), PATIENCE_S)) == b"HTTP/1.1 200 OK\r\n"
            writer.close()
            await writer.wait_closed()
