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

import msgspec

from switchgear.backends.errors import BackendError
from switchgear.backends.model import Fields
from switchgear.core.record import Attempt, AttemptKind
from switchgear.gateway.attempt import Try
from switchgear.gateway.call import PASSED_ON, Call, Desk, Driver, passed_on
from switchgear.gateway.caller import Caller
from switchgear.gateway.head import ASSUMED_COMPLETION_TOKENS, CallHead, decode_fields, limit_of, surely_plain
from switchgear.gateway.table import Plan, Table, Target
from switchgear.limits.reservation import Reservation
from switchgear.wire.client_connection import ClientConnection
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
        call = PlainCall(
            desk, self._drive, caller.table, exchange, plan, first, fields, self._call_id(at_s), started_s, at_s, size, limit, reservation  # type: ignore[arg-type]  # a caller with plans has a table
        )  # fmt: skip
        desk.calls += 1
        exchange.on_gone = call.gone
        exchange.body = b""  # its fields live on in the call
        first.state.in_flight += 1
        first.backend_state.in_flight += 1
        try:
            encoded = first.adapter.body(fields)
            parts = first.heads[plan.endpoint], len(encoded), encoded
            call.request = request = b"%bcontent-length: %d\r\n\r\n%b" % parts
            connection = first.pool.try_acquire()
            if connection is None:
                call.attempt().connect()
            else:
                call.connection = connection
                connection.send_whole(request, call, started_s + plan.first_s)
        except Exception as error:
            log.exception("call %s met a defect", call.id)
            call.attempt().call.defect(error)
        return True


class PlainCall(msgspec.Struct, eq=False):
    """A call on the short way, which hears itself of its one attempt. An answer that one read brings whole ends it in one step.

    With anything else it becomes a `Call` with a `Try` like any other; what the connection still tells goes to that one.
    """

    desk: Desk
    drive: Callable[[Call], Driver]
    table: Table
    exchange: Exchange
    plan: Plan
    target: Target
    fields: Fields
    id: str
    started_s: float
    at_s: float
    request_bytes: int
    max_tokens: int
    reservation: Reservation | None
    request: bytes = b""
    connection: ClientConnection | None = None
    over: bool = False
    """Whether its answer was given, and what it held of its target is given back."""
    asked: Try | None = None
    """Its attempt, once it is a call like any other."""

    def attempt(self) -> Try:
        """Its attempt as a call like any other has it."""
        if self.asked is not None:
            return self.asked
        plan, target, exchange = self.plan, self.target, self.exchange
        route, endpoint = plan.route, plan.endpoint
        record = Attempt(target.backend_name, target.model, _FIRST, 0.0)
        head = CallHead(endpoint, self.fields, route.name, max_tokens=self.max_tokens)
        call = Call(
            self.desk, self.table, exchange, self.id, endpoint, self.started_s, self.at_s, self.request_bytes, self.drive,
            plan, plan.principal, head, route, self.started_s + plan.deadline_s, plan.delivery, plan.targets, b"", plan.ruled_out,
            [record], plan.reach, plan.class_word, None, plan.limits, self.reservation, not self.over,
        )  # fmt: skip
        self.asked = attempt = Try(call, target, _FIRST, self.fields, None, self.started_s, record)
        attempt.request, attempt.connection, attempt.over = self.request, self.connection, self.over
        if not self.over:
            call.running.append(attempt)
        return attempt

    def gone(self) -> None:
        """The caller hung up."""
        self.attempt().call.gone()

    # -- wire.WholeReceiver --

    def on_whole(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> None:
        plan, desk = self.plan, self.desk
        if self.asked is not None or desk.recorder.strict:
            self.attempt().on_whole(status, headers, body)
            return
        try:
            target = self.target
            state, backend_state = target.state, target.backend_state
            try:
                answer = target.adapter.answer(plan.endpoint, body)
            except BackendError:
                self.attempt().on_whole(status, headers, body)  # fails in the same way there
                return
            if plan.answer_suspects is not None and plan.answer_suspects(body):
                self.attempt().on_whole(status, headers, body)  # what is to be done is done there
                return
            now_s = monotonic()
            duration_s = now_s - self.started_s
            self.over = True
            self.connection = None  # it serves others from now on
            state.in_flight -= 1
            backend_state.in_flight -= 1
            desk.calls -= 1
            if backend_state.waiting is not None:
                backend_state.left(now_s)
            head = b"%bx-switchgear-call: %b\r\nx-switchgear-attempts: 1\r\n" % (target.reply_json, self.id.encode())
            if not PASSED_ON.isdisjoint(headers):
                head += passed_on(headers)
            if plan.limits is not None:
                head += plan.limits.header_lines()
            self.exchange.reply_ok(body, head)
            reservation, usage = self.reservation, answer.usage
            if reservation is not None and not reservation.over and usage is not None and target.prices is not None:
                reservation.over = True  # as `settle` has it; the others wait for these tokens
                tokens = usage.prompt_tokens + usage.completion_tokens
                cost_usd = target.cost_usd(usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens)
                reservation.plan.settle(reservation, tokens, cost_usd, now_s)
            books = desk.books
            books.entries.append((self, answer, duration_s, len(body), now_s))
            if len(books.entries) == 1:
                desk.recorder.expect(books.write)
        except Exception as error:
            log.exception("call %s met a defect", self.id)
            self.attempt().call.defect(error)

    def on_head(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        self.attempt().on_head(status, headers)

    def on_data(self, data: bytes) -> None:
        self.attempt().on_data(data)

    def on_end(self) -> None:
        self.attempt().on_end()

    def on_fault(self, error: Exception) -> None:
        self.attempt().on_fault(error)
