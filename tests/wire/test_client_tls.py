"""A client verifies whom it speaks to, unless told otherwise."""

import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.wire.certificates import Authority
from tests.wire.scripted_origin import Line, ScriptedOrigin
from tests.wire.serving import answer_ok, serving
from tests.wire.test_tls import answer_subject

from switchgear.wire.address import Address
from switchgear.wire.client import Pool
from switchgear.wire.errors import ConnectError, ResetError, Truncated
from switchgear.wire.fetch import Response, fetch
from switchgear.wire.origin import Origin
from switchgear.wire.server import Server
from switchgear.wire.tls import client_context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@contextlib.asynccontextmanager
async def origin_with(tls: ssl.SSLContext) -> AsyncIterator[Address]:
    async with serving(Server(answer_ok), tls=tls) as address:
        yield address


async def get(address: Address, tls: ssl.SSLContext, host: str = "localhost") -> Response:
    pool = Pool(Origin(host, address.port, tls))
    try:
        return await fetch(pool, "GET", "/")
    finally:
        await pool.close()


async def test_an_origin_of_the_named_authority_is_trusted(authority: Authority) -> None:
    async with origin_with(authority.server()) as address:
        for host in ("localhost", "127.0.0.1"):
            assert (await get(address, authority.client(), host)).status == 200


async def test_an_origin_of_no_known_authority_is_refused_by_default(authority: Authority) -> None:
    async with origin_with(authority.server()) as address:
        with pytest.raises(ConnectError, match=r"is not trusted: .*name its authority with ca"):
            await get(address, client_context())


async def test_an_origin_of_another_authority_is_refused(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    async with origin_with(other.server()) as address:
        with pytest.raises(ConnectError, match="is not trusted"):
            await get(address, authority.client())


async def test_a_certificate_for_another_name_is_refused(authority: Authority) -> None:
    cert, key = authority.issue("elsewhere", "elsewhere.example")
    authority.cert, authority.key = cert, key
    async with origin_with(authority.server()) as address:
        with pytest.raises(ConnectError, match=r"is not trusted: .*[Hh]ostname mismatch"):
            await get(address, authority.client())


async def test_verification_can_be_switched_off(authority: Authority) -> None:
    async with origin_with(authority.server()) as address:
        assert (await get(address, client_context(verify=False))).status == 200


async def test_a_client_shows_its_certificate(authority: Authority) -> None:
    cert, key = authority.issue("gateway", "gateway.example")
    tls = authority.server(client_ca=authority.ca, require_client=True)
    async with serving(Server(answer_subject), tls=tls) as address:
        assert (await get(address, authority.client(cert=cert, key=key))).body == b"gateway.example"


async def test_a_client_without_the_certificate_asked_for_gets_an_error_of_ours(authority: Authority) -> None:
    """In TLS 1.3 the refusal comes when the client takes the connection for open already."""
    tls = authority.server(client_ca=authority.ca, require_client=True)
    async with serving(Server(answer_ok), tls=tls) as address:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = authority.client()
            context.maximum_version = version
            with pytest.raises((ConnectError, ResetError)):
                await get(address, context)


async def test_an_origin_that_speaks_no_tls_is_an_error_of_ours() -> None:
    async def speaks_http(line: Line) -> None:
        await line.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")

    async def says_nothing(line: Line) -> None:
        line.reset()

    for script in (speaks_http, says_nothing):
        origin = ScriptedOrigin(script)
        async with origin.serving() as address:
            with pytest.raises(ConnectError, match="cannot connect to"):
                await get(address, client_context(verify=False))


async def test_an_origin_too_old_is_refused(authority: Authority) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.cert, authority.key)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with origin_with(context) as address:
        with pytest.raises(ConnectError):
            await get(address, authority.client())


async def test_an_answer_that_ends_with_its_connection_is_whole_only_if_tls_says_so(authority: Authority) -> None:
    """An attacker can end a TCP connection, but not TLS's own end (close_notify)."""

    async def ends_well(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\n\r\nto the end")

    async def is_cut(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\n\r\nto the e")
        line.cut()

    for script, whole in ((ends_well, True), (is_cut, False)):
        origin = ScriptedOrigin(script)
        async with origin.serving(tls=authority.server()) as address:
            if whole:
                assert (await get(address, authority.client())).body == b"to the end"
            else:
                with pytest.raises(Truncated):
                    await get(address, authority.client())
