"""The chain of attempts of one call: which target next, when, and when to give up (DESIGN, failure rules 1 to 7)."""

import asyncio
import logging
import random
from time import monotonic

from switchgear.backends.model import Fields
from switchgear.core.record import AttemptKind, AttemptOutcome
from switchgear.core.snapshot import Delivery
from switchgear.core.tasks import TaskOwner
from switchgear.gateway.attempt import Try, whole_answer
from switchgear.gateway.call import Call
from switchgear.gateway.candidates import busy, too_dear
from switchgear.gateway.errors import Failed
from switchgear.gateway.failure import AttemptFailed, Failure, Next
from switchgear.gateway.head import with_usage_asked
from switchgear.gateway.relay import HeldReceiver, StreamReceiver, WholeReceiver
from switchgear.gateway.rescue import Diverged, RescueReceiver, Sent, continuation_fields
from switchgear.gateway.table import Route, Target

log = logging.getLogger(__name__)


class Chain:
    """What is still open to a call. Decides; asks nobody."""

    __slots__ = ("_again", "_call", "_random", "_remaining", "_route", "_tries", "failure")

    def __init__(self, call: Call, route: Route, rng: random.Random) -> None:
        self._call = call
        self._route = route
        self._random = rng
        self._remaining = list(call.candidates)
        self._again: dict[Target, tuple[float, int]] = {}
        """Targets that may be asked again: not before when, and how often they have failed."""
        self._tries: dict[Target, int] = {}
        self.failure: Failure | None = None
        """The last one: what the caller hears if nothing is left."""

    def first(self) -> Target:
        return self._remaining.pop(0)

    def failed(self, target: Target, failure: Failure, now_s: float) -> None:
        """An attempt failed: note what that leaves."""
        self.failure = failure
        tries = self._tries[target] = self._tries.get(target, 0) + 1
        self._again.pop(target, None)
        if failure.next is Next.AGAIN:
            retry = self._route.config.retry
            if failure.retry_after_s is not None:
                wait_s = failure.retry_after_s
            else:  # full jitter (Brooker, "Exponential Backoff And Jitter", 2015)
                wait_s = self._random.uniform(0.0, min(retry.max_backoff_s, retry.backoff_s * 2 ** (tries - 1)))
            self._again[target] = (now_s + wait_s, tries)
        elif failure.next is Next.LARGER:
            window = target.context_window
            self._remaining = [
                other
                for other in self._remaining
                if other.context_window is None or (window is not None and other.context_window > window)
            ]
        elif failure.next is Next.NOWHERE:
            self._remaining.clear()
            self._again.clear()

    def next(self, now_s: float) -> tuple[Target, AttemptKind, float] | None:
        """The next target, why it is asked, and seconds to wait before; None: give up. Takes from the retry budget."""
        call, config = self._call, self._route.config
        if self.failure is not None and self.failure.next is Next.NOWHERE:
            return None
        if len(call.attempts) >= config.retry.attempts or now_s >= call.deadline_s:
            return None
        choice = self._choose(now_s)
        if choice is None or now_s + choice[2] >= call.deadline_s or not self._route.state.retries.take(now_s):
            return None
        target = choice[0]
        if target in self._remaining:
            self._remaining.remove(target)
        return choice

    def _choose(self, now_s: float) -> tuple[Target, AttemptKind, float] | None:
        for target in self._remaining:
            if not busy(target, now_s) and self._affordable(target) and target.state.rest_until_s <= now_s:
                return target, AttemptKind.FALLBACK, 0.0
        again = [(when_s, target) for target, (when_s, _) in self._again.items() if self._affordable(target)]
        if not again:
            return None
        when_s, target = min(again, key=lambda entry: entry[0])
        return target, AttemptKind.RETRY, max(0.0, when_s - now_s)

    def _affordable(self, target: Target) -> bool:
        """Whether the cost limit of the call allows one more attempt there, by estimate, beside what was spent."""
        limit = self._route.config.max_cost_usd
        head = self._call.head
        if limit is None or head is None:
            return True
        spent = sum(attempt.cost_usd or 0.0 for attempt in self._call.attempts)
        return not too_dear(target, head, limit - spent)

    def hedge(self, now_s: float) -> Target | None:
        """A second target to ask beside a slow first, if there is one and the budgets allow it."""
        for target in self._remaining:
            if not busy(target, now_s) and self._affordable(target) and target.state.rest_until_s <= now_s:
                if not self._route.state.hedges.take(now_s):
                    return None
                self._remaining.remove(target)
                return target
        return None

    def rescuers(self, now_s: float) -> list[Target]:
        """Who may carry on a broken stream: candidates not asked yet, then those that failed without being silent."""
        return [
            target
            for target in (*self._remaining, *self._again)
            if not busy(target, now_s) and self._affordable(target)
        ]


