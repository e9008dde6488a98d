"""The way of a call from its caller to its first target: identify, classify, authorize, admit, route. What is refused is refused here.

Deciding is pure and happens in one turn of the event loop. A call waits here in three cases only: for an external screen where there is
one, for its worker's share of a limit to come (some milliseconds), and, where teams share a full backend, for its turn.
"""

import logging
import math
import random
from collections.abc import Mapping
from functools import partial
from time import monotonic

import msgspec

from switchgear.core.authorization import Purpose
from switchgear.core.external_screening import ExternalScreening
from switchgear.core.record import AttemptKind
from switchgear.core.snapshot import Delivery
from switchgear.gateway.call import Call, Desk
from switchgear.gateway.caller import Caller, declared_class, refused
from switchgear.gateway.candidates import allowed_route, candidates_of, denied, estimate, refusal
from switchgear.gateway.care import Care
from switchgear.gateway.dispatch import Dispatch
from switchgear.gateway.errors import Refused
from switchgear.gateway.head import ASSUMED_COMPLETION_TOKENS, CallHead, read_head
from switchgear.gateway.health import Standing
from switchgear.gateway.screening import ask_elsewhere, check_class, screened, screened_with
from switchgear.gateway.strategies import STRATEGIES, Ask
from switchgear.gateway.table import Admission, Plan, Route, Target
from switchgear.identity.model import Principal
from switchgear.identity.refusals import Refusal
from switchgear.limits.model import Refusal as LimitRefusal
from switchgear.policy.external import ExternalAnswer
from switchgear.policy.model import CLEAN

log = logging.getLogger(__name__)
FORWARDED = (b"openai-beta", b"traceparent", b"tracestate", b"x-request-id", b"idempotency-key")
"""Headers of the caller that its backend gets too; all others stay here."""
_DELIVERY = b"x-switchgear-delivery"
_TIMEOUT = b"x-switchgear-timeout-s"
READ = frozenset((*FORWARDED, _DELIVERY, _TIMEOUT))
_FIRST = AttemptKind.FIRST
_SHARE_WAIT_S = 0.5
"""So long a call waits for its worker's share of a limit to come."""
_LOOK_AGAIN_S = 0.02


