"""What a configuration may not say although each value is fine by itself: the gateway, its keys, and names. Pure."""

import ipaddress
import os.path
import re
from typing import get_args

from switchgear.core.snapshot import Name
from switchgear.gateway.config_decode import Decoder
from switchgear.gateway.config_model import GatewayConfig, GatewayTls
from switchgear.gateway.config_secrets import DEFAULT_SECRETS
from switchgear.gateway.findings import suggest
from switchgear.gateway.lines import Path, dotted
from switchgear.wire.address import Address, parse_address
from switchgear.wire.errors import AddressError

_NAME = re.compile(get_args(Name)[1].pattern)
_LISTEN: Path = ("gateway", "listen")
_ADMIN: Path = ("gateway", "admin")
_TLS: Path = ("gateway", "tls")
_ANY_HOST = ("0.0.0.0", "::")


def check_gateway(doc: Decoder) -> None:
    """Addresses, and TLS where calls come from outside."""
    defaults = GatewayConfig()
    listen: list[tuple[Path, str | None]] = [(path, doc.at(path, str)) for path in doc.paths(_LISTEN)]
    if not doc.given(_LISTEN):
        listen = [(_LISTEN, text) for text in defaults.listen]
    admin = doc.at(_ADMIN, str) if doc.given(_ADMIN) else defaults.admin
    addresses = _parsed(doc, [*listen, (_ADMIN, admin)])
    for index, (path, address) in enumerate(addresses):
        _taken_once(doc, path, address, addresses[:index])
        if is_local(address):
            continue
        if path == _ADMIN:
            doc.findings.warn(
                path,
                "can be reached from other machines, and the admin address asks for no key",
                "Keep it on 127.0.0.1 or a unix socket, or where only operators come.",
            )
        elif not doc.given(_TLS):
            doc.findings.warn(
                path,
                "takes calls from other machines without TLS: keys and prompts travel in clear text",
                "Set gateway.tls, or listen on 127.0.0.1 behind something that speaks TLS.",
            )
    tls = doc.at(_TLS, GatewayTls)
    if tls is not None and tls.require_client and tls.client_ca is None:
        doc.findings.refuse((*_TLS, "require_client"), "has no authority to verify callers with", "Add client_ca.")


def _parsed(doc: Decoder, texts: list[tuple[Path, str | None]]) -> list[tuple[Path, Address]]:
    addresses = []
    for path, text in texts:
        try:
            if text is not None:
                addresses.append((path, parse_address(text)))
        except AddressError as error:
            message, _, remedy = str(error).partition("; ")
            doc.findings.refuse(path, message, f"{remedy[:1].upper()}{remedy[1:]}.")
    return addresses


def _taken_once(doc: Decoder, path: Path, address: Address, before: list[tuple[Path, Address]]) -> None:
    for other, taken in before:
        if _clash(address, taken):
            default = path == _ADMIN and not doc.given(_ADMIN)
            doc.findings.refuse(
                other if default else path,
                f"{address} is taken by {dotted(other)}" if not default else f"{address} is where admin is by default",
                "Give each an address of its own.",
            )
            return


def is_local(address: Address) -> bool:
    """Whether only this machine can reach an address."""
    return bool(address.path) or is_loopback(address.host)


def is_loopback(host: str) -> bool:
    """Whether a host means this machine, by what it is called alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _clash(one: Address, other: Address) -> bool:
    if one.path or other.path:
        return os.path.abspath(one.path) == os.path.abspath(other.path) if one.path and other.path else False
    hosts = {"127.0.0.1" if host.lower() == "localhost" else host.lower() for host in (one.host, other.host)}
    return one.port == other.port != 0 and (len(hosts) == 1 or not hosts.isdisjoint(_ANY_HOST))


def check_keys(doc: Decoder) -> None:
    """Names and hashes stand once; no hash of a key that anyone would guess; models that exist."""
    keys = doc.paths(("keys",))
    if not keys and not doc.given(("keys",)):
        doc.findings.warn(
            ("keys",), "are missing: every call will be refused", "`switchgear key new` prints a key and its [[keys]]."
        )
    _once(doc, [(*path, "name") for path in keys], "has the name of", "Give each key a name of its own.")
    _once(doc, [(*path, "sha256") for path in keys], "is the key of", "Give each caller a key of its own.")
    models = doc.names(("models",))
    for path in keys:
        for secret in (path, *doc.paths((*path, "hashes"))):
            word = DEFAULT_SECRETS.get(doc.at((*secret, "sha256"), str) or "")
            if word is not None:
                doc.findings.refuse(
                    (*secret, "sha256"),
                    f'is the hash of "{word}", which anyone would guess' if word else "is the hash of an empty key",
                    "`switchgear key new` prints a key that nobody can guess.",
                )
        if doc.at((*path, "models"), tuple) == ():
            doc.findings.warn(
                (*path, "models"), "is empty: the key may call nothing", "Leave it out to allow every model."
            )
        for place in doc.paths((*path, "models")):
            name = doc.at(place, str)
            if models and name is not None and name not in models and name not in doc.cut_names:
                doc.findings.refuse(place, f'names no model: "{name}"', suggest(name, models, what="Models"))


def _once(doc: Decoder, paths: list[Path], what: str, remedy: str) -> None:
    first: dict[str, Path] = {}
    for path in paths:
        value = doc.at(path, str)
        if value is not None and first.setdefault(value, path) != path:
            doc.findings.refuse(path, f"{what} {dotted(first[value][:-1])}", remedy)


def check_names(doc: Decoder) -> None:
    """Names of backends and models: those of the file's tables, so that no type has judged them."""
    for table in ("backends", "models"):
        for name in doc.names((table,)):
            if "@" in name:
                doc.findings.refuse(
                    (table, name),
                    "has an @ in its name, and model@backend chooses a backend",
                    "Choose a name without @.",
                )
            elif not _NAME.fullmatch(name):
                doc.findings.refuse(
                    (table, name),
                    "is not a name that can be called",
                    "Use letters, digits and . _ : / -, at most 128, a letter or digit first.",
                )
        if doc.given((table,)) and doc.raw[table] == {}:
            doc.findings.refuse((table,), "is empty", f"Write at least one table [{table}.NAME].")
    seen: dict[str, str] = {}
    for name in doc.names(("models",)):
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            doc.findings.refuse(
                ("models", name),
                f'differs from the model "{other}" in capitals only: one would be called for the other',
                "Choose names that cannot be mistaken.",
            )
