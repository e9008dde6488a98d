"""Sketches in a gateway: a worker picks the calls that a rule is for; the supervisor, whose loop is idle, has them made and kept.

A worker spends nothing on a call that went well but two comparisons, and on one that is picked the writing of its body to the
supervisor. What it writes there is bounded, and so is what waits there.
"""

import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from switchgear.core.clock import Clock
from switchgear.core.record import Outcome, Record
from switchgear.core.screening import Detector, Screening
from switchgear.core.sketching import Sketching, SketchRule, SketchWhen
from switchgear.gateway.channel import Answer, Channel, ChannelError
from switchgear.gateway.head import CallHead
from switchgear.sketches.model import Finder, Job, is_for

if TYPE_CHECKING:
    from switchgear.sketches.keeper import Keeper

_OK = Outcome.OK
_MOST = 16
"""Calls on their way to the supervisor at a time; further ones are not sketched."""
_AFTER_OK = frozenset((SketchWhen.LOW_CONFIDENCE, SketchWhen.DEGRADED))
_decode_job = msgspec.msgpack.Decoder(Job).decode


class Sketches:
    """A worker's side."""

    __slots__ = ("_after_ok", "_channel", "_largest", "_random", "_rules", "_under_way", "dropped", "offered")

    def __init__(self, settings: Sketching, channel: Channel, rng: random.Random) -> None:
        self._rules = settings.keep
        self._after_ok = tuple(rule for rule in settings.keep if rule.when in _AFTER_OK)
        self._largest = settings.max_call_bytes
        self._channel = channel
        self._random = rng
        self._under_way = 0
        self.offered = 0
        """Calls handed on."""
        self.dropped = 0
        """Calls that a rule was for and that were too large, or too many at a time."""

    def ended(self, head: CallHead | None, record: Record) -> None:
        """A call is over. Never raises."""
        rules = self._after_ok if record.outcome is _OK else self._rules
        if rules and head is not None:
            rule = next((rule for rule in rules if is_for(rule, record)), None)
            if rule is not None:
                self._picked(rule, head, record)

    def _picked(self, rule: SketchRule, head: CallHead, record: Record) -> None:
        if rule.ratio < 1.0 and self._random.random() >= rule.ratio:
            return
        if record.request_bytes > self._largest or self._under_way >= _MOST:
            self.dropped += 1
            return
        self._under_way += 1
        self.offered += 1
        fields = {name: bytes(value) for name, value in head.fields.items()}
        self._channel.post("sketch", Job(rule.when, fields, record), self._answered)

    def _answered(self, answer: "msgspec.Raw | ChannelError") -> None:
        self._under_way -= 1
        if isinstance(answer, ChannelError):
            self.dropped += 1


def take(content: msgspec.Raw, keeper: "Keeper", answer: Answer) -> None:
    """The supervisor's side: hand a picked call to the keeper's thread, or drop it where too much waits."""
    answer(keeper.offer(_decode_job(content)))


def open_keeper(
    settings: Sketching, screen: Screening | None, state_dir: Path, environment: Mapping[str, str], clock: Clock
) -> "Keeper | None":
    """What keeps sketches; None without rules. Raises BadSealingKey, ForeignFile, StoreFailing."""
    if not settings.keep:
        return None
    # Imported where they are needed: most gateways keep no sketches, and cryptography takes 9 MB.
    from switchgear.sketches.keeper import Keeper
    from switchgear.sketches.opening import open_keyring
    from switchgear.sketches.store import FILE

    return Keeper(
        state_dir / FILE,
        open_keyring(settings, environment),
        settings,
        clock=clock,
        finder=lambda: _finder(screen),
        random_bytes=os.urandom,
    )


def _finder(screen: Screening | None) -> Finder:
    """Every detector, whichever the screen has on, and the company's own patterns, lists and canaries."""
    from switchgear.policy.detect import Detectors
    from switchgear.policy.detect_own import compile_own

    own = compile_own(screen.patterns, screen.word_lists, screen.canaries) if screen is not None else None
    return Detectors(frozenset(Detector), own)