class Entrance:
    """One for a data plane."""

    def __init__(self, desk: Desk, rng: random.Random) -> None:
        self._desk = desk
        self._random = rng

    def begin(self, call: Call, answer: Principal | Refusal | None) -> None:
        """Let a call in and send it on its way, or refuse it. Never raises."""
        try:
            admission = self._admit(call, answer)
            if (external := call.table.asks_elsewhere) is not None:
                self._count(call)
                ask_elsewhere(call, admission, external, partial(self._looked_at, call, admission, external))
                return
            head, route = self._classified(call, screened(call, admission))
        except Refused as error:
            call.refuse(error)
            return
        except Exception as error:
            log.exception("call %s met a defect", call.id)
            call.defect(error)
            return
        self._count(call)
        self._let_in(call, head, route)

    def _looked_at(self, call: Call, admission: Admission, external: ExternalScreening, answer: ExternalAnswer) -> None:
        """The external screen has answered, or is known not to."""
        call.waits = None
        if call.over:
            return
        try:
            head, route = self._classified(call, screened_with(call, admission, external, answer))
        except Refused as error:
            call.refuse(error)
        except Exception as error:
            log.exception("call %s met a defect", call.id)
            call.defect(error)
        else:
            self._let_in(call, head, route)

    def _count(self, call: Call) -> None:
        self._desk.calls += 1
        call.counted = True
        call.exchange.on_gone = call.gone

    def _let_in(self, call: Call, head: CallHead, route: Route) -> None:
        if not (route.cared and self._cared(call, head, route)):
            self._guarded(call, head, route)

    def _cared(self, call: Call, head: CallHead, route: Route) -> bool:
        """Whether a call is answered, or waits, without asking; see `gateway.care`."""
        try:
            care = call.care = Care(call, head, route, self._random, lambda: self._guarded(call, head, route))
            return care.begin()
        except Exception as error:
            log.exception("call %s met a defect", call.id)
            call.defect(error)
            return True

    def _guarded(self, call: Call, head: CallHead, route: Route) -> None:
        try:
            self._enter(call, head, route)
        except Refused as error:
            call.refuse(error)
        except Exception as error:
            log.exception("call %s met a defect", call.id)
            call.defect(error)

    def drive(self, call: Call) -> Dispatch:
        """The driver of a call that went the short way and whose first attempt failed."""
        if call.head is None or call.route is None:
            raise TypeError("a call without a head or a route has no attempts")
        if call.route.cared and call.care is None:
            call.care = Care(call, call.head, call.route, self._random)
        return Dispatch(call, call.head, call.route, self._random)

    # -- identify, classify, authorize --

    def _admit(self, call: Call, answer: Principal | Refusal | None) -> Admission:
        """Who calls, what, and where that may go by what is declared of it. Raises Refused."""
        exchange, table, desk = call.exchange, call.table, self._desk
        if (error := refused(answer, exchange.headers)) is not None or not isinstance(answer, Principal):
            raise error or TypeError("who is not refused is a principal")
        principal = call.principal = answer
        if desk.refuse_unrecorded and not desk.recorder.writable:
            raise Refused(
                "journal_unavailable",
                "Records cannot be written at the moment; calls are refused until they can.",
                retry_after_s=5.0,
            )
        headers = exchange.headers
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise Refused("unsupported_content_encoding", "Send the body uncompressed.")
        head = call.head = read_head(call.endpoint, exchange.body)
        exchange.body = b""  # its fields live on in `head`
        route = call.route = allowed_route(table.routes, head, principal)
        admission = table.admission(principal, route, (declared_class(headers),))
        call.data_class = admission.class_word
        return admission

    def _classified(self, call: Call, admission: Admission) -> tuple[CallHead, Route]:
        """All else that does not depend on the moment. Raises Refused."""
        head, route, principal, table = call.head, call.route, call.principal, call.table
        assert head is not None  # noqa: S101  `_admit` read it
        assert route is not None  # noqa: S101  as above
        assert principal is not None  # noqa: S101  as above
        headers = call.exchange.headers
        call.told = admission.data_class
        call.admission, call.reach, call.data_class = admission, admission.reach, admission.class_word
        check_class(call, admission.data_class)
        _authorize(call, admission, principal)
        call.deadline_s = call.started_s + route.config.deadline_s
        call.delivery = route.config.delivery
        if not READ.isdisjoint(headers):
            _read_headers(call, headers)
        limits = table.limiter.plan(principal.name, principal.team, route.name)
        call.limits = limits or None
        now_s = monotonic()
        route.state.retries.call(now_s)
        if route.config.hedge is not None:
            route.state.hedges.call(now_s)
        return head, route

    # -- admit, route --

    def _enter(self, call: Call, head: CallHead, route: Route) -> None:
        """Find its candidates, reserve what it may use, and send it. Comes again when a call had to wait."""
        assert call.admission is not None  # noqa: S101  `_admit` made one
        now_s = monotonic()
        candidates, call.ruled_out = candidates_of(route, head, now_s, call.admission)
        candidates, pending_s, full = self._within_limits(call, head, candidates, now_s)
        if pending_s is not None and now_s < call.started_s + _SHARE_WAIT_S:
            call.later(pending_s, lambda: self._guarded(call, head, route))
            return
        if not _may_begin(call, candidates):
            if self._queued(call, head, route, now_s):
                return
            raise refusal(route, call.ruled_out, now_s, limited(full) if full is not None else None)
        call.candidates = self._ordered(call, head, route, candidates, now_s)
        if call.limits is not None and not self._reserved(call, head, route, now_s):
            return
        if call.verdict is CLEAN:  # else where it may go is this one call's
            self._learn(call, head, call.admission)
        Dispatch(call, head, route, self._random).begin()

    def _ordered(
        self, call: Call, head: CallHead, route: Route, candidates: list[Target], now_s: float
    ) -> list[Target]:
        strategy = route.config.strategy
        if len(candidates) > 1 and strategy != "priority":
            ask = Ask(now_s, head.prompt_tokens(4.0), head.max_tokens or ASSUMED_COMPLETION_TOKENS, self._random)
            candidates = STRATEGIES[strategy](candidates, ask)
        if route.metered:
            call.standings = tuple(standing_of(target, now_s) for target in candidates)
        reach = call.reach
        if reach is not None and not reach.uniform:  # some may be asked later only: after a failure, or beside another
            first = reach.allowed[_FIRST]
            candidates.sort(key=lambda target: (target not in first, target.state.rest_until_s > now_s))
        elif candidates[0].state.rest_until_s > now_s:  # it asked to be left alone: whoever did not comes first
            candidates.sort(key=lambda target: target.state.rest_until_s > now_s)
        return candidates

    def _within_limits(
        self, call: Call, head: CallHead, candidates: list[Target], now_s: float
    ) -> tuple[list[Target], float | None, LimitRefusal | None]:
        """Those at whose backend the caller's limits leave room; when to look again, where this worker's share for the first of them is
        on its way; and of the limits that leave none, what the one says that has room first.
        """
        limiter = call.table.limiter
        if not limiter.by_backend or call.principal is None or call.route is None:
            return candidates, None, None
        caller = limiter.plan(call.principal.name, call.principal.team, call.route.name)
        kept: list[Target] = []
        pending_s: float | None = None
        full: LimitRefusal | None = None
        for target in candidates:
            tokens, cost_usd = estimate(head, target)
            told = limiter.allows(limiter.at_backend(caller, target.backend_name), tokens, cost_usd, now_s)
            if told is None or told.pending:
                if told is not None and not kept:
                    pending_s = told.retry_after_s or _LOOK_AGAIN_S
                kept.append(target)
            else:
                call.rule_out(target, f"limited:{told.rule}")
                full = told if full is None else min(full, told, key=_room_in_s)
        return kept, pending_s, full

    def _reserved(self, call: Call, head: CallHead, route: Route, now_s: float) -> bool:
        """Whether the call may go on now. It comes again where its worker's share is on its way. Raises Refused."""
        assert call.limits is not None  # noqa: S101  there are limits, or nobody asks
        estimates = [estimate(head, target) for target in call.candidates]
        costs = [cost for _, cost in estimates if cost is not None]
        cost_usd = max(costs) if len(costs) == len(estimates) else None  # one that nobody knows cannot be shown to fit
        granted = call.table.limiter.reserve(call.limits, max(tokens for tokens, _ in estimates), cost_usd, now_s)
        if not isinstance(granted, LimitRefusal):
            call.reservation = granted
            return True
        if granted.pending and now_s < call.started_s + _SHARE_WAIT_S:
            call.later(granted.retry_after_s or _LOOK_AGAIN_S, lambda: self._guarded(call, head, route))
            return False
        for target in call.candidates:  # so that the record says which limit it was
            call.rule_out(target, f"limited:{granted.rule}")
        call.candidates = ()
        raise limited(granted)

    def _queued(self, call: Call, head: CallHead, route: Route, now_s: float) -> bool:
        """Whether the call waits for its turn at a backend that is full."""
        share = call.table.snapshot.fair_share
        full = {out.backend for out in call.ruled_out if out.reason == "full"}
        target = next((one for one in route.targets if one.backend_name in full and call.may_go(one, _FIRST)), None)
        if share is None or target is None or call.principal is None:
            return False
        queue = target.backend_state.queue(share)
        until_s = min(call.deadline_s, now_s + share.max_wait_s)
        waiter = queue.wait(
            call.principal.team,
            until_s,
            lambda: self._turn(call, head, route),
            lambda: self._put_out(call, route),
        )
        if waiter is None:
            return False

        def over() -> None:
            if queue.give_up(waiter):
                self._put_out(call, route)

        call.waits = lambda: queue.give_up(waiter)
        call.later(until_s - now_s, over)
        return True

    def _turn(self, call: Call, head: CallHead, route: Route) -> None:
        call.waits = None
        if not call.over:
            call.stop(lost=False)
            self._guarded(call, head, route)

    def _put_out(self, call: Call, route: Route) -> None:
        call.waits = None
        if not call.over:
            call.refuse(refusal(route, call.ruled_out, monotonic()))

    # -- the short way --

    def _learn(self, call: Call, head: CallHead, admission: Admission) -> None:
        """A plain call went the long way: the next of its kind need not."""
        caller, principal, table = call.exchange.context, call.principal, call.table
        if not isinstance(caller, Caller) or caller.plans is None or caller.table is not table or principal is None:
            return
        raw = msgspec.json.encode(head.model)
        # one spelling of each name: what is kept stays bounded
        if raw not in caller.plans and not head.pin and bytes(head.fields["model"]) == raw:
            plan = Plan.of(table, self._desk.name, principal, call.endpoint, admission)
            if plan is not None:
                caller.plans[raw] = plan


