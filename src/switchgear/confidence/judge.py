"""Says of an answer whether it is sure enough, by a model's rule; of a stream as soon as nothing that may still come can change that.

The rule for holding back: a stream is held until
- the rule holds whatever may still come: unsure, ask the larger model at once;
- or `first_tokens` tokens with log-probabilities are there, or the answer has ended: the rule is decided on what is there, and what only
  the end can show (`format_failure`, `length_cut`) counts as not so if it has not shown itself.
Then it flows, and is not judged again.
"""

from enum import Enum
from math import inf
from typing import NamedTuple

from switchgear.confidence.format import Format
from switchgear.confidence.parse import parse
from switchgear.confidence.rule import Rule
from switchgear.confidence.signals import Phrases, Signals
from switchgear.core.decoding import UNREADABLE
from switchgear.core.escalation import Confidence, Escalate, WhenMissing
from switchgear.core.snapshot import Endpoint


class Verdict(Enum):
    """What is said of an answer."""

    WAIT = "wait"
    """Nothing yet: hold it back."""
    SURE = "sure"
    UNSURE = "unsure"


class Judged(NamedTuple):
    """Of a whole answer."""

    unsure: bool
    confidence: Confidence


class Judge:
    """One model's rule, made once for each snapshot."""

    __slots__ = ("_first_tokens", "_missing", "_phrases", "rule")

    def __init__(self, settings: Escalate) -> None:
        """Raises BadRule."""
        self.rule: Rule = parse(settings.when)
        self._first_tokens = settings.first_tokens
        self._missing = settings.when_missing is WhenMissing.ESCALATE
        self._phrases = Phrases(settings.refusal_phrases)

    def whole(self, endpoint: Endpoint, body: bytes, wanted: Format | None) -> Judged:
        """Judge a whole answer. One that cannot be read is unsure."""
        signals = Signals(endpoint, self._phrases, wanted)
        try:
            signals.read_whole(body)
        except UNREADABLE:
            return Judged(True, signals.confidence(unsure=True))
        unsure = self.decided(signals)
        return Judged(unsure, signals.confidence(unsure=unsure))

    def decided(self, signals: Signals) -> bool:
        """Whether what has been shown is unsure, taking for granted that nothing more comes."""
        truth = self.rule.truth(signals.shown())
        return self._missing if truth is None else truth

    def stream(self, endpoint: Endpoint, wanted: Format | None, max_tokens: int = 0) -> "StreamJudge":
        """Judge a stream. `max_tokens`: the call's own limit, 0 where it has none."""
        most: float = max_tokens or inf
        if self._first_tokens is not None:
            most = min(most, self._first_tokens)
        return StreamJudge(
            self, Signals(endpoint, self._phrases, wanted, most), windowed=self._first_tokens is not None
        )


class StreamJudge:
    """Fed with a stream while it is held back."""

    __slots__ = ("_judge", "_signals", "_windowed", "verdict")

    def __init__(self, judge: Judge, signals: Signals, *, windowed: bool) -> None:
        self._judge = judge
        self._signals = signals
        self._windowed = windowed
        self.verdict = Verdict.WAIT

    def feed(self, data: bytes) -> Verdict:
        """The data of one event. Once it has said sure or unsure it says nothing else."""
        if self.verdict is not Verdict.WAIT:
            return self.verdict
        try:
            self._signals.read_event(data)
        except UNREADABLE:
            return self.verdict  # whether the stream is broken is the reader's to say
        truth = self._judge.rule.truth(self._signals.known())
        if truth is True:
            self.verdict = Verdict.UNSURE
        elif truth is False:
            self.verdict = Verdict.SURE
        elif self._windowed and self._signals.full:
            self.verdict = self._by(self._judge.decided(self._signals))
        return self.verdict

    def end(self) -> Verdict:
        """The stream is whole."""
        if self.verdict is Verdict.WAIT:
            self._signals.end()
            self.verdict = self._by(self._judge.decided(self._signals))
        return self.verdict

    def confidence(self) -> Confidence:
        """Of what was looked at."""
        return self._signals.confidence(unsure=self.verdict is Verdict.UNSURE)

    @staticmethod
    def _by(unsure: bool) -> Verdict:
        return Verdict.UNSURE if unsure else Verdict.SURE
