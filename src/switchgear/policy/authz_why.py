"""Why a principal may send something somewhere, or may not: what `switchgear policy why` tells."""

from collections.abc import Sequence
from typing import NamedTuple

from switchgear.core.authorization import PlaceFacts, Purpose
from switchgear.core.data_class import DataClass
from switchgear.core.external_screening import PLACE
from switchgear.policy.authz import Authorizer
from switchgear.policy.authz_model import Refusal
from switchgear.policy.authz_refusal import described, why
from switchgear.policy.authz_world import Principal, Target
from switchgear.policy.cedar import Decision, PolicySet, Sending


class Line(NamedTuple):
    """One target, and the purposes for which the same holds there."""

    backend: str
    model_there: str
    place: str
    """What policies know of the backend."""
    purposes: tuple[str, ...]
    """`any` where it holds for all."""
    allowed: bool
    policies: tuple[str, ...]
    errors: tuple[str, ...]
    why: str


class Answer(NamedTuple):
    """What holds for one principal, model and class."""

    principal: str
    team: str
    roles: tuple[str, ...]
    model: str
    data_class: DataClass
    class_given: bool
    lines: tuple[Line, ...]
    refusal: Refusal | None
    """Where no call may even begin."""
    class_raised: bool = False
    """Whether the class is that of the caller, the team or the model."""
    above: DataClass | None = None
    """The strictest class that the caller may send, where the call's is stricter: then it is refused, whatever policies say."""


def explain(
    authorizer: Authorizer[Target],
    who: Principal,
    model: str,
    data_class: DataClass | None,
    targets: Sequence[Target],
    purposes: Sequence[Purpose] = tuple(Purpose),
) -> Answer:
    """What policies say of each target and purpose."""
    policies = authorizer.policies
    standing = authorizer.standing(who.name, who.team, who.roles)
    reach = authorizer.reach[standing, model, data_class]
    lines: list[Line] = []
    asked = [(target, purposes) for target in targets]
    if PLACE in policies.world.places and Purpose.SCREEN in purposes:
        asked.append((Target(PLACE, ""), (Purpose.SCREEN,)))
    for target, why_sent in asked:
        sendings = [Sending(purpose, target.backend_name, target.model) for purpose in why_sent]
        decisions = [authorizer.decision[standing, model, reach.data_class, sending] for sending in sendings]
        for decision in dict.fromkeys(decisions):
            same = tuple(purpose.value for purpose, other in zip(why_sent, decisions, strict=True) if other == decision)
            lines.append(_line(target, ("any",) if len(same) == len(Purpose) else same, decision, policies))
    shared = policies.world.teams[who.team].roles if who.team in policies.world.teams else ()
    return Answer(
        who.name,
        who.team,
        tuple(dict.fromkeys((*who.roles, *shared))),
        model,
        reach.data_class,
        data_class is not None,
        tuple(lines),
        authorizer.refuse(standing, model, data_class) if not reach.targets else None,
    )


def _line(target: Target, purposes: tuple[str, ...], decision: Decision, policies: PolicySet) -> Line:
    place = policies.world.places.get(target.backend_name)
    return Line(
        target.backend_name,
        target.model,
        _facts(place) if place is not None else "not known",
        purposes,
        decision.allowed,
        decision.policies,
        decision.errors,
        _permitted(decision, policies) if decision.allowed else why(decision, policies.policies),
    )


def _permitted(decision: Decision, policies: PolicySet) -> str:
    return f"permitted by {', '.join(described(one, policies.policies) for one in decision.policies)}"


def _facts(place: PlaceFacts) -> str:
    known = [str(place.kind), place.region, place.jurisdiction, *place.labels, "attested" if place.attested else ""]
    return ", ".join(word for word in known if word)
