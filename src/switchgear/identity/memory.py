"""The last keys of a provider as a file, so that a gateway which starts while the provider is away still knows them."""

import hashlib
import logging
import os
from pathlib import Path

import msgspec

from switchgear.core.decoding import UNREADABLE
from switchgear.identity.ports import Kept

log = logging.getLogger(__name__)


class _File(msgspec.Struct, frozen=True):
    issuer: str
    read_at_s: float
    jwks: msgspec.Raw


class KeyFile:
    """One provider's file in a folder that only the gateway may write: who can write there decides whom it believes."""

    def __init__(self, folder: Path, issuer: str) -> None:
        self._issuer = issuer
        self.path = folder / f"jwks-{hashlib.sha256(issuer.encode()).hexdigest()[:16]}.json"

    def load(self) -> Kept | None:
        try:
            found = msgspec.json.decode(self.path.read_bytes(), type=_File)
        except FileNotFoundError:
            return None
        except (OSError, *UNREADABLE) as error:
            log.warning("keys kept in %s cannot be read: %s", self.path, error)
            return None
        return Kept(bytes(found.jwks), found.read_at_s) if found.issuer == self._issuer else None

    def keep(self, kept: Kept) -> None:
        content = msgspec.json.encode(_File(self._issuer, kept.read_at_s, msgspec.Raw(kept.content)))
        fresh = self.path.with_suffix(f".{os.getpid()}.new")  # each worker its own; the last rename stands
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "wb") as file:
                file.write(content)
            fresh.replace(self.path)
        except OSError as error:
            log.warning("keys of %s cannot be kept in %s: %s", self._issuer, self.path, error)
