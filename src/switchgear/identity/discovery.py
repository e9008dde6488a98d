"""Where a provider's keys are, and what they are: its discovery document (OpenID Connect Discovery 1.0, 4) and its JWK Set, over HTTP."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from urllib.parse import SplitResult

import msgspec

from switchgear.core.decoding import UNREADABLE
from switchgear.core.identity import OidcProvider
from switchgear.identity.checks import url_problem
from switchgear.identity.errors import ProviderUnreachable, ProviderUnusable
from switchgear.wire.client import Pool
from switchgear.wire.errors import WireError
from switchgear.wire.fetch import fetch
from switchgear.wire.origin import Origin, parse_url, port_of, proxy_for
from switchgear.wire.tls import client_context

WELL_KNOWN = "/.well-known/openid-configuration"
MOST_BYTES = 512 * 1024
"""Of either document; a larger one is refused."""


class _Document(msgspec.Struct):
    issuer: str
    jwks_uri: str


class HttpKeyReader:
    """Reads a provider's keys over HTTP. A connection for each document, closed at once: it happens every few minutes."""

    def __init__(
        self,
        provider: OidcProvider,
        tls: Callable[[], ssl.SSLContext] = client_context,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`tls` is asked for each https address, and may raise TlsError; `environment` may name proxies."""
        self._provider = provider
        self._tls = tls
        self._environment = environment or {}
        self._jwks_url = provider.jwks_url
        """Where the keys are, or were when the discovery document could last be read."""

    async def read(self) -> bytes:
        provider = self._provider
        try:
            async with asyncio.timeout(provider.fetch_s):
                if provider.jwks_url is None:
                    await self._discover()
                assert self._jwks_url is not None  # noqa: S101  _discover raises, or has found it
                return await self._get(self._jwks_url)
        except TimeoutError as error:
            raise ProviderUnreachable(
                f"{provider.issuer} did not give its keys within {provider.fetch_s:g} s"
            ) from error

    async def _discover(self) -> None:
        url = self._provider.issuer.rstrip("/") + WELL_KNOWN
        try:
            content = await self._get(url)
        except ProviderUnreachable:
            if self._jwks_url is None:
                raise
            return  # the keys may still be where they were
        try:
            document = msgspec.json.decode(content, type=_Document)
        except UNREADABLE as error:
            raise ProviderUnusable(f"{url} is no discovery document: {error}") from error
        if document.issuer != self._provider.issuer:
            raise ProviderUnusable(
                f"{url} is that of the issuer {document.issuer[:200]!r}; write `issuer` exactly so if that is the one meant"
            )
        if problem := url_problem(document.jwks_uri):
            raise ProviderUnusable(f"{url} names the keys' address {document.jwks_uri[:200]!r}, which {problem}")
        self._jwks_url = document.jwks_uri

    async def _get(self, url: str) -> bytes:
        # a JWK Set's address may have a query, which parse_url refuses, since a base address must have none
        address, mark, query = url.partition("?")
        pool: Pool | None = None
        try:
            parts = parse_url(address)
            pool = Pool(self._origin(parts), size=1)
            response = await fetch(
                pool,
                "GET",
                (parts.path or "/") + mark + query,
                headers=b"accept: application/json\r\n",
                connect_s=self._provider.fetch_s,
                total_s=self._provider.fetch_s,
                max_bytes=MOST_BYTES,
            )
        except WireError as error:
            raise ProviderUnreachable(f"{url}: {error}") from error
        finally:
            if pool is not None:
                await pool.close()
        if response.status != 200:
            raise ProviderUnreachable(
                f"{url} answered with status {response.status}; it must be 200, and redirects are not followed"
            )
        return response.body

    def _origin(self, parts: SplitResult) -> Origin:
        tls = self._tls() if parts.scheme == "https" else None
        return Origin(parts.hostname or "", port_of(parts), tls, proxy=proxy_for(parts, self._environment))
