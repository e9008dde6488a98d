"""What is said of policies before they decide anything: each problem with its line and its remedy."""

from pathlib import Path

import pytest

from switchgear.core.authorization import Place, PolicyText, Team
from switchgear.core.errors import ConfigError
from switchgear.policy.cedar_check import check
from switchgear.policy.cedar_files import load_policies
from switchgear.policy.cedar_schema import World
from switchgear.policy.cedar_text import split

WORLD = World(
    {"cloud": Place(kind="cloud", region="north", jurisdiction="EU/DE", labels=("gpu",))},
    {"chat": ("large",)},
    {"agency": Team(roles=("contractor",))},
    frozenset({("Team", "research"), ("Role", "auditor")}),
)


def problems(text: str, world: World | None = WORLD) -> list[tuple[int | None, str, str]]:
    checked = check((PolicyText("p.cedar", text),), world)
    return [(found.line, found.message, found.remedy) for found in checked.problems]


def warnings(text: str) -> list[tuple[int | None, str, str]]:
    checked = check((PolicyText("p.cedar", text),), WORLD)
    assert checked.problems == ()
    return [(found.line, found.message, found.remedy) for found in checked.warnings]


def when(condition: str) -> str:
    return f'\n@id("x")\npermit (principal, action, resource)\nwhen {{\n  // a comment: jurisdicton\n  {condition} }};'


@pytest.mark.parametrize(
    ("condition", "message", "remedy"),
    [
        ('resource.jurisdicton in Jurisdiction::"EU"', "attribute `jurisdicton` on entity type `Backend` not found", '"jurisdiction"'),
        ("context.modle.labels.isEmpty()", "attribute `modle` in context not found", '"model"'),
        ("principal.nmae == \"x\"", "attribute `nmae` on entity type `Principal` not found", '"name"'),
        ('resource.kind == Kind::"clod"', "is not declared as a valid eid", '"cloud"'),
        ('resource.kind == "cloud"', "the types String and Kind are not compatible", 'Kind::"…"'),
        ('action == Action::"hegde"', "unrecognized action", '"hedge"'),
        ('principal in Taem::"research"', "unrecognized entity type `Taem`", '"Team"'),
        ('context.data_class in DataClass::"confidental"', "names no data class", '"confidential"'),
        ('resource == Backend::"clud"', "names no backend", '"cloud"'),
        ('context.model == Model::"chit"', "names no model", '"chat"'),
    ],
)  # fmt: skip
def test_a_misspelt_word_is_refused_with_its_line_and_the_nearest_word(
    condition: str, message: str, remedy: str
) -> None:
    ((line, said, advice),) = problems(when(condition))
    assert line == 6
    assert message in said
    assert said.startswith("policy x")
    assert remedy in advice


@pytest.mark.parametrize(
    ("text", "line", "message", "remedy"),
    [
        ("permit (principal, action, resource);", 1, "has no id", "@id"),
        ('\n\n@id("") permit (principal, action, resource);', 3, "has no id", "@id"),
        ('@id("a b") permit (principal, action, resource);', 1, '"a b" is no id', "letters"),
        ('@id("a") permit (principal, action, resorce);', 1, "invalid variable in the policy scope: resorce", "in this order"),
        ('@id("a") permit (principal, action, resource)', 1, "unexpected end of input", "semicolon"),
        ('@id("a") permit (principal == ?principal, action, resource);', 1, "has a slot", "Name the principal"),
        ('@id("a") permit (principal, action, resource) when { lower("x") };', 1, "`lower` is not a valid function", "docs"),
        ('@id("a") permit (principal == Model::"chat", action, resource);', 1, "can never apply", "Principal"),
        (";", 1, "is not Cedar", "docs"),
        ('@id("a") permit (principal, action, resource);\n\n@id("a")\nforbid (principal, action, resource);', 3,
         '"a" is the id of a policy in p.cedar on line 1', "another id"),
        ('@id("a") @id("b") permit (principal, action, resource);', 1, "duplicate annotation", "Keep one"),
    ],
)  # fmt: skip
def test_what_is_no_policy_of_ours_is_refused(text: str, line: int, message: str, remedy: str) -> None:
    ((at, said, advice),) = problems(text)
    assert (at, message in said, remedy in advice) == (line, True, True), (at, said, advice)


