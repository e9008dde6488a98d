"""JSON Web Tokens (RFC 7519): read, then verified with the key that the provider published. Pure, but for what a signature costs.

joserfc does the JOSE. What it leaves open is closed here: only the provider's own keys count, whatever a header embeds or points to; a
token that calls anything critical is refused, since no extension is understood; and so is one that is bound to a key or a certificate
(RFC 8705, RFC 9449), since nobody here checks that its caller holds it.
"""

from collections.abc import Collection
from typing import Any

import msgspec
from joserfc import jws
from joserfc.errors import ClaimError, ExpiredTokenError, JoseError, UnsupportedAlgorithmError
from joserfc.jws import CompactSignature, JWSRegistry
from joserfc.jwt import JWTClaimsRegistry

from switchgear.core.identity import OidcProvider
from switchgear.identity.errors import TokenRejected
from switchgear.identity.jwks import VerifyKey

LONGEST = 16 * 1024
"""Bytes of a token. Real ones stay far below, and a verified head cannot be much larger."""


class _Registry(JWSRegistry):
    """The algorithms of one provider, asymmetric ones all. Unknown header fields are ignored (RFC 7515, 4), large ones refused."""

    max_header_length = 8 * 1024  # a certificate chain in `x5c`, which is not read, has its place

    def __init__(self, algorithms: Collection[str]) -> None:
        super().__init__(algorithms=algorithms, strict_check_header=False)
        self._chosen = {name: self.algorithms[name] for name in algorithms}

    def get_alg(self, name: object) -> Any:
        """Unlike joserfc's own, without a warning at each token that is signed with EdDSA under its old name (RFC 9864)."""
        chosen = self._chosen.get(name) if isinstance(name, str) else None
        if chosen is None:
            raise UnsupportedAlgorithmError(f"algorithm {str(name)[:16]!r} is not allowed")
        return chosen


class Unverified:
    """A token whose signature nobody has looked at yet: nothing in it may be believed."""

    __slots__ = ("_object", "claims", "header")

    def __init__(self, token: bytes) -> None:
        """Raises TokenRejected for what is no signed JWT."""
        if len(token) > LONGEST:
            raise TokenRejected(f"the token is {len(token)} bytes long; at most {LONGEST} are read")
        try:
            self._object: CompactSignature = jws.extract_compact(token, registry=_SHAPE)
            self.header: dict[str, Any] = self._object.headers()
            self.claims: dict[str, Any] = msgspec.json.decode(self._object.payload, type=dict[str, Any])
        # a stranger's bytes in the hands of two parsers: whatever they raise on them says that this is no token
        except (
            JoseError,
            msgspec.DecodeError,
            ValueError,
            TypeError,
            AttributeError,
            KeyError,
            RecursionError,
        ) as error:
            raise TokenRejected(f"not a JWT: {type(error).__name__}") from error
        if not isinstance(self.header, dict):
            raise TokenRejected("not a JWT: its header is no object")

    @property
    def issuer(self) -> object:
        """Who it says that it is from."""
        return self.claims.get("iss")

    @property
    def kid(self) -> str | None:
        """The key that it names. Raises TokenRejected for one that is no text."""
        kid = self.header.get("kid")
        if kid is not None and not isinstance(kid, str):
            raise TokenRejected("its `kid` is no text")
        return kid

    def verify(self, registry: JWSRegistry, key: VerifyKey) -> None:
        """Raises TokenRejected unless `key` made its signature."""
        try:
            good = jws.validate_compact(self._object, key, registry=registry)
        except (JoseError, ValueError, TypeError) as error:
            raise TokenRejected(f"its signature cannot be verified: {str(error)[:200]}") from error
        if not good:
            raise TokenRejected(f"its signature is not one of the key {str(key.kid)[:64]!r}")


_SHAPE = _Registry(())


class Rules:
    """What one provider's tokens must be like."""

    def __init__(self, provider: OidcProvider) -> None:
        self.provider = provider
        self.registry: JWSRegistry = _Registry([algorithm.value for algorithm in provider.algorithms])
        self._types = {_media_type(text) for text in provider.types}

    def check_header(self, token: Unverified) -> str:
        """The algorithm of a token whose header is allowed. Raises TokenRejected. Before the signature: it costs little, and it chooses
        with which key, and how, that is verified.
        """
        header = token.header
        for name in ("crit", "b64"):
            if name in header:
                raise TokenRejected(f"its header has `{name}`, and no extension is understood here (RFC 7515, 4.1.11)")
        kind = header.get("typ", "JWT")
        if not isinstance(kind, str) or _media_type(kind) not in self._types:
            raise TokenRejected(f"its type is {str(kind)[:32]!r}")
        algorithm = header["alg"]
        if algorithm not in self.provider.algorithms:
            raise TokenRejected(f"its algorithm {str(algorithm)[:16]!r} is not allowed")
        return str(algorithm)

    def check_claims(self, claims: dict[str, Any], now_s: float) -> float:
        """Until when (Unix time, leeway included) a token with these verified claims counts. Raises TokenRejected."""
        provider = self.provider
        if "cnf" in claims:
            raise TokenRejected("it is bound to a key or a certificate (`cnf`), which is not checked here")
        registry = JWTClaimsRegistry(
            int(now_s),
            provider.leeway_s,
            iss={"essential": True, "value": provider.issuer},
            aud={"essential": True, "values": list(provider.audience)},
            exp={"essential": True},
        )
        try:
            registry.validate(claims)
        except ExpiredTokenError as error:
            raise TokenRejected("it has expired", "token_expired") from error
        except ClaimError as error:
            raise TokenRejected(error.description, _CLAIM_CODES.get(error.claim, "invalid_token")) from error
        return float(min(claims["exp"] + provider.leeway_s, _END_OF_TIME))


_CLAIM_CODES = {"aud": "token_wrong_audience", "nbf": "token_not_yet_valid", "iat": "token_not_yet_valid"}
_END_OF_TIME = 253402300800
"""The year 10000: an `exp` beyond it is a number that a float need not hold."""


def _media_type(text: str) -> str:
    """`typ` without `application/` and capitals (RFC 7515, 4.1.9)."""
    return text.lower().removeprefix("application/")
