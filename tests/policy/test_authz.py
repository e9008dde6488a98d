"""What an authorizer answers, what it remembers, and what it forgets."""

import gc
import weakref
from typing import NamedTuple

import pytest

from switchgear.core.authorization import Place, PolicyText, Purpose, Team
from switchgear.core.data_class import DataClass
from switchgear.core.errors import ConfigError
from switchgear.core.record import AttemptKind, RuledOut
from switchgear.policy.authz import Authorizer
from switchgear.policy.authz_cache import Made, Recent
from switchgear.policy.authz_model import StaleStanding
from switchgear.policy.cedar import PolicySet, Sending
from switchgear.policy.cedar_schema import World

PUBLIC, CONFIDENTIAL, RESTRICTED = DataClass.PUBLIC, DataClass.CONFIDENTIAL, DataClass.RESTRICTED
EVERYONE = '@id("everyone") permit (principal, action, resource);'
HOME = """
@id("home") @description("restricted data stays home.") @remedy("Use a place of ours")
forbid (principal, action, resource) when { context.data_class in DataClass::"restricted" }
unless { resource.kind == Kind::"onprem" };"""
WORLD = World(
    {
        "cloud": Place(kind="cloud", jurisdiction="US"),
        "rack": Place(kind="onprem", jurisdiction="EU/DE"),
        "box": Place(kind="appliance"),
    },
    {"chat": (), "big": ("large",), "solo": ()},
    {"agency": Team(roles=("contractor",))},
)


class To(NamedTuple):
    backend_name: str
    model: str


ROUTES = {
    "chat": (To("cloud", "gpt-x"), To("rack", "llama"), To("box", "llama")),
    "big": (To("cloud", "gpt-x"),),
    "solo": (To("rack", "llama"),),
}


class Counting(PolicySet):
    """Counts decisions that Cedar was asked for."""

    asked = 0

    def decide(self, name, around, model, data_class, sendings):  # type: ignore[no-untyped-def]  # the parent's
        self.asked += len(sendings)
        return super().decide(name, around, model, data_class, sendings)


def counting(*texts: str) -> Counting:
    made = Counting.compiled(tuple(PolicyText(f"{index}.cedar", text) for index, text in enumerate(texts)), WORLD)
    assert isinstance(made, Counting)
    return made


def authorizer(*texts: str, size: int = 64) -> Authorizer[To]:
    return Authorizer(counting(*texts), ROUTES, size=size)


def asked(one: Authorizer[To]) -> int:
    assert isinstance(one.policies, Counting)
    return one.policies.asked


def places(targets: tuple[To, ...]) -> list[str]:
    return [target.backend_name for target in targets]


def test_what_is_allowed_everywhere_is_told_in_one_word() -> None:
    one = authorizer(EVERYONE, HOME)
    reach = one.reach[one.standing("ada"), "chat", PUBLIC]
    assert (reach.everywhere, reach.uniform, reach.targets) == (True, True, ROUTES["chat"])
    assert (reach.denied, reach.ruled_out) == ((), ())


def test_what_is_ruled_out_keeps_the_policies_that_did_it() -> None:
    one = authorizer(EVERYONE, HOME, '@id("no-box") forbid (principal, action, resource == Backend::"box");')
    reach = one.reach[one.standing("ada"), "chat", RESTRICTED]
    assert (reach.everywhere, reach.uniform, places(reach.targets)) == (False, True, ["rack"])
    assert reach.ruled_out == (
        RuledOut("cloud", "gpt-x", "forbidden:home"),
        RuledOut("box", "llama", "forbidden:home,no-box"),
    )


def test_what_no_policy_permits_is_refused() -> None:
    one = authorizer('@id("research") permit (principal in Team::"agency", action, resource);')
    reach = one.reach[one.standing("ada", "sales"), "solo", PUBLIC]
    assert reach.targets == ()
    assert [out.reason for out in reach.ruled_out] == ["not_permitted"]


def test_a_class_that_nobody_told_is_the_configured_one() -> None:
    policies = counting(EVERYONE, HOME)
    strict: Authorizer[To] = Authorizer(policies, ROUTES)
    assert places(strict.reach[strict.standing("ada"), "chat", None].targets) == ["rack"]
    milder: Authorizer[To] = Authorizer(policies, ROUTES, unknown_class=CONFIDENTIAL)
    reach = milder.reach[milder.standing("ada"), "chat", None]
    assert (reach.everywhere, reach.data_class) == (True, CONFIDENTIAL)


