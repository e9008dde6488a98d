"""One try at one target: ask it, follow its answer, judge how it ended."""

import math
from time import monotonic

from switchgear.backends.errors import BackendError
from switchgear.backends.model import Answer, Fields, Usage
from switchgear.core.errors import SwitchgearError
from switchgear.core.record import Attempt, AttemptKind, AttemptOutcome
from switchgear.gateway.call import Call
from switchgear.gateway.failure import AttemptFailed, Failure, Next, failure_of
from switchgear.gateway.relay import StreamReceiver, WholeReceiver
from switchgear.gateway.table import Target
from switchgear.wire.client import ClientConnection
from switchgear.wire.errors import ExchangeError, ResetError

_STALE = 8
"""So many stale pooled connections are replaced unseen before a reset counts as the backend's."""


class Try:
    """An attempt under way. `run` returns when the caller's answer is complete (or ready, where it is not streamed) or raises."""

    __slots__ = ("_connection", "_probe", "call", "fields", "receiver", "record", "target")

    def __init__(self, call: Call, target: Target, kind: AttemptKind, fields: Fields, waited_s: float = 0.0) -> None:
        self.call = call
        self.target = target
        self.fields = fields
        self.receiver: StreamReceiver | WholeReceiver | None = None
        self._connection: ClientConnection | None = None
        self._probe = False
        self.record = Attempt(target.backend_name, target.model, kind, monotonic() - call.started_s, waited_s=waited_s)
        call.attempts.append(self.record)

    async def run(self, receiver: StreamReceiver | WholeReceiver) -> None:
        """Ask the target and push its answer into `receiver`. Raises AttemptFailed; when cancelled, the exchange is closed at once."""
        target, record = self.target, self.record
        state, backend_state = target.state, target.backend_state
        began_s = monotonic()
        self.receiver = receiver
        self._probe = state.breaker.began(began_s)
        state.in_flight += 1
        backend_state.in_flight += 1
        try:
            await self._exchange(receiver)
            self._judge(receiver)
        except (ExchangeError, BackendError, AttemptFailed) as error:
            self._close()
            failure = error.failure if isinstance(error, AttemptFailed) else self._failure(error)
            self._failed(failure)
            raise (error if isinstance(error, AttemptFailed) else AttemptFailed(failure)) from error
        except BaseException:  # cancelled: the caller is gone, or a hedge lost
            self._close()
            record.duration_s = monotonic() - began_s
            record.outcome = AttemptOutcome.CANCELLED if self.call.winner in (None, self) else AttemptOutcome.LOST
            self._bill_partly(receiver)
            state.breaker.abandoned(probe=self._probe)
            raise
        finally:
            state.in_flight -= 1
            backend_state.in_flight -= 1
        now_s = monotonic()
        record.duration_s = duration_s = now_s - began_s
        record.outcome = AttemptOutcome.OK
        if receiver.first_s:
            record.ttft_s = receiver.first_s - began_s
        state.latency.observe(record.ttft_s if record.ttft_s is not None else duration_s, now_s)
        state.breaker.completed(now_s, good=True, duration_s=duration_s, probe=self._probe)

    async def _exchange(self, receiver: StreamReceiver | WholeReceiver) -> None:
        call, target = self.call, self.target
        body = target.adapter.body(self.fields)
        request = b"%b%bcontent-length: %d\r\n\r\n%b" % (
            target.heads[call.endpoint],
            call.forwarded,
            len(body),
            body,
        )
        timeouts = target.timeouts
        streamed = receiver.streamed
        loop = call.desk.loop
        for left in range(_STALE, -1, -1):
            now_s = monotonic()
            connection = target.pool.try_acquire()
            if connection is None:
                connect_s = min(timeouts.connect_s, call.deadline_s - now_s)
                connection = await target.pool.acquire(max(0.001, connect_s))
                now_s = monotonic()
            self._connection = connection
            receiver.attach(self, connection, loop)
            connection.send(
                request,
                receiver,
                first_s=timeouts.first_token_s if streamed else timeouts.total_s,
                idle_s=timeouts.idle_s if streamed else timeouts.total_s,
                deadline=min(now_s + timeouts.total_s, call.deadline_s),
                hold_first=streamed,
            )
            try:
                await receiver.done
            except ResetError as error:
                if not error.reused or not left:
                    raise
            else:
                return

    def _judge(self, receiver: StreamReceiver | WholeReceiver) -> None:
        """The exchange ended well; did the answer? Raises AttemptFailed or BackendError."""
        record = self.record
        record.status = status = receiver.status
        if status >= 300 or status < 200:
            error = self.target.adapter.error(status, receiver.headers, receiver.body(), self.call.desk.now_s())
            raise AttemptFailed(failure_of(error))
        if isinstance(receiver, WholeReceiver):
            answer = self.target.adapter.answer(self.call.endpoint, receiver.body())
            self._bill(answer.usage, answer.text_bytes)
            receiver.answer = answer
        else:
            reader = receiver.reader
            self._bill(reader.usage, 0 if reader.usage is not None else sum(map(len, reader.text)))

    def _failure(self, error: SwitchgearError) -> Failure:
        failure = failure_of(error)
        if failure.code == "upstream_timeout" and monotonic() >= self.call.deadline_s - 0.002:
            return failure._replace(code="deadline_exceeded", next=Next.NOWHERE)
        return failure

    def _failed(self, failure: Failure) -> None:
        record, state, call = self.record, self.target.state, self.call
        now_s = monotonic()
        record.duration_s = now_s - call.started_s - record.started_s
        record.error = failure.reason
        record.status = record.status or failure.status
        if self.receiver is not None and self.receiver.first_s:
            record.ttft_s = self.receiver.first_s - call.started_s - record.started_s
        if failure.retry_after_s is not None and failure.next is Next.AGAIN:
            state.rest_until_s = now_s + failure.retry_after_s
        if failure.blames_target:
            state.last_error = failure.reason
            state.breaker.completed(now_s, good=False, duration_s=record.duration_s, probe=self._probe)
        else:
            state.breaker.abandoned(probe=self._probe)

    def _bill(self, usage: Usage | None, text_bytes: int) -> None:
        record = self.record
        if usage is not None:
            record.prompt_tokens = usage.prompt_tokens
            record.cached_tokens = usage.cached_tokens
            record.completion_tokens = usage.completion_tokens
            record.usage = "reported"
        else:
            head = self.call.head
            per_token = self.target.backend.capabilities.bytes_per_token
            record.prompt_tokens = head.prompt_tokens(per_token) if head is not None else 0
            record.completion_tokens = math.ceil(text_bytes / per_token)
            record.usage = "estimated"
        record.cost_usd = self.target.cost_usd(record.prompt_tokens, record.cached_tokens, record.completion_tokens)

    def _bill_partly(self, receiver: StreamReceiver | WholeReceiver) -> None:
        """An attempt that was cut off: what it had produced is estimated; one that had produced nothing costs nothing."""
        if isinstance(receiver, StreamReceiver) and receiver.reader.text:
            self._bill(receiver.reader.usage, sum(map(len, receiver.reader.text)))
        elif self.record.outcome is AttemptOutcome.LOST:
            self._bill(None, 0)

    def bill_sent(self) -> None:
        """A broken stream whose text the caller keeps: that part is paid for, by estimate."""
        receiver = self.receiver
        if isinstance(receiver, StreamReceiver):
            self._bill(receiver.reader.usage, sum(map(len, receiver.reader.text)))

    def _close(self) -> None:
        """Close the exchange unless it came to its end (its connection may serve another call by then)."""
        if self._connection is not None and self.receiver is not None and not self.receiver.ended:
            self._connection.cancel()


def whole_answer(receiver: WholeReceiver) -> Answer:
    """The answer of an attempt that ended well."""
    assert receiver.answer is not None  # noqa: S101  set by `Try.run` before it returns
    return receiver.answer