def _room_in_s(told: LimitRefusal) -> float:
    return math.inf if told.retry_after_s is None else told.retry_after_s


def limited(told: LimitRefusal) -> Refused:
    """The error for a call that a limit refuses: which, and what to do."""
    return Refused(told.code.value, f"{told.message} {told.remedy}", retry_after_s=told.retry_after_s)


def standing_of(target: Target, now_s: float) -> str:
    """How a target's hardware stands; unknown where nobody tells."""
    health = target.backend_state.health
    return health.standing(now_s).value if health is not None else Standing.UNKNOWN.value


def _may_begin(call: Call, candidates: list[Target]) -> bool:
    """Whether one of the candidates may be asked first. Where none may, those that could only be asked later are ruled out."""
    reach, admission = call.reach, call.admission
    if reach is None or reach.uniform or admission is None or not candidates:
        return bool(candidates)
    if any(target in reach.allowed[_FIRST] for target in candidates):
        return True
    for out in denied(admission, Purpose.FIRST):
        if out not in call.ruled_out:
            call.ruled_out.append(out)
    return False


def _authorize(call: Call, admission: Admission, principal: Principal) -> None:
    """Raises Refused where the principal may not have its call anywhere, whatever the moment."""
    route, told, table = admission.route, admission.data_class, call.table
    if not admission.targets and table.authorizer is not None:
        call.ruled_out = list(admission.ruled_out)
        told_why = table.authorizer.refuse(table.standing(principal), route.name, told)
        raise Refused("forbidden_by_policy", told_why.message)


def _read_headers(call: Call, headers: Mapping[bytes, bytes]) -> None:
    for name in FORWARDED:
        if name in headers:
            call.forwarded += b"%b: %b\r\n" % (name, headers[name])
    delivery = headers.get(_DELIVERY)
    if delivery is not None:
        try:
            call.delivery = Delivery(delivery.decode("latin-1"))
        except ValueError as error:
            raise Refused(
                "invalid_field",
                "The header x-switchgear-delivery is either stream or whole.",
                param="x-switchgear-delivery",
            ) from error
    timeout = headers.get(_TIMEOUT)
    if timeout is not None:
        try:
            seconds = float(timeout)
        except ValueError:
            seconds = 0.0
        if not seconds > 0.0:
            raise Refused(
                "invalid_field",
                "The header x-switchgear-timeout-s is a positive number of seconds.",
                param="x-switchgear-timeout-s",
            )
        call.deadline_s = min(call.deadline_s, call.started_s + seconds)