def test_every_problem_is_told_in_the_order_of_the_files() -> None:
    texts = (
        PolicyText("b.cedar", when("resource.x") + "\npermit (principal, action, resource);"),
        PolicyText("a.cedar", "x;"),
    )
    assert [(found.path, found.line) for found in check(texts).problems] == [
        ("b.cedar", 6),
        ("b.cedar", 7),
        ("a.cedar", 1),
    ]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ('principal in Team::"reserch"', "names a team that nothing here has"),
        ('principal in Role::"contracter"', "names a role that nothing here has"),
        ('resource.region == Region::"nort"', "names a region that nothing here has"),
        ('resource.jurisdiction in Jurisdiction::"UE"', "names a jurisdiction that nothing here has"),
        ('resource.labels.contains("gpus")', 'asks for a label that nothing here has: "gpus"'),
        ('context.model.labels.containsAny(["large", "larg"])', 'asks for a label that nothing here has: "larg"'),
    ],
)
def test_a_name_that_may_come_later_is_worth_a_warning(condition: str, message: str) -> None:
    ((line, said, remedy),) = warnings(when(condition))
    assert (line, message in said) == (6, True)
    assert remedy.startswith(("Did you mean", "Known here"))


@pytest.mark.parametrize(
    "condition",
    [
        'principal in Team::"research" || principal in Team::"agency"',
        'principal in Role::"contractor" || principal in Role::"auditor"',
        'resource.region == Region::"north" && resource.jurisdiction in Jurisdiction::"EU"',
        'resource.labels.contains("gpu") && context.model.labels.contains("large")',
        'action in [Action::"attempt", Action::"shadow"] || principal == Principal::"anyone at all"',
    ],
)
def test_what_is_there_is_worth_no_word(condition: str) -> None:
    assert warnings(when(condition)) == []


def test_without_a_world_names_of_backends_may_be_any() -> None:
    assert problems(when('resource == Backend::"clud"'), world=None) == []


def test_policies_that_only_forbid_are_worth_a_warning() -> None:
    ((line, message, _),) = warnings('@id("a") forbid (principal, action, resource);')
    assert (line, message) == (None, "no policy permits anything: every call will be refused")


def test_policies_are_told_apart_by_semicolons_outside_strings_and_comments() -> None:
    text = """// one; "two
@id("a") permit (principal, action, resource) when { context.model_there == "x;\\"; // y" }; // end; of it
@id("b")

forbid (principal, action, resource); // last "
"""
    found = list(split(PolicyText("p.cedar", text)))
    assert [(one.line, one.text.split("\n")[0][:8]) for one in found] == [(2, '@id("a")'), (3, '@id("b")')]
    checked = check((PolicyText("p.cedar", text),))
    assert ([one.id for one in checked.policies], checked.problems) == (["a", "b"], ())


def test_files_are_found_by_patterns_each_once(tmp_path: Path) -> None:
    for name in ("b.cedar", "a.cedar", "c.txt"):
        (tmp_path / name).write_text(name)
    found = load_policies(["b.cedar", "*.cedar"], root=tmp_path)
    assert [(text.file, text.text) for text in found] == [("b.cedar", "b.cedar"), ("a.cedar", "a.cedar")]


def test_files_that_give_nothing_are_told_all_at_once(tmp_path: Path) -> None:
    (tmp_path / "bad.cedar").write_bytes(b"\xff")
    with pytest.raises(ConfigError) as caught:
        load_policies(["none.cedar", "x/*.cedar", "bad.cedar"], root=tmp_path)
    assert [(found.path, found.message) for found in caught.value.problems] == [
        ("none.cedar", "cannot be read: No such file or directory"),
        ("x/*.cedar", "matches no file"),
        ("bad.cedar", "is not UTF-8 text"),
    ]