class Dispatcher:
    """Runs calls through their chains."""

    def __init__(self, tasks: TaskOwner, rng: random.Random) -> None:
        self._tasks = tasks
        self._random = rng

    async def run(self, call: Call, route: Route) -> None:
        """Answer one call, whatever happens. Ends it exactly once."""
        try:
            await self._run(call, route)
        except asyncio.CancelledError:
            call.gone()
        except Exception:
            log.exception("call %s met a defect", call.id)
            error = Failed("internal_error", f"A defect of the gateway; quote {call.id} when reporting it.")
            if call.committed:
                call.break_stream(error)
            else:
                call.fail(error)

    async def _run(self, call: Call, route: Route) -> None:
        chain = Chain(call, route, self._random)
        target, kind, waited_s = chain.first(), AttemptKind.FIRST, 0.0
        rest_s = target.state.rest_until_s - monotonic()
        if rest_s > 0:
            await self._rest(call, rest_s)
        while True:
            attempt = Try(call, target, kind, self._fields(call, target), waited_s)
            try:
                if route.config.hedge is not None and kind is AttemptKind.FIRST:
                    attempt = await self._hedged(call, route, chain, attempt)
                else:
                    await attempt.run(self._receiver(call, target))
                    call.claim(attempt)
            except AttemptFailed as error:
                now_s = monotonic()
                chain.failed(target, error.failure, now_s)
                if call.committed:
                    await self._rescue(call, route, chain, error.failure)
                    return
                choice = chain.next(now_s)
                if choice is None:
                    self._give_up(call, error.failure)
                    return
                target, kind, waited_s = choice
                if waited_s:
                    await asyncio.sleep(waited_s)
            else:
                self._complete(call, attempt)
                return

    async def _rest(self, call: Call, rest_s: float) -> None:
        """Every candidate asked to be left alone for a while; the first of them is waited for, if the deadline allows."""
        if monotonic() + rest_s < call.deadline_s:
            await asyncio.sleep(rest_s)

    def _fields(self, call: Call, target: Target) -> Fields:
        head = call.head
        assert head is not None  # noqa: S101  a call is dispatched with its head
        fields = head.fields
        fields["model"] = target.model_raw
        return fields

    def _receiver(self, call: Call, target: Target) -> StreamReceiver | WholeReceiver:
        head = call.head
        if head is None or not head.streamed:
            return WholeReceiver()
        reader = target.adapter.reader(call.endpoint, head.choices)
        return (StreamReceiver if call.delivery is Delivery.STREAM else HeldReceiver)(call, reader)

    def _complete(self, call: Call, attempt: Try) -> None:
        receiver = attempt.receiver
        if isinstance(receiver, WholeReceiver):
            call.finish_reason = whole_answer(receiver).finish_reason
            call.reply_whole(receiver.body(), receiver.headers)
        elif receiver is not None:
            call.answered = attempt.target
            call.finish_reason = receiver.reader.finish_reason
            call.finish_stream(receiver.tail)

    def _give_up(self, call: Call, failure: Failure) -> None:
        """Tell the caller of the last failure: in the backend's own words where it said something about the call."""
        error = Failed(failure.code, _in_words(call, failure), retry_after_s=failure.retry_after_s)
        if failure.next in (Next.NOWHERE, Next.LARGER) and failure.body:
            call.fail(error, failure.status, failure.body)
        else:
            call.fail(error)

    # -- hedging --

    async def _hedged(self, call: Call, route: Route, chain: Chain, first: Try) -> Try:
        """Ask; when no answer is there after a while, ask a second target too. The first whole answer (streamed: the first token) wins."""
        primary = self._tasks.start(first.run(self._receiver(call, first.target)))
        running = {primary: first}
        failure: AttemptFailed | None = None
        try:
            await asyncio.wait(running, timeout=self._hedge_after_s(route, first.target))
            if not primary.done() and call.winner is None and (other := chain.hedge(monotonic())) is not None:
                second = Try(call, other, AttemptKind.HEDGE, dict(self._fields(call, other)))
                running[self._tasks.start(second.run(self._receiver(call, other)))] = second
            while running:
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    attempt = running.pop(task)
                    error = task.exception()
                    if error is None and call.claim(attempt):
                        return attempt
                    if isinstance(error, AttemptFailed):
                        if attempt is not first:
                            chain.failed(attempt.target, error.failure, monotonic())
                        if failure is None or attempt is first or call.winner is attempt:
                            failure = error
                        if call.winner is attempt:
                            raise error
                    elif error is not None:
                        raise error
        finally:
            for task, attempt in running.items():
                if call.winner is not None and attempt is not call.winner:
                    attempt.record.outcome = AttemptOutcome.LOST
                task.cancel()
            if running:
                await asyncio.wait(running)
        assert failure is not None  # noqa: S101  every attempt failed, each with its failure
        raise failure

    def _hedge_after_s(self, route: Route, target: Target) -> float | None:
        hedge = route.config.hedge
        assert hedge is not None  # noqa: S101  asked only for hedged models
        if hedge.after_s is not None:
            return hedge.after_s
        return target.state.latency.percentile_s(hedge.after_percentile or 95.0)

    # -- rescue --

    async def _rescue(self, call: Call, route: Route, chain: Chain, failure: Failure) -> None:
        winner = call.winner
        receiver = winner.receiver if winner is not None else None
        if winner is None or not isinstance(receiver, StreamReceiver):
            raise TypeError("a committed stream has a winner that streams")
        reader = receiver.reader
        call.exchange.flow = None
        if not (route.config.rescue and reader.plain):
            winner.bill_sent()
            call.break_stream(_broken(failure))
            return
        sent = Sent(reader)
        for target in chain.rescuers(monotonic()):
            for overlap in (True, False):
                if len(call.attempts) >= route.config.retry.attempts + 1 or monotonic() >= call.deadline_s:
                    break
                moved = sent.tokens
                attempt = await self._carry_on(call, route, target, sent, overlap=overlap)
                if attempt is not None:
                    if not overlap:
                        winner.bill_sent()
                        call.tokens_moved = moved
                    self._complete(call, attempt)
                    return
        winner.bill_sent()
        call.break_stream(_broken(failure))

    async def _carry_on(self, call: Call, route: Route, target: Target, sent: Sent, *, overlap: bool) -> Try | None:
        """One attempt of a rescue. Returns it when it carried the answer to its end."""
        head = call.head
        assert head is not None  # noqa: S101  a call is dispatched with its head
        fields: Fields | None = self._fields(call, target)
        if not overlap:
            fields = continuation_fields(call, target, fields or {}, sent)
        if fields is None or not route.state.retries.take(monotonic()):
            return None
        kind = AttemptKind.RESCUE if overlap else AttemptKind.CONTINUE
        attempt = Try(call, target, kind, fields)
        call.winner = attempt
        receiver = RescueReceiver(call, target.adapter.reader(call.endpoint, head.choices), sent, overlap=overlap)
        try:
            await attempt.run(receiver)
        except AttemptFailed as error:
            if isinstance(error.__cause__, Diverged):
                attempt.record.outcome = AttemptOutcome.DISCARDED
            return None
        return attempt


def _in_words(call: Call, failure: Failure) -> str:
    asked = ", ".join(f"{attempt.backend} ({attempt.error})" for attempt in call.attempts)
    return f"No target gave an answer. Asked: {asked}. Last: {failure.text}."


def _broken(failure: Failure) -> Failed:
    return Failed("stream_broken", f"The stream broke and could not be carried on: {failure.text}.")


def prepare(call: Call) -> None:
    """What a call's fields need before the first attempt: a streamed call asks for its usage, which the caller may not have done."""
    head = call.head
    if head is not None and head.streamed and not head.wants_usage and head.endpoint.value.endswith("completions"):
        with_usage_asked(head.fields)
