"""What a configuration of identities may not say although each value is fine by itself. Pure."""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from switchgear.core.identity import Certificate, Key, OidcProvider
from switchgear.identity.claims import path_of
from switchgear.identity.errors import ClaimsUnusable


class Flaw(NamedTuple):
    """One problem: where (a path into the configuration), what, and what to do."""

    path: tuple[str | int, ...]
    message: str
    remedy: str


def check(
    keys: Iterable[Key], providers: Mapping[str, OidcProvider], certificates: Iterable[Certificate]
) -> list[Flaw]:
    """All that is wrong with who may call."""
    keys, certificates = list(keys), list(certificates)
    return [
        *_hashes(keys),
        *_windows(keys),
        *_providers(providers),
        *_certificates(certificates),
        *_names(keys, certificates, providers),
    ]


def url_problem(url: str) -> str | None:
    """Why a provider's address cannot be trusted: who answers there decides who may call."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "is no URL"
    if not host or not url.isprintable() or " " in url:
        return "is no https URL with a host"
    if parts.fragment or "@" in parts.netloc:
        return "has a fragment or credentials"
    if parts.scheme == "https" or (parts.scheme == "http" and _loopback(host)):
        return None
    return "is not https, and only an address of this machine may be http"


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _hashes(keys: list[Key]) -> Iterable[Flaw]:
    first: dict[str, str] = {}
    for index, key in enumerate(keys):
        for at, sha256 in enumerate((key.sha256, *(one.sha256 for one in key.hashes))):
            path = ("keys", index, "sha256") if at == 0 else ("keys", index, "hashes", at - 1, "sha256")
            if sha256 in first:
                yield Flaw(path, f"is a hash of {first[sha256]} already", "Give each key secrets of its own.")
            first.setdefault(sha256, key.name)


def _windows(keys: list[Key]) -> Iterable[Flaw]:
    for index, key in enumerate(keys):
        for at, one in enumerate(key.hashes):
            if one.valid_from is not None and one.valid_until is not None and one.valid_until <= one.valid_from:
                yield Flaw(
                    ("keys", index, "hashes", at, "valid_until"),
                    "is not after valid_from: the secret would never count",
                    "Write a later moment, or leave one of them out.",
                )


def _providers(providers: Mapping[str, OidcProvider]) -> Iterable[Flaw]:
    first: dict[str, str] = {}
    for name, provider in providers.items():
        other = first.setdefault(provider.issuer, name)
        if other != name:
            yield Flaw(("oidc", name, "issuer"), f"is that of {other} already", "Write one table for each issuer.")
        if ":" in name:
            yield Flaw(
                ("oidc", name), "has a colon, which stands between a provider and a name", "Choose a name without."
            )
        for key, url in (("issuer", provider.issuer), ("jwks_url", provider.jwks_url)):
            if url is not None and (problem := url_problem(url)):
                yield Flaw(("oidc", name, key), problem, "Write the https address of the provider.")
        if "?" in provider.issuer:
            yield Flaw(
                ("oidc", name, "issuer"), "has a query", "Write the issuer exactly as its tokens have it in `iss`."
            )
        for key in ("name", "team", "roles"):
            try:
                path_of(getattr(provider.claims, key) or "sub")
            except ClaimsUnusable as error:
                yield Flaw(("oidc", name, "claims", key), str(error), "Write a.b for b within a, or /a~1b for a/b.")
        if provider.teams and provider.claims.team is None:
            yield Flaw(("oidc", name, "teams"), "needs a claim to look at", 'Add claims = { team = "…" }.')


def _certificates(certificates: list[Certificate]) -> Iterable[Flaw]:
    for index, one in enumerate(certificates):
        if not any((one.sha256, one.dns, one.uri, one.email, one.common_name)):
            yield Flaw(
                ("certificates", index),
                "matches no certificate",
                "Give one of sha256, dns, uri, email and common_name at least.",
            )


def _names(keys: list[Key], certificates: list[Certificate], providers: Mapping[str, OidcProvider]) -> Iterable[Flaw]:
    taken: set[str] = set()
    entries = [(("keys", index, "name"), key.name) for index, key in enumerate(keys)]
    entries += [(("certificates", index, "name"), one.name) for index, one in enumerate(certificates)]
    for path, name in entries:
        if name in taken:
            yield Flaw(path, f'"{name}" is taken already', "Give each identity a name of its own.")
        taken.add(name)
        provider, colon, _ = name.partition(":")
        if colon and provider in providers:
            yield Flaw(path, f"begins like the identities of the provider {provider}", "Choose another name.")
