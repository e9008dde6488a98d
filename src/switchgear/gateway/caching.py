"""A call's part in kept answers: it gets one, waits for another call's, or asks and has its own kept (docs/cache.md).

The key is made when the call is admitted: after the screen's redaction and before anything else of the body changes. So what is kept is
the backend's answer to the redacted call, and each call that gets it puts its own originals back and has it screened by its own rules.
"""

import logging
from collections.abc import Callable, Mapping
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from switchgear.cache.flights import Flight
from switchgear.cache.model import Answer, Entry
from switchgear.cache.plan import CachePlan
from switchgear.cache.replay import as_stream, assembled
from switchgear.cache.service import AnswerCache
from switchgear.core.authorization import Purpose
from switchgear.core.caching import Reuse
from switchgear.core.record import Outcome, Record
from switchgear.gateway.attempt import Try
from switchgear.gateway.call import Call
from switchgear.gateway.care_stream import CareTry
from switchgear.gateway.detour import admission_to
from switchgear.gateway.errors import CallError, Failed
from switchgear.gateway.head import CallHead
from switchgear.gateway.relay import StreamTry
from switchgear.gateway.table import Admission, Target
from switchgear.policy.authz_cache import Recent
from switchgear.wire.exchange import EVENT_STREAM

if TYPE_CHECKING:
    from switchgear.gateway.care import Care

log = logging.getLogger(__name__)
_DISK_WAIT_S = 0.5
"""So long a call waits for the disk; then it asks."""
_NO_HEADERS: Mapping[bytes, bytes] = MappingProxyType({})
_VARIANT = b"openai-beta"


class Told(NamedTuple):
    """A backend's error that says something about the call: the same for all who say the same."""

    error: CallError
    status: int
    body: bytes
    code: str


Cache = AnswerCache[Told]


class Places(NamedTuple):
    """Where a kept answer may be from: targets that policy allows the call for sending, and for being kept and given again."""

    text: str
    targets: frozenset[Target]


