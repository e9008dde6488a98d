"""A stream that is more than passed on: held back until it is judged, held back as second best, kept for others who ask the same."""

import logging
from time import monotonic
from typing import TYPE_CHECKING

from switchgear.confidence.asking import Strip
from switchgear.confidence.judge import StreamJudge, Verdict
from switchgear.core.record import AttemptOutcome
from switchgear.gateway.attempt import ANSWER_BYTES, Ended
from switchgear.gateway.relay import StreamTry
from switchgear.wire.errors import AnswerTooLarge
from switchgear.wire.sse import data_of

if TYPE_CHECKING:
    from switchgear.gateway.care import Care

log = logging.getLogger(__name__)


class CareTry(StreamTry, eq=False):
    """`hold` says that nothing goes to the caller yet: the model delivers whole answers, or it is not certain that this one is sure.

    One that turns out unsure steps aside: it goes on, unseen, while the larger model is asked, and is the caller's if that gives nothing.
    """

    care: "Care" = None  # type: ignore[assignment]  # always given
    judge: StreamJudge | None = None
    strip: Strip | None = None
    """Takes out of each event what the caller did not ask for."""
    hold: bool = False
    whole: bool = False
    """Whether it is held to its end, sure or not: `delivery = "whole"`."""
    aside: bool = False
    held_bytes: int = 0
    complete: bool = False
    """Whether it stepped aside and has come to its end."""
    story: list[bytes] | None = None
    """The data of its events, to be kept; None: it is not, or is too large."""

    # -- what comes --

    def on_data(self, data: bytes) -> None:
        try:
            super().on_data(data)
        except Exception as error:  # whole chains of attempts begin in here
            log.exception("call %s met a defect", self.call.id)
            self.call.defect(error)

    def _take(self, events: list[bytes], out: list[bytes]) -> bool:
        if self.judge is not None or self.strip is not None:
            events = [self._looked_at(event) for event in events]
        if self.story is not None:
            for event in events:
                self._keep(data_of(event))
        return super()._take(events, out)

    def _on_chunk(self, data: bytes, begin: int, end: int) -> bool:
        taken = super()._on_chunk(data, begin, end)
        if taken:
            self._keep(data_of(data[begin:end]))
        return taken

    def _looked_at(self, event: bytes) -> bytes:
        """Judge an event, and take out of it what was asked for only to judge it."""
        data = data_of(event)
        if data is None:
            return event
        judge = self.judge
        if judge is not None and judge.verdict is Verdict.WAIT and judge.feed(data) is Verdict.SURE:
            self._sure(judge)
        if self.strip is None or (less := self.strip.event(data)) is data:
            return event
        lines = [line for line in event.splitlines() if line and not line.startswith(b"data")]
        return b"".join(line + b"\n" for line in lines) + b"data: %b\n\n" % less

    def _keep(self, data: bytes | None) -> None:
        story = self.story
        if story is None or data is None:
            return
        story.append(data)
        self.size += len(data)
        if self.size > self.care.keeps_at_most:
            self.story = None
            self.care.too_large()

    # -- what goes on --

    def _begin(self) -> bool:
        if self.hold:
            self._first()
            return False
        return super()._begin()

    def _pass(self, out: list[bytes], *, tokens: bool) -> None:
        super()._pass(out, tokens=tokens)
        if self.passing or self.over:
            return
        self.held_bytes += sum(map(len, out))
        if self.held_bytes > ANSWER_BYTES:
            self._failed(AnswerTooLarge(f"the answer is larger than {ANSWER_BYTES} bytes"))
        elif self.judge is not None and self.judge.verdict is Verdict.UNSURE and not self.aside:
            self.bill_sent()  # so far, for the cost limit of what follows
            self._step_aside(self.judge)

    def _finish(self, out: list[bytes]) -> None:
        judge = self.judge
        if judge is not None and judge.verdict is Verdict.WAIT and judge.end() is Verdict.SURE:
            self._sure(judge)
        if judge is None or judge.verdict is Verdict.SURE:
            self.hold = False
            super()._finish(out)
            return
        self._first()  # one read may have brought all of it
        self.preamble += out
        self.complete = True
        reader = self.reader
        self.finish_reason = reader.finish_reason
        self.bill(reader.usage, 0 if reader.usage is not None else reader.text_bytes)
        self._succeeded(monotonic())
        if self.aside:
            self.record.outcome = AttemptOutcome.UNSURE
        else:
            self._step_aside(judge)

    def _sure(self, judge: StreamJudge) -> None:
        self.record.confidence = judge.confidence()
        self.hold = self.whole

    def _step_aside(self, judge: StreamJudge) -> None:
        self.aside = True
        self.record.confidence = judge.confidence()
        self.ended = self.care.second_best_ended
        self.care.unsure(self)

    def step_back(self, ended: Ended) -> None:
        """It is the caller's after all, unsure as it is."""
        self.aside = self.hold = False
        self.judge = None
        self.ended = ended
        if not self.complete:
            self.record.outcome = AttemptOutcome.FAILED  # until it ends well
            self._pass([], tokens=True)
            return
        self.record.outcome = AttemptOutcome.OK
        if self._begin():
            self.tail = self._last_events(self.preamble)
            self.call.exchange.flow = None
            if not self.call.block_if_told():
                ended(self, None)

    def cancel(self, *, lost: bool = False) -> None:
        super().cancel(lost=lost)
        if self.aside:
            self.record.outcome = AttemptOutcome.UNSURE

    # -- wire.Flow --

    def pause(self) -> None:
        if not self.care.awaited:
            super().pause()
