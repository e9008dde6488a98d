"""What the configuration says of kept answers and of last resorts; and the words with which an answer says that it is one."""

from enum import StrEnum
from typing import Annotated

import msgspec

from switchgear.core.data_class import DataClass

_Seconds = Annotated[float, msgspec.Meta(gt=0)]
_Bytes = Annotated[int, msgspec.Meta(ge=1)]

CACHE_HEADER = "x-switchgear-cache"
"""Header of an answer that was not asked for anew; its value is a `Reuse`."""
DEGRADED_HEADER = "x-switchgear-degraded"
"""Header of an answer that is a last resort; its value is a `Degraded`."""


class Repeatable(StrEnum):
    """Which calls count as repeatable, so that a kept answer is as good as a new one."""

    DETERMINISTIC = "deterministic"
    """Those that ask for it themselves: temperature 0 or a seed; embeddings always."""
    EVERY = "every"
    """All, whatever their temperature: the operator says that any answer of the model will do."""


class Scope(StrEnum):
    """Who may get an answer that was given to somebody."""

    KEY = "key"
    """The same key alone."""
    TEAM = "team"
    """All keys of the team; a key without a team stays alone."""
    EVERYONE = "everyone"
    """Every caller of this gateway whom policy allows the same places."""


class Reuse(StrEnum):
    """How an answer came that was not asked for anew. Stands in `x-switchgear-cache` and on the record."""

    HIT = "hit"
    """Kept, within its time."""
    COLLAPSED = "collapsed"
    """Another call with the same question was under way; its answer is this one's too."""
    STALE = "stale"
    """Kept, beyond its time: a last resort."""


class Degraded(StrEnum):
    """Which last resort an answer is. Stands in `x-switchgear-degraded` and on the record."""

    STALE_CACHE = "stale-cache"
    SMALLER_MODEL = "smaller-model"
    MESSAGE = "message"
    UNSURE = "unsure"
    """The model's own answer, although it was unsure: the larger one gave none."""


class ModelCache(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Answers of a model that are kept, and given again to a call that says the same."""

    ttl_s: _Seconds
    """How long an answer may be given again, seconds."""
    scope: Scope = Scope.KEY
    """Who may get it: the same key, its team, or everyone."""
    repeatable: Repeatable = Repeatable.DETERMINISTIC
    """Which calls: those with temperature 0 or a seed, or every one."""
    collapse: bool = True
    """Whether calls that say the same at the same time wait for one answer."""
    max_answer_bytes: _Bytes = 1024 * 1024
    """A larger answer is not kept."""
    ignore: tuple[str, ...] = ()
    """Fields of the body that do not change an answer, for example user or metadata."""
    data_classes: tuple[DataClass, ...] | None = None
    """Data classes whose answers are kept; all where not given."""
    disk: bool = False
    """Whether they are kept on disk too, encrypted; needs [cache.disk]."""


class CacheDisk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Kept answers on disk, in state_dir, each sealed with AES-256-GCM."""

    max_bytes: Annotated[int, msgspec.Meta(ge=1024 * 1024)] = 1024 * 1024 * 1024
    """Size of the file at which the oldest answers go."""
    key_env: str | None = None
    """Environment variable that holds the keys, the one to write with first: ID:BASE64 of 32 bytes, by commas."""
    key_file: str | None = None
    """File that holds them, one a line."""


class CacheSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where kept answers lie, for all models together."""

    memory_bytes: Annotated[int, msgspec.Meta(ge=1024 * 1024)] = 64 * 1024 * 1024
    """Memory that they may take in each worker."""
    disk: CacheDisk | None = None


class LastResort(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One thing to try when no target can answer. Give one of the three."""

    stale_s: _Seconds | None = None
    """A kept answer whose time is over by at most this many seconds."""
    model: str | None = None
    """Another model, by its alias; its own last resorts are not tried."""
    message: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    """A fixed text in place of an answer."""


def stale_s(resorts: tuple[LastResort, ...]) -> float:
    """How long beyond its time an answer has to be kept, for these last resorts; seconds."""
    return max((resort.stale_s for resort in resorts if resort.stale_s is not None), default=0.0)
