"""One try at one target: ask it, follow its answer, judge how it ended. Driven by what the connection tells it; no task, no future.

`Try` is the wire's `Receiver`. Its end is told once to `dispatch` through `ended(attempt, failure)`; nothing is told after `cancel`.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from time import monotonic
from types import MappingProxyType
from typing import Any, ClassVar, Self

import msgspec

from switchgear.backends.errors import BackendError
from switchgear.backends.model import Answer, Fields, Usage
from switchgear.core.errors import SwitchgearError
from switchgear.core.record import Attempt, AttemptKind, AttemptOutcome
from switchgear.gateway.call import Call
from switchgear.gateway.failure import Failure, Next, failure_of
from switchgear.gateway.head import ASSUMED_COMPLETION_TOKENS
from switchgear.gateway.table import Target
from switchgear.limits.model import Refusal
from switchgear.limits.reservation import Reservation
from switchgear.wire.client import ClientConnection
from switchgear.wire.errors import AnswerTooLarge, ResetError

log = logging.getLogger(__name__)
_NO_HEADERS: Mapping[bytes, bytes] = MappingProxyType({})
_STALE = 8
"""So many stale pooled connections are replaced unseen before a reset counts as the backend's."""
ANSWER_BYTES = 256 * 1024 * 1024
"""A whole answer larger than this is refused (2,048 embeddings of 3,072 numbers are about 70 MiB)."""

Ended = Callable[["Try", Failure | None], None]


