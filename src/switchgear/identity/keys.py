"""Keys: from the hash of what a caller shows to who it is. Pure."""

import binascii
import math
from collections.abc import Iterable
from datetime import datetime

from switchgear.core.identity import Key
from switchgear.identity.model import Credential, PrincipalKind, Principals
from switchgear.identity.refusals import Refusal

_DISABLED = Refusal("key_disabled")
_EXPIRED = Refusal("key_expired")
_NOT_YET = Refusal("key_not_yet_valid")


def credentials_of(keys: Iterable[Key], principals: Principals) -> dict[bytes, Credential]:
    """Every secret that counts as one of the keys, by its SHA-256. Where a hash stands twice, its first place counts."""
    found: dict[bytes, Credential] = {}
    for key in keys:
        principal = principals.of(
            PrincipalKind.KEY,
            key.name,
            team=key.team,
            roles=key.roles,
            models=key.models,
            pin=key.pin,
            data_class=key.data_class,
            max_data_class=key.max_data_class,
        )
        expires_s = _unix(key.expires, math.inf)
        windows = [(key.sha256, -math.inf, expires_s)]
        windows += [
            (one.sha256, _unix(one.valid_from, -math.inf), min(_unix(one.valid_until, math.inf), expires_s))
            for one in key.hashes
        ]
        for sha256, from_s, until_s in windows:
            digest = binascii.unhexlify(sha256)
            credential = Credential(
                principal=principal,
                digest=digest,
                from_s=math.inf if key.disabled else from_s,
                until_s=until_s,
                before=_DISABLED if key.disabled else _NOT_YET,
                after=_EXPIRED,
            )
            found.setdefault(digest, credential)
    return found


def _unix(moment: datetime | None, otherwise: float) -> float:
    return otherwise if moment is None else moment.timestamp()
