"""Whatever policies, snapshots, faults and calls: no byte of a call reaches a backend that policies forbid it for that purpose.

The suite of `make test` makes a few thousand calls, the slow one a hundred thousand. That the property can fail at all is shown by bugs,
each in one place that asks policies: every one of them is caught.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

import pytest
from tests.gateway.residency import Course

from switchgear.core.authorization import Purpose
from switchgear.core.record import AttemptKind
from switchgear.gateway import caching, caller, detour, entrance, screening
from switchgear.gateway.caching import Places
from switchgear.gateway.call import Call
from switchgear.gateway.table import Admission, Route, Table, Target
from switchgear.policy.model import CLEAN
from switchgear.policy.screen import Screen
from switchgear.rehearsal.virtual_time import run_virtually

CALLS = 48
EXERCISED = {
    *AttemptKind,
    "ok",
    "refused",
    "failed",
    "broken",
    "cancelled",
    "hit",
    "collapsed",
    "forbidden_by_policy",
    "screen",
}
"""What must have happened at least once, or nothing was shown of it."""


class Runs:
    """Courses by seed, each with a network of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        self.happened: Counter[str] = Counter()
        self.calls = 0

    def violations(self, seeds: Iterable[int], about: Purpose | None = None) -> Iterator[str]:
        for seed in seeds:
            course = Course(Random(seed), calls=CALLS, about=about)
            self._patch.setattr("switchgear.wire.client.connect", course.network.connect)
            run_virtually(course.run)
            self.happened += course.counted()
            self.calls += len(course.records)
            yield from (f"seed {seed}: {text}" for text in course.violations())


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    return Runs(monkeypatch)


def test_nothing_reaches_what_policies_forbid(runs: Runs) -> None:
    assert list(runs.violations(range(80))) == []
    assert runs.calls == 80 * CALLS
    assert {word for word in EXERCISED if not runs.happened[word]} == set()


@pytest.mark.slow
def test_nothing_reaches_what_policies_forbid_in_a_hundred_thousand_calls(runs: Runs) -> None:
    seeds = range(10_000, 10_000 + 100_000 // CALLS + 1)
    for found in runs.violations(seeds):
        pytest.fail(found)
    assert runs.calls >= 100_000
    assert all(runs.happened[word] > 100 for word in EXERCISED)


# -- bugs, each in one place that asks policies --


def _bypassed(kind: AttemptKind) -> Any:
    real = Call.may_go
    return lambda self, target, asked: True if asked is kind else real(self, target, asked)


def _as_the_calls_own(self: Call, target: Target, asked: AttemptKind) -> bool:
    """Purposes that policies tell apart nowhere in a call's own attempts are not looked at one by one."""
    reach = self.reach
    return reach is None or reach.uniform or target in reach.allowed[asked]


def _no_policies(self: Table, principal: Any, route: Route, declared: Any) -> Admission:
    return Admission(route, None, "", None, route.targets, ())


def _any_first(call: Call, candidates: list[Any]) -> bool:
    return bool(candidates)


def _whatever_the_purpose(call: Call, name: str, purpose: Purpose) -> Admission | None:
    route = call.table.routes.get(name)
    if route is None or call.principal is None:
        return None
    admission = call.table.admission(call.principal, route, (call.told,))
    return admission._replace(targets=route.targets)


def _kept_anywhere(admission: Admission, larger: Admission | None) -> Places:
    targets = {*admission.targets, *(larger.targets if larger is not None else ())}
    return Places("anywhere", frozenset(targets))


def _one_for_all_classes(self: Table, principal: Any, endpoint: Any, declared: Any) -> Any:
    return self._plans.find((principal, endpoint, None)) or self._plans.keep((principal, endpoint, None), {})


class _OneForAllSnapshots(dict[Any, Any]):
    """Plans that outlive the table that they were made for."""

    def __call__(self, table: Table, principal: Any, endpoint: Any, declared: Any) -> Any:
        return self.setdefault((principal.name, endpoint, declared), {})

    def __get__(self, table: Table, kind: type) -> Any:
        return lambda *asked: self(table, *asked)


BUGS = {
    "retry": (Call, "may_go", _bypassed(AttemptKind.RETRY)),
    "fallback": (Call, "may_go", _bypassed(AttemptKind.FALLBACK)),
    "hedge": (Call, "may_go", _bypassed(AttemptKind.HEDGE)),
    "rescue": (Call, "may_go", _bypassed(AttemptKind.RESCUE)),
    "continue": (Call, "may_go", _bypassed(AttemptKind.CONTINUE)),
    "first": (entrance, "_may_begin", _any_first),
    "escalate": (detour, "admission_to", _whatever_the_purpose),
    "after an escalation": (Call, "may_go", _as_the_calls_own),
    "cache": (caching, "_places_of", _kept_anywhere),
    "a plan of another class": (Table, "plans", _one_for_all_classes),
    "a plan of another snapshot": (Table, "plans", _OneForAllSnapshots()),
    "the header is not read": (entrance, "declared_class", lambda headers: None),
    "the screen is not asked": (Screen, "request", lambda *asked: CLEAN),
    "screen": (screening, "_why_forbidden", lambda call, data_class: ""),
    "no policy is asked": (Table, "admission", _no_policies),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_caught(runs: Runs, monkeypatch: pytest.MonkeyPatch, bug: str) -> None:
    place, name, broken = BUGS[bug]
    monkeypatch.setattr(place, name, broken)
    if name == "declared_class":
        monkeypatch.setattr(caller, name, broken)
    about = Purpose(bug) if bug in Purpose.__members__.values() else None
    often = Purpose.ESCALATE if "escalation" in bug else about
    found = (text for text in runs.violations(range(400), often) if about is None or f": {about} " in text)
    assert next(found, None) is not None, f"{runs.calls} calls showed nothing"
