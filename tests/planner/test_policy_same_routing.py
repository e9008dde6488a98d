"""Policies in the planner: the gateway's own decisions, the same in both simulations, call by call."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.docs.pages import ROOT
from tests.planner.fleets import Kept, calls, cloud, fleet, onprem
from tests.planner.test_simulate_same_routing import OFF, assert_same

from switchgear.core.authorization import PolicyText, Team
from switchgear.core.data_class import DataClass
from switchgear.core.snapshot import Breaker, Retry, Timeouts
from switchgear.planner.errors import BadFleet
from switchgear.planner.fleet import Fault, Fleet, Place, Trouble
from switchgear.planner.fleet_policy import CalledModel, DefaultCaller, FleetPolicy, Who, with_texts
from switchgear.planner.simulate import Method, simulate
from switchgear.planner.simulate_arrays import FORBIDDEN, REFUSED
from switchgear.planner.workload import Caller, Workload

PERMIT = '@id("everyone") permit (principal, action, resource);\n'
CLOUD = 'resource.kind == Kind::"cloud"'
CONFIDENTIAL = 'context.data_class in DataClass::"confidential"'
PATIENT = Breaker(consecutive=1000, min_calls=10_000)
"""So that attempts fail, and are followed by others, for as long as an outage lasts."""
SHORT = Fault(kind=Trouble.OUTAGE, start_s=2.0, lasts_s=1.5, every_s=5.0)


def forbid(id: str, when: str, action: str = "action", principal: str = "principal") -> str:
    return f'@id("{id}") forbid ({principal}, {action}, resource) when {{ {when} }};\n'


def act(*names: str) -> str:
    return f"action in [{', '.join(f'Action::{chr(34)}{name}{chr(34)}' for name in names)}]"


RULES = {
    "class": forbid("no-cloud", f"{CONFIDENTIAL} && {CLOUD}"),
    "nowhere": forbid("contractors", CONFIDENTIAL, principal='principal in Role::"contractor"'),
    "unknown": forbid("in-the-eu", 'resource.jurisdiction in Jurisdiction::"US" && ' + CONFIDENTIAL),
    "labels": forbid("large", 'context.model.labels.contains("large") && !resource.labels.contains("gpu")'),
    "no hedge": forbid("no-hedge", f"{CLOUD} && {CONFIDENTIAL}", act("hedge")),
    "only later": forbid("not-first", CLOUD, act("first")),
    "not later": forbid("not-later", CLOUD, act("fallback", "rescue")),
    "no retry": forbid("no-retry", "true", act("retry")),
    "no rescue": forbid("no-rescue", CONFIDENTIAL, act("rescue", "continue")),
}


def several(workload: Workload, seed: int = 3) -> Workload:
    """The same calls, of five callers."""
    callers = (
        Caller("ada", "research", "chat"),
        Caller("bob", "agency", "chat"),
        Caller("ada", "research", "big"),
        Caller("cy", "", "chat", class_told=False),
        Caller(),
    )
    rng = np.random.default_rng(seed)
    return replace(workload, callers=callers, caller=rng.integers(0, len(callers), len(workload)))


def ruled(*places: Place, rules: tuple[str, ...], **settings: Any) -> Fleet:
    text = PERMIT + "".join(RULES[rule] for rule in rules)
    given: dict[str, Any] = {
        "policy": FleetPolicy(texts=(PolicyText("rules.cedar", text),), unknown_class=DataClass.CONFIDENTIAL),
        "teams": {"agency": Team(roles=("contractor",))},
        "principals": {"cy": Who(roles=("visitor",))},
        "models": {"chat": CalledModel(), "big": CalledModel(labels=("large",), data_class=DataClass.INTERNAL)},
        "caller": DefaultCaller(name="dee", team="agency", model="chat"),
    }
    return fleet(*places, **given, **settings)


def places(**cloud_settings: Any) -> tuple[Place, ...]:
    return (
        onprem(
            "rack",
            units=2,
            max_in_flight=12,
            labels=("gpu",),
            jurisdiction="EU/DE",
            faults=(OFF, SHORT),
            breaker=PATIENT,
        ),
        onprem("box", profile="appliance", max_in_flight=6, timeouts=Timeouts(first_token_s=0.6, total_s=6.0)),
        cloud(**{"requests_per_minute": 600, "jurisdiction": "EU", "labels": ("gpu",), **cloud_settings}),
    )


CASES: dict[str, tuple[str, ...]] = {
    "none": (),
    "who and what": ("class", "nowhere", "labels"),
    "not known": ("unknown",),
    "a hedge forbidden": ("class", "no hedge"),
    "later only": ("only later",),
    "first only": ("not later",),
    "no second try": ("no retry", "no rescue"),
    "all": tuple(RULES),
}


@pytest.mark.parametrize("strategy", ["priority", "latency", "least-loaded"])
@pytest.mark.parametrize("case", CASES)
def test_each_call_goes_the_same_way(case: str, strategy: str) -> None:
    where = ruled(*places(), rules=CASES[case], strategy=strategy, retry=Retry(attempts=4, budget_ratio=1.0))
    assert_same(where, several(calls(500, 25, classes=True)))


@pytest.mark.parametrize("rule", ["no retry", "no rescue"])
def test_a_place_that_may_not_be_asked_again_is_not(rule: str) -> None:
    rack = onprem("rack", units=2, faults=(SHORT,), breaker=PATIENT)
    workload = several(calls(300, 20, classes=True))
    assert_same(ruled(rack, rules=(rule,), retry=Retry(attempts=4, budget_ratio=1.0)), workload)
    retry = Retry(attempts=4, budget_ratio=1.0)
    without, under = (simulate(ruled(rack, rules=rules, retry=retry), workload) for rules in ((), (rule,)))
    assert without.retries > under.retries


@settings(derandomize=True, max_examples=15, deadline=None)
@given(
    st.sets(st.sampled_from(sorted(RULES))),
    st.sampled_from(["priority", "weighted", "latency", "least-loaded"]),
    st.integers(0, 1000),
    st.sampled_from([60, 600]),
    st.permutations(range(3)),
)
def test_any_policies_go_the_same_way(
    rules: set[str], strategy: str, seed: int, per_minute: int, order: list[int]
) -> None:
    made = places(requests_per_minute=per_minute)
    where = ruled(*(made[i] for i in order), rules=tuple(sorted(rules)), strategy=strategy)
    assert_same(where, several(calls(200, 25, seed=seed, classes=True), seed), seed)


@pytest.mark.parametrize("method", Method)
def test_what_policies_forbid_goes_nowhere_and_is_told(method: Method) -> None:
    where = ruled(
        onprem("rack", units=4, labels=("gpu",)), cloud(labels=("gpu",)), rules=("class", "nowhere", "labels")
    )
    workload, kept = several(calls(400, 20, classes=True)), Kept()
    got = simulate(where, workload, method=method, sink=kept)
    rows = kept.rows
    agency = np.isin(workload.caller, (1, 4))
    strict = rows["rank"] >= DataClass.CONFIDENTIAL.rank
    assert np.array_equal(rows["reason"] == FORBIDDEN, agency & strict)
    assert (rows["outcome"][agency & strict] == REFUSED).all()
    assert (rows["place"][strict & ~agency] == 0).all()
    assert (rows["rank"][workload.caller == 3] == DataClass.CONFIDENTIAL.rank).all()  # nobody told their class
    assert got.policy is not None
    assert got.policy.nowhere == {"forbidden:contractors; forbidden:no-cloud,contractors": (agency & strict).sum()}
    assert got.refused == {"policies let it go nowhere": (agency & strict).sum()}
    assert got.policy.local == {"forbidden:no-cloud": (strict & ~agency).sum()}
    assert got.must_stay_local_share == (strict & ~agency).sum() / 400
    assert sum(group.calls for group in got.policy.groups) == 400
    assert {group.principal for group in got.policy.groups} == {"ada", "bob", "cy", "dee"}


def test_the_starting_policies_go_the_same_way() -> None:
    policy = with_texts(FleetPolicy(files=(str(ROOT / "src/switchgear/policy/starting/*.cedar"),)))
    where = msgspec.structs.replace(ruled(*places(jurisdiction=""), rules=()), policy=policy)
    workload = several(calls(400, 25, classes=True))
    assert_same(where, workload)
    got = simulate(where, workload).policy
    assert got is not None
    assert set(got.local) == {"forbidden:restricted-stays-in-our-buildings"}
    assert got.nowhere  # contractors send nothing confidential, and use no large model
    assert all("contractors" in why for why in got.nowhere)


def test_without_policies_the_class_decides_and_is_told() -> None:
    got = simulate(fleet(onprem(units=4), cloud()), calls(400, 20, classes=True))
    assert got.policy is None
    assert got.must_stay_local_share == pytest.approx(0.5, abs=0.1)
    assert simulate(fleet(onprem()), calls(20, 5)).must_stay_local_share is None


@pytest.mark.parametrize(
    ("change", "workload", "said"),
    [
        ({"caller": None}, calls(5, 1), r"do not say who makes them; add \[caller\]"),
        ({}, replace(calls(5, 1), callers=(Caller("a", "", "small"),)), r"'small', and knows chat, big; add \[models.small\]"),
        ({"caller": DefaultCaller(name="a")}, calls(5, 1), "which model they name"),
        ({"policy": FleetPolicy(files=("x.cedar",))}, calls(5, 1), "were not read"),
        ({"policy": FleetPolicy(texts=(PolicyText("a", forbid("x", 'resource == Backend::"rak"')),))}, calls(5, 1), "rack"),
    ],
)  # fmt: skip
def test_what_policies_cannot_know_is_refused(change: dict[str, Any], workload: Workload, said: str) -> None:
    where = msgspec.structs.replace(ruled(*places(), rules=()), **change)
    for method in Method:
        with pytest.raises(BadFleet, match=said):
            simulate(where, workload, method=method)


def test_policies_and_strictest_do_not_go_together() -> None:
    with pytest.raises(BadFleet, match="take one of them out"):
        ruled(onprem(strictest=DataClass.INTERNAL), rules=())