class Sharing:
    """One call's passage. Boards at most one flight, as its leader or behind one."""

    def __init__(self, care: "Care", cache: Cache, plan: CachePlan, key: bytes, targets: frozenset[Target]) -> None:
        self._care = care
        self._call = care.call
        self._cache = cache
        self._plan = plan
        self._targets = targets
        self.key = key
        self.deadline_s = care.call.deadline_s
        self._flight: Flight[Answer, Told] | None = None
        self._follows = False
        self._looked = False
        self._told: Told | None = None
        self.attempt: Try | None = None
        """The one whose answer the caller gets."""

    @classmethod
    def of(cls, care: "Care", plan: CachePlan) -> "Sharing | None":
        """None where neither a kept answer may serve the call nor its own be kept."""
        call, head, cache = care.call, care.asked, care.call.desk.cache
        admission, principal = call.admission, call.principal
        if cache is None or admission is None or principal is None:
            return None
        if not plan.takes(call.endpoint, head.fields, call.data_class):
            return None
        places = _places(call, admission)
        if not places.targets:
            return None
        key = plan.key(
            cache.keys,
            call.endpoint,
            head.fields,
            places=places.text,
            principal=f"{principal.kind.value}:{principal.name}",
            team=principal.team,
            data_class=call.data_class,
            variant=call.exchange.headers.get(_VARIANT, b""),
        )
        return cls(care, cache, plan, key, places.targets)

    # -- getting one --

    def begin(self) -> bool:
        """Answer the call, or have it wait. False: it must ask."""
        call, cache = self._call, self._cache
        entry = cache.find(self.key, call.desk.now_s())
        if entry is not None and self.give(entry.answer, Reuse.HIT):
            return True
        if cache.find_later(self.key, call.desk.now_s, self._found):
            call.later(_DISK_WAIT_S, lambda: self._found(None))
            return True
        return self._board()

    def _found(self, entry: Entry | None) -> None:
        """The disk has answered, or takes too long."""
        if not self._looked and not self._call.over:
            self._looked = True
            self._safely(lambda: self._look_at(entry))

    def _look_at(self, entry: Entry | None) -> None:
        self._call.stop(lost=False)
        if not (entry is not None and self.give(entry.answer, Reuse.HIT)) and not self._board():
            self._care.enter()

    def _board(self) -> bool:
        """Whether another call asks already, and this one waits for it."""
        if not self._plan.settings.collapse:
            return False
        call = self._call
        self._flight, leads = self._cache.flights.join(self.key, self)
        if leads:
            return False
        self._follows = True
        leader = self._flight.leader
        if isinstance(leader, Sharing):
            leader.hasten()
        call.later(max(0.0, self.deadline_s - monotonic()), self._late)
        call.waits = self._leave
        return True

    def give(self, answer: Answer, reuse: Reuse) -> bool:
        """Answer the call with an answer to another. False, and nothing has happened, where it cannot be told in the form asked for."""
        call, care = self._call, self._care
        target = next((one for one in self._targets if one.name == (answer.backend, answer.model)), None)
        if target is None:
            return False
        care.reuse = reuse
        call.finish_reason = answer.finish_reason
        if not care.asked.streamed:
            call.reply_whole(target, answer.body, _NO_HEADERS)
        elif not reply_streamed(call, care.asked, target, answer.body):
            care.reuse, call.finish_reason = "", ""
            return False
        return True

    def stale(self, stale_s: float) -> Entry | None:
        """The kept answer, over by at most so many seconds."""
        return self._cache.stale(self.key, self._call.desk.now_s(), stale_s)

    # -- waiting: `Passenger` --

    def land(self, answer: Answer) -> None:
        def taken() -> None:
            if not self.give(answer, Reuse.COLLAPSED):
                self._care.enter()

        self._ashore(taken)

    def refuse(self, error: Told) -> None:
        self._ashore(lambda: self._call.fail(*error))

    def take_over(self) -> None:
        self._ashore(self._care.enter)

    def stop(self) -> None:
        if not self._call.over:
            self._call.abandon()

    def _ashore(self, step: Callable[[], None]) -> None:
        """The waiting is over, and the call goes on by itself."""
        call = self._call
        self._follows = False
        call.waits = None
        if not call.over:
            call.stop(lost=False)
            self._safely(step)

    def _leave(self) -> None:
        self._follows = False
        if self._flight is not None:
            self._flight.leave(self)

    def _late(self) -> None:
        text = "The call waited for the answer to another that says the same, and its deadline passed."
        self._call.stop(lost=False)
        self._call.fail(Failed("deadline_exceeded", text))

    def _safely(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:
            log.exception("call %s met a defect", self._call.id)
            self._call.defect(error)

    # -- asking, for others too --

    @property
    def awaited(self) -> bool:
        """Whether others wait for this call's answer."""
        flight = self._flight
        return flight is not None and flight.leader is self and flight.awaited

    @property
    def keeps_at_most(self) -> int:
        """Bytes of an answer above which it is neither kept nor shared."""
        return self._plan.settings.max_answer_bytes

    def hasten(self) -> None:
        """Somebody waits now, so that a caller who reads slowly must not hold the answer up."""
        winner = self._call.winner
        if isinstance(winner, StreamTry):
            winner.resume()

    def gone(self) -> bool:
        """The caller hung up. Whether the call goes on for others."""
        flight = self._flight
        if flight is None or self._follows or not flight.leave(self):
            return False
        self._call.left = True
        self.hasten()
        winner = self._call.winner
        if isinstance(winner, StreamTry):
            winner.chunk_writer = None  # the connection that it writes to is no more
        return True

    def too_large(self) -> None:
        """The answer is more than can be held for others."""
        if self._flight is not None:
            self._flight.disbanded(self)

    def blamed(self, told: Told) -> None:
        """A backend's error that says something about the call."""
        self._told = told

    def closed(self, record: Record, came: Outcome) -> None:
        """The call is over. `came` is what became of its answer, whether or not its caller was still there."""
        flight = self._flight
        if came is Outcome.OK and not record.reuse and not record.degraded:
            answer, attempt = self._answer(), self.attempt
            if answer is not None and attempt is not None:
                shared = attempt.target in self._targets and self._plan.keep(
                    self._cache, self.key, answer, self._call.desk.now_s()
                )
                if flight is not None and shared:
                    flight.landed(self, answer)
                elif flight is not None:
                    flight.disbanded(self)
        elif flight is not None and self._told is not None:
            flight.refused(self, self._told)
        if flight is not None:  # else, or where it is over already, this changes nothing
            flight.failed(self)
        self.attempt = None

    def _answer(self) -> Answer | None:
        """The whole answer, as its target gave it; None where that is not known or it is in pieces of several."""
        attempt, endpoint = self.attempt, self._call.endpoint
        if attempt is None:
            return None
        body: bytes | None = None
        if isinstance(attempt, CareTry):
            body = assembled(endpoint, attempt.story) if attempt.story is not None else None
        elif not isinstance(attempt, StreamTry):
            body = attempt.body()
        if body is None:
            return None
        record = attempt.record
        return Answer(
            endpoint.value,
            body,
            attempt.target.backend_name,
            attempt.target.model,
            attempt.finish_reason,
            record.prompt_tokens,
            record.cached_tokens,
            record.completion_tokens,
            record.usage,
        )


def reply_streamed(call: Call, head: CallHead, target: Target | None, answer: bytes) -> bool:
    """Tell a whole answer as a stream, as far as the screen lets it go. False, and nothing has happened, where it has no such form."""
    stream = as_stream(call.endpoint, answer, include_usage=head.wants_usage)
    if stream is None:
        return False
    if call.table.screen is not None:
        body = call.screened(answer)
        if body is None:
            return True
        stream = as_stream(call.endpoint, body, include_usage=head.wants_usage)
        assert stream is not None  # noqa: S101  the screen changes texts, no shapes
    call.committed = True
    call.answered = target
    call.ttft_s = monotonic() - call.started_s
    call.exchange.start(200, call.answer_head(target, _NO_HEADERS, EVENT_STREAM))
    call.finish_stream(stream)
    return True


# -- where a kept answer may be from --


def _places(call: Call, admission: Admission) -> Places:
    """Depends on what policies say alone, so it is known after the first of a principal's calls."""
    escalate = admission.route.config.escalate
    larger = admission_to(call, escalate.to, Purpose.ESCALATE) if escalate is not None else None
    known: Recent[tuple[object, ...], Places] = admission.route.places
    key = (admission.reach, larger is not None, larger.reach if larger is not None else None)
    found = known.find(key)
    return found if found is not None else known.keep(key, _places_of(admission, larger))


def _places_of(admission: Admission, larger: Admission | None) -> Places:
    parts = []
    kept: set[Target] = set()
    for one in (admission, larger):
        if one is None:
            continue
        reach = one.reach
        found = [target for target in one.targets if reach is None or target in reach.allowed[Purpose.CACHE]]
        kept.update(found)
        names = sorted("\n".join(target.name) for target in found)
        parts += [one.route.name, str(len(names)), *names]
    return Places("\n".join(parts), frozenset(kept))
