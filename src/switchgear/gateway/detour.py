"""A call's way to the targets of another model than it named: a larger one when the answer was unsure, a smaller one as a last resort.

The call keeps its deadline, its data class, its pin and its cost limit; the other model brings its own targets, its order, its retries and
its own cost limit. The caller must be allowed it: by its models, by policy for the purpose, by the limits on that model.
"""

import random
from collections.abc import Sequence
from time import monotonic
from typing import NamedTuple

from switchgear.core.authorization import Purpose
from switchgear.core.record import Attempt, AttemptKind, RuledOut
from switchgear.gateway.call import Call
from switchgear.gateway.candidates import candidates_of, denied, estimate, too_dear
from switchgear.gateway.chain import Bounds, spent_usd
from switchgear.gateway.dispatch import Dispatch
from switchgear.gateway.head import ASSUMED_COMPLETION_TOKENS, CallHead
from switchgear.gateway.strategies import STRATEGIES, Ask
from switchgear.gateway.table import Admission, Route, Target
from switchgear.limits.model import Refusal
from switchgear.limits.plan import Plan as LimitPlan
from switchgear.limits.reservation import Reservation


class Way(NamedTuple):
    """A way that is open now."""

    route: Route
    admission: Admission
    candidates: list[Target]
    bounds: Bounds


def admission_to(call: Call, name: str, purpose: Purpose) -> Admission | None:
    """The targets of another model that this call may use for a purpose, whatever the moment; None where there are none."""
    route, principal, table = call.table.routes.get(name), call.principal, call.table
    if route is None or principal is None or (principal.models is not None and name not in principal.models):
        return None
    told = call.told if call.plan is None else call.plan.told  # a call of the short way has it in its plan
    # what the other model's calls carry does not make less of this one, of which nobody told anything
    admission = table.admission(principal, route, (told or table.snapshot.authorization.unknown_class,))
    most = principal.max_data_class
    if most is not None and (admission.data_class or table.snapshot.authorization.unknown_class) > most:
        return None
    reach = admission.reach
    if reach is None:
        return admission
    targets = tuple(target for target in route.targets if target in reach.allowed[purpose])
    return admission._replace(targets=targets, ruled_out=denied(admission, purpose)) if targets else None


def way_to(
    call: Call, head: CallHead, name: str, purpose: Purpose, max_cost_usd: float | None, rng: random.Random
) -> Way | None:
    """The way to another model, if it is open now; what was ruled out on it is noted. `max_cost_usd`: the call's own limit."""
    admission = admission_to(call, name, purpose)
    if admission is None:
        return None
    route, now_s = admission.route, monotonic()
    found, out = candidates_of(route, head, now_s, admission)
    spent, own = spent_usd(call), route.config.max_cost_usd
    bounds = [bound for bound in (max_cost_usd, own + spent if own is not None else None) if bound is not None]
    limit = min(bounds, default=None)
    candidates: list[Target] = []
    for target in found:
        reason = too_dear(target, head, limit - spent) if limit is not None else ""
        if reason:
            out.append(RuledOut(target.backend_name, target.model, reason))
        else:
            candidates.append(target)
    call.ruled_out = [*call.ruled_out, *(one for one in out if one not in call.ruled_out)]
    if not candidates or now_s >= call.deadline_s:
        return None
    strategy = route.config.strategy
    if len(candidates) > 1 and strategy != "priority":
        ask = Ask(now_s, head.prompt_tokens(4.0), head.max_tokens or ASSUMED_COMPLETION_TOKENS, rng)
        candidates = STRATEGIES[strategy](candidates, ask)
    candidates.sort(key=lambda target: target.state.rest_until_s > now_s)
    return Way(route, admission, candidates, Bounds(len(call.attempts), limit))


def take(call: Call, head: CallHead, way: Way, kind: AttemptKind, rng: random.Random) -> None:
    """Send the call that way."""
    route, now_s = way.route, monotonic()
    call.route, call.admission, call.reach, call.candidates = route, way.admission, way.admission.reach, way.candidates
    route.state.retries.call(now_s)
    if route.config.hedge is not None:
        route.state.hedges.call(now_s)
    Dispatch(call, head, route, rng, kind, way.bounds).begin()


# -- limits --


def reserve(call: Call, head: CallHead, way: Way) -> Reservation | Refusal | None:
    """Hold what the call may use on that way, beside what it holds already; None where no limit applies."""
    principal, limiter = call.principal, call.table.limiter
    if principal is None:
        return None
    whole = limiter.plan(principal.name, principal.team, way.route.name)
    held = call.limits.ones if call.limits is not None else ()  # it is one call, however many models it asks
    further = [share.counter for share in whole.all() if share not in held]
    if not further:
        return None
    plan = LimitPlan(principal.name, principal.team, way.route.name, further, limiter.shares)
    estimates = [estimate(head, target) for target in way.candidates]
    costs = [cost for _, cost in estimates if cost is not None]
    cost_usd = max(costs) if len(costs) == len(estimates) else None
    return limiter.reserve(plan, max(tokens for tokens, _ in estimates), cost_usd, monotonic())


def settle(reservation: Reservation, attempts: Sequence[Attempt]) -> None:
    """Give back what these attempts did not use of it."""
    now_s = monotonic()
    if not attempts:
        reservation.release(now_s)
        return
    tokens = sum(attempt.prompt_tokens + attempt.completion_tokens for attempt in attempts)
    costs = [attempt.cost_usd for attempt in attempts]
    known = [cost for cost in costs if cost is not None]
    reservation.settle(tokens, sum(known) if len(known) == len(costs) else None, now_s)
