"""One call: what it asked for, what happened to it so far, and the one way in which it ends."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Protocol

import msgspec

from switchgear.core.data_class import DataClass
from switchgear.core.record import (
    LONGEST_REASON,
    VERSION,
    Attempt,
    AttemptKind,
    AttemptOutcome,
    Outcome,
    Record,
    RuledOut,
)
from switchgear.core.snapshot import Delivery, Endpoint
from switchgear.core.tasks import TaskOwner
from switchgear.gateway.books import Books
from switchgear.gateway.errors import CallError, Failed, challenge, error_body
from switchgear.gateway.head import CallHead
from switchgear.gateway.shape import error_event
from switchgear.gateway.table import Admission, Plan, Route, Table, Target
from switchgear.identity.model import Principal
from switchgear.limits.headers import retry_after
from switchgear.limits.plan import Plan as LimitPlan
from switchgear.limits.reservation import Reservation
from switchgear.policy.model import CLEAN, Finding, Verdict, tally
from switchgear.wire.exchange import EVENT_STREAM, JSON, Exchange, header

log = logging.getLogger(__name__)
PASSED_ON = frozenset(
    (b"x-request-id", b"openai-processing-ms", b"openai-version", b"openai-organization", b"openai-model")
)
"""Headers of a backend's answer that the caller gets too."""
_JOURNAL_RETRY_S = 5.0
"""When to come back while records cannot be written."""

if TYPE_CHECKING:
    from switchgear.gateway.attempt import Try
    from switchgear.gateway.caching import Cache
    from switchgear.gateway.care import Care
    from switchgear.gateway.failure import Failure
    from switchgear.gateway.sketching import Sketches
    from switchgear.gateway.watching import AnswerWatch
    from switchgear.policy.authz_model import Reach


class Recorder(Protocol):
    """Where records go."""

    strict: bool
    """Whether the last byte of an answer waits for its record."""
    writable: bool
    """Whether records reach the disk, as far as is known."""

    def append(self, record: Record) -> None:
        """Keep a record soon."""
        ...

    def expect(self, write: Callable[[], None]) -> None:
        """Records are going to be appended: call `write` for them soon, before what is gathered until then is sent."""
        ...

    def append_encoded(self, call_id: str, ended_s: float, record: bytes) -> None:
        """The same of a record that is encoded already; the call ended at `ended_s`, Unix time."""
        ...

    def append_strict(self, record: Record, done: Callable[[Exception | None], None]) -> None:
        """Keep a record and call `done`, on the event loop, once it is kept or cannot be."""
        ...


class Desk:
    """What every call of a data plane shares."""

    __slots__ = (
        "books",
        "cache",
        "calls",
        "loop",
        "name",
        "now_s",
        "recorder",
        "refuse_unrecorded",
        "sketches",
        "tasks",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        name: str,
        now_s: Callable[[], float],
        recorder: Recorder,
        *,
        refuse_unrecorded: bool,
    ) -> None:
        self.loop = loop
        self.name = name
        self.now_s = now_s
        self.recorder = recorder
        self.books = Books(recorder)
        self.refuse_unrecorded = refuse_unrecorded
        """What calls of the short way leave behind, while it is not written."""
        self.tasks = TaskOwner("calls")
        """Connections being opened for a call."""
        self.calls = 0
        """Calls dispatched and not over."""
        self.cache: Cache | None = None
        """Kept answers; None where no model keeps any."""
        self.sketches: Sketches | None = None
        """Picks the calls that a sketch is kept of; None: of none."""


class Driver(Protocol):
    """What decides how a call goes on after an attempt."""

    def ended(self, attempt: "Try", failure: "Failure | None") -> None:
        """An attempt came to its end."""
        ...


