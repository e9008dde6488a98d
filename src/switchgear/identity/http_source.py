"""Sources of keys as a data plane has them: over HTTP, kept in the state directory."""

import random
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path

from switchgear.core.clock import Clock
from switchgear.core.identity import OidcProvider
from switchgear.identity.discovery import HttpKeyReader
from switchgear.identity.key_source import KeySource
from switchgear.identity.memory import KeyFile
from switchgear.identity.service import SourceOf
from switchgear.wire.tls import client_context


def http_sources(clock: Clock, rng: random.Random, environment: Mapping[str, str], folder: Path | None) -> SourceOf:
    """For `Identities`. The last keys of each provider are kept in `folder`; without one a restart begins with none.

    Making a source raises TlsError where a provider's `ca` cannot be used.
    """

    def make(name: str, provider: OidcProvider, removed: Callable[[frozenset[str]], None]) -> KeySource:
        tls = _trust(provider.ca)
        reader = HttpKeyReader(provider, tls, environment)
        memory = KeyFile(folder, provider.issuer) if folder is not None else None
        return KeySource(name, provider, reader, clock, rng, memory=memory, removed=removed)

    return make


def _trust(ca: str | None) -> Callable[[], ssl.SSLContext]:
    """Whom to believe that an https address is the provider's. A file is read anew each time: it is renewed without our being told."""
    if ca is None:
        system = client_context()  # 20 ms of the event loop, so once
        return lambda: system
    client_context(ca=Path(ca))  # one that cannot be used is told of now
    return lambda: client_context(ca=Path(ca))
