"""What the configuration says of sketches: of which calls one is kept, for how long, and sealed with what."""

from enum import StrEnum
from typing import Annotated

import msgspec


class SketchWhen(StrEnum):
    """How a call must have ended for a rule to be for it."""

    FAILED = "failed"
    """A clear error after the targets were asked."""
    BROKEN = "broken"
    """An in-band error after the commit point."""
    REFUSED = "refused"
    """A clear error before any target was asked."""
    CANCELLED = "cancelled"
    """The caller hung up."""
    LOW_CONFIDENCE = "low_confidence"
    """An answer that the model's `escalate` rule called unsure, whoever answered in the end."""
    DEGRADED = "degraded"
    """A last resort was given in place of an answer."""


class SketchRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Keep a sketch of some calls."""

    when: SketchWhen
    """failed, broken, refused, cancelled, low_confidence or degraded."""
    models: tuple[str, ...] | None = None
    """Aliases that the rule is for; all where not given."""
    errors: tuple[str, ...] | None = None
    """Codes of errors that the rule is for, for example `upstream_timeout`; all where not given."""
    ratio: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    """Share of such calls that is kept, drawn by chance."""


class Sketching(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Sketches of calls that went wrong: their structure without their data, sealed, in state_dir. See docs/sketches.md."""

    keep: tuple[SketchRule, ...] = ()
    """The rules; the first that is for a call counts. None: no sketch is ever made."""
    keep_days: Annotated[float, msgspec.Meta(gt=0)] = 14.0
    """How long a sketch is kept, days."""
    max_bytes: Annotated[int, msgspec.Meta(ge=1024 * 1024)] = 256 * 1024 * 1024
    """Size of the file at which the oldest sketches go."""
    max_call_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 1024 * 1024
    """Of a call whose body is larger no sketch is made; it is counted."""
    key_env: str | None = None
    """Environment variable that holds the keys, the one to write with first: ID:BASE64 of 32 bytes, by commas."""
    key_file: str | None = None
    """File that holds them, one a line."""
