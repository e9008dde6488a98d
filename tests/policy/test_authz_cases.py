"""Unit tests of policies: the shipped ones pass and are complete, and a wrong one is told what it expected."""

import importlib.resources
import tomllib

import pytest

from switchgear.core.authorization import Place, PolicyText, Team
from switchgear.core.data_class import DataClass
from switchgear.core.errors import ConfigError
from switchgear.policy.authz_cases import Cases, Result, check_cases, decode_cases, run_cases, untested
from switchgear.policy.authz_world import Caller, describe
from switchgear.policy.cedar import PolicySet
from switchgear.policy.cedar_check import check
from switchgear.policy.cedar_schema import World

STARTING = importlib.resources.files("switchgear.policy") / "starting"
TABLES = """
[backends.cloud]
kind = "cloud"
[models.chat]
"""
POLICIES = (
    PolicyText(
        "p.cedar",
        '@id("all") permit (principal, action, resource);\n'
        '@id("home") @description("stays home") forbid (principal, action, resource)\n'
        'when { context.data_class in DataClass::"restricted" };',
    ),
)


def run(text: str, policies: tuple[PolicyText, ...] = POLICIES) -> tuple[list[Result], PolicySet]:
    cases = decode_cases(text.encode(), "t.toml")
    made = PolicySet.compiled(policies, cases.world)
    assert check_cases(cases, made, {}, "t.toml") == []
    return list(run_cases(cases, made, {}, cases.unknown_class or DataClass.RESTRICTED)), made


def case(*lines: str) -> str:
    head = ('name = "it"', "principal = {}", 'model = "chat"', 'backend = "cloud"')
    given = [line.split(" =")[0] for line in lines]
    return TABLES + "[[tests]]\n" + "\n".join([*(one for one in head if one.split(" =")[0] not in given), *lines])


def test_the_starting_policies_are_sound_and_each_is_tested() -> None:
    texts = tuple(
        PolicyText(one.name, one.read_text(encoding="utf-8"))
        for one in STARTING.iterdir()
        if one.name.endswith(".cedar")
    )
    cases = decode_cases((STARTING / "starting.test.toml").read_bytes(), "starting.test.toml")
    checked = check(texts, cases.world)
    assert (checked.problems, checked.warnings) == ((), ())
    assert all(policy.description for policy in checked.policies)
    made = PolicySet(checked.policies, cases.world)
    assert check_cases(cases, made, {}, "starting.test.toml") == []
    results = list(run_cases(cases, made, {}, DataClass.RESTRICTED))
    assert [one.failure for one in results if one.failure] == []
    assert untested(results, made) == []


@pytest.mark.parametrize("index", range(9))
def test_without_one_of_the_starting_policies_a_test_fails(index: int) -> None:
    texts = tuple(
        PolicyText(one.name, one.read_text(encoding="utf-8"))
        for one in STARTING.iterdir()
        if one.name.endswith(".cedar")
    )
    cases = decode_cases((STARTING / "starting.test.toml").read_bytes(), "starting.test.toml")
    policies = check(texts, cases.world).policies
    assert len(policies) == 9
    made = PolicySet([policy for policy in policies if policy is not policies[index]], cases.world)
    assert any(one.failure for one in run_cases(cases, made, {}, DataClass.RESTRICTED))


@pytest.mark.parametrize(
    ("lines", "failure"),
    [
        (('data_class = "public"', 'expect = "allow"'), ""),
        (('data_class = "public"', 'expect = "allow"', 'by = ["all"]'), ""),
        (('data_class = "public"', 'expect = "deny"'), "expected deny, but it is allowed by all"),
        (('expect = "deny"', 'by = ["home"]'), ""),
        (('expect = "allow"',), "expected allow, but it is forbidden by home (stays home)"),
        (('expect = "deny"', 'by = ["all"]'), "all did not decide it: it is forbidden by home (stays home)"),
        (('expect = "deny"', "by = []"), "no policy was to decide it, but it is forbidden by home (stays home)"),
    ],
)
def test_a_test_passes_or_says_what_is_so_instead(lines: tuple[str, ...], failure: str) -> None:
    (result,), _ = run(case(*lines))
    assert result.failure == failure


def test_several_backends_and_purposes_are_as_many_tests() -> None:
    more = '\n[backends.rack]\nkind = "onprem"\n'
    text = case(
        'backend = ["cloud", "rack"]', 'purpose = ["first", "hedge"]', 'data_class = "public"', 'expect = "allow"'
    )
    results, _ = run(more + text)
    assert [(one.backend, one.purpose) for one in results] == [
        ("cloud", "first"),
        ("cloud", "hedge"),
        ("rack", "first"),
        ("rack", "hedge"),
    ]


