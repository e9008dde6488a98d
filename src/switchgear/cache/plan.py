"""What a model's configuration means for a call: whether a kept answer may serve it, under which key, how long its own is kept."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from switchgear.cache.keys import Keys, audience
from switchgear.cache.model import Answer
from switchgear.cache.repeatable import admitted, repeatable, worth_keeping
from switchgear.cache.service import AnswerCache
from switchgear.core.caching import LastResort, ModelCache, stale_s
from switchgear.core.snapshot import Endpoint

E = TypeVar("E")


class CachePlan:
    """Made once for each model of a snapshot."""

    __slots__ = ("_ignore", "_stale_s", "settings")

    def __init__(self, settings: ModelCache, resorts: tuple[LastResort, ...] = ()) -> None:
        self.settings = settings
        self._ignore = frozenset(settings.ignore)
        self._stale_s = stale_s(resorts)

    def takes(self, endpoint: Endpoint, fields: Mapping[str, msgspec.Raw], data_class: str) -> bool:
        """Whether a kept answer may serve this call, and its own be kept."""
        return admitted(self.settings, data_class) and repeatable(endpoint, fields, self.settings.repeatable)

    def key(
        self,
        keys: Keys,
        endpoint: Endpoint,
        fields: Mapping[str, msgspec.Raw],
        *,
        places: str,
        principal: str,
        team: str,
        data_class: str,
        variant: bytes = b"",
    ) -> bytes:
        """The call's key; see `Keys.key`."""
        who = audience(self.settings.scope, principal, team)
        return keys.key(
            endpoint, fields, places=places, audience=who, data_class=data_class, ignore=self._ignore, variant=variant
        )

    def keep(self, cache: AnswerCache[E], key: bytes, answer: Answer, now_s: float) -> bool:
        """Keep an answer, if it is worth it; returns whether it may be given to others at all."""
        if not worth_keeping(answer, self.settings):
            return False
        cache.keep(key, answer, now_s, self.settings.ttl_s, self._stale_s, on_disk=self.settings.disk)
        return True
