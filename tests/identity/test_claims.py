"""From claims to a principal."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.identity.signing import claims, provider

from switchgear.core.data_class import DataClass
from switchgear.core.identity import ClaimPaths
from switchgear.identity.claims import find, path_of, principal_of
from switchgear.identity.errors import ClaimsUnusable, TokenRejected
from switchgear.identity.model import Principal, Principals


def mapped(content: dict[str, object], paths: ClaimPaths | None = None, **changes: Any) -> Principal:
    return principal_of("company", provider(claims=paths or ClaimPaths(), **changes), content, Principals())


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sub", ("sub",)),
        ("realm_access.roles", ("realm_access", "roles")),
        ("https://example.com/roles", ("https://example.com/roles",)),
        ("/realm_access/roles", ("realm_access", "roles")),
        ("/a.b/c~1d~0e/", ("a.b", "c/d~e", "")),
    ],
)
def test_paths(text: str, path: tuple[str, ...]) -> None:
    assert path_of(text) == path


@pytest.mark.parametrize("text", ["a..b", ".a", "a.", "/a~2b", "/~"])
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(ClaimsUnusable):
        path_of(text)


def test_a_principal_is_named_after_its_provider_and_limited_by_it() -> None:
    who = mapped(
        claims(),
        ClaimPaths(team="department.team", roles="realm_access.roles"),
        models=("small",),
        max_data_class=DataClass.INTERNAL,
    )
    assert (who.name, who.team, who.roles) == ("company:alice", "platform", ("engineer", "reviewer"))
    assert (who.models, who.max_data_class, who.pin) == (frozenset({"small"}), DataClass.INTERNAL, False)


def test_words_of_a_scope() -> None:
    assert mapped(claims(scope="infer  admin"), ClaimPaths(roles="scope")).roles == ("admin", "infer")
    assert mapped(claims(role="Platform Admin"), ClaimPaths(roles="role")).roles == ("Platform Admin",)
    assert mapped(claims(), ClaimPaths(roles="nowhere.to.be.found")).roles == ()


@pytest.mark.parametrize(
    ("groups", "team"),
    [
        (["sg-research", "all"], "research"),
        (["all", "sg-research", "sg-platform"], "platform"),
        ("sg-platform", "platform"),
    ],
)
def test_the_first_team_of_the_configuration_that_a_token_has(groups: object, team: str) -> None:
    teams = {"sg-platform": "platform", "sg-research": "research"}
    assert mapped(claims(groups=groups), ClaimPaths(team="groups"), teams=teams).team == team


def test_no_team_is_guessed() -> None:
    paths = ClaimPaths(team="groups")
    for groups in (["one", "two"], [], None):
        with pytest.raises(ClaimsUnusable):
            mapped(claims(groups=groups), paths)
    with pytest.raises(ClaimsUnusable):
        mapped(claims(groups=["other"]), paths, teams={"one": "one"})
    with pytest.raises(ClaimsUnusable):
        mapped(claims(groups=["one", "two"]), paths, team="guests")
    assert mapped(claims(groups=["other"]), paths, teams={"one": "one"}, team="guests").team == "guests"
    assert mapped(claims(groups=["one"]), paths).team == "one"
    assert mapped(claims()).team == ""


@pytest.mark.parametrize("value", ["", " a", "a\n", "a\x00", "x" * 300, 5, None, ["alice"], {"a": 1}, "\u202eecila"])
def test_a_name_that_could_not_stand_in_a_record(value: object) -> None:
    with pytest.raises(ClaimsUnusable):
        mapped(claims(sub=value))


@pytest.mark.parametrize("value", [[1], ["a", None], ["a\n"], {"a": "b"}, 7, True, ["r"] * 257])
def test_roles_that_are_no_plain_text_refuse_the_token_rather_than_fall_away(value: object) -> None:
    with pytest.raises(ClaimsUnusable):
        mapped(claims(roles=value), ClaimPaths(roles="roles"))


def test_somebody_is_disabled_at_once() -> None:
    with pytest.raises(TokenRejected) as caught:
        mapped(claims(), disabled=("bob", "alice"))
    assert caught.value.code == "principal_disabled"
    assert mapped(claims(), disabled=("company:alice",)).name == "company:alice"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
names = st.text(min_size=1, max_size=12)


@given(parts=st.lists(names, min_size=1, max_size=4), value=json_values)
@settings(derandomize=True)
def test_a_json_pointer_finds_what_was_put_there_whatever_the_names(parts: list[str], value: object) -> None:
    content: Any = value
    for part in reversed(parts):
        content = {part: content}
    pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)
    assert find(content, path_of(pointer)) == value


@given(
    content=st.dictionaries(st.sampled_from(["sub", "team", "roles", "other"]), json_values),
    teams=st.dictionaries(names, names, max_size=3),
    team=st.none() | names,
)
@settings(derandomize=True, max_examples=300)
def test_any_claims_give_a_whole_principal_or_a_clear_refusal(
    content: dict[str, object], teams: dict[str, str], team: str | None
) -> None:
    paths = ClaimPaths(team="team", roles="roles")
    try:
        who = mapped(content, paths, teams=teams, team=team)
    except ClaimsUnusable:
        return
    assert who.name == f"company:{content['sub']}"
    assert who.name.isprintable()
    assert all(role.isprintable() for role in who.roles)
    said = content.get("team")
    named = said if isinstance(said, list) else [] if said is None else [said]
    assert who.team in ({teams[one] for one in named if one in teams} if teams else set(named)) | {team}
    stated: Any = content.get("roles")
    assert who.roles == tuple(sorted({stated} - {""} if isinstance(stated, str) else set(stated or ())))