class Call(msgspec.Struct, eq=False):
    """Made when a request has arrived; its end is told exactly once."""

    desk: Desk
    table: Table
    exchange: Exchange
    id: str
    endpoint: Endpoint
    started_s: float
    """When its head had arrived, event loop's time; all else that ends in `_s` is on that clock."""
    at_s: float
    """The same as Unix time."""
    request_bytes: int
    drive: "Callable[[Call], Driver] | None" = None
    """Makes the driver of a call that was sent without one, when it needs one."""
    plan: Plan | None = None
    """Where it went the short way."""
    principal: Principal | None = None
    head: CallHead | None = None
    route: Route | None = None
    deadline_s: float = 0.0
    delivery: Delivery = Delivery.STREAM
    candidates: Sequence[Target] = ()
    forwarded: bytes = b""
    """Header lines that go to the backend with each attempt."""
    ruled_out: list[RuledOut] = []
    attempts: list[Attempt] = []
    reach: "Reach[Target] | None" = None
    """What policies say of its targets; None: there are none."""
    data_class: str = ""
    """What it carries, for the record."""
    admission: Admission | None = None
    """Where it may go, whatever the moment; None where it went the short way: its plan has it."""
    limits: LimitPlan | None = None
    """The limits that apply to it; None: none."""
    reservation: Reservation | None = None
    """What it holds of them."""
    counted: bool = False
    """Whether it is among the calls under way."""
    told: DataClass | None = None
    """The strictest class that was declared, or that the screen raised it to; None: nobody said."""
    verdict: Verdict = CLEAN
    """What the screen found in it."""
    watch: "AnswerWatch | None" = None
    """Follows its streamed answer, over all attempts that bring a part of it."""
    answer_findings: tuple[Finding, ...] = ()
    standings: tuple[str, ...] = ()
    """How the hardware of each candidate stood; empty where none is asked."""
    waits: Callable[[], object] | None = None
    """Ends its waiting for its turn at a full backend, while it does."""
    committed: bool = False
    """Whether a byte of an answer has gone to the caller."""
    winner: "Try | None" = None
    """The attempt whose answer the caller gets, once that is settled."""
    answered: Target | None = None
    finish_reason: str = ""
    ttft_s: float | None = None
    answer_bytes: int = 0
    tokens_moved: int = 0
    """Tokens (about) that were completion to the caller and prompt to the backend that continued the answer."""
    running: "list[Try]" = []
    """Attempts under way: one, or two where hedged."""
    timer: asyncio.TimerHandle | None = None
    over: bool = False
    """Whether it has its end."""
    care: "Care | None" = None
    """What its model does beside asking its targets: kept answers, a larger model, last resorts; None: nothing."""
    left: bool = False
    """Whether its caller has gone and it goes on for others who wait for the same answer."""
    flags: tuple[str, ...] = ()
    """Soft limits on backends that its attempts exceeded, and hard ones that could not be checked."""

    def rule_out(self, target: Target, reason: str) -> None:
        """A target turns out to be no candidate."""
        self.ruled_out.append(RuledOut(target.backend_name, target.model, reason))

    def may_go(self, target: Target, kind: AttemptKind) -> bool:
        """Whether policies let an attempt of this kind go to one of the candidates."""
        reach = self.reach  # even where it is uniform: a call that escalated may be where its own attempts may not go
        return reach is None or target in reach.allowed[kind]

    @property
    def hurried(self) -> bool:
        """Whether the caller set itself a shorter deadline than its model has: missing that says nothing about a target."""
        return self.route is not None and self.deadline_s < self.started_s + self.route.config.deadline_s

    # -- answering --

    def answer_head(self, target: Target | None, headers: Mapping[bytes, bytes], content_type: bytes) -> bytes:
        """Headers of an answer: who gave it, after how many attempts, and what its backend said of it that a caller may use.

        `target` None: no backend gave it.
        """
        head = b"%b%bx-switchgear-call: %b\r\nx-switchgear-attempts: %d\r\n" % (
            content_type,
            target.reply_head if target is not None else b"",
            self.id.encode(),
            len(self.attempts),
        )
        if not PASSED_ON.isdisjoint(headers):
            head += passed_on(headers)
        if self.limits is not None:
            head += self.limits.header_lines()
        if self.care is not None:
            head += self.care.head()
        return head

    def claim(self, attempt: "Try") -> bool:
        """An attempt has an answer to give. Returns whether it may: the first one wins, a hedge that comes later does not."""
        if self.winner is None:
            self.winner = attempt
            self.answered = attempt.target
            return True
        return self.winner is attempt

    def commit(self, attempt: "Try") -> None:
        """The commit point of a streamed answer: its head goes out with the first bytes; a hedge beside it has lost."""
        self.committed = True
        self.ttft_s = monotonic() - self.started_s
        self._begin_to_watch()
        for other in tuple(self.running):
            if other is not attempt:
                other.cancel(lost=True)
        self.exchange.start(200, self.answer_head(attempt.target, attempt.headers, EVENT_STREAM))

    def write(self, data: bytes) -> None:
        self.answer_bytes += len(data)
        self.exchange.write(data)

    def later(self, wait_s: float, step: Callable[[], None]) -> None:
        """Take a step after a while, unless the call is over by then. It takes the place of another that was to be taken."""
        if self.timer is not None:
            self.timer.cancel()

        def run() -> None:
            self.timer = None
            if self.over:
                return
            try:
                step()
            except Exception as error:
                log.exception("call %s met a defect", self.id)
                self.defect(error)

        self.timer = self.desk.loop.call_later(wait_s, run)

    def stop(self, *, lost: bool, spare: "Try | None" = None) -> None:
        """End the attempts under way, but for one, and what was to come."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.waits is not None:
            self.waits()
            self.waits = None
        for attempt in tuple(self.running):
            if attempt is not spare:
                attempt.cancel(lost=lost)

    # -- the end --

    def screened(self, body: bytes) -> bytes | None:
        """A whole answer as far as the screen lets it go; None where it does not: then the call has its end."""
        screen = self.table.screen
        if screen is None:
            return body
        checked = screen.answer(body, self.verdict, self.told)
        self.answer_findings += checked.findings
        if checked.blocked_by:
            self.block(checked.blocked_by)
            return None
        return checked.body

    def reply_whole(self, target: Target | None, answer: bytes, headers: Mapping[bytes, bytes]) -> None:
        """End with a whole answer, as far as the screen lets it go. `target` None: no backend gave it."""
        body = self.screened(answer)
        if body is None:
            return
        self.committed = True
        self.answered = target
        self.ttft_s = monotonic() - self.started_s
        self.answer_bytes = len(body)
        head = self.answer_head(target, headers, JSON)
        if self.desk.recorder.strict:
            exchange = self.exchange
            self._end(Outcome.OK, 200, "", lambda: exchange.reply(200, body, head))
            return
        self.exchange.reply(200, body, head)
        self.desk.recorder.append(self._close(Outcome.OK, 200, ""))

    def _begin_to_watch(self) -> None:
        """Have the stream followed by the screen, where it has rules for it or something to put back."""
        screen = self.table.screen
        if screen is not None and screen.watch(self.verdict, self.told) is not None:
            from switchgear.gateway.watching import AnswerWatch

            self.watch = AnswerWatch(screen, self.verdict, self.told)

    def block_if_told(self) -> bool:
        """End the stream if the screen says so. Returns whether it did."""
        if self.watch is None or not self.watch.blocked_by or self.over:
            return False
        self.block(self.watch.blocked_by)
        return True

    def block(self, rule: str) -> None:
        """End an answer that the screen does not let go on: with an error, and nothing of what was found."""
        self.stop(lost=False)
        error = Failed(
            "answer_blocked",
            f"The rule {rule!r} of the content screen blocks this answer for what it holds. "
            "Ask for something else, or ask whoever runs this gateway.",
        )
        if self.committed:
            self.break_stream(error)
        else:
            self.fail(error)

    def finish_stream(self, tail: bytes) -> None:
        """End a streamed answer well."""
        self.answer_bytes += len(tail)
        exchange = self.exchange
        self._end(Outcome.OK, 200, "", lambda: exchange.finish(tail))

    def break_stream(self, error: CallError) -> None:
        """End a streamed answer that nobody could carry on: an error event and no end marker."""
        exchange = self.exchange
        data = error_event(self.endpoint, error.code, str(error))
        self._end(Outcome.BROKEN, 200, error.code, lambda: exchange.finish(data))

    def refuse(self, error: CallError) -> None:
        """End with an error before any target was asked, or with a last resort."""
        if self.care is not None and self.care.instead(error):
            return
        self._end_with_error(Outcome.REFUSED, error.status, error.code, error.body(), error.retry_after_s)

    def fail(self, error: CallError, status: int = 0, body: bytes = b"", code: str = "") -> None:
        """End with an error after targets were asked, or with a last resort.

        `status`, `body` and `code` are the backend's own where they say more: the call itself is at fault then.
        """
        if self.care is not None and (
            self.care.blamed(error, status, body, code) if body else self.care.instead(error)
        ):
            return
        self._end_with_error(
            Outcome.FAILED, status or error.status, code or error.code, body or error.body(), error.retry_after_s
        )

    def defect(self, error: Exception) -> None:
        """The gateway itself is at fault: end with an error that says so, if there is no end yet."""
        if self.over:
            return
        self.stop(lost=False)
        told = Failed(
            "internal_error", f"A defect of the gateway ({type(error).__name__}); quote {self.id} when reporting it."
        )
        if self.committed:
            self.break_stream(told)
        else:
            self.fail(told)

    def gone(self) -> None:
        """The caller hung up: whoever works for it is told at once."""
        if not self.over and not (self.care is not None and self.care.gone()):
            self.abandon()

    def abandon(self) -> None:
        """End a call whose answer nobody waits for."""
        self.stop(lost=False)
        self._end(Outcome.CANCELLED, self.exchange.status, "", lambda: None)

    def _end_with_error(
        self, outcome: Outcome, status: int, code: str, body: bytes, retry_after_s: float | None
    ) -> None:
        head = self._error_head(code, retry_after_s)
        self.answer_bytes = len(body)
        exchange = self.exchange
        self._end(outcome, status, code, lambda: exchange.reply(status, body, head))

    def _error_head(self, code: str, retry_after_s: float | None) -> bytes:
        head = JSON + header("x-switchgear-call", self.id) + header("x-switchgear-attempts", str(len(self.attempts)))
        if self.attempts:
            head += header("x-switchgear-backend", self.attempts[-1].backend)
        head += challenge(code)
        if self.limits is not None:
            head += self.limits.header_lines()
        if retry_after_s is not None:
            head += retry_after(retry_after_s)
        return head

    def _end(self, outcome: Outcome, status: int, code: str, send: Callable[[], None]) -> None:
        """Leave the record and send the last of the answer: the record first where the answer must wait for it."""
        desk = self.desk
        record = self._close(outcome, status, code)
        if not desk.recorder.strict:
            send()
            desk.recorder.append(record)
            return

        def kept(error: Exception | None) -> None:
            text = "The record of this call could not be written."
            if error is None or not desk.refuse_unrecorded:
                send()
            elif self.exchange.status == 0:
                self.exchange.reply(
                    503,
                    error_body("journal_unavailable", text),
                    self._error_head("journal_unavailable", _JOURNAL_RETRY_S),
                )
            else:
                self.exchange.finish(error_event(self.endpoint, "journal_unavailable", text))

        desk.recorder.append_strict(record, kept)

    def _close(self, outcome: Outcome, status: int, code: str) -> Record:
        """The call is over: its record."""
        self.over = True
        self.exchange.on_gone = None
        self.winner = None  # it refers to this call: no cycle is left for the collector
        if self.counted:
            self.desk.calls -= 1
        principal, head, target, attempts = self.principal, self.head, self.answered, self.attempts
        came = outcome
        if self.left:
            outcome, status, code = Outcome.CANCELLED, self.exchange.status, ""
        record = Record(
            VERSION,
            self.id,
            self.at_s,
            self.desk.name,
            self.table.snapshot.id,
            self.endpoint.value,
            principal.name if principal is not None else "",
            principal.team if principal is not None else "",
            self.data_class,
            head.model if head is not None else "",
            head.pin if head is not None else "",
            head.streamed if head is not None else False,
            [candidate.name for candidate in self.candidates],
            self.ruled_out,
            attempts,
            outcome,
            status,
            code,
            target.backend_name if target is not None else "",
            target.model if target is not None else "",
            self.finish_reason[:LONGEST_REASON],
            self.ttft_s,
            monotonic() - self.started_s,
            request_bytes=self.request_bytes,
            answer_bytes=self.answer_bytes,
        )
        if len(attempts) == 1 and outcome is Outcome.OK:
            attempt = attempts[0]
            record.prompt_tokens = attempt.prompt_tokens
            record.cached_tokens = attempt.cached_tokens
            record.completion_tokens = attempt.completion_tokens
            record.usage = attempt.usage
            record.cost_usd = attempt.cost_usd
        elif attempts:
            _add_up(record, self.tokens_moved)
        if self.standings:
            _add_energy(record, list(self.standings))
        if self.reservation is not None:
            self._settle(self.reservation, record)
        if self.flags:
            record.flags = [*record.flags, *self.flags]
        if self.verdict is not CLEAN:
            record.findings = tally(self.verdict.findings)
            record.screen_rules = list(self.verdict.rules)
        if self.watch is not None:
            self.answer_findings += tuple(self.watch.findings)
        if self.answer_findings:
            record.answer_findings = tally(self.answer_findings)
        if self.care is not None:
            self.care.closed(record, came)
            self.care = None  # it refers to this call: no cycle is left for the collector
        if self.desk.sketches is not None:
            self.desk.sketches.ended(head, record)
        return record

    def _settle(self, reservation: Reservation, record: Record) -> None:
        """Give back what was reserved and not used."""
        record.flags = list(reservation.flags)
        if self.care is not None and self.care.settled(record):
            return
        if record.attempts:
            reservation.settle(record.prompt_tokens + record.completion_tokens, record.cost_usd, monotonic())
        else:
            reservation.release(monotonic())


def passed_on(headers: Mapping[bytes, bytes]) -> bytes:
    """Header lines of a backend's answer that the caller gets too."""
    return b"".join([b"%b: %b\r\n" % (name, headers[name]) for name in sorted(PASSED_ON & headers.keys())])