class Try(msgspec.Struct, eq=False):
    """An attempt whose answer is kept until it is whole. `ended` hears of its end: None, or the failure.

    Without `ended` it is the first attempt of a call that went the short way: its answer ends the call, and only a failure
    makes the call a driver.
    """

    streamed: ClassVar[bool] = False
    call: Call
    target: Target
    kind: AttemptKind
    fields: Fields
    ended: Ended | None
    began_s: float
    record: Attempt
    status: int = 0
    headers: Mapping[bytes, bytes] = _NO_HEADERS
    first_s: float = 0.0
    """When the first token (or, unstreamed, the head) came, monotonic seconds; 0 before."""
    finish_reason: str = ""
    over: bool = False
    probe: bool = False
    """Whether its target's breaker lets it through as the probe."""
    connection: ClientConnection | None = None
    connecting: "asyncio.Task[None] | None" = None
    kept: list[bytes] = []
    size: int = 0
    stale: int = _STALE
    request: bytes = b""
    reservation: Reservation | None = None
    """What it holds of its backend's limits."""

    @classmethod
    def of(
        cls,
        call: Call,
        target: Target,
        kind: AttemptKind,
        fields: Fields,
        ended: Ended,
        waited_s: float = 0.0,
        **own: Any,
    ) -> Self:
        """One that begins now; `own` are the fields of a kind of its own."""
        began_s = monotonic()
        record = Attempt(target.backend_name, target.model, kind, began_s - call.started_s, waited_s=waited_s)
        return cls(call, target, kind, fields, ended, began_s, record, **own)

    # -- asking --

    def start(self) -> None:
        """Ask the target; on an idle connection at once, else on a new one."""
        call, target = self.call, self.target
        state = target.state
        if call.table.limiter.by_backend and not self._reserved():
            return
        if not state.breaker.closed:
            self.probe = state.breaker.began(self.began_s)
        state.in_flight += 1
        target.backend_state.in_flight += 1
        call.running.append(self)
        call.attempts.append(self.record)
        body = target.adapter.body(self.fields)
        self.request = b"%b%bcontent-length: %d\r\n\r\n%b" % (
            target.heads[call.endpoint],
            call.forwarded,
            len(body),
            body,
        )
        connection = target.pool.try_acquire()
        if connection is not None:
            self._send(connection)
        else:
            self.connect()

    def connect(self) -> None:
        """Ask on a new connection, or on one that comes free."""
        self.connecting = self.call.desk.tasks.start(self._connect())

    def _reserved(self) -> bool:
        """Whether the limits of its backend leave room. Where another call took it since the candidates were found, the attempt fails."""
        call, target = self.call, self.target
        principal, route, head = call.principal, call.route, call.head
        if principal is None or route is None or head is None:
            return True
        limiter = call.table.limiter
        plan = limiter.at_backend(limiter.plan(principal.name, principal.team, route.name), target.backend_name)
        if not plan:
            return True
        prompt = head.prompt_tokens(target.backend.capabilities.bytes_per_token)
        completion = (head.max_tokens or ASSUMED_COMPLETION_TOKENS) * head.choices
        granted = limiter.reserve(plan, prompt + completion, target.cost_usd(prompt, 0, completion), self.began_s)
        if not isinstance(granted, Refusal):
            self.reservation = granted
            if granted.flags:
                call.flags += tuple(flag for flag in granted.flags if flag not in call.flags)
            return True
        self.over = True
        self.record.error = f"limited:{granted.rule}"
        call.attempts.append(self.record)
        failure = Failure(
            "no_target_available",
            self.record.error,
            f"{granted.message} {granted.remedy}",
            Next.ELSEWHERE,
            blames_target=False,
            retry_after_s=granted.retry_after_s,
        )
        if self.ended is not None:
            self.ended(self, failure)
        return False

    async def _connect(self) -> None:
        connect_s = min(self.target.timeouts.connect_s, self.call.deadline_s - monotonic())
        try:
            connection = await self.target.pool.acquire(max(0.001, connect_s))
        except SwitchgearError as error:
            self.connecting = None
            self._failed(error)
        else:
            self.connecting = None
            self._send(connection)

    def _send(self, connection: ClientConnection) -> None:
        timeouts = self.target.timeouts
        self.connection = connection
        deadline_s = self.began_s + timeouts.total_s
        if deadline_s > self.call.deadline_s:
            deadline_s = self.call.deadline_s
        if self.streamed:
            connection.send(
                self.request,
                self,
                first_s=timeouts.first_token_s,
                idle_s=timeouts.idle_s,
                deadline=deadline_s,
                hold_first=True,
            )
        else:  # the one limit is the whole answer's
            connection.send_whole(self.request, self, deadline_s)

    def cancel(self, *, lost: bool = False) -> None:
        """End it at once: the caller is gone, or (`lost`) another attempt was first. The backend sees its connection close."""
        if self.over:
            return
        record = self.record
        record.duration_s = monotonic() - self.began_s
        record.outcome = AttemptOutcome.LOST if lost else AttemptOutcome.CANCELLED
        self._bill_partly()
        self.target.state.breaker.abandoned(probe=self.probe)
        self._close()

    # -- wire.Receiver --

    def on_whole(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.first_s = monotonic()
        self.kept.append(body)
        self.on_end()

    def on_head(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        self.status = status
        self.headers = headers
        self.first_s = monotonic()

    def on_data(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > ANSWER_BYTES:
            self._failed(AnswerTooLarge(f"the answer is larger than {ANSWER_BYTES} bytes"))
        else:
            self.kept.append(data)

    def on_end(self) -> None:
        self.connection = None  # it serves others from now on
        if self.over:
            return
        try:
            body = self.kept[0] if len(self.kept) == 1 else b"".join(self.kept)
            try:
                if self.status == 200:
                    answer: Answer = self.target.adapter.answer(self.call.endpoint, body)
                else:
                    answer = self._judge_status()
            except BackendError as error:
                self._failed(error)
                return
            self.finish_reason = answer.finish_reason
            self.bill(answer.usage, answer.text_bytes)
            self._succeeded(monotonic())
            if self.ended is None:
                self.call.finish_reason = self.finish_reason
                self.call.reply_whole(self.target, body, self.headers)
            else:
                self.ended(self, None)
        except Exception as error:
            log.exception("call %s met a defect", self.call.id)
            self.call.defect(error)

    def on_fault(self, error: Exception) -> None:
        self.connection = None
        if self.over:
            return
        if isinstance(error, ResetError) and error.reused and self.stale:
            self.stale -= 1  # a pooled connection that was stale is replaced unseen
            connection = self.target.pool.try_acquire()
            if connection is not None:
                self._send(connection)
            else:
                self.connecting = self.call.desk.tasks.start(self._connect())
            return
        if not isinstance(error, SwitchgearError):
            raise TypeError("the wire tells of its own errors only") from error
        self._failed(error)

    def body(self) -> bytes:
        """What came of the answer's body."""
        kept = self.kept
        return kept[0] if len(kept) == 1 else b"".join(kept)

    # -- the end --

    def _judge_status(self) -> Answer:
        """A status other than 200. Raises HttpError for all but the 2xx."""
        status = self.status
        if 200 <= status < 300:
            return self.target.adapter.answer(self.call.endpoint, self.body())
        raise self.target.adapter.error(status, self.headers, self.body(), self.call.desk.now_s())

    def _succeeded(self, now_s: float) -> None:
        self.call.desk.books.write()
        record, state, began_s = self.record, self.target.state, self.began_s
        duration_s = now_s - began_s
        latency_s = self.first_s - began_s
        record.status = self.status
        record.duration_s = duration_s
        record.outcome = AttemptOutcome.OK
        record.ttft_s = latency_s
        state.latency.observe(latency_s, now_s)
        if self.probe:
            state.breaker.completed(now_s, good=True, duration_s=duration_s, probe=True)
        else:
            state.breaker.well(now_s, duration_s)
        self._close()

    def _failed(self, error: SwitchgearError) -> None:
        if self.over:
            return
        self.call.desk.books.write()  # the breaker hears of what went before in its order
        failure = failure_of(error)
        now_s = monotonic()
        if failure.code == "upstream_timeout" and now_s >= self.call.deadline_s - 0.002:
            failure = failure._replace(code="deadline_exceeded", next=Next.NOWHERE, blames_target=not self.call.hurried)
        record, state = self.record, self.target.state
        record.duration_s = now_s - self.began_s
        record.error = failure.reason
        record.status = self.status or failure.status
        if self.first_s:
            record.ttft_s = self.first_s - self.began_s
        if failure.retry_after_s is not None and failure.next is Next.AGAIN:
            state.rest_until_s = now_s + failure.retry_after_s
        if failure.blames_target:
            state.last_error = failure.reason
            state.breaker.completed(now_s, good=False, duration_s=record.duration_s, probe=self.probe)
        else:
            state.breaker.abandoned(probe=self.probe)
        self._close()
        if self.ended is not None:
            self.ended(self, failure)
        elif self.call.drive is not None:
            self.call.drive(self.call).ended(self, failure)

    def _close(self) -> None:
        """Let go of everything; an exchange that has not come to its end is closed."""
        self.over = True
        target = self.target
        target.state.in_flight -= 1
        backend_state = target.backend_state
        backend_state.in_flight -= 1
        self.call.running.remove(self)
        if self.reservation is not None:
            record = self.record
            self.reservation.settle(record.prompt_tokens + record.completion_tokens, record.cost_usd, monotonic())
        if backend_state.waiting is not None:
            backend_state.left(monotonic())
        if self.connecting is not None:
            self.connecting.cancel()
        if self.connection is not None and not self._detach():
            self.connection.cancel()
            self.connection = None

    def _detach(self) -> bool:
        """Whether the exchange may run on to its end although the attempt is over."""
        return False

    # -- usage and cost --

    def bill(self, usage: Usage | None, text_bytes: int) -> None:
        record, target = self.record, self.target
        if usage is not None:
            prompt, cached, completion = usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens
            record.usage = "reported"
        else:
            head = self.call.head
            per_token = target.backend.capabilities.bytes_per_token
            prompt, cached = head.prompt_tokens(per_token) if head is not None else 0, 0
            completion = math.ceil(text_bytes / per_token)
            record.usage = "estimated"
        record.prompt_tokens = prompt
        record.cached_tokens = cached
        record.completion_tokens = completion
        record.cost_usd = target.cost_usd(prompt, cached, completion)
        health = target.backend_state.health
        if health is not None:
            record.energy_j = health.call_j(prompt, completion, monotonic())
            record.co2_g = health.call_g(record.energy_j)

    def _bill_partly(self) -> None:
        """An attempt that was cut off unstreamed: a hedge that lost had its prompt read; else nothing came of it."""
        if self.record.outcome is AttemptOutcome.LOST:
            self.bill(None, 0)
