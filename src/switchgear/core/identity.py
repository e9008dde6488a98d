"""Who may call: keys, OpenID providers and client certificates, as the snapshot holds them. Immutable and without secrets.

The structures are the tables `[[keys]]`, `[oidc.NAME]` and `[[certificates]]` of the configuration file, see docs/identity.md.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from switchgear.core.data_class import DataClass

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A date and time with its offset, for example 2027-01-31T00:00:00Z."""
Seconds = Annotated[float, msgspec.Meta(gt=0)]


class OtherHash(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A further secret that counts as the same key, within a time of its own: so a key is rotated without a gap."""

    sha256: Sha256
    """SHA-256 of that secret in lower-case hexadecimal."""
    valid_from: Moment | None = None
    """It counts from this moment on; at once where not given."""
    valid_until: Moment | None = None
    """It counts until just before this moment; as long as the key where not given."""


class Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A caller's key; only its hash is known here."""

    name: Name
    """Who it belongs to; stands in records."""
    sha256: Sha256
    """SHA-256 of the key in lower-case hexadecimal; `switchgear key new` prints it."""
    team: str = ""
    """The team that its calls are counted for."""
    models: tuple[str, ...] | None = None
    """Models that it may call; all where not given."""
    pin: bool = False
    """Whether it may choose a backend itself with model@backend."""
    roles: tuple[Text, ...] = ()
    """What policies may ask for."""
    data_class: DataClass | None = None
    """What its calls carry at least: public, internal, confidential or restricted."""
    max_data_class: DataClass | None = None
    """The strictest class that its calls may carry; any where not given."""
    expires: Moment | None = None
    """From this moment on it is refused, with all its hashes."""
    disabled: bool = False
    """Refused at once, and still on the list: its owner is told that it is disabled."""
    hashes: tuple[OtherHash, ...] = ()
    """Further secrets that count as this key, each within a time of its own: rotation with overlap."""


class Algorithm(StrEnum):
    """How a token may be signed (RFC 7518, 3.1; RFC 8037; RFC 9864). Asymmetric only: nobody who can verify can sign."""

    RS256 = "RS256"
    RS384 = "RS384"
    RS512 = "RS512"
    PS256 = "PS256"
    PS384 = "PS384"
    PS512 = "PS512"
    ES256 = "ES256"
    ES384 = "ES384"
    ES512 = "ES512"
    EDDSA = "EdDSA"
    ED25519 = "Ed25519"
    ED448 = "Ed448"


class ClaimPaths(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where a token says what. Dots go down into objects; a URL is one name; a text that begins with / is a JSON Pointer (RFC 6901)."""

    name: Text = "sub"
    """Who calls; each token must have it. The principal is called PROVIDER:VALUE."""
    team: Text | None = None
    """The team, or a list in which it stands."""
    roles: Text | None = None
    """The roles: a list, one text, or, for `scope` and `scp`, words with spaces between them."""


class OidcProvider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An OpenID Connect provider whose signed tokens (JWT) are accepted in place of a key."""

    issuer: Text
    """Its issuer URL, exactly as its tokens have it in `iss`; https, or http on this machine."""
    audience: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1)]
    """A token must name at least one of these in `aud`."""
    algorithms: Annotated[tuple[Algorithm, ...], msgspec.Meta(min_length=1)] = tuple(Algorithm)
    """How its tokens may be signed; all asymmetric ones where not given. `none` and HS256 cannot be allowed."""
    types: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1)] = ("at+jwt", "JWT")
    """Values of the header `typ` that are accepted; a token without one counts as JWT. `["at+jwt"]` takes access tokens only (RFC 9068)."""
    jwks_url: Text | None = None
    """Where its keys are; its discovery document says it where not given."""
    ca: Text | None = None
    """PEM file of the authority that signed its certificate; the system's authorities where not given."""
    claims: ClaimPaths = ClaimPaths()
    team: str | None = None
    """Team of a token that names none. Where neither this nor `claims.team` is given, the team is empty."""
    teams: dict[str, str] = {}
    """Which value of `claims.team` is which team, the first that matches; other values are then no team."""
    models: tuple[str, ...] | None = None
    """Models that its principals may call; all where not given."""
    data_class: DataClass | None = None
    """What their calls carry at least."""
    max_data_class: DataClass | None = None
    """The strictest class that their calls may carry."""
    pin: bool = False
    """Whether they may choose a backend themselves with model@backend."""
    disabled: tuple[Text, ...] = ()
    """Values of `claims.name` that are refused at once, whatever their tokens say."""
    leeway_s: Annotated[int, msgspec.Meta(ge=0, le=300)] = 30
    """How far its clock and ours may differ."""
    refresh_s: Seconds = 300.0
    """Its keys are read again this often, in the background."""
    min_refresh_s: Seconds = 10.0
    """Tokens with an unknown key bring about at most one extra reading in this time."""
    max_stale_s: Seconds = 86400.0
    """How long its keys stay good while it cannot be reached."""
    fetch_s: Seconds = 5.0
    """How long one reading of its keys may take."""


class Certificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A client certificate that is an identity. All that is given of `sha256` to `common_name` must match, and one must be given."""

    name: Name
    """Who it belongs to; stands in records."""
    sha256: Sha256 | None = None
    """SHA-256 of the certificate (DER) in lower-case hexadecimal: exactly this certificate."""
    dns: Text | None = None
    """A DNS name among its subject alternative names."""
    uri: Text | None = None
    """A URI among them, for example a SPIFFE id."""
    email: Text | None = None
    """An e-mail address among them."""
    common_name: Text | None = None
    """The common name of its subject."""
    team: str = ""
    """The team that its calls are counted for."""
    roles: tuple[Text, ...] = ()
    """What policies may ask for."""
    models: tuple[str, ...] | None = None
    """Models that it may call; all where not given."""
    data_class: DataClass | None = None
    """What its calls carry at least."""
    max_data_class: DataClass | None = None
    """The strictest class that its calls may carry; any where not given."""
    pin: bool = False
    """Whether it may choose a backend itself with model@backend."""
    expires: Moment | None = None
    """From this moment on it is refused, whatever the certificate says."""
    disabled: bool = False
    """Refused at once, and still on the list."""
