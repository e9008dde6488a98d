"""Sealing what goes to disk: AES-256-GCM (NIST SP 800-38D) with a random nonce, the key's id beside it, keys that rotate.

A random nonce of 96 bits is good for 2**32 seals with one key (section 8.3). To rotate, put the new key first and keep the old one
until what it sealed is gone.
"""

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from switchgear.core.errors import SwitchgearError

_KEY_BYTES = 32
_NONCE_BYTES = 12
_ID = re.compile(r"[A-Za-z0-9._-]{1,32}")
_REMEDY = "Write ID:BASE64 of 32 random bytes; `openssl rand -base64 32` makes them."


class SealingError(SwitchgearError):
    """Something cannot be sealed or opened."""

    code = "sealing_error"


class BadSealingKey(SealingError):
    """Keys that are missing or malformed. The message shows the id at most."""

    code = "bad_sealing_key"


class Unsealable(SealingError):
    """The key is not known here, or what was sealed has been changed."""

    code = "unsealable"


class Sealed(NamedTuple):
    """What was sealed, and the id of the key that opens it."""

    key_id: str
    data: bytes


class Keyring:
    """The keys, the one that seals first. Nothing of them can be printed."""

    __slots__ = ("_ciphers", "_primary", "_random")

    def __init__(self, keys: Sequence[tuple[str, bytes]], random: Callable[[int], bytes]) -> None:
        """`random` gives so many random bytes: `os.urandom`. Raises BadSealingKey."""
        if not keys:
            raise BadSealingKey(f"no key to seal with is given. {_REMEDY}")
        self._ciphers: dict[str, AESGCM] = {}
        for key_id, key in keys:
            if len(key) != _KEY_BYTES:
                raise BadSealingKey(f"the key {key_id!r} has {len(key)} bytes, not {_KEY_BYTES}. {_REMEDY}")
            if key_id in self._ciphers:
                raise BadSealingKey(f"two keys have the id {key_id!r}. Give each an id of its own.")
            self._ciphers[key_id] = AESGCM(key)
        self._primary = keys[0][0]
        self._random = random

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self._ciphers)})"

    def seal(self, data: bytes, context: bytes) -> Sealed:
        """Seal data; it opens only with the same context (which row it is)."""
        nonce = self._random(_NONCE_BYTES)
        return Sealed(self._primary, nonce + self._ciphers[self._primary].encrypt(nonce, data, context))

    def open(self, sealed: Sealed, context: bytes) -> bytes:
        """Raises Unsealable."""
        cipher = self._ciphers.get(sealed.key_id)
        if cipher is None:
            raise Unsealable(f"sealed with the key {sealed.key_id!r}, which is not given here. Give that key too.")
        if len(sealed.data) < _NONCE_BYTES:
            raise Unsealable("cut short")
        try:
            return cipher.decrypt(sealed.data[:_NONCE_BYTES], sealed.data[_NONCE_BYTES:], context)
        except InvalidTag as error:
            raise Unsealable("changed since it was sealed, or sealed with another key of the same id") from error


def parse_keys(text: str) -> list[tuple[str, bytes]]:
    """Keys from the text of a variable or a file: `ID:BASE64`, one a line or parted by commas, `#` begins a comment.

    Raises BadSealingKey.
    """
    keys: list[tuple[str, bytes]] = []
    lines = (line.partition("#")[0] for line in text.splitlines())
    for number, item in enumerate((part.strip() for line in lines for part in line.split(",")), start=1):
        if not item:
            continue
        key_id, colon, encoded = item.partition(":")
        if not colon or not _ID.fullmatch(key_id):
            raise BadSealingKey(f"key {number} has no id. {_REMEDY}")
        try:
            key = base64.b64decode(encoded.strip().translate(str.maketrans("-_", "+/")), validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadSealingKey(f"the key {key_id!r} is no base64. {_REMEDY}") from error
        keys.append((key_id, key))
    return keys
