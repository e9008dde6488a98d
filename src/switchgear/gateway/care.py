"""What a model does for a call beside asking its targets: kept answers, a larger model when unsure, last resorts.

One `Care` for each call of a model that is configured so; others have none and pay nothing. `Call` and `Dispatch` tell it what happens, and
it decides whether things go on as they would without it.
"""

import random
from collections.abc import Callable, Sequence

from switchgear.backends.model import Fields
from switchgear.core.caching import CACHE_HEADER, DEGRADED_HEADER
from switchgear.core.record import AttemptKind, Outcome, Record
from switchgear.core.snapshot import Delivery
from switchgear.gateway.attempt import Ended, Try
from switchgear.gateway.caching import Sharing, Told
from switchgear.gateway.call import Call
from switchgear.gateway.care_stream import CareTry
from switchgear.gateway.detour import Way, reserve, settle, take
from switchgear.gateway.errors import CallError
from switchgear.gateway.escalating import Doubt
from switchgear.gateway.failure import Failure
from switchgear.gateway.head import CallHead
from switchgear.gateway.last_resort import LastResorts
from switchgear.gateway.relay import HeldTry, StreamTry
from switchgear.gateway.table import Route, Target
from switchgear.limits.model import Refusal
from switchgear.limits.reservation import Reservation
from switchgear.wire.exchange import header

_NEVER_INSTEAD = ("internal_error", "answer_blocked")
"""Errors that even a second best does not take the place of: a defect, and what the screen forbids."""


