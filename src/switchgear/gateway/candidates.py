"""Which targets are candidates for a call, and why the others are not. Pure."""

from collections.abc import Sequence

from switchgear.core.authorization import Purpose
from switchgear.core.record import RuledOut
from switchgear.gateway.errors import Refused
from switchgear.gateway.head import ASSUMED_COMPLETION_TOKENS, CallHead
from switchgear.gateway.table import Admission, Route, Target
from switchgear.identity.model import Principal

_LACKS = {
    "lacks_endpoint": "does not serve this endpoint",
    "lacks_tools": "cannot call tools",
    "lacks_images": "cannot read images",
    "lacks_json_schema": "cannot hold its answer to a JSON schema",
    "lacks_logprobs": "gives no log-probabilities",
    "context_too_small": "has too small a context window",
    "over_cost_limit": "would exceed max_cost_usd",
    "unpriced": "has no price to hold against max_cost_usd",
}
_BUSY = {"breaker_open": "is broken at the moment", "full": "is full"}
_LIMITED = {"limited": "has no room left under a limit"}
_POLICY = {
    "forbidden": "is forbidden by a policy",
    "policy_failed": "is refused because a policy could not be evaluated",
    "not_permitted": "is permitted by no policy",
}
REASONS = {**_LACKS, **_BUSY, **_LIMITED, **_POLICY, "not_pinned": "is not the backend that the caller chose"}
"""Every reason for which a target is ruled out, in words. Ids of policies may follow a reason after a colon."""


def why_out(reason: str) -> str:
    """Why a target was ruled out, with the policies that did."""
    word, _, ids = reason.partition(":")
    text = REASONS.get(word, word)  # a record may be of a newer version
    return f"{text} ({ids.replace(',', ', ')})" if ids else text


def allowed_route(routes: dict[str, Route], head: CallHead, principal: Principal) -> Route:
    """The model that a key may call under this name. Raises Refused."""
    route = routes.get(head.model)
    if route is None:
        raise Refused(
            "model_not_found",
            f"No model {head.model!r} here; GET /v1/models lists those that this key may call.",
            param="model",
        )
    if principal.models is not None and head.model not in principal.models:
        raise Refused(
            "model_not_allowed",
            f"The key {principal.name!r} may not call the model {head.model!r}; call one of {', '.join(principal.models) or 'none'}, or"
            " ask whoever runs this gateway for the right.",
            param="model",
        )
    if head.pin:
        if not principal.pin:
            raise Refused(
                "pin_not_allowed",
                f"The key {principal.name!r} may not choose a backend; call {head.model!r} without @, or set pin = true for the key.",
                param="model",
            )
        if all(target.backend_name != head.pin for target in route.targets):
            places = ", ".join(sorted({target.backend_name for target in route.targets}))
            raise Refused(
                "unknown_pin",
                f"The model {head.model!r} has no target at {head.pin!r}; it has {places}.",
                param="model",
            )
    return route


def candidates_of(
    route: Route, head: CallHead, now_s: float, admission: Admission
) -> tuple[list[Target], list[RuledOut]]:
    """The targets that may serve the call now, as configured, and those that may not with the reason."""
    if head.plain and head.endpoint in route.every and _short(route, head):
        for target in admission.targets:
            backend_state = target.backend_state
            if not target.state.breaker.closed or backend_state.in_flight >= backend_state.max_in_flight:
                break
        else:
            return list(admission.targets), list(admission.ruled_out)
    candidates: list[Target] = []
    ruled_out: list[RuledOut] = list(admission.ruled_out)
    for target in admission.targets:
        if head.pin and target.backend_name != head.pin:
            reason = "not_pinned"
        else:
            reason = head.lacks(target.backend.capabilities, target.context_window) or busy(target, now_s)
            if not reason and route.config.max_cost_usd is not None:
                reason = too_dear(target, head, route.config.max_cost_usd)
        if reason:
            ruled_out.append(RuledOut(target.backend_name, target.model, reason))
        else:
            candidates.append(target)
    return candidates, ruled_out


def _short(route: Route, head: CallHead) -> bool:
    """Whether the call fits every target's context window for certain."""
    return head.prompt_bytes / route.bytes_per_token + head.max_tokens <= route.smallest_window


def busy(target: Target, now_s: float) -> str:
    """Why a target cannot take a call at this moment; empty where it can."""
    if not target.state.breaker.allows(now_s):
        return "breaker_open"
    if target.backend_state.in_flight >= target.backend_state.max_in_flight:
        return "full"
    return ""


def too_dear(target: Target, head: CallHead, budget_usd: float) -> str:
    """Why a call may not be sent there for money; an unknown price cannot be shown to fit."""
    prompt = head.prompt_tokens(target.backend.capabilities.bytes_per_token)
    usd = target.cost_usd(prompt, 0, head.max_tokens or ASSUMED_COMPLETION_TOKENS)
    if usd is None:
        return "unpriced"
    return "over_cost_limit" if usd > budget_usd else ""


def denied(admission: Admission, purpose: Purpose) -> tuple[RuledOut, ...]:
    """The targets to which policies let nothing go for a purpose, and why."""
    from switchgear.policy.authz_model import Denied  # loaded already where there are policies

    reach, targets = admission.reach, admission.route.targets
    made = zip(targets, reach.decisions[purpose] if reach is not None else (), strict=False)
    found = [Denied(target.backend_name, target.model, decision) for target, decision in made if not decision.allowed]
    return tuple(RuledOut(out.backend, out.model, out.reason) for out in found)


def estimate(head: CallHead, target: Target) -> tuple[int, float | None]:
    """About how many tokens a call may use there, and what that costs, US dollars."""
    prompt = head.prompt_tokens(target.backend.capabilities.bytes_per_token)
    completion = (head.max_tokens or ASSUMED_COMPLETION_TOKENS) * head.choices
    return prompt + completion, target.cost_usd(prompt, 0, completion)


def refusal(route: Route, ruled_out: Sequence[RuledOut], now_s: float, limited: Refused | None = None) -> Refused:
    """The error for a call that has no candidate: what each target lacks, or when to come back. `limited`: what a limit on a backend says
    that leaves no room.
    """
    why = "; ".join(
        f"{out.backend}/{out.model} {why_out(out.reason)}" for out in ruled_out if out.reason != "not_pinned"
    )
    reasons = {(out.backend, out.model): out.reason for out in ruled_out}
    waits = [target.state.breaker.retry_after_s(now_s) for target in route.targets if reasons.get(target.name) in _BUSY]
    if waits:
        return Refused(
            "no_target_available",
            f"No target of {route.name!r} can take the call now: {why}.",
            retry_after_s=min(waits) or 1.0,
        )
    if limited is not None:
        return limited
    if why and {out.reason.partition(":")[0] for out in ruled_out} <= {*_POLICY, "not_pinned"}:
        remedy = f"Call {route.name!r} without @BACKEND, or ask whoever writes the policies."
        return Refused(
            "forbidden_by_policy", f"Policies do not let the call go to the backend that it chose: {why}. {remedy}"
        )
    return Refused("no_capable_target", f"No target of {route.name!r} can serve this call: {why}.", param="model")
