"""What authorization is configured with: policies, teams, and what may be said of a place. Pure data.

The policies themselves are Cedar texts (docs/policy.md); here they are only carried, so that a snapshot is enough to decide from.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Protocol

import msgspec

from switchgear.core.data_class import DataClass

_WORD = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}"
Word = Annotated[str, msgspec.Meta(pattern=f"^{_WORD}$")]
"""A label: letters, digits and . _ : -, at most 64, a letter or digit first."""
Jurisdiction = Annotated[str, msgspec.Meta(pattern=f"^({_WORD}(/{_WORD}){{0,7}})?$")]
"""Whose law a place is under, widest first: `EU`, or `EU/DE`, which is in EU as well. Empty: not known."""


class Purpose(StrEnum):
    """Why something of a call is sent somewhere. Each is an action that policies can name."""

    FIRST = "first"
    """The first target that is asked."""
    RETRY = "retry"
    """The same target again."""
    FALLBACK = "fallback"
    """The next candidate."""
    HEDGE = "hedge"
    """A second target beside a slow first."""
    RESCUE = "rescue"
    """After the commit point: asked again for the whole answer."""
    CONTINUE = "continue"
    """After the commit point: given the text already sent, to go on from there."""
    ESCALATE = "escalate"
    """The larger place, because the smaller one was unsure."""
    SHADOW = "shadow"
    """A copy whose answer nobody gets."""
    CACHE = "cache"
    """An answer of that place is kept, and given to the principal again."""
    SCREEN = "screen"
    """A service of its own reads the text to find what it holds."""
    REPLAY = "replay"
    """Something kept of the call is sent later: a sketch, a test of another place."""


ATTEMPTS = (
    Purpose.FIRST,
    Purpose.RETRY,
    Purpose.FALLBACK,
    Purpose.HEDGE,
    Purpose.RESCUE,
    Purpose.CONTINUE,
    Purpose.ESCALATE,
)
"""What `Action::"attempt"` means in a policy; `Action::"send"` means every purpose."""


class Policies(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[policy]`: who may send what where. Without files, everything that a key's own limits allow is allowed."""

    files: tuple[str, ...] = ()
    """Cedar files: paths, or patterns such as `policies/*.cedar`, relative to the working directory."""
    unknown_class: DataClass = DataClass.RESTRICTED
    """What a call counts as whose data class nobody told."""


class Team(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[teams.NAME]`: what holds for everyone in a team. Who is in it is told by the key (`team`) or by the sign-in's claims."""

    roles: tuple[Annotated[str, msgspec.Meta(min_length=1)], ...] = ()
    """Roles that everyone in the team has, beside their own."""
    data_class: DataClass | None = None
    """Calls of the team are at least of this class."""


class PolicyText(msgspec.Struct, frozen=True):
    """One file of policies."""

    file: str
    """What the file is called in problems."""
    text: str


class Authorization(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a snapshot that authorization decides from, beside its backends and models."""

    texts: tuple[PolicyText, ...] = ()
    """Empty: nothing is authorized, everything is allowed."""
    teams: dict[str, Team] = {}
    unknown_class: DataClass = DataClass.RESTRICTED


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What policies know of a backend, or of another service that is sent something."""

    kind: Annotated[str, msgspec.Meta(pattern="^(cloud|onprem|appliance|edge)$")]
    region: str = ""
    """Where it stands. Empty: not known."""
    jurisdiction: Jurisdiction = ""
    labels: tuple[Word, ...] = ()
    """Words of your own that policies may ask for."""
    attested: bool = False
    """Whether it proved what it runs. Not known is not attested."""


class PlaceFacts(Protocol):
    """What is read of a place. `Place` has it, and so may the configuration's own structure of a backend."""

    @property
    def kind(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def jurisdiction(self) -> str: ...
    @property
    def labels(self) -> Iterable[str]: ...
    @property
    def attested(self) -> bool: ...
