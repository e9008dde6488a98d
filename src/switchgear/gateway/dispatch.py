"""The attempts of one call, one after the other (or two at a time, hedged), until it has its answer (DESIGN, failure rules 1 to 7).

Event-driven: each step is called by what happened before it (a request arrived, an attempt ended, a wait is over). A call
therefore costs no task and no future.
"""

import logging
import random
from time import monotonic

from switchgear.backends.model import Fields
from switchgear.core.record import AttemptKind, AttemptOutcome
from switchgear.core.snapshot import Delivery, Endpoint
from switchgear.gateway.attempt import Try
from switchgear.gateway.call import Call
from switchgear.gateway.candidates import busy, candidates_of, refusal
from switchgear.gateway.chain import Bounds, Chain
from switchgear.gateway.errors import Failed
from switchgear.gateway.failure import Failure, Next
from switchgear.gateway.head import CallHead, with_usage_asked, without_usage_asked
from switchgear.gateway.relay import HeldTry, StreamTry
from switchgear.gateway.rescue import RescueTry, Sent, continuation_fields
from switchgear.gateway.table import Route, Target

log = logging.getLogger(__name__)


class Dispatch:
    """Drives one call. `ended` of each attempt comes back here; `call.over` says that nothing more is to be done."""

    __slots__ = ("_bounds", "_call", "_chain", "_failure", "_head", "_kind", "_random", "_rescue", "_route")

    def __init__(
        self,
        call: Call,
        head: CallHead,
        route: Route,
        rng: random.Random,
        kind: AttemptKind = AttemptKind.FIRST,
        bounds: Bounds | None = None,
    ) -> None:
        """`kind` is why its first target is asked; `bounds` are needed where the call has asked another model before."""
        self._call = call
        self._head = head
        self._route = route
        self._random = rng
        self._kind = kind
        self._bounds = bounds or Bounds(0, route.config.max_cost_usd)
        self._chain: Chain | None = None
        self._rescue: Rescue | None = None
        self._failure: Failure | None = None

    def begin(self) -> None:
        """Ask the first candidate."""
        if self._asks_usage:
            with_usage_asked(self._head.fields)  # counted in any case; the caller does not see what it did not ask for
        self._ask_first(0.0)

    @property
    def _asks_usage(self) -> bool:
        head = self._head
        return head.streamed and not head.wants_usage and head.endpoint is not Endpoint.RESPONSES

    def _ask_first(self, waited_s: float) -> None:
        call, now_s = self._call, monotonic()
        first = call.candidates[0]
        if first.state.rest_until_s > now_s:  # everybody asked to be left alone for a while
            rests_s = [one.state.rest_until_s for one in call.candidates if call.may_go(one, self._kind)]
            until_s = min(rests_s, default=first.state.rest_until_s)
            if until_s < call.deadline_s:
                rest_s = until_s - now_s
                call.later(rest_s, lambda: self._rested(waited_s + rest_s))
                return
        self._ask(first, self._kind, waited_s)
        if self._route.config.hedge is not None and not call.over:
            self._plan_hedge(first)

    def _rested(self, waited_s: float) -> None:
        """The wait is over, and things may have changed: whoever is free now and asks to be left alone for the shortest time is first."""
        call, now_s = self._call, monotonic()
        assert call.admission is not None  # noqa: S101  a call of the short way does not wait for its first target
        free, call.ruled_out = candidates_of(self._route, self._head, now_s, call.admission)
        candidates = [target for target in call.candidates if target in free]
        candidates.sort(key=lambda target: (not call.may_go(target, self._kind), max(target.state.rest_until_s, now_s)))
        if not candidates or not call.may_go(candidates[0], self._kind):
            call.refuse(refusal(self._route, call.ruled_out, now_s))
            return
        call.candidates = candidates
        self._ask_first(waited_s)

    def _chained(self) -> Chain:
        if self._chain is None:
            self._chain = Chain(self._call, self._route, self._random, self._bounds)
        return self._chain

    def _fields(self, target: Target) -> Fields:
        fields = self._head.fields
        fields["model"] = target.model_raw
        if not target.backend.capabilities.stream_usage and self._asks_usage:
            return without_usage_asked(fields)
        return fields

    def _ask(self, target: Target, kind: AttemptKind, waited_s: float) -> None:
        call = self._call
        if call.care is not None:
            call.care.attempt(target, kind, self._fields(target), self.ended, waited_s).start()
            return
        make: type[Try] = Try
        if self._head.streamed:
            make = StreamTry if call.delivery is Delivery.STREAM else HeldTry
        make.of(call, target, kind, self._fields(target), self.ended, waited_s).start()

    # -- how attempts end --

    def ended(self, attempt: Try, failure: Failure | None) -> None:
        """An attempt came to its end."""
        call = self._call
        try:
            if failure is None:
                if call.care is not None and call.care.doubts(attempt):
                    return
                if call.claim(attempt):
                    self._complete(attempt)
            else:
                self._failed(attempt, failure)
        except Exception as error:
            log.exception("call %s met a defect", call.id)
            call.defect(error)

    def _complete(self, attempt: Try) -> None:
        call = self._call
        if call.running or call.timer is not None:
            call.stop(lost=True)
        call.finish_reason = attempt.finish_reason
        if call.care is not None:
            call.care.came(attempt)
        if isinstance(attempt, StreamTry):
            call.finish_stream(attempt.tail)
        else:
            call.reply_whole(attempt.target, attempt.body(), attempt.headers)

    def _failed(self, attempt: Try, failure: Failure) -> None:
        call, chain, now_s = self._call, self._chained(), monotonic()
        chain.failed(attempt.target, failure, now_s)
        if self._failure is None or failure.next is Next.NOWHERE or attempt.record.kind is not AttemptKind.HEDGE:
            self._failure = failure
        if call.committed:
            self._carry_on(attempt, failure)
        elif failure.next is Next.NOWHERE:
            self._give_up(failure)
        elif not self._under_way():  # else the other one of a hedged pair may still answer
            self._go_on(chain, self._failure, now_s)

    def _under_way(self) -> list[Try]:
        """Attempts of this chain that have not ended."""
        return [attempt for attempt in self._call.running if attempt.ended == self.ended]

    def _go_on(self, chain: Chain, failure: Failure, now_s: float) -> None:
        """Ask the next target, now or after its wait; without one, give up."""
        choice = chain.next(now_s)
        if choice is None:
            self._give_up(failure)
            return
        target, kind, wait_s = choice
        if wait_s:
            self._call.later(wait_s, lambda: self._ask_waited(chain, failure, target, wait_s))
        else:
            self._ask(target, kind, 0.0)

    def _ask_waited(self, chain: Chain, failure: Failure, target: Target, waited_s: float) -> None:
        now_s = monotonic()
        if busy(target, now_s):  # meanwhile others have taken its last place or broken it
            chain.skip(target)
            self._go_on(chain, failure, now_s)
        else:
            self._ask(target, AttemptKind.RETRY, waited_s)

    def _give_up(self, failure: Failure) -> None:
        """Tell the caller of the last failure: in the backend's own words where it said something about the call."""
        call = self._call
        call.stop(lost=True, spare=call.care.second_best if call.care is not None else None)
        asked = ", ".join(f"{attempt.backend} ({attempt.error})" for attempt in call.attempts)
        last = failure.text.rstrip(".")
        error = Failed(
            failure.code,
            f"No target gave an answer. Asked: {asked}. Last: {last}.",
            retry_after_s=failure.retry_after_s,
        )
        if failure.next in (Next.NOWHERE, Next.LARGER) and failure.body:
            call.fail(error, failure.status, failure.body, failure.reason)
        else:
            call.fail(error)

    # -- hedging --

    def _plan_hedge(self, first: Target) -> None:
        """When no answer is there after a while, a second target is asked too. The first whole answer (streamed: the first token) wins."""
        hedge = self._route.config.hedge
        assert hedge is not None  # noqa: S101  planned for hedged models only
        after_s = hedge.after_s
        if after_s is None:
            after_s = first.state.latency.percentile_s(hedge.after_percentile or 95.0)
        if after_s is not None:
            self._call.later(after_s, self._hedge)

    def _hedge(self) -> None:
        call = self._call
        under_way = self._under_way()
        if call.winner is not None or not under_way or under_way[0].record.kind is not self._kind:
            return
        other = self._chained().hedge(monotonic())
        if other is not None:
            self._ask(other, AttemptKind.HEDGE, 0.0)

    # -- rescue --

    def _carry_on(self, attempt: Try, failure: Failure) -> None:
        """A stream broke after the commit point: have it carried on, or end it with an error."""
        call = self._call
        call.exchange.flow = None
        rescue = self._rescue
        if rescue is None:
            if not isinstance(attempt, StreamTry):
                raise TypeError("a committed stream has an attempt that streams")
            rescue = self._rescue = Rescue(attempt, self._chained().rescuers(monotonic()))
            if not (self._route.config.rescue and attempt.reader.plain):
                rescue.plans.clear()
        elif failure.reason == "answer_diverged":
            attempt.record.outcome = AttemptOutcome.DISCARDED
        elif failure.next is not Next.AGAIN:  # it was silent, or will not do it: it is not asked again for this call
            rescue.plans = [plan for plan in rescue.plans if plan[0] is not attempt.target]
        while rescue.plans:
            target, overlap = rescue.plans.pop(0)
            if self._rescue_by(rescue, target, overlap=overlap):
                return
        rescue.first.bill_sent()
        call.break_stream(Failed("stream_broken", f"The stream broke and could not be carried on: {failure.text}."))

    def _rescue_by(self, rescue: "Rescue", target: Target, *, overlap: bool) -> bool:
        """Start one attempt of a rescue, if the target can and the bounds of the call allow it."""
        call, now_s = self._call, monotonic()
        asked = len(call.attempts) - self._bounds.before
        if asked > self._route.config.retry.attempts or now_s >= call.deadline_s:
            return False
        kind = AttemptKind.RESCUE if overlap else AttemptKind.CONTINUE
        if not self._chained().free(target, now_s) or not call.may_go(target, kind):
            return False
        fields: Fields | None = self._fields(target)
        if not overlap:
            fields = continuation_fields(call, target, self._fields(target), rescue.sent)
        if fields is None or not self._route.state.retries.take(now_s):
            return False
        attempt = RescueTry.of(call, target, kind, fields, self._rescued, sent=rescue.sent, overlap=overlap)
        call.winner = attempt
        call.answered = target
        attempt.start()
        return True

    def _rescued(self, attempt: Try, failure: Failure | None) -> None:
        if failure is None and isinstance(attempt, RescueTry) and not attempt.overlap and self._rescue is not None:
            self._rescue.first.bill_sent()
            self._call.tokens_moved = attempt.moved
        self.ended(attempt, failure)


class Rescue:
    """A broken stream, what the caller has of it, and who may be asked to carry it on and how."""

    __slots__ = ("first", "plans", "sent")

    def __init__(self, first: StreamTry, targets: list[Target]) -> None:
        self.first = first
        self.sent = Sent(first.reader)
        self.plans = [(target, overlap) for target in targets for overlap in (True, False)]
