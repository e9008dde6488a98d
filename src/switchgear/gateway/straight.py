"""The short way of a plain call: the decisions of the long way, made in as few steps as they take.

Between two reads of a socket the interpreter's code is cold, and what a call costs goes by how many of its instructions run (ADR 10).
So what depends on the caller, the endpoint and the model alone is decided once and kept as a `Plan`; what remains for each call
stands here in two functions, one for its request and one for its answer. They decide nothing that `Gateway._admit`, `Dispatch` and
`Try` would not decide: whatever is unusual about a call, its targets or the gateway at that moment goes the long way, and so does
everything after a failed attempt. A test holds the two ways against each other.
"""

import logging
from collections.abc import Callable, Mapping
from time import monotonic

from switchgear.backends.errors import BackendError
from switchgear.core.record import Attempt, AttemptKind
from switchgear.gateway.attempt import Try
from switchgear.gateway.call import PASSED_ON, Call, Desk, Driver, passed_on
from switchgear.gateway.caller import Caller
from switchgear.gateway.head import ASSUMED_COMPLETION_TOKENS, CallHead, decode_fields, limit_of, surely_plain
from switchgear.wire.exchange import Exchange

log = logging.getLogger(__name__)
_FIRST = AttemptKind.FIRST
"""Looked up once: each time would cost a way through its class."""


class StraightWay:
    """Sends plain calls to the first target of their plan."""

    __slots__ = ("_call_id", "_desk", "_drive")

    def __init__(self, desk: Desk, call_id: Callable[[float], str], drive: Callable[[Call], Driver]) -> None:
        self._desk = desk
        self._call_id = call_id
        self._drive = drive

    def take(self, exchange: Exchange, caller: Caller) -> bool:
        """Send the call if it can go this way. False: nothing has happened. Raises what `decode_fields` and `limit_of` do."""
        body, desk = exchange.body, self._desk
        fields = decode_fields(body)
        plan = caller.plans.get(bytes(fields.get("model", b"")))  # type: ignore[union-attr]  # with plans, or it does not come here
        credential, at_s = caller.credential, desk.now_s()
        if credential is None or not credential.from_s <= at_s < credential.until_s:
            return False
        if plan is None or not surely_plain(fields, body) or (desk.refuse_unrecorded and not desk.recorder.writable):
            return False
        if plan.screen is not None and plan.screen.suspects(fields, body, plan.told):
            return False
        route, size, started_s = plan.route, len(body), exchange.received_s
        limit = limit_of(fields)
        if size + limit * route.bytes_per_token > route.short_bytes:
            return False
        targets = plan.targets
        for target in targets:
            state, backend_state = target.state, target.backend_state
            if (
                not state.breaker.closed
                or state.rest_until_s > started_s
                or backend_state.in_flight >= backend_state.max_in_flight
            ):
                return False
        first, reservation = targets[0], None
        if plan.limits is not None:
            prompt, completion = size // 4, limit or ASSUMED_COMPLETION_TOKENS
            prices = plan.dearest  # of one token; None: some target has none
            cost_usd = prompt * prices[0] + completion * prices[1] if prices is not None else None
            reservation = plan.limits.take(prompt + completion, cost_usd, started_s)
            if reservation is None:
                return False  # the long way looks closely, and says what is wrong
        route.state.retries.call(started_s)
        fields["model"] = first.model_raw
        endpoint = plan.endpoint
        record = Attempt(first.backend_name, first.model, _FIRST, 0.0)
        head = CallHead(endpoint, fields, route.name, max_tokens=limit)
        call = Call(
            desk, caller.table, exchange, self._call_id(at_s), endpoint, started_s, at_s, size, self._drive,  # type: ignore[arg-type]  # a caller with plans has a table
            plan, plan.principal, head, route, started_s + plan.deadline_s, plan.delivery, targets, b"", plan.ruled_out,
            [record], plan.reach, plan.class_word, None, plan.limits, reservation, True,
        )  # fmt: skip
        desk.calls += 1
        exchange.on_gone = call.gone
        exchange.body = b""  # its fields live on in the head
        try:
            attempt = StraightTry(call, first, _FIRST, fields, None, started_s, record)
            first.state.in_flight += 1
            first.backend_state.in_flight += 1
            call.running.append(attempt)
            encoded = first.adapter.body(fields)
            parts = first.heads[endpoint], len(encoded), encoded
            attempt.request = request = b"%bcontent-length: %d\r\n\r\n%b" % parts
            connection = first.pool.try_acquire()
            if connection is None:
                attempt.connect()
            else:
                attempt.connection = connection
                connection.send_whole(request, attempt, started_s + plan.first_s)
        except Exception as error:
            log.exception("call %s met a defect", call.id)
            call.defect(error)
        return True


class StraightTry(Try, eq=False):
    """The one attempt of a call that goes the short way. An answer that one read brings whole ends the call in one step."""

    def on_whole(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> None:
        call = self.call
        plan, desk = call.plan, call.desk
        if self.over or plan is None or desk.recorder.strict:
            super().on_whole(status, headers, body)
            return
        try:
            target = self.target
            state = target.state
            try:
                answer = target.adapter.answer(call.endpoint, body)
            except BackendError:
                super().on_whole(status, headers, body)  # fails in the same way there
                return
            if plan.answer_suspects is not None and plan.answer_suspects(body):
                super().on_whole(status, headers, body)  # what is to be done is done there
                return
            now_s = monotonic()
            duration_s = now_s - self.began_s
            self.over = call.over = True
            self.connection = None  # it serves others from now on
            state.in_flight -= 1
            target.backend_state.in_flight -= 1
            call.running.clear()
            desk.calls -= 1
            if target.backend_state.waiting is not None:
                target.backend_state.left(now_s)
            head = b"%bx-switchgear-call: %b\r\nx-switchgear-attempts: 1\r\n" % (target.reply_json, call.id.encode())
            if not PASSED_ON.isdisjoint(headers):
                head += passed_on(headers)
            if call.limits is not None:
                head += call.limits.header_lines()
            call.exchange.reply_ok(body, head)
            reservation, usage = call.reservation, answer.usage
            if reservation is not None and not reservation.over and usage is not None and target.prices is not None:
                reservation.over = True  # as `settle` has it; the others wait for these tokens
                tokens = usage.prompt_tokens + usage.completion_tokens
                cost_usd = target.cost_usd(usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens)
                reservation.plan.settle(reservation, tokens, cost_usd, now_s)
            books = desk.books
            books.entries.append((self, plan, answer, duration_s, len(body), now_s))
            if len(books.entries) == 1:
                desk.recorder.expect(books.write)
        except Exception as error:
            log.exception("call %s met a defect", call.id)
            if call.over:  # what it held is given back above; it has no end yet, so `defect` gives it one
                call.over = call.counted = False
            call.defect(error)