@pytest.mark.parametrize(
    "policy",
    [
        '@id("eu") forbid (principal, action, resource) unless { resource.jurisdiction in Jurisdiction::"EU" };',
        '@id("eu") forbid (principal, action, resource) when { resource.jurisdiction in Jurisdiction::"US" };',
        '@id("eu") permit (principal, action, resource) when { resource.jurisdiction in Jurisdiction::"EU" };',
        '@id("eu") forbid (principal, action, resource) when { !(resource.jurisdiction in Jurisdiction::"EU") };',
    ],
)
def test_what_is_not_known_of_a_place_widens_nothing_however_the_policy_is_written(policy: str) -> None:
    one = authorizer(EVERYONE, policy)
    reach = one.reach[one.standing("ada"), "chat", PUBLIC]
    assert "box" not in places(reach.targets)
    assert "rack" in places(reach.targets)
    assert reach.ruled_out[-1] == RuledOut("box", "llama", "policy_failed:eu")
    assert reach.decisions["first"][2].errors == ("eu: the backend's jurisdiction is not known",)


def test_a_place_that_is_not_known_to_be_attested_is_not() -> None:
    one = authorizer(EVERYONE, '@id("a") forbid (principal, action, resource) unless { resource.attested };')
    assert one.reach[one.standing("ada"), "chat", PUBLIC].targets == ()


def test_a_group_of_purposes_is_all_in_it() -> None:
    one = authorizer(EVERYONE, '@id("a") forbid (principal, action in Action::"attempt", resource);')
    reach = one.reach[one.standing("ada"), "chat", PUBLIC]
    attempts = {"first", "retry", "fallback", "hedge", "rescue", "continue", "escalate"}
    assert {purpose for purpose in Purpose if not reach.allowed[purpose]} == attempts
    one = authorizer(EVERYONE, '@id("a") forbid (principal, action in Action::"send", resource);')
    reach = one.reach[one.standing("ada"), "chat", PUBLIC]
    assert not any(reach.allowed[purpose] for purpose in Purpose)


def test_a_policy_may_forbid_one_purpose_only() -> None:
    one = authorizer(EVERYONE, '@id("h") forbid (principal, action == Action::"hedge", resource == Backend::"cloud");')
    reach = one.reach[one.standing("ada"), "chat", PUBLIC]
    assert (reach.everywhere, reach.uniform) == (False, False)
    assert reach.targets == ROUTES["chat"]
    assert places(reach.allowed[AttemptKind.HEDGE]) == ["rack", "box"]
    assert places(reach.allowed[AttemptKind.FALLBACK]) == ["cloud", "rack", "box"]


def test_a_call_that_may_not_begin_has_no_candidate() -> None:
    one = authorizer(EVERYONE, '@id("f") forbid (principal, action == Action::"first", resource);')
    reach = one.reach[one.standing("ada"), "chat", PUBLIC]
    assert (reach.targets, len(reach.denied)) == ((), 3)


def test_a_model_and_a_place_that_are_not_there_are_refused() -> None:
    one = authorizer(EVERYONE)
    standing = one.standing("ada")
    reach = one.reach[standing, "nothing", PUBLIC]
    assert (reach.everywhere, reach.targets) == (False, ())
    for model, place in (("chat", "nowhere"), ("nothing", "cloud")):
        assert not one.decision[standing, model, PUBLIC, Sending(Purpose.SCREEN, place)].allowed


def test_one_place_can_be_asked_about() -> None:
    one = authorizer(EVERYONE, '@id("s") forbid (principal, action == Action::"screen", resource == Backend::"cloud");')
    standing = one.standing("ada")
    assert not one.decision[standing, "chat", PUBLIC, Sending(Purpose.SCREEN, "cloud")].allowed
    assert one.decision[standing, "chat", PUBLIC, Sending(Purpose.SCREEN, "rack")].allowed
    assert one.decision[standing, "chat", None, Sending(Purpose.CACHE, "cloud")].policies == ("everyone",)


def test_a_decision_is_made_once_for_what_it_depends_on() -> None:
    one = authorizer(EVERYONE, '@id("c") forbid (principal in Role::"contractor", action, resource);')
    first = one.reach[one.standing("ada", "sales", ["eu-data"]), "chat", PUBLIC]
    assert asked(one) == 3
    same = one.reach[one.standing("eve", "research"), "chat", PUBLIC]
    assert (same is first, asked(one)) == (True, 3)
    own, shared = one.standing("bob", "", ["contractor"]), one.standing("zoe", "agency")
    assert own is shared
    assert one.reach[own, "chat", PUBLIC].targets == ()
    assert asked(one) == 6


def test_principals_share_nothing_where_policies_look_at_names() -> None:
    one = authorizer(EVERYONE, '@id("n") forbid (principal, action, resource) when { principal.name like "oidc:*" };')
    assert one.standing("ada") is not one.standing("oidc:ada")
    assert one.standing("ada") is one.standing("ada")
    assert one.reach[one.standing("ada"), "chat", PUBLIC].everywhere
    assert not one.reach[one.standing("oidc:ada"), "chat", PUBLIC].targets


