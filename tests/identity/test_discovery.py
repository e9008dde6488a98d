"""Reading a provider's documents over HTTP, from a server that says what the test says."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.wire.certificates import Authority
from tests.wire.serving import serving

from switchgear.core.errors import SwitchgearError
from switchgear.core.identity import OidcProvider
from switchgear.identity.discovery import MOST_BYTES, WELL_KNOWN, HttpKeyReader
from switchgear.identity.errors import ProviderUnreachable, ProviderUnusable
from switchgear.wire.exchange import Exchange
from switchgear.wire.server import Server
from switchgear.wire.tls import client_context

JWKS = b'{"keys": []}'


class Documents:
    """Answers with a body for each path, 404 for all others."""

    def __init__(self) -> None:
        self.bodies: dict[bytes, bytes] = {}
        self.asked: list[bytes] = []

    def answer(self, exchange: Exchange) -> None:
        self.asked.append(exchange.target)
        body = self.bodies.get(exchange.target)
        exchange.reply(404 if body is None else 200, body or b"{}")

    def discovery(self, path: bytes = b"", **content: object) -> None:
        self.bodies[path + WELL_KNOWN.encode()] = json.dumps(content).encode()


@contextlib.asynccontextmanager
async def documents(authority: Authority | None = None) -> AsyncIterator[tuple[Documents, str]]:
    found = Documents()
    server = Server(found.answer)
    async with serving(server, tls=authority.server() if authority else None) as address:
        yield found, f"{'https' if authority else 'http'}://{address.host}:{address.port}"


def reader(issuer: str, **changes: object) -> HttpKeyReader:
    return HttpKeyReader(OidcProvider(issuer=issuer, audience=("a",), **changes))  # type: ignore[arg-type]  # as the test says


async def test_the_keys_are_where_the_discovery_document_says() -> None:
    async with documents() as (found, at):
        found.discovery(b"/realms/company", issuer=f"{at}/realms/company", jwks_uri=f"{at}/keys?for=company", more=[1])
        found.bodies[b"/keys?for=company"] = JWKS
        assert await reader(f"{at}/realms/company").read() == JWKS


async def test_an_issuer_with_a_slash_at_its_end() -> None:
    async with documents() as (found, at):
        found.discovery(issuer=f"{at}/", jwks_uri=f"{at}/keys")
        found.bodies[b"/keys"] = JWKS
        assert await reader(f"{at}/").read() == JWKS
        with pytest.raises(ProviderUnusable) as caught:
            await reader(at).read()
        assert f"{at}/" in str(caught.value), "it says how the issuer is written"


async def test_a_given_address_of_the_keys_needs_no_discovery() -> None:
    async with documents() as (found, at):
        found.bodies[b"/keys"] = JWKS
        assert await reader("https://nowhere.invalid", jwks_url=f"{at}/keys").read() == JWKS
        assert found.asked == [b"/keys"]


async def test_keys_are_read_where_they_were_while_the_discovery_document_is_away() -> None:
    async with documents() as (found, at):
        found.discovery(issuer=at, jwks_uri=f"{at}/keys")
        found.bodies[b"/keys"] = JWKS
        it = reader(at)
        await it.read()
        del found.bodies[WELL_KNOWN.encode()]
        assert await it.read() == JWKS
        with pytest.raises(ProviderUnreachable):
            await reader(at).read()


@pytest.mark.parametrize(
    "document",
    [
        lambda at: b"",
        lambda at: b"<html>",
        lambda at: b"[1]",
        lambda at: json.dumps({"issuer": at}).encode(),
        lambda at: json.dumps({"issuer": at, "jwks_uri": 5}).encode(),
        lambda at: json.dumps({"issuer": "https://evil.example.com", "jwks_uri": f"{at}/keys"}).encode(),
        lambda at: json.dumps({"issuer": at, "jwks_uri": "http://login.example.com/keys"}).encode(),
        lambda at: json.dumps({"issuer": at, "jwks_uri": "file:///etc/passwd"}).encode(),
        lambda at: json.dumps({"issuer": at, "jwks_uri": "https://user:secret@127.0.0.1/"}).encode(),
        lambda at: json.dumps({"issuer": at, "jwks_uri": f"{at}/keys\r\nx-injected: 1"}).encode(),
    ],
)
async def test_a_discovery_document_that_cannot_be_believed(document: Callable[[str], bytes]) -> None:
    async with documents() as (found, at):
        found.bodies[WELL_KNOWN.encode()] = document(at)
        found.bodies[b"/keys"] = JWKS
        with pytest.raises(ProviderUnusable):
            await reader(at).read()
        assert found.asked == [WELL_KNOWN.encode()]


async def test_a_set_of_keys_may_be_so_large_and_no_larger() -> None:
    async with documents() as (found, at):
        it = reader(at, jwks_url=f"{at}/keys")
        found.bodies[b"/keys"] = JWKS + b" " * (MOST_BYTES - len(JWKS))
        assert len(await it.read()) == MOST_BYTES
        found.bodies[b"/keys"] += b" "
        with pytest.raises(ProviderUnreachable) as caught:
            await it.read()
        assert str(MOST_BYTES) in str(caught.value)


async def test_what_does_not_answer_is_unreachable() -> None:
    async with documents() as (_, at):
        with pytest.raises(ProviderUnreachable) as caught:
            await reader(at, jwks_url=f"{at}/other").read()
        assert "404" in str(caught.value)
    with pytest.raises(ProviderUnreachable):
        await reader(at).read()
    with pytest.raises(ProviderUnreachable):
        await reader("https://127.0.0.1:0").read()


async def test_over_tls_only_its_own_authority_is_believed(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with documents(authority) as (found, at):
        found.bodies[b"/keys"] = JWKS
        config = OidcProvider(issuer=at, audience=("a",), jwks_url=f"{at}/keys")
        assert await HttpKeyReader(config, lambda: client_context(ca=authority.ca)).read() == JWKS
        with pytest.raises(ProviderUnreachable) as caught:
            await HttpKeyReader(config).read()
        assert "not trusted" in str(caught.value)
        with pytest.raises(ProviderUnreachable):
            await HttpKeyReader(config, lambda: client_context(ca=tmp_path / "missing.pem")).read()
        assert isinstance(caught.value, SwitchgearError)
