"""Keys and tokens for tests: what a provider would sign, and what an attacker would."""

import base64
import hmac
import json
from functools import cache
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from switchgear.core.identity import OidcProvider

ISSUER = "https://login.example.com/realms/company"
AUDIENCE = "urn:switchgear"
NOW_S = 1_800_000_000.0
SigningKey = RSAKey | ECKey | OKPKey

_TYPES: dict[str, tuple[Any, Any]] = {
    "RS": (RSAKey, 2048),
    "PS": (RSAKey, 2048),
    "ES256": (ECKey, "P-256"),
    "ES384": (ECKey, "P-384"),
    "ES512": (ECKey, "P-521"),
    "EdDSA": (OKPKey, "Ed25519"),
    "Ed25519": (OKPKey, "Ed25519"),
    "Ed448": (OKPKey, "Ed448"),
}


@cache
def signing_key(kid: str, algorithm: str = "RS256") -> SigningKey:
    """A key of its own for each `kid`, made once: an RSA key takes a tenth of a second."""
    kind, size = _TYPES.get(algorithm) or _TYPES[algorithm[:2]]
    key: SigningKey = kind.generate_key(size, parameters={"kid": kid, "use": "sig", "alg": algorithm})
    return key


def jwks(*keys: SigningKey, **more: object) -> bytes:
    """The public keys as their provider publishes them."""
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys], **more}).encode()


def claims(now_s: float = NOW_S, **changes: object) -> dict[str, object]:
    """Of a good token; None takes one away."""
    at = int(now_s)
    good: dict[str, object] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "alice",
        "iat": at,
        "exp": at + 600,
        "department": {"team": "platform"},
        "realm_access": {"roles": ["engineer", "reviewer"]},
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def token(
    key: SigningKey, content: dict[str, object] | None = None, algorithm: str | None = None, **header: object
) -> bytes:
    """A signed token; header fields that are None are left out."""
    algorithm = algorithm or str(key.get("alg"))
    fields = {"alg": algorithm, "kid": key.kid, "typ": "at+jwt"} | header
    without_alg: Any = {name: value for name, value in key.as_dict(private=True).items() if name != "alg"}
    registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    registry.check_header = lambda header: None  # type: ignore[method-assign]  # an attacker signs whatever he likes
    registry.get_alg = lambda name: JWSRegistry.algorithms[name]  # type: ignore[method-assign]  # with no warning of EdDSA's old name
    return jwt.encode(
        {name: value for name, value in fields.items() if value is not None},
        claims() if content is None else content,
        type(key).import_key(without_alg),
        registry=registry,
        default_type=None,
    ).encode()


def unsigned(header: object, content: object, signature: bytes = b"") -> bytes:
    """Three parts in base64, as somebody without a key can make them."""
    parts = (json.dumps(header).encode(), json.dumps(content).encode(), signature)
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)


def hmac_signed(secret: bytes, header: dict[str, object], content: dict[str, object]) -> bytes:
    """HS256 by hand, as an attacker would: joserfc refuses to take a public key for a secret."""
    body = unsigned({"alg": "HS256"} | header, content).rpartition(b".")[0]
    signature = hmac.digest(secret, body, "sha256")
    return body + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")


def provider(**changes: Any) -> OidcProvider:
    """The configuration that fits these tokens."""
    return OidcProvider(**({"issuer": ISSUER, "audience": (AUDIENCE,)} | changes))
