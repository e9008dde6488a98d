"""What a call carries: told by its header, its key, its team or its model. The strictest counts, and nothing lowers it."""

import hashlib
from typing import Any

import pytest
from tests.gateway.plane import KEY, MODEL, Plane, checked, request
from tests.wire.serving import Caller

from switchgear.core.authorization import Authorization, PolicyText, Team
from switchgear.core.data_class import DataClass
from switchgear.core.screening import Action, Screening, ScreenRule
from switchgear.core.snapshot import Key, Target

CALL: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
PERMIT = '@id("all") permit (principal, action, resource);'


def key(name: str, **own: Any) -> Key:
    """One that is shown by its own name."""
    return Key(name=name, sha256=hashlib.sha256(name.encode()).hexdigest(), **own)


KEYS = (
    key("plain"),
    key("sales", team="sales"),
    key("careful", data_class=DataClass.CONFIDENTIAL),
    key("limited", max_data_class=DataClass.INTERNAL),
)
TOLD = [
    ("plain", "chat", None, ""),
    ("plain", "chat", "public", "public"),
    ("plain", "chat", " Internal ", "internal"),
    ("plain", "ledger", None, "confidential"),
    ("plain", "ledger", "public", "confidential"),
    ("plain", "ledger", "restricted", "restricted"),
    ("sales", "chat", None, "internal"),
    ("sales", "chat", "public", "internal"),
    ("sales", "ledger", "internal", "confidential"),
    ("careful", "chat", None, "confidential"),
    ("careful", "chat", "internal", "confidential"),
    ("careful", "chat", "restricted", "restricted"),
]


def plane(policies: str = "", *, straight: bool = True, unknown: DataClass = DataClass.RESTRICTED) -> Plane:
    texts = (PolicyText("policies.cedar", policies),) if policies else ()
    sales = {"sales": Team(data_class=DataClass.INTERNAL)}
    return Plane(
        "a",
        keys=KEYS,
        aliases={"ledger": {"data_class": DataClass.CONFIDENTIAL, "targets": (Target(backend="a", model=MODEL),)}},
        authorization=Authorization(texts=texts, teams=sales, unknown_class=unknown),
        straight=straight,
    )


@pytest.mark.parametrize("policies", ["", PERMIT], ids=["open", "policies"])
@pytest.mark.parametrize("straight", [True, False])
async def test_the_strictest_of_all_that_is_told_counts(policies: str, straight: bool) -> None:
    async with plane(policies, straight=straight) as it:
        for number, (who, model, header, expected) in enumerate(TOLD, 1):
            headers = {} if header is None else {"x_switchgear_data_class": header}
            for once_more in (0, 1):  # the second goes by what was learned of the first
                answer = await it.send({**CALL, "model": model}, key=who, **headers)
                assert answer.status == 200
                record = await it.record(2 * number - 1 + once_more)
                assert record.data_class == (expected or ("restricted" if policies else "")), (who, model, header)


async def test_what_nobody_told_counts_as_configured() -> None:
    async with plane(PERMIT, unknown=DataClass.INTERNAL) as it:
        await it.send(CALL, key="plain")
        assert (await it.record()).data_class == "internal"
        await it.send(CALL, key="plain", x_switchgear_data_class="public")
        assert (await it.record(2)).data_class == "public", "a declared class counts, whatever an unknown one would be"


@pytest.mark.parametrize("policies", ["", PERMIT], ids=["open", "policies"])
async def test_the_screen_makes_no_less_of_a_call_of_which_nobody_told_anything(policies: str) -> None:
    rule = ScreenRule(name="mail", find=("email",), action=Action.ROUTE, raise_to=DataClass.INTERNAL)
    texts = (PolicyText("policies.cedar", policies),) if policies else ()
    unknown = Authorization(texts=texts, unknown_class=DataClass.CONFIDENTIAL)
    found = {**CALL, "messages": [{"role": "user", "content": "jane@example.org"}]}
    async with Plane("a", keys=KEYS, authorization=unknown, screen=Screening(rules=(rule,))) as it:
        await it.send(found, key="plain")
        assert (await it.record()).data_class == "confidential"
        await it.send(found, key="plain", x_switchgear_data_class="public")
        assert (await it.record(2)).data_class == "internal"
        checked(await it.send(found, key="limited"), "data_class_not_allowed")


@pytest.mark.parametrize("word", ["", "secret", "restricted, public", "public;q=1"])
async def test_a_class_that_is_none_is_refused(word: str) -> None:
    async with plane() as it:
        error = checked(await it.send(CALL, x_switchgear_data_class=word), "invalid_field", "x-switchgear-data-class")
        assert "public, internal, confidential, restricted" in error["message"]
        assert (await it.record()).attempts == []


async def test_a_class_told_twice_is_no_class() -> None:
    """Two headers could be read in two ways; neither is taken."""
    told = request(CALL, x_switchgear_data_class="restricted").replace(
        b"\r\n\r\n", b"\r\nX-Switchgear-Data-Class: public\r\n\r\n", 1
    )
    async with plane() as it, Caller(it.address) as caller:
        await caller.send(told)
        checked(await caller.answer(), "invalid_field", "x-switchgear-data-class")


async def test_calls_of_one_connection_carry_what_each_of_them_says() -> None:
    heads = [
        ("public", "public"),
        ("restricted", "restricted"),
        (None, ""),
        ("public", "public"),
        ("internal", "internal"),
    ]
    async with plane() as it, Caller(it.address) as caller:
        for number, (told, expected) in enumerate(heads * 2, 1):
            headers = {} if told is None else {"x_switchgear_data_class": told}
            await caller.send(request(CALL, key="plain", **headers))
            assert (await caller.answer()).status == 200
            assert (await it.record(number)).data_class == expected


@pytest.mark.parametrize("policies", ["", PERMIT], ids=["open", "policies"])
@pytest.mark.parametrize("told", [None, "public", "internal", "confidential", "restricted"])
async def test_a_key_sends_no_stricter_data_than_it_may(policies: str, told: str | None) -> None:
    headers = {} if told is None else {"x_switchgear_data_class": told}
    async with plane(policies) as it:
        for number in (1, 2):
            answer = await it.send(CALL, key="limited", **headers)
            record = await it.record(number)
            if told in ("public", "internal"):
                assert answer.status == 200
                continue
            error = checked(answer, "data_class_not_allowed")
            assert "up to class internal" in error["message"]
            assert "declare its class" in error["message"]
            assert ("because nobody declared" in error["message"]) == (told is None)
            assert (record.outcome, record.error, record.attempts) == ("refused", "data_class_not_allowed", [])


async def test_a_model_that_carries_more_than_a_key_may_send_is_refused_whatever_the_header_says() -> None:
    async with plane() as it:
        answer = await it.send({**CALL, "model": "ledger"}, key="limited", x_switchgear_data_class="public")
        checked(answer, "data_class_not_allowed")
        assert (await it.send(CALL, key=KEY)).status == 200
