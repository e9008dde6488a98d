"""Client certificates as identity: from what TLS verified to a principal. Pure.

`peer` is what `ssl.SSLObject.getpeercert()` gives, `der` what `getpeercert(binary_form=True)` gives. That the certificate is signed by an
authority that we trust was decided in the handshake; here only its names and its time are read.
"""

import binascii
import math
import ssl
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from switchgear.core.identity import Certificate
from switchgear.identity.model import Credential, Principal, PrincipalKind, Principals
from switchgear.identity.refusals import Refusal

_DISABLED = Refusal("certificate_disabled")
_EXPIRED = Refusal("certificate_expired")


class Certificates:
    """The certificates that are an identity here."""

    def __init__(self, certificates: Iterable[Certificate], principals: Principals) -> None:
        self._all = [(one, _principal(one, principals)) for one in certificates]

    def credential(self, peer: Mapping[str, Any], der: bytes) -> Credential | Refusal:
        """Who shows this certificate, and for how long; to be asked once for each connection."""
        digest = sha256(der).digest()
        names = _names(peer)
        found = [(one, principal) for one, principal in self._all if _matches(one, digest, names)]
        if not found:
            return Refusal("unknown_certificate", f"no [[certificates]] matches {_shown(names)}")
        one, principal = found[0]
        if len(found) > 1:
            listed = ", ".join(match.name for match, _ in found)
            return Refusal("ambiguous_certificate", f"{_shown(names)} matches {listed}")
        until_s = _moment(peer.get("notAfter"), -math.inf)
        if one.expires is not None:
            until_s = min(until_s, one.expires.timestamp())
        return Credential(
            principal=principal,
            digest=digest,
            from_s=math.inf if one.disabled else _moment(peer.get("notBefore"), math.inf),
            until_s=until_s,
            before=_DISABLED if one.disabled else _EXPIRED,
            after=_EXPIRED,
        )


def _principal(one: Certificate, principals: Principals) -> Principal:
    return principals.of(
        PrincipalKind.CERTIFICATE,
        one.name,
        team=one.team,
        roles=one.roles,
        models=one.models,
        pin=one.pin,
        data_class=one.data_class,
        max_data_class=one.max_data_class,
    )


def _names(peer: Mapping[str, Any]) -> dict[str, set[str]]:
    """Its names by the words of the configuration. Domains are compared without regard to capitals (RFC 4343)."""
    names: dict[str, set[str]] = {"dns": set(), "uri": set(), "email": set(), "common_name": set()}
    for kind, value in peer.get("subjectAltName", ()):
        match kind:
            case "DNS":
                names["dns"].add(value.lower())
            case "URI":
                names["uri"].add(value)
            case "email":
                names["email"].add(_mailbox(value))
    for relative in peer.get("subject", ()):
        names["common_name"].update(value for key, value in relative if key == "commonName")
    return names


def _matches(one: Certificate, digest: bytes, names: Mapping[str, set[str]]) -> bool:
    asked = [
        (one.sha256 is not None, one.sha256 is None or binascii.unhexlify(one.sha256) == digest),
        (one.dns is not None, one.dns is None or one.dns.lower() in names["dns"]),
        (one.uri is not None, one.uri is None or one.uri in names["uri"]),
        (one.email is not None, one.email is None or _mailbox(one.email) in names["email"]),
        (one.common_name is not None, one.common_name is None or one.common_name in names["common_name"]),
    ]
    return any(given for given, _ in asked) and all(match for _, match in asked)


def _mailbox(address: str) -> str:
    local, at, domain = address.rpartition("@")
    return f"{local}{at}{domain.lower()}"


def _moment(text: object, otherwise: float) -> float:
    """`Nov 21 08:00:00 2026 GMT` as Unix time."""
    return float(ssl.cert_time_to_seconds(text)) if isinstance(text, str) else otherwise


def _shown(names: Mapping[str, set[str]]) -> str:
    parts = [f"{kind} {name!r}" for kind, values in names.items() for name in sorted(values)]
    return "a certificate of " + (", ".join(parts[:8]) or "no name")