def test_a_principal_that_is_named_stands_alone() -> None:
    one = authorizer(EVERYONE, '@id("n") forbid (principal == Principal::"bob", action, resource);')
    assert one.standing("ada") is one.standing("eve")
    assert one.standing("ada") is not one.standing("bob")


def test_a_standing_of_another_snapshot_is_refused() -> None:
    old, new = authorizer(EVERYONE), authorizer(EVERYONE, HOME)
    with pytest.raises(StaleStanding, match="another snapshot"):
        new.reach[old.standing("ada"), "chat", PUBLIC]


def test_the_cache_is_bounded() -> None:
    one = authorizer(
        EVERYONE, '@id("n") forbid (principal, action, resource) when { principal.name == "bob" };', size=8
    )
    for number in range(100):
        assert one.reach[one.standing(f"user-{number}"), "chat", PUBLIC].everywhere
    assert one.reach.held <= 16
    assert not one.reach[one.standing("bob"), "chat", PUBLIC].targets


def test_recent_keeps_what_is_asked_for() -> None:
    made: list[int] = []

    def make(key: int) -> int:
        made.append(key)
        return key

    kept = Made[int, int](make, 4)
    for key in (1, 2, 3, 4, 5, 1, 6, 1, 7, 1, 8, 1, 9, 1):
        assert kept[key] == key
    assert made.count(1) == 1
    assert kept.held <= 8
    recent = Recent[str, int](2)
    recent.keep("a", 1)
    recent.keep("b", 2)
    recent.keep("c", 3)
    assert (recent.find("a"), recent.find("x"), recent.held) == (1, None, 3)


def test_a_refusal_names_policies_and_what_would_do() -> None:
    one = authorizer(EVERYONE, HOME)
    refused = one.refuse(one.standing("ada"), "big", None)
    assert refused.policies == ("home",)
    assert refused.message == (
        "Policy lets no target of 'big' take this call (restricted data): cloud/gpt-x: forbidden by home (restricted data stays home). "
        "Use a place of ours. Allowed would be: 'big' with confidential data at cloud; or internal data at cloud; or public data at cloud. "
        "Or restricted data with 'chat', 'solo'."
    )
    assert refused.details() == {
        "policies": ["home"],
        "allowed": {
            "data_classes": {"confidential": ["cloud"], "internal": ["cloud"], "public": ["cloud"]},
            "models": ["chat", "solo"],
        },
    }


def test_a_refusal_says_when_nothing_would_do() -> None:
    one = authorizer('@id("a") permit (principal in Team::"agency", action, resource);')
    refused = one.refuse(one.standing("ada"), "chat", PUBLIC)
    assert refused.policies == ()
    assert "cloud/gpt-x, rack/llama, box/llama: permitted by no policy." in refused.message
    assert refused.message.endswith("Nothing else is allowed to this principal here: ask whoever writes the policies.")


def test_what_a_call_needs_is_asked_first_and_other_purposes_when_they_are_looked_at() -> None:
    one = authorizer(EVERYONE, '@id("s") forbid (principal, action == Action::"shadow", resource == Backend::"cloud");')
    reach = one.reach[one.standing("ada"), "chat", PUBLIC]
    assert (asked(one), reach.everywhere) == (3, True)
    assert places(reach.allowed["cache"]) == ["cloud", "rack", "box"]
    assert asked(one) == 3
    assert places(reach.allowed["shadow"]) == ["rack", "box"]
    assert reach.decisions["shadow"][0].policies == ("s",)
    assert asked(one) == 6


def test_an_authorizer_that_nobody_uses_is_gone_at_once() -> None:
    one = authorizer(EVERYONE, HOME)
    one.refuse(one.standing("ada"), "big", RESTRICTED)
    gone = weakref.ref(one)
    gc.collect()
    gc.disable()
    try:
        del one
        assert gone() is None
    finally:
        gc.enable()


def test_a_refusal_is_made_once() -> None:
    one = authorizer(EVERYONE, HOME)
    refused = one.refuse(one.standing("ada"), "big", RESTRICTED)
    before = asked(one)
    assert one.refuse(one.standing("eve"), "big", RESTRICTED) is refused
    assert asked(one) == before


def test_policies_with_problems_are_not_compiled() -> None:
    with pytest.raises(ConfigError, match=r"line 1, 0\.cedar: policy a names no backend"):
        counting('@id("a") permit (principal, action, resource == Backend::"clod");')


def test_texts_that_were_checked_elsewhere_decide_the_same() -> None:
    texts = (PolicyText("a.cedar", EVERYONE + HOME),)
    one: Authorizer[To] = Authorizer(PolicySet.of_checked(texts, WORLD), ROUTES)
    assert places(one.reach[one.standing("ada"), "chat", RESTRICTED].targets) == ["rack"]
    with pytest.raises(ConfigError, match="is not Cedar"):
        PolicySet.of_checked((PolicyText("a.cedar", "permit ("),), WORLD)
