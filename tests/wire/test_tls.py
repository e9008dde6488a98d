"""TLS at the server: versions, certificates of callers, and files that cannot be used."""

import asyncio
import ssl
from pathlib import Path

import pytest
from tests.wire.certificates import Authority
from tests.wire.serving import Caller, answer_ok, serving, until
from tests.wire.test_exchange import Keeper

from switchgear.wire.errors import TlsError
from switchgear.wire.exchange import Exchange
from switchgear.wire.model import Limits
from switchgear.wire.server import Server
from switchgear.wire.tls import client_context, server_context

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def subject(exchange: Exchange) -> str:
    assert exchange.connection is not None
    certificate = exchange.connection.peer_certificate
    if certificate is None:
        return "none"
    names = certificate["subjectAltName"]
    assert isinstance(names, tuple)
    return str(names[0][1])


def answer_subject(exchange: Exchange) -> None:
    exchange.reply(200, subject(exchange).encode())


async def subject_seen(caller: Caller) -> bytes:
    async with caller:
        await caller.send(GET)
        return (await caller.answer()).body


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_requests_are_served_over_tls(authority: Authority, version: ssl.TLSVersion) -> None:
    context = authority.client()
    context.maximum_version = version
    keeper = Keeper()
    async with serving(Server(keeper), tls=authority.server()) as address, Caller(address, context) as caller:
        assert caller.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        await caller.send(GET * 2)
        for number in (1, 2):
            exchange = await keeper.next(number)
            assert subject(exchange) == "none"
            exchange.start(200)
            exchange.write(b"x" * 300_000)
            exchange.finish(b"%d" % number)
            assert (await caller.answer()).body == b"x" * 300_000 + b"%d" % number


async def test_tls_1_1_is_refused(authority: Authority) -> None:
    context = authority.client()
    with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    async with serving(Server(answer_ok), tls=authority.server()) as address:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await Caller(address, context).__aenter__()
        async with Caller(address, authority.client()) as caller:
            await caller.send(GET)
            assert (await caller.answer()).status == 200


async def test_what_is_no_tls_is_dropped_and_disturbs_nobody(authority: Authority) -> None:
    server = Server(answer_ok)
    async with serving(server, tls=authority.server()) as address:
        async with Caller(address) as caller:
            await caller.send(GET)
            await caller.ended()
        async with Caller(address, authority.client()) as caller:
            await caller.send(GET)
            assert (await caller.answer()).status == 200


async def test_a_caller_that_does_not_finish_its_handshake_is_dropped(authority: Authority) -> None:
    server = Server(answer_ok, limits=Limits(head_s=0.2))
    async with serving(server, tls=authority.server()) as address, Caller(address) as caller:
        await caller.send(b"\x16\x03\x01")
        assert await caller.ended() == b""


async def test_a_certificate_may_be_shown(authority: Authority) -> None:
    cert, key = authority.issue("app", "app.example")
    tls = authority.server(client_ca=authority.ca)
    async with serving(Server(answer_subject), tls=tls) as address:
        for context, expected in (
            (authority.client(cert=cert, key=key), b"app.example"),
            (authority.client(), b"none"),
        ):
            assert await subject_seen(Caller(address, context)) == expected


async def test_a_certificate_must_be_shown_and_be_of_the_right_authority(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    theirs = other.issue("app", "app.example")
    ours = authority.issue("app", "app.example")
    server = Server(answer_subject)
    async with serving(server, tls=authority.server(client_ca=authority.ca, require_client=True)) as address:
        for pair in ((None, None), theirs):
            with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
                await subject_seen(Caller(address, authority.client(cert=pair[0], key=pair[1])))
        context = authority.client(cert=ours[0], key=ours[1])
        assert await subject_seen(Caller(address, context)) == b"app.example"
        await until(lambda: not server.connections)


async def test_a_refusal_is_readable_over_tls(authority: Authority) -> None:
    server = Server(answer_ok, limits=Limits(body_bytes=10))
    async with serving(server, tls=authority.server()) as address, Caller(address, authority.client()) as caller:
        await caller.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + b"x" * 100_000, 10_000)
        assert (await caller.answer()).status == 413
        assert await caller.ended() == b""


async def test_a_drain_ends_tls_connections(authority: Authority) -> None:
    server = Server(answer_ok)
    async with serving(server, tls=authority.server()) as address, Caller(address, authority.client()) as caller:
        await caller.send(GET)
        await caller.answer()
        drain = asyncio.get_running_loop().create_task(server.drain(5.0))
        assert await caller.ended() == b""
        caller.writer.close()
        assert await drain


async def test_renewed_certificates_are_shown_to_who_comes_and_connections_stay(authority: Authority) -> None:
    server = Server(answer_ok)
    async with serving(server, tls=authority.server()) as address:

        async def shown() -> bytes:
            async with Caller(address, tls=authority.client()) as caller:
                await caller.send(GET)
                assert (await caller.answer()).status == 200
                der: bytes = caller.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
                return der

        async with Caller(address, tls=authority.client()) as stays:
            await stays.send(GET)
            assert (await stays.answer()).status == 200
            found = [await shown()]
            for _ in range(3):
                cert, key = authority.issue("renewed", "localhost")
                calls = [asyncio.ensure_future(shown()) for _ in range(8)]
                await server.renew(server_context(cert, key))
                await asyncio.gather(*calls)
                found.append(await shown())
            assert len(set(found)) == 4
            await stays.send(GET)
            assert (await stays.answer()).status == 200
        await server.drain(5.0)
        with pytest.raises(ConnectionRefusedError):
            await shown()


def test_files_that_cannot_be_used_are_named(authority: Authority, tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("no certificate")
    other_cert, other_key = authority.issue("other", "other.example")
    for cert, key in (
        (missing, authority.key),
        (authority.cert, missing),
        (garbage, authority.key),
        (authority.cert, other_key),
    ):
        with pytest.raises(TlsError, match="cannot use certificate"):
            server_context(cert, key)
        with pytest.raises(TlsError, match="cannot use client certificate"):
            client_context(cert=cert, key=key)
    for ca in (missing, garbage):
        with pytest.raises(TlsError, match="certificate authority"):
            client_context(ca=ca)
        with pytest.raises(TlsError, match="certificate authority"):
            server_context(other_cert, other_key, client_ca=ca)
    with pytest.raises(TlsError, match="no client_ca"):
        server_context(authority.cert, authority.key, require_client=True)


def test_an_encrypted_key_is_an_error_and_not_a_question_at_the_terminal(authority: Authority, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(authority.key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(TlsError, match="without a password"):
        server_context(authority.cert, locked)


def test_versions_and_verification_are_strict_by_default(authority: Authority) -> None:
    for context in (authority.server(), authority.client(), client_context()):
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    for context in (authority.client(), client_context()):
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.check_hostname
    lax = client_context(verify=False)
    assert (lax.verify_mode, lax.check_hostname) == (ssl.CERT_NONE, False)
