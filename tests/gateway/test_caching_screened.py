"""Kept answers and the content screen: each call gets its own originals back, and is judged by its own rules."""

import asyncio
import hashlib
import json
from typing import Any

import pytest
from tests.gateway.cared import Cared, Gate, at, pieces, swap, text_of, until
from tests.gateway.recording import replies, streams

from switchgear.core.caching import LastResort, ModelCache, Scope
from switchgear.core.escalation import Escalate
from switchgear.core.screening import Action, AnswerAction, AnswerRule, Screening, ScreenRule
from switchgear.core.snapshot import Key
from switchgear.wire.exchange import Exchange

KEYS = tuple(Key(name=n, sha256=hashlib.sha256(n.encode()).hexdigest(), team="red") for n in ("ann", "bob"))
REDACTS = Screening(rules=(ScreenRule(name="mail", find=("email",), action=Action.REDACT),))
TEAM = {"cache": ModelCache(ttl_s=60.0, scope=Scope.TEAM)}


ANSWER: dict[str, Any] = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m"}


def choice(text: str) -> dict[str, Any]:
    return {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}


def says_again(exchange: Exchange) -> None:
    """Answers with the words it was sent."""
    asked = json.loads(exchange.body)
    text = asked["messages"][-1]["content"]
    if asked.get("stream"):
        streams(*pieces(*text.partition("_")))(exchange)
        return
    replies({**ANSWER, "choices": [choice(text)]})(exchange)


def body(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "chat", "messages": [{"role": "user", "content": text}], "temperature": 0, **more}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("at_once", [False, True], ids=["one after the other", "at once"])
async def test_each_gets_its_own_originals_back(streamed: bool, at_once: bool) -> None:
    gate = Gate()
    async with Cared({"a": gate if at_once else says_again}, model=TEAM, keys=KEYS) as world:
        swap(world.plane, screen=REDACTS)
        if at_once:
            calls = [
                asyncio.ensure_future(world.plane.send(body(f"to {name}@example.com, now", stream=streamed), key=name))
                for name in ("ann", "bob")
            ]
            first = await gate.came()
            await until(lambda: world.plane.gateway.desk.calls == 2)
            says_again(first)
            answers = await asyncio.gather(*calls)
        else:
            answers = [
                await world.plane.send(body(f"to {name}@example.com, now", stream=streamed), key=name)
                for name in ("ann", "bob")
            ]
        assert [text_of(answer) for answer in answers] == ["to ann@example.com, now", "to bob@example.com, now"]
        assert world.asked("a") == 1
        assert b"example.com" not in world.places["a"].bodies[0]
        kept = [node.entry.answer.body for node in world.cache.memory._nodes.values()]
        assert kept
        assert all(b"example.com" not in one for one in kept), "nobody's originals are kept"


async def test_an_answer_is_blocked_for_whom_it_is_blocked_and_not_kept() -> None:
    rules = (AnswerRule(name="no-cards", find=("payment_card",), action=AnswerAction.BLOCK, unless_in_prompt=False),)
    async with Cared(
        {"a": says_again}, model={**TEAM, "last_resort": (LastResort(message="later"),)}, keys=KEYS
    ) as world:
        swap(world.plane, screen=Screening(answer_rules=rules))
        for _ in range(2):
            answer = await world.plane.send(body("4111 1111 1111 1111"), key="ann")
            assert json.loads(answer.body)["error"]["code"] == "answer_blocked"
        assert world.asked("a") == 2
        assert len(world.cache.memory) == 0


async def test_a_kept_answer_is_judged_again_where_the_rules_have_changed() -> None:
    async with Cared({"a": says_again}, model=TEAM, keys=KEYS) as world:
        assert text_of(await world.plane.send(body("4111 1111 1111 1111"), key="ann")) == "4111 1111 1111 1111"
        rules = (
            AnswerRule(name="no-cards", find=("payment_card",), action=AnswerAction.REDACT, unless_in_prompt=False),
        )
        swap(world.plane, screen=Screening(answer_rules=rules))
        for streamed in (False, True):
            answer = await world.plane.send(body("4111 1111 1111 1111", stream=streamed), key="bob")
            assert answer.headers["x-switchgear-cache"] == "hit"
            assert text_of(answer) == "[PAYMENT_CARD]"
        assert [one.type for one in (await world.record(3)).answer_findings] == ["payment_card"]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_an_unsure_answer_is_not_watched_and_the_larger_models_gets_the_originals_back(streamed: bool) -> None:
    rule = Escalate(when="length_cut", to="large")

    def cut(exchange: Exchange) -> None:
        asked = json.loads(exchange.body)
        text = asked["messages"][-1]["content"][:9]
        if asked.get("stream"):
            events = [event.replace(b'"finish_reason": "stop"', b'"finish_reason": "length"') for event in pieces(text)]
            streams(*events)(exchange)
        else:
            replies({**ANSWER, "choices": [{**choice(text), "finish_reason": "length"}]})(exchange)

    async with Cared(
        {"small": cut, "large": says_again},
        model={"targets": at("small"), "escalate": rule},
        aliases={"large": {"targets": at("large")}},
        keys=KEYS,
    ) as world:
        swap(world.plane, screen=REDACTS)
        answer = await world.plane.send(body("to ann@example.com, now", stream=streamed), key="ann")
        assert text_of(answer) == "to ann@example.com, now"
