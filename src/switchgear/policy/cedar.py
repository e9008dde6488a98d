"""Cedar, asked: compiled policies over a fixed world, and what they decide. Nothing is remembered here (see `policy.authz`)."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import cedarpy
import msgspec

from switchgear.core.authorization import PolicyText, Purpose
from switchgear.core.data_class import DataClass
from switchgear.core.errors import ConfigError
from switchgear.policy.cedar_check import check
from switchgear.policy.cedar_schema import Json, Uid, World, entities, principal, reference, uid
from switchgear.policy.cedar_text import Policy, read

_FAILED = re.compile(r"^error while evaluating policy `([^`]*)`: (.*)$", re.DOTALL)


class Sending(NamedTuple):
    """Something that may be sent somewhere."""

    purpose: Purpose
    place: str
    """Name of a backend, or of another place of the world."""
    model_there: str = ""
    """The model's name at that place."""


class Decision(NamedTuple):
    """Whether it may, and what said so."""

    allowed: bool
    policies: tuple[str, ...] = ()
    """Ids, in order: the permits that allowed it; or the forbids that forbade it and the policies that failed. None where it is refused
    because no policy permits it."""
    errors: tuple[str, ...] = ()
    """Why policies failed: `ID: reason`. A policy that fails forbids, whatever it was to say."""


_UNKNOWN = re.compile(r"`Backend::.*` does not have the attribute `(region|jurisdiction)`", re.DOTALL)
_NOT_HERE = Decision(False, (), ("cedar: the place or the model is not one of this snapshot",))


class PolicySet:
    """Policies of a snapshot over its world."""

    def __init__(self, policies: Sequence[Policy], world: World) -> None:
        self.world = world
        self.policies = {policy.id: policy for policy in policies}
        static = {policy.id: policy.json for policy in policies}
        text = msgspec.json.encode({"staticPolicies": static, "templates": {}, "templateLinks": []})
        self._handle = cedarpy.PolicySet.from_json_str(text.decode())
        self._entities = cedarpy.Entities.from_json_str(json.dumps(entities(world)))
        self.uids: frozenset[Uid] = frozenset().union(*(policy.uids for policy in policies))
        """Every entity that any policy names."""
        self.reads_names = any("name" in policy.attributes for policy in policies)
        """Whether a policy looks at names of principals as texts."""

    @classmethod
    def compiled(cls, texts: tuple[PolicyText, ...], world: World) -> "PolicySet":
        """Check and compile. Raises ConfigError with every problem."""
        checked = check(texts, world)
        if checked.problems:
            raise ConfigError(list(checked.problems))
        return cls(checked.policies, world)

    @classmethod
    def of_checked(cls, texts: tuple[PolicyText, ...], world: World) -> "PolicySet":
        """Compile texts that were checked elsewhere: a worker, of its snapshot. Raises ConfigError where one cannot even be read."""
        policies, problems = read(texts)
        if problems:
            raise ConfigError(problems)
        return cls(policies, world)

    def with_principal(self, name: str, team: str, roles: Iterable[str]) -> cedarpy.Entities:
        """The world and a principal in it."""
        return self._entities.with_added_json_str(json.dumps([principal(name, team, roles)]))

    def decide(
        self,
        name: str,
        around: cedarpy.Entities,
        model: str,
        data_class: DataClass,
        sendings: Sequence[Sending],
    ) -> list[Decision]:
        """What the policies say of each sending; `around` is what `with_principal` gave for this name. 75 to 110 us each."""
        who = uid("Principal", name)
        requests = [
            {
                "principal": who,
                "action": uid("Action", sending.purpose.value),
                "resource": uid("Backend", sending.place),
                "context": _context(model, sending.model_there, data_class),
            }
            for sending in sendings
        ]
        found = cedarpy.is_authorized_batch(requests, self._handle, around)
        return [
            self._decision(one) if sending.place in self.world.places and model in self.world.models else _NOT_HERE
            for sending, one in zip(sendings, found, strict=True)
        ]

    def _decision(self, result: cedarpy.AuthzResult) -> Decision:
        errors = result.diagnostics.errors
        named = set(result.diagnostics.reasons)
        if not errors:
            return Decision(result.allowed, self._ordered(named))
        failed = [_failed(error) for error in errors]
        if result.allowed:
            named = set()  # permits; what refuses is that others failed
        named.update(policy for policy, _ in failed)
        return Decision(
            False, self._ordered(named), tuple(sorted(f"{policy or 'cedar'}: {why}" for policy, why in failed))
        )

    def _ordered(self, ids: set[str]) -> tuple[str, ...]:
        return tuple(policy for policy in self.policies if policy in ids)


def _failed(error: str) -> tuple[str, str]:
    """The policy that failed, and why, in our words where we have some."""
    found = _FAILED.match(error)
    if found is None:
        return "", error
    unknown = _UNKNOWN.fullmatch(found[2])
    return found[1], f"the backend's {unknown[1]} is not known" if unknown is not None else found[2]


def _context(model: str, model_there: str, data_class: DataClass) -> Json:
    return {
        "model": reference("Model", model),
        "model_there": model_there,
        "data_class": reference("DataClass", data_class.value),
    }
