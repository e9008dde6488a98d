"""Small model first, the larger one when its answer is unsure (docs/escalate.md).

The first chain of attempts asks the model's own targets for what the rule needs, and each whole answer (or stream, held back) is judged. An
unsure one is kept as second best, and a second chain asks the larger model. Should that give nothing, the second best is the answer.
"""

import random
from time import monotonic
from typing import TYPE_CHECKING

from switchgear.backends.model import Fields
from switchgear.confidence.asking import Strip, with_logprobs
from switchgear.confidence.format import wanted_format
from switchgear.confidence.judge import Judge, StreamJudge
from switchgear.confidence.names import Needs
from switchgear.core.authorization import Purpose
from switchgear.core.caching import Degraded
from switchgear.core.record import AttemptKind, AttemptOutcome
from switchgear.core.snapshot import Endpoint
from switchgear.gateway.attempt import Ended, Try
from switchgear.gateway.care_stream import CareTry
from switchgear.gateway.detour import admission_to, way_to

if TYPE_CHECKING:
    from switchgear.gateway.care import Care

_SHARE_WAIT_S = 0.5
"""So long a call waits for its worker's share of a limit to come."""


class Doubt:
    """One call's."""

    def __init__(self, care: "Care", judge: Judge, larger: str, rng: random.Random) -> None:
        call, head = care.call, care.asked
        self._care = care
        self._call = call
        self._judge = judge
        self._larger = larger
        self._random = rng
        self._format = wanted_format(call.endpoint, head.fields)
        self._strip: Strip | None = None
        self._plain = (head.logprobs, head.plain)
        self._ended: Ended | None = None
        self._waits_until_s = 0.0
        self.open = True
        """Whether no answer has been judged yet."""
        self.second_best: Try | None = None
        """The unsure answer, while it may still be given."""
        if judge.rule.needs & Needs.LOGPROBS:  # a target that gives none is no candidate
            head.logprobs, head.plain = True, False

    @classmethod
    def of(cls, care: "Care", judge: Judge, larger: str, rng: random.Random) -> "Doubt | None":
        """None where there is nobody to turn to: then the answer is given as it is."""
        if care.call.endpoint is Endpoint.EMBEDDINGS or admission_to(care.call, larger, Purpose.ESCALATE) is None:
            return None
        return cls(care, judge, larger, rng)

    # -- judging --

    def asked(self, fields: Fields, ended: Ended) -> tuple[Fields, Strip | None]:
        """The fields of an attempt that is to be judged."""
        self._ended = ended
        fields, self._strip = with_logprobs(self._call.endpoint, fields, self._judge.rule.needs)
        return fields, self._strip

    def stream_judge(self) -> StreamJudge:
        """For one stream."""
        return self._judge.stream(self._call.endpoint, self._format, self._care.asked.max_tokens)

    def whole(self, attempt: Try) -> bool:
        """Judge a whole answer. Returns whether it is unsure: then the larger model is asked."""
        body = attempt.body()
        judged = self._judge.whole(self._call.endpoint, body, self._format)
        if self._strip is not None:
            attempt.kept = [self._strip.whole(body)]
        attempt.record.confidence = judged.confidence
        self.open = False
        if judged.unsure:
            self.unsure(attempt)
        return judged.unsure

    # -- asking the larger model --

    def unsure(self, attempt: Try) -> None:
        """An answer is unsure. It may still be coming."""
        self.open = False
        self.second_best = attempt
        attempt.record.outcome = AttemptOutcome.UNSURE
        self._call.stop(lost=True, spare=attempt)
        head = self._care.asked
        head.logprobs, head.plain = self._plain
        self._waits_until_s = monotonic() + _SHARE_WAIT_S
        self._escalate()

    def _escalate(self) -> None:
        call, care = self._call, self._care
        way = way_to(call, care.asked, self._larger, Purpose.ESCALATE, care.max_cost_usd, self._random)
        if way is None:
            self.give()
            return
        refused = care.go(way, AttemptKind.ESCALATE)
        if refused is not None and refused.pending and monotonic() < self._waits_until_s:
            call.later(refused.retry_after_s or 0.02, self._escalate)
        elif refused is not None:
            self.give()

    def ended(self, attempt: Try, failure: object) -> None:
        """The second best came to its end while the larger model is asked."""
        if failure is not None and attempt is self.second_best:
            self.second_best = None

    def give(self) -> bool:
        """Give the caller the second best, if there is one."""
        attempt, call, ended = self.second_best, self._call, self._ended
        self.second_best = None
        if attempt is None or ended is None or call.committed:
            return False
        self._care.back()
        self._care.degraded = Degraded.UNSURE
        if isinstance(attempt, CareTry):
            attempt.step_back(ended)
        else:
            attempt.record.outcome = AttemptOutcome.OK
            ended(attempt, None)
        return True
