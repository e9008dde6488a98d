"""Limits, fair shares and how workers share them: the tables `[[limits]]`, `[fair_share]` and `[limit_sharing]`."""

from enum import StrEnum
from typing import Annotated

import msgspec

Whole = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
Usd = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=1e9)]

EACH = "*"
"""In place of a name: a count of its own for each value."""


class LimitMode(StrEnum):
    """What a limit does to a call that would exceed it."""

    HARD = "hard"
    """It is refused."""
    SOFT = "soft"
    """It goes on, and its record is flagged."""


class OnSharingFailure(StrEnum):
    """What happens once a worker's leased share is used up, or its lease is over, while the database cannot be reached."""

    CLOSED = "closed"
    """Calls under a hard limit are refused."""
    OPEN = "open"
    """They go on, flagged, and are counted when the database is back."""


class Limit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What calls of one kind may use together: those that no field names otherwise. All limits that apply to a call hold at once."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/=,*-]{0,127}$")] | None = None
    """Stands in refusals, records and metrics; made of the fields below where not given, for example `team=research,model=chat`."""
    key: str | None = None
    """Calls of the key of this name; with `"*"` each key is counted on its own; without it keys do not matter."""
    team: str | None = None
    """Calls of this team, or of each with `"*"`."""
    model: str | None = None
    """Calls of this model, or of each with `"*"`."""
    backend: str | None = None
    """Attempts at this backend, or at each with `"*"`. A candidate without room is passed over; the others are asked."""
    requests_per_minute: Whole | None = None
    """Calls admitted in any 60 seconds."""
    tokens_per_minute: Whole | None = None
    """Tokens of the calls admitted in any 60 seconds: estimated when a call comes, corrected when it ends."""
    in_flight: Whole | None = None
    """Calls under way at a time."""
    usd_per_day: Usd | None = None
    """US dollars for each day in UTC. A call without a price is refused: an unknown price is not zero."""
    usd_per_month: Usd | None = None
    """US dollars for each calendar month in UTC."""
    mode: LimitMode = LimitMode.HARD
    """`hard` refuses a call that would exceed the limit, `soft` lets it through and flags its record."""

    @property
    def id(self) -> str:
        """Its name, or one made of what it applies to."""
        if self.name is not None:
            return self.name
        fields = (("key", self.key), ("team", self.team), ("model", self.model), ("backend", self.backend))
        return ",".join(f"{field}={value}" for field, value in fields if value is not None) or "all"


class FairShare(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How teams share a backend that is full: calls wait there, and places that become free go round by weight."""

    weights: dict[str, Positive] = {}
    """Weight by team: with 3 against 1 a team gets three places of four while both wait. A team that is not named has weight 1."""
    max_waiting: Whole = 1024
    """Calls that may wait for one backend in one worker; 0: none waits. Beyond it the team with most waiting for its weight gives way."""
    max_wait_s: Annotated[float, msgspec.Meta(ge=0)] = 10.0
    """How long a call may wait, seconds, if its own deadline does not come first."""


class LimitSharing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where several workers, or hosts, keep what their limits have in common."""

    database: str = ""
    """`sqlite:///path` for the workers of one host, `postgresql://user@host/name` for several. Empty: each worker counts for itself
    and forgets with its end. A password comes from PGPASSWORD or a password file, never from here."""
    sync_s: Annotated[float, msgspec.Meta(ge=0.01, le=10)] = 0.25
    """How often a worker tells what it used and leases what it will need, seconds."""
    lease_s: Annotated[float, msgspec.Meta(ge=0.5, le=300)] = 15.0
    """How long a share is a worker's own without a word from it, seconds. Then it counts as spent, and its calls in flight as over."""
    on_failure: OnSharingFailure = OnSharingFailure.CLOSED
    """While the database cannot be reached, a worker lives on its leased share; then `closed` refuses and `open` lets through."""
