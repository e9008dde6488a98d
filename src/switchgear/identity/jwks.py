"""The keys that a provider signs with: from a JWK Set (RFC 7517, 5) to what signatures are verified by. Pure.

A key that cannot be used is left out, as the RFC asks, and told of; a set without any usable key is refused whole, so that a provider's
mistake never takes away the keys that are known.
"""

import base64
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from switchgear.core.decoding import UNREADABLE
from switchgear.identity.errors import KeyUnknown, ProviderUnusable, TokenRejected

VerifyKey = RSAKey | ECKey | OKPKey
MOST_KEYS = 100
_TYPES: dict[str, type[RSAKey] | type[ECKey] | type[OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_PUBLIC = ("kty", "n", "e", "crv", "x", "y", "kid", "use", "key_ops", "alg")
"""Members that are read. A private key that a provider publishes by mistake is read as the public one that it should be."""
_RSA_BITS = range(2048, 8193)
"""Shorter ones are broken (NIST SP 800-131A), longer ones cost too much for each token."""
_SIGNING_CURVES = ("P-256", "P-384", "P-521", "Ed25519", "Ed448")


class _Set(msgspec.Struct):
    keys: list[dict[str, object]]


class PublishedKey(NamedTuple):
    """A key, and its thumbprint (RFC 7638), which takes 8 us to compute: too long for each token."""

    key: VerifyKey
    thumbprint: str


class ProviderKeys:
    """A provider's keys, by their `kid`. Never changed once made."""

    def __init__(self, keys: list[VerifyKey], skipped: tuple[str, ...] = ()) -> None:
        self._every = [PublishedKey(key, key.thumbprint()) for key in keys]
        self._by_kid: dict[str | None, list[PublishedKey]] = {}
        for one in self._every:
            self._by_kid.setdefault(one.key.kid, []).append(one)
        self.skipped = skipped
        """What was left out of the set and why, for the log."""
        self.thumbprints = frozenset(one.thumbprint for one in self._every)
        """Of every key."""

    def __len__(self) -> int:
        return len(self._every)

    def choose(self, kid: str | None, algorithm: str) -> PublishedKey:
        """The one key that a token with this header is verified with.

        Raises KeyUnknown where there is none (yet), TokenRejected where the key named is of another kind than the algorithm, or where a
        token names no key and several would do: trying them all would be an attacker's choice of how much we compute.
        """
        named = self._every if kid is None else self._by_kid.get(kid)
        label = repr(kid)[:80]  # a stranger's text, for the log
        if not named:
            raise KeyUnknown(f"no key {label} is known of its provider")
        fitting = [one for one in named if _fits(one.key, algorithm)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise TokenRejected(
                f"the token names no key by `kid`, and {len(fitting)} keys of its provider do {algorithm}"
            )
        if kid is None:
            raise KeyUnknown(f"no key for {algorithm} is known of its provider")
        raise TokenRejected(f"the key {label} of its provider is not one for {algorithm}")


def read_jwks(content: bytes) -> ProviderKeys:
    """The usable keys of a JWK Set. Raises ProviderUnusable."""
    try:
        found = msgspec.json.decode(content, type=_Set)
    except UNREADABLE as error:
        raise ProviderUnusable(f"its keys are no JWK Set: {error}") from error
    if len(found.keys) > MOST_KEYS:
        raise ProviderUnusable(f"it publishes {len(found.keys)} keys; at most {MOST_KEYS} are read")
    skipped: list[str] = []
    keys = list(_usable(found.keys, skipped))
    if not keys:
        raise ProviderUnusable(
            f"none of its {len(found.keys)} keys can verify a signature: {'; '.join(skipped[:5]) or 'the set is empty'}"
        )
    return ProviderKeys(keys, tuple(skipped))


def _usable(entries: list[dict[str, object]], skipped: list[str]) -> Iterator[VerifyKey]:
    for entry in entries:
        label = f"key {str(entry.get('kid'))[:64]!r}"
        kind = _TYPES.get(str(entry.get("kty")))
        if kind is None:
            skipped.append(f"{label} is of type {str(entry.get('kty'))[:16]!r}")
            continue
        if why := _unfit(entry):
            skipped.append(f"{label} {why}")
            continue
        try:
            yield kind.import_key({name: entry[name] for name in _PUBLIC if name in entry})  # type: ignore[misc]  # checked by it
        except (JoseError, ValueError, KeyError, TypeError, OverflowError) as error:
            skipped.append(f"{label} cannot be read: {error}")


def _unfit(entry: dict[str, object]) -> str | None:
    """Why a key is not one for signatures that we verify, before it is read."""
    if entry.get("use", "sig") != "sig":
        return "is not for signatures"
    operations = entry.get("key_ops")
    if isinstance(operations, list) and "verify" not in operations:
        return "is not for verifying"
    if entry["kty"] == "RSA":
        bits = _bits(entry.get("n"))
        return None if bits in _RSA_BITS else f"has {bits} bits, not {_RSA_BITS.start} to {_RSA_BITS.stop - 1}"
    return None if entry.get("crv") in _SIGNING_CURVES else f"is on the curve {str(entry.get('crv'))[:16]!r}"


def _bits(modulus: object) -> int:
    """How long it is; 0 where it is no number."""
    try:
        return int.from_bytes(base64.urlsafe_b64decode(f"{modulus}==")).bit_length()
    except ValueError:
        return 0


def _fits(key: VerifyKey, algorithm: str) -> bool:
    """Whether a key's type, curve, use and `alg` are those of an algorithm (RFC 8725, 3.1)."""
    try:
        JWSRegistry.algorithms[algorithm].check_key(key)
    except JoseError:
        return False
    return True
