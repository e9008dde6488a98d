"""Whether policies let a sketch go to a backend of the configuration: it is asked as the original's caller, with the purpose `replay`."""

from pathlib import Path

from switchgear.cli.policy_files import described, policies_of
from switchgear.core.authorization import Purpose
from switchgear.core.data_class import DataClass
from switchgear.policy.authz import Authorizer
from switchgear.policy.cedar import PolicySet, Sending
from switchgear.policy.errors import PolicyError
from switchgear.sketches.model import Sketch


class ReplayForbidden(PolicyError):
    """A policy does not let the sketch go there."""

    code = "forbidden_by_policy"


def check_replay(config: Path, sketch: Sketch, backend: str, model: str, data_class: DataClass | None) -> None:
    """Without `data_class` the sketch counts as what its original carried. Raises ReplayForbidden, ConfigError."""
    said = described(config)
    if not said.policies.files:
        return
    policies = PolicySet.compiled(policies_of(config, said), said.world)
    authorizer = Authorizer(policies, said.routes, unknown_class=said.policies.unknown_class)
    known = said.principals.get(sketch.principal)
    standing = authorizer.standing(sketch.principal, sketch.team, known.roles if known is not None else ())
    told = data_class or (DataClass(sketch.data_class) if sketch.data_class else None)
    decision = authorizer.decision[standing, sketch.model, told, Sending(Purpose.REPLAY, backend, model)]
    if not decision.allowed:
        by = ", ".join(decision.policies) or "no policy permits it"
        raise ReplayForbidden(
            f"policies do not let a call of {sketch.principal or 'nobody'!r} with"
            f" {(told or said.policies.unknown_class).value} data be replayed at {backend!r} ({by}). Choose another --target, or, where a"
            " sketch counts as less than its original, say so with --data-class."
        )