def test_a_policy_counts_as_tested_only_by_a_test_that_passes() -> None:
    results, made = run(case('expect = "allow"'))
    assert untested(results, made) == ["all", "home"]
    results, made = run(case('expect = "deny"'))
    assert untested(results, made) == ["all"]


def test_the_class_of_what_nobody_told_can_be_set() -> None:
    results, _ = run('unknown_class = "public"\n' + case('expect = "allow"'))
    assert [one.failure for one in results] == [""]


@pytest.mark.parametrize(
    ("lines", "message", "remedy"),
    [
        (('model = "chit"',), 'test "it" names no model: "chit"', '"chat"'),
        (('backend = "clud"',), 'test "it" names no backend: "clud"', '"cloud"'),
        (('by = ["hom"]',), 'test "it" names no policy: "hom"', '"home"'),
        (('principal = "demo"',), 'test "it" names no key: "demo"', "none"),
    ],
)
def test_a_test_of_what_is_not_there_is_refused(lines: tuple[str, ...], message: str, remedy: str) -> None:
    cases = decode_cases(case('expect = "deny"', *lines).encode(), "t.toml")
    (problem,) = check_cases(cases, PolicySet.compiled(POLICIES, cases.world), {}, "t.toml")
    assert (problem.path, problem.message) == ("t.toml", message)
    assert remedy in problem.remedy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[tests]", "is not TOML"),
        (case('expect = "denied"'), "expect"),
        (case('expect = "deny"', 'clas = "x"'), "clas"),
        (case('expect = "deny"', 'data_class = "secret"'), "data_class"),
        (case('expect = "deny"', "backend = []"), "backend"),
        (case('expect = "deny"', "purpose = []"), "purpose"),
        (TABLES, "tests"),
        (TABLES + 'regoin = "x"\n' + case('expect = "deny"').removeprefix(TABLES), "regoin"),
    ],
)
def test_a_file_that_is_no_file_of_tests_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        decode_cases(text.encode(), "t.toml")
    assert message in str(caught.value)
    assert caught.value.problems[0].path == "t.toml"


def test_a_configuration_file_is_read_for_what_policies_are_about() -> None:
    said = describe(
        tomllib.loads(
            """
            [gateway]
            listen = ["127.0.0.1:1"]
            [policy]
            files = ["policies/*.cedar"]
            unknown_class = "internal"
            [teams.agency]
            roles = ["contractor"]
            budget_usd = 3
            [[keys]]
            name = "demo"
            sha256 = "00"
            team = "sales"
            roles = ["auditor"]
            [oidc.corp]
            teams = { "Group A" = "research" }
            [backends.box]
            kind = "appliance"
            base_url = "http://x"
            jurisdiction = "EU/DE"
            [models.chat]
            labels = ["large"]
            strategy = "cost"
            targets = [{ backend = "box", model = "llama", weight = 2 }]
            """
        ),
        "s.toml",
    )
    assert (said.policies.files, said.policies.unknown_class) == (("policies/*.cedar",), DataClass.INTERNAL)
    assert said.principals["demo"] == Caller(name="demo", team="sales", roles=("auditor",))
    assert [(one.backend_name, one.model) for one in said.routes["chat"]] == [("box", "llama")]
    assert said.world.models == {"chat": ("large",)}
    assert said.world.places["box"].jurisdiction == "EU/DE"
    assert not said.world.places["box"].attested
    assert said.world.teams["agency"].roles == ("contractor",)
    assert said.world.groups == {("Team", "sales"), ("Role", "auditor"), ("Team", "research")}


def test_a_configuration_that_says_it_wrongly_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"s\.toml: .*jurisdiction"):
        describe({"backends": {"box": {"kind": "cloud", "jurisdiction": "EU//DE"}}}, "s.toml")


def test_cases_know_their_own_world() -> None:
    cases = decode_cases(
        (TABLES + '[teams.a]\nroles = ["r"]\n[[tests]]\nname="x"\nprincipal={team="b", roles=["q"]}\n').encode()
        + b'model="chat"\nbackend="cloud"\nexpect="deny"',
        "t.toml",
    )
    assert isinstance(cases, Cases)
    assert cases.world == World(
        {"cloud": Place(kind="cloud")},
        {"chat": ()},
        {"a": Team(roles=("r",))},
        frozenset({("Team", "b"), ("Role", "q")}),
    )
