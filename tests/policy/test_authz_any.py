"""Whatever the policies, the snapshot and the calls: nothing is a candidate that the policies forbid, and the cache mixes up nobody."""

from collections.abc import Iterator
from random import Random

import cedarpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.policy.authz_any import Case, Question, any_case, any_principal

from switchgear.core.authorization import Purpose
from switchgear.core.data_class import DataClass
from switchgear.policy import authz
from switchgear.policy.authz import Authorizer
from switchgear.policy.authz_world import Principal, Target
from switchgear.policy.cedar import PolicySet, Sending
from switchgear.policy.cedar_schema import ancestry, entities, principal


class Snapshot:
    """A case and its authorizer, whose mappings are so small that they forget all the time."""

    def __init__(self, rng: Random) -> None:
        self.case = any_case(rng)
        self.policies = PolicySet.compiled(self.case.texts, self.case.world)
        self.authorizer: Authorizer[Target] = Authorizer(
            self.policies, self.case.routes, unknown_class=DataClass.CONFIDENTIAL, size=rng.choice((1, 2, 4, 4096))
        )


def violations(rng: Random, *, calls: int) -> Iterator[str]:
    """Calls of random principals, by turns over two snapshots; each place that a chain of attempts may use is held against the meaning."""
    snapshots = (Snapshot(rng), Snapshot(rng))
    for _ in range(calls):
        snapshot = rng.choice(snapshots)
        who = any_principal(rng)
        model = rng.choice(list(snapshot.case.routes))
        told = rng.choice((None, *DataClass))
        standing = snapshot.authorizer.standing(who.name, who.team, who.roles)
        reach = snapshot.authorizer.reach[standing, model, told]
        data_class = told or DataClass.CONFIDENTIAL
        right = {
            purpose: [
                snapshot.case.allows(Question(who, model, data_class, purpose, one))
                for one in snapshot.case.routes[model]
            ]
            for purpose in Purpose
        }
        for purpose in _chain(rng):
            open_to_it = reach.targets if reach.uniform else reach.allowed[purpose]
            for index, target in enumerate(snapshot.case.routes[model]):
                if (target in open_to_it) > right[purpose][index]:
                    yield f"{who} {model} {data_class} {purpose} may reach {target}"
        for purpose, expected in right.items():
            told_so = [decision.allowed for decision in reach.decisions[purpose]]
            if told_so != expected:
                yield f"{who} {model} {data_class} {purpose}: {told_so}, not {expected}"
        place, purpose = rng.randrange(len(snapshot.case.routes[model])), rng.choice(list(Purpose))
        target = snapshot.case.routes[model][place]
        sending = Sending(purpose, target.backend, target.model)
        if snapshot.authorizer.decision[standing, model, told, sending].allowed != right[purpose][place]:
            yield f"{who} {model} {data_class} {sending}: another decision"
        if reach.everywhere and not all(all(expected) for purpose, expected in right.items() if purpose in _CHAIN):
            yield f"{who} {model} {data_class}: not everywhere"


_CHAIN = (Purpose.FIRST, Purpose.RETRY, Purpose.FALLBACK, Purpose.HEDGE, Purpose.RESCUE, Purpose.CONTINUE)


def _chain(rng: Random) -> list[Purpose]:
    return [Purpose.FIRST, *(rng.choice(_CHAIN[1:]) for _ in range(rng.randint(0, 4)))]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(rng=st.randoms(use_true_random=False))
def test_nothing_is_allowed_that_policies_forbid(rng: Random) -> None:
    assert list(violations(rng, calls=8)) == []


@pytest.mark.slow
def test_nothing_is_allowed_in_a_hundred_thousand_calls() -> None:
    for seed in range(2_000):
        assert list(violations(Random(seed), calls=50)) == [], f"seed {seed}"


@settings(max_examples=40, deadline=None, derandomize=True)
@given(rng=st.randoms(use_true_random=False))
def test_compiled_decisions_are_those_of_the_plain_text(rng: Random) -> None:
    snapshot = Snapshot(rng)
    case = snapshot.case
    text = "\n".join(one.text for one in case.texts)
    for _ in range(4):
        who, model, data_class = any_principal(rng), rng.choice(list(case.routes)), rng.choice(list(DataClass))
        sending = Sending(rng.choice(list(Purpose)), rng.choice(list(case.world.places)), "llama")
        around = snapshot.policies.with_principal(who.name, who.team, who.roles)
        compiled = snapshot.policies.decide(who.name, around, model, data_class, [sending])[0]
        plain = _plainly(case, text, who, model, data_class, sending)
        failed = bool(plain.diagnostics.errors)
        assert compiled.allowed == (plain.allowed and not failed)
        if not failed:
            assert set(compiled.policies) == set(plain.diagnostics.id_annotations_by_reason.values())


def _plainly(
    case: Case, text: str, who: Principal, model: str, data_class: DataClass, sending: Sending
) -> cedarpy.AuthzResult:
    return cedarpy.is_authorized(
        {
            "principal": {"type": "Principal", "id": who.name},
            "action": {"type": "Action", "id": sending.purpose.value},
            "resource": {"type": "Backend", "id": sending.place},
            "context": {
                "model": {"__entity": {"type": "Model", "id": model}},
                "model_there": sending.model_there,
                "data_class": {"__entity": {"type": "DataClass", "id": data_class.value}},
            },
        },
        text,
        [*entities(case.world), principal(who.name, who.team, who.roles)],
    )


def test_the_property_notices_a_key_without_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authz, "ancestry", lambda name, team, roles, teams: ancestry(name, team, (), teams))
    assert _found()


def test_the_property_notices_purposes_taken_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authz, "_alike", lambda named: dict.fromkeys(Purpose, Purpose.FIRST))
    assert _found()


def test_the_property_notices_a_failed_policy_that_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    decided = PolicySet._decision

    def lenient(self: PolicySet, result: cedarpy.AuthzResult) -> object:
        return decided(self, result)._replace(allowed=result.allowed)

    monkeypatch.setattr(PolicySet, "_decision", lenient)
    assert _found()


def test_the_property_notices_names_left_out_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authz, "ancestry", lambda name, team, roles, teams: ancestry("", team, roles, teams))
    assert _found()


def _found() -> bool:
    return any(True for seed in range(60) for _ in violations(Random(seed), calls=8))
