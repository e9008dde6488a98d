"""What calls of the short way leave behind: latencies, the breaker's counts, their records.

Their callers have their answers by then, and nobody asks for any of it within the milliseconds for which records are gathered. So it is
written for many calls at once: in a loop that runs warm each step takes half of what it takes between two reads of a socket (ADR 10).
Whoever depends on it at the moment has it written first.
"""

import logging
import struct
from typing import TYPE_CHECKING, NamedTuple

from switchgear.backends.model import Answer
from switchgear.core.record import LONGEST_REASON, VERSION, AttemptOutcome, Outcome, Record

if TYPE_CHECKING:
    from switchgear.gateway.call import Recorder
    from switchgear.gateway.straight import PlainCall

log = logging.getLogger(__name__)


class Entry(NamedTuple):
    """A call whose answer was given."""

    call: "PlainCall"
    answer: Answer
    duration_s: float
    answer_bytes: int
    now_s: float
    """When the answer had come, monotonic."""


class Books:
    """Entries that are not written yet. Each is written once."""

    __slots__ = ("_recorder", "entries")

    def __init__(self, recorder: "Recorder") -> None:
        self._recorder = recorder
        self.entries: list[tuple[PlainCall, Answer, float, int, float]] = []
        """As `Entry`. Who adds the first one has the recorder `expect` a record."""

    def write(self) -> None:
        """Write all entries."""
        entries = self.entries
        if not entries:
            return
        self.entries = []
        append = self._recorder.append_encoded
        for call, answer, duration_s, answer_bytes, now_s in entries:
            try:
                plan, target, usage = call.plan, call.target, answer.usage
                target.state.latency.observe(duration_s, now_s)
                target.state.breaker.well(now_s, duration_s)
                if usage is None or target.prices is None:
                    self._write_in_full(Entry(call, answer, duration_s, answer_bytes, now_s))
                    continue
                prompt, cached, completion = usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens
                cost_usd: float = target.cost_usd(prompt, cached, completion)  # type: ignore[assignment]  # it has prices
                reason = answer.finish_reason
                record = (plan.records.get(reason) or plan.record(reason))(
                    call.id.encode(), call.at_s, duration_s, prompt, cached, completion, cost_usd,
                    call.request_bytes, answer_bytes,
                )  # fmt: skip
            except struct.error:  # a number out of all proportion
                self._write_in_full(Entry(call, answer, duration_s, answer_bytes, now_s))
            except Exception:
                log.exception("call %s met a defect", call.id)
                self._write_in_full(Entry(call, answer, duration_s, answer_bytes, now_s))
            else:
                append(call.id, call.at_s + duration_s, record)

    def _write_in_full(self, entry: Entry) -> None:
        """The record of a call about which there is more to say: usage that nobody reported, no prices, numbers out of proportion."""
        call = entry.call.attempt().call
        try:
            record = _record(entry)
            if call.reservation is not None:
                tokens = record.prompt_tokens + record.completion_tokens
                call.reservation.settle(tokens, record.cost_usd, entry.now_s)
            self._recorder.append(record)
        except Exception as error:
            log.exception("call %s met a defect", call.id)
            call.defect(error)  # its caller has the answer; its record says what was met


def _record(entry: Entry) -> Record:
    plain, answer, duration_s, answer_bytes, _ = entry
    attempt = plain.attempt()
    call, record = attempt.call, attempt.record
    attempt.bill(answer.usage, answer.text_bytes)
    record.status, record.outcome = 200, AttemptOutcome.OK
    record.duration_s = record.ttft_s = duration_s
    told = Record(VERSION, call.id, call.at_s, *plain.plan.recorded, call.attempts)
    told.outcome, told.status = Outcome.OK, 200
    told.backend, told.answered_model = record.backend, record.model
    told.finish_reason = answer.finish_reason[:LONGEST_REASON]
    told.ttft_s = told.duration_s = duration_s
    told.prompt_tokens, told.cached_tokens = record.prompt_tokens, record.cached_tokens
    told.completion_tokens, told.usage, told.cost_usd = record.completion_tokens, record.usage, record.cost_usd
    told.request_bytes, told.answer_bytes = call.request_bytes, answer_bytes
    return told
