"""Unit tests of policies, written in TOML: who, which model, what data, where, and whether that is allowed, by which policy.

The format is described in docs/policy.md; `policy/starting/starting.test.toml` is an example.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal, NamedTuple

import msgspec

from switchgear.core.authorization import Place, Purpose, Team
from switchgear.core.data_class import DataClass
from switchgear.core.errors import ConfigError, Problem
from switchgear.policy.authz_refusal import why
from switchgear.policy.authz_world import Principal, groups_of
from switchgear.policy.cedar import Decision, PolicySet, Sending
from switchgear.policy.cedar_check import nearest
from switchgear.policy.cedar_schema import World


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Who(_Strict, Principal, frozen=True, kw_only=True):
    """A principal that a test makes up."""

    name: str = "someone"


class Case(_Strict, frozen=True, kw_only=True):
    """`[[tests]]`. Several backends or purposes are as many tests."""

    name: str
    principal: str | Who
    """The name of a key in `config`, or `{ name, team, roles }`."""
    model: str
    backend: str | Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    expect: Literal["allow", "deny"]
    data_class: DataClass | None = None
    """Left out: nobody told."""
    model_there: str = ""
    """The model's name at the backend, where policies ask for it."""
    purpose: Purpose | Annotated[tuple[Purpose, ...], msgspec.Meta(min_length=1)] = Purpose.FIRST
    by: tuple[str, ...] | None = None
    """Policies that must be among those that decided; empty: none may be, which is a refusal because nothing permits."""


class _Model(_Strict, frozen=True, kw_only=True):
    labels: tuple[str, ...] = ()


class Cases(_Strict, frozen=True, kw_only=True):
    """A file of tests."""

    config: str = ""
    """The configuration file whose tables the tests are about; relative to this file, like `policies`."""
    policies: tuple[str, ...] = ()
    """The policies under test; those of `config`, or else all beside this file, where not given."""
    unknown_class: DataClass | None = None
    """As in `[policy]`; that of `config`, or restricted."""
    backends: dict[str, Place] = {}
    models: dict[str, _Model] = {}
    teams: dict[str, Team] = {}
    tests: tuple[Case, ...]

    @property
    def world(self) -> World:
        """What this file's own tables say."""
        made_up = (case.principal for case in self.tests if isinstance(case.principal, Who))
        models = {name: model.labels for name, model in self.models.items()}
        return World(self.backends, models, self.teams, groups_of(made_up))


class Result(NamedTuple):
    """How one test ended."""

    case: Case
    backend: str
    purpose: Purpose
    decision: Decision
    failure: str
    """Empty: it passed."""


def decode_cases(text: bytes, file: str) -> Cases:
    """A file of tests. Raises ConfigError."""
    try:
        raw = tomllib.loads(text.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError([Problem(file, f"is not TOML: {error}", "See toml.io for how TOML is written.")]) from error
    try:
        return msgspec.convert(raw, Cases)
    except msgspec.ValidationError as error:
        raise ConfigError([Problem(file, str(error), "See docs/policy.md for what a test has.")]) from error


def check_cases(cases: Cases, policies: PolicySet, principals: Mapping[str, Principal], file: str) -> list[Problem]:
    """Names in tests that nothing has: such a test would test nothing."""
    problems = []
    for case in cases.tests:
        named = [
            ("model", case.model, policies.world.models),
            *(("backend", one, policies.world.places) for one in _several(case.backend)),
            *(("policy", one, policies.policies) for one in case.by or ()),
        ]
        if isinstance(case.principal, str):
            named.append(("key", case.principal, principals))
        problems += [
            Problem(file, f'test "{case.name}" names no {what}: "{name}"', nearest(name, known))
            for what, name, known in named
            if name not in known
        ]
    return problems


def run_cases(
    cases: Cases, policies: PolicySet, principals: Mapping[str, Principal], unknown_class: DataClass
) -> Iterator[Result]:
    """Each test's result, in order. Decided anew each time: nothing kept is under test here."""
    for case in cases.tests:
        who = principals[case.principal] if isinstance(case.principal, str) else case.principal
        around = policies.with_principal(who.name, who.team, who.roles)
        data_class = case.data_class or unknown_class
        sendings = [
            Sending(purpose, backend, case.model_there)
            for backend in _several(case.backend)
            for purpose in ([case.purpose] if isinstance(case.purpose, Purpose) else case.purpose)
        ]
        for sending, decision in zip(
            sendings, policies.decide(who.name, around, case.model, data_class, sendings), strict=True
        ):
            failure = _failure(case, decision, policies)
            yield Result(case, sending.place, sending.purpose, decision, failure)


def untested(results: Iterable[Result], policies: PolicySet) -> list[str]:
    """Ids of policies that decided no test that passed."""
    seen = {policy for result in results if not result.failure for policy in result.decision.policies}
    return [policy for policy in policies.policies if policy not in seen]


def _failure(case: Case, decision: Decision, policies: PolicySet) -> str:
    told = f"allowed by {', '.join(decision.policies)}" if decision.allowed else why(decision, policies.policies)
    if decision.allowed != (case.expect == "allow"):
        return f"expected {case.expect}, but it is {told}"
    if case.by is None:
        return ""
    missing = [policy for policy in case.by if policy not in decision.policies]
    if missing:
        return f"{', '.join(missing)} did not decide it: it is {told}"
    if not case.by and decision.policies:
        return f"no policy was to decide it, but it is {told}"
    return ""


def _several(one: str | tuple[str, ...]) -> tuple[str, ...]:
    return (one,) if isinstance(one, str) else one