class Care:
    """One call's."""

    def __init__(
        self, call: Call, head: CallHead, route: Route, rng: random.Random, enter: Callable[[], None] | None = None
    ) -> None:
        """`enter` has the call look for a target; None where it has done so already."""
        self.call = call
        self.asked = head
        self.max_cost_usd = route.config.max_cost_usd
        """Of the model that was called: for all attempts of the call together."""
        self._enter = enter
        self._random = rng
        self._home = (route, call.admission, call.reach)
        self._before: Sequence[Target] = ()
        """Candidates of the model that was called, once another one is asked."""
        self._parts: list[tuple[int, Reservation | None]] = []
        """Where in the call's attempts each other model's begin, and what they hold of its limits."""
        self.reuse = ""
        """How its answer came that was not asked for: a `Reuse`."""
        self.degraded = ""
        """Which last resort its answer is: a `Degraded`."""
        self.sharing = Sharing.of(self, route.cache) if route.cache is not None else None
        self.doubt: Doubt | None = None
        if route.judge is not None and route.config.escalate is not None:
            self.doubt = Doubt.of(self, route.judge, route.config.escalate.to, rng)
        self._resorts = LastResorts(self, route.resorts, rng) if route.resorts else None

    # -- before it is asked --

    def begin(self) -> bool:
        """Whether the call need not look for a target now: it is answered, or waits for another's answer."""
        return self.sharing is not None and self.sharing.begin()

    def enter(self) -> None:
        """Have the call look for a target."""
        if self._enter is not None:
            self._enter()

    # -- attempts --

    def attempt(self, target: Target, kind: AttemptKind, fields: Fields, ended: Ended, waited_s: float) -> Try:
        """The next attempt, not started."""
        call, doubt = self.call, self.doubt
        judged = doubt is not None and doubt.open
        strip = None
        if judged and doubt is not None:
            fields, strip = doubt.asked(fields, ended)
        if not self.asked.streamed:
            return Try.of(call, target, kind, fields, ended, waited_s)
        whole = call.delivery is Delivery.WHOLE
        if not judged and self.sharing is None:
            make = HeldTry if whole else StreamTry
            return make.of(call, target, kind, fields, ended, waited_s)
        return CareTry.of(
            call,
            target,
            kind,
            fields,
            ended,
            waited_s,
            care=self,
            judge=doubt.stream_judge() if judged and doubt is not None else None,
            strip=strip,
            hold=judged or whole,
            whole=whole,
            story=[] if self.sharing is not None else None,
        )

    def doubts(self, attempt: Try) -> bool:
        """An attempt brought a whole answer. Whether it is unsure, and another model is asked."""
        doubt = self.doubt
        if doubt is None or not doubt.open or isinstance(attempt, StreamTry) or self.call.winner is not None:
            return False
        return doubt.whole(attempt)

    def unsure(self, attempt: Try) -> None:
        """A stream is unsure, at its end or before."""
        if self.doubt is not None:
            self.doubt.unsure(attempt)

    @property
    def second_best(self) -> Try | None:
        """An attempt that is not to be stopped while another model is asked."""
        return self.doubt.second_best if self.doubt is not None else None

    def second_best_ended(self, attempt: Try, failure: Failure | None) -> None:
        """A stream that had stepped aside came to its end."""
        if self.doubt is not None:
            self.doubt.ended(attempt, failure)

    def came(self, attempt: Try) -> None:
        """The caller gets this attempt's answer."""
        if self.sharing is not None:
            self.sharing.attempt = attempt

    # -- another model --

    def go(self, way: Way, kind: AttemptKind) -> Refusal | None:
        """Ask another model; or what its limits say against it."""
        reservation = reserve(self.call, self.asked, way)
        if isinstance(reservation, Refusal):
            return reservation
        self._before = (*self._before, *self.call.candidates)
        self._parts.append((len(self.call.attempts), reservation))
        take(self.call, self.asked, way, kind, self._random)
        return None

    def back(self) -> None:
        """The first model's attempts go on."""
        self.call.route, self.call.admission, self.call.reach = self._home

    # -- the end --

    def head(self) -> bytes:
        """Header lines of an answer that is not the model's own, anew."""
        lines = header(CACHE_HEADER, self.reuse) if self.reuse else b""
        return lines + header(DEGRADED_HEADER, self.degraded) if self.degraded else lines

    def instead(self, error: CallError) -> bool:
        """Whether the call has an answer, or goes on, in place of this error."""
        if self.call.over or self.call.left or self.call.committed or error.code in _NEVER_INSTEAD:
            return False
        if self.doubt is not None and self.doubt.give():
            return True
        return self._resorts is not None and self._resorts.instead(error)

    def blamed(self, error: CallError, status: int, body: bytes, code: str) -> bool:
        """A backend says that the call is at fault: the same for all who say the same. Whether it has another answer all the same."""
        if self.doubt is not None and self.doubt.give():
            return True
        if self._resorts is not None and self._resorts.first is not None:
            self.call.fail(self._resorts.first)  # what a smaller model cannot do is no fault of the call
            return True
        if self.sharing is not None:
            self.sharing.blamed(Told(error, status, body, code))
        return False

    def gone(self) -> bool:
        """The caller hung up. Whether the call goes on for others."""
        return self.sharing is not None and self.sharing.gone()

    def settled(self, record: Record) -> bool:
        """Whether what the call holds of its limits is settled here: where it asked another model, by what each of them used."""
        reservation = self.call.reservation
        if not self._parts or reservation is None:
            return False
        settle(reservation, record.attempts[: self._parts[0][0]])
        return True

    def closed(self, record: Record, came: Outcome) -> None:
        """The call is over. `came` is what became of its answer, whether or not its caller was still there."""
        if record.status == 200:
            record.reuse, record.degraded = self.reuse, self.degraded
        if self._parts:
            record.candidates = [*(target.name for target in self._before), *record.candidates]
            ends = [begin for begin, _ in self._parts[1:]] + [len(record.attempts)]
            for (begin, reservation), end in zip(self._parts, ends, strict=True):
                if reservation is not None:
                    settle(reservation, record.attempts[begin:end])
                    record.flags += reservation.flags
        sharing = self.sharing
        self.sharing = self.doubt = self._resorts = self._enter = None  # they refer to this: no cycle is left
        if sharing is not None:
            sharing.closed(record, came)

    # -- for others --

    @property
    def awaited(self) -> bool:
        """Whether others wait for this call's answer."""
        return self.sharing is not None and self.sharing.awaited

    @property
    def keeps_at_most(self) -> int:
        """Bytes of an answer above which it is neither kept nor shared."""
        return self.sharing.keeps_at_most if self.sharing is not None else 0

    def too_large(self) -> None:
        """The answer is more than can be held for others."""
        if self.sharing is not None:
            self.sharing.too_large()
