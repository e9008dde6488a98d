"""Which calls say the same: a digest of all that an answer may depend on, and of all whom it may be given to. Pure.

SHA-256 and not BLAKE2b: where the processor has instructions for it (x86 since 2017 to 2021, all 64-bit ARM servers) hashlib's takes
0.65 us a KB and BLAKE2b 1.5 us; `python -m bench.cache` measures both. It is keyed by a secret in front, so that nobody who sees a file of
kept answers can try out which question one belongs to. A secret prefix is weak against extension where the whole digest is given away;
this one is cut, and given to nobody.
"""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from switchgear.core.caching import Scope
from switchgear.core.snapshot import Endpoint

if TYPE_CHECKING:
    from hashlib import _Hash

DIGEST_BYTES = 20
"""160 bits: two of 2**40 questions meet by chance with probability 2**-81."""
SECRET_BYTES = 32
_FORM = frozenset(("stream", "stream_options"))
"""Fields that only say in which form an answer is given: one kept answer serves all forms."""
_VERSION = b"switchgear cache 1"


def audience(scope: Scope, principal: str, team: str) -> str:
    """Whom an answer to this caller may be given to, as text that differs between any two audiences."""
    if scope is Scope.EVERYONE:
        return "everyone"
    if scope is Scope.TEAM and team:
        return f"team {team}"
    return f"key {principal}"


class Keys:
    """Makes keys. The secret is one for all who share a file of kept answers."""

    __slots__ = ("_base",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) < SECRET_BYTES:
            raise ValueError(f"the secret has fewer than {SECRET_BYTES} bytes")
        start = hashlib.sha256()
        _update(start, _VERSION, secret)

        @lru_cache(maxsize=4096)
        def base(endpoint: Endpoint, places: str, audience: str, data_class: str) -> "_Hash":
            begun = start.copy()
            _update(begun, endpoint.value.encode(), places.encode(), audience.encode(), data_class.encode())
            return begun

        self._base = base

    def key(
        self,
        endpoint: Endpoint,
        fields: Mapping[str, msgspec.Raw],
        *,
        places: str,
        audience: str,
        data_class: str,
        ignore: frozenset[str] = frozenset(),
        variant: bytes = b"",
    ) -> bytes:
        """The key of a call whose body has these fields as the caller (or a redaction) wrote them, `model` included.

        `places` names the model and the targets that policy allows the call, as text: another set is another key, so a kept answer is
        never from a place that this caller could not have been sent to, and a changed model begins anew. `variant` is what else an
        answer depends on (the header openai-beta). Order and white space between the body's fields do not matter; all else does.
        """
        digest = self._base(endpoint, places, audience, data_class).copy()
        parts: list[bytes | memoryview] = [b"%d:" % len(variant), variant]
        for name in sorted(fields):
            if name in _FORM or name in ignore:
                continue
            raw = memoryview(fields[name])  # not bytes(): a long prompt is copied once, not twice
            label = name.encode("utf-8", "surrogatepass")
            parts.append(b"%d:%b%d:" % (len(label), label, raw.nbytes))
            parts.append(raw)
        digest.update(b"".join(parts))
        return digest.digest()[:DIGEST_BYTES]


def _update(digest: "_Hash", *parts: bytes) -> None:
    """Each part with its length before it: no two lists of parts give the same bytes."""
    for part in parts:
        digest.update(b"%d:%b" % (len(part), part))