def _add_energy(record: Record, standings: list[str]) -> None:
    """Joules and grams of all attempts that took tokens: together, or unknown."""
    record.standings = standings
    took = [attempt for attempt in record.attempts if attempt.usage != "none"]
    joules = [attempt.energy_j for attempt in took if attempt.energy_j is not None]
    grams = [attempt.co2_g for attempt in took if attempt.co2_g is not None]
    record.energy_j = sum(joules) if took and len(joules) == len(took) else None
    record.co2_g = sum(grams) if took and len(grams) == len(took) else None


def _add_up(record: Record, tokens_moved: int) -> None:
    """Tokens of the attempts whose answer the caller got, or got a part of; cost of every attempt that has one."""
    cost: float | None = 0.0
    partly = record.status == 200 and record.outcome in (Outcome.BROKEN, Outcome.CANCELLED)
    for attempt in record.attempts:
        if attempt.outcome is AttemptOutcome.OK or (
            partly and attempt.usage != "none" and attempt.outcome in (AttemptOutcome.FAILED, AttemptOutcome.CANCELLED)
        ):
            record.prompt_tokens += attempt.prompt_tokens
            record.cached_tokens += attempt.cached_tokens
            record.completion_tokens += attempt.completion_tokens
            if record.usage != "estimated":
                record.usage = attempt.usage
        if attempt.cost_usd is None:
            cost = None
        elif cost is not None:
            cost += attempt.cost_usd
    record.cost_usd = cost
    if tokens_moved:
        record.prompt_tokens = max(0, record.prompt_tokens - tokens_moved)
        record.completion_tokens += tokens_moved
        record.usage = "estimated"
