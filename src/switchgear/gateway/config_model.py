"""The typed tree of the configuration file. Backends, models and keys are the snapshot's own structures (`core.snapshot`).

The docstrings below each field are its line in docs/configuration.md.
"""

from enum import StrEnum
from typing import Annotated

import msgspec

from switchgear.core.authorization import Policies, Team
from switchgear.core.caching import CacheSettings
from switchgear.core.identity import Certificate, Key, OidcProvider
from switchgear.core.limits import FairShare, Limit, LimitSharing
from switchgear.core.screening import Screening
from switchgear.core.sketching import Sketching
from switchgear.core.snapshot import Backend, Count, Model, Part
from switchgear.gateway.config_secrets import is_secret_header
from switchgear.wire.model import Limits

Text = Annotated[str, msgspec.Meta(min_length=1)]


class Durability(StrEnum):
    """When a record counts as kept."""

    BATCHED = "batched"
    STRICT = "strict"


class OnJournalFailure(StrEnum):
    """What happens to calls while records cannot be written."""

    REFUSE = "refuse"
    SERVE = "serve"


class GatewayTls(Part, frozen=True, kw_only=True):
    """TLS (1.2 or newer) on every address of `gateway.listen`. Files are PEM; their paths are relative to the working directory."""

    cert: Text
    """Certificate, with those between it and its authority."""
    key: Text
    """The certificate's private key, without a password."""
    client_ca: Text | None = None
    """Authority that callers' certificates are verified with."""
    require_client: bool = False
    """Whether a caller must show a certificate; else it may."""


class GatewayConfig(Part, frozen=True, kw_only=True):
    """The data plane itself. Every key has a default, and so has the table."""

    listen: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("127.0.0.1:8080",)
    """Where calls are taken: `host:port`, `[v6]:port`, `:port` for all interfaces, or `unix:/path`."""
    admin: str = "127.0.0.1:8081"
    """Where /healthz, /readyz, /metrics and the live state are. It asks for no key: keep it where only operators come."""
    workers: Count = 1
    """Processes that share the addresses; one for each core that the gateway may use."""
    state_dir: Text = "state"
    """Directory of the journal and of the last good snapshot, relative to the working directory."""
    tls: GatewayTls | None = None
    limits: Limits = Limits()
    durability: Durability = Durability.BATCHED
    """`strict`: the last byte of an answer waits until its record is on the disk. `batched`: at most 5 ms of records are at risk."""
    on_journal_failure: OnJournalFailure = OnJournalFailure.SERVE
    """While records cannot be written: `serve` goes on and raises an alarm in /readyz and /metrics, `refuse` answers 503."""
    journal_keep_days: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    """How long records stay in the journal."""
    drain_s: Annotated[float, msgspec.Meta(ge=0)] = 30.0
    """How long calls in flight may take to end after SIGTERM."""


class Config(Part, frozen=True, kw_only=True):
    """The whole file. Printed, it shows no value of a header that looks like a secret."""

    gateway: GatewayConfig = GatewayConfig()
    keys: tuple[Key, ...] = ()
    oidc: dict[str, OidcProvider] = msgspec.field(default_factory=dict)
    certificates: tuple[Certificate, ...] = ()
    teams: dict[str, Team] = msgspec.field(default_factory=dict)
    policy: Policies = Policies()
    screen: Screening | None = None
    cache: CacheSettings = CacheSettings()
    sketches: Sketching = Sketching()
    limits: tuple[Limit, ...] = ()
    fair_share: FairShare | None = None
    limit_sharing: LimitSharing = LimitSharing()
    backends: dict[str, Backend]
    models: dict[str, Model]

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"Config({parts})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [
            ("gateway", self.gateway),
            ("keys", self.keys),
            ("oidc", self.oidc),
            ("certificates", self.certificates),
            ("teams", self.teams),
            ("policy", self.policy),
            ("screen", self.screen),
            ("cache", self.cache),
            ("sketches", self.sketches),
            ("limits", self.limits),
            ("fair_share", self.fair_share),
            ("limit_sharing", self.limit_sharing),
            ("backends", {name: _masked(backend) for name, backend in self.backends.items()}),
            ("models", self.models),
        ]


def _masked(backend: Backend) -> Backend:
    headers = {name: "***" if is_secret_header(name) else value for name, value in backend.headers.items()}
    return msgspec.structs.replace(backend, headers=headers)
