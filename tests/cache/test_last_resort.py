"""Last resorts: the first that fits, only where the places are at fault, and in the shape of the endpoint."""

import json
from typing import Any

import pytest
from openai.types import Completion
from openai.types.chat import ChatCompletion
from openai.types.responses import Response
from tests.cache.written import datas
from tests.emulator.test_contract import FILE, check

from switchgear.cache.fixed import fixed_answer
from switchgear.cache.last_resort import UP_AGAIN_SOON, Situation, choose
from switchgear.cache.replay import as_stream
from switchgear.core.caching import Degraded, LastResort, stale_s
from switchgear.core.snapshot import Endpoint
from switchgear.gateway.errors import CATALOGUE

STALE, SMALL, TEXT = LastResort(stale_s=60.0), LastResort(model="small"), LastResort(message="Back soon.")
ALL = (STALE, SMALL, TEXT)
DOWN = Situation(Endpoint.CHAT, "no_target_available", False, False, None, True)


def tried(situation: Situation, resorts: tuple[LastResort, ...] = ALL, *, up: bool = True) -> list[Degraded]:
    """Every last resort that is tried while each comes to nothing."""
    found = []
    choice = choose(resorts, situation, lambda model: up)
    while choice is not None:
        found.append(choice.degraded)
        choice = choose(resorts, situation, lambda model: up, choice.next_begin)
    return found


def test_they_are_tried_in_order() -> None:
    assert tried(DOWN._replace(expired_s=30.0)) == [Degraded.STALE_CACHE, Degraded.SMALLER_MODEL, Degraded.MESSAGE]
    assert tried(DOWN, (TEXT, SMALL)) == [Degraded.MESSAGE, Degraded.SMALLER_MODEL]


@pytest.mark.parametrize(("expired_s", "given"), [(None, False), (-5.0, True), (60.0, True), (60.1, False)])
def test_a_kept_answer_serves_up_to_its_bound(expired_s: float | None, given: bool) -> None:
    assert (Degraded.STALE_CACHE in tried(DOWN._replace(expired_s=expired_s))) is given


def test_a_model_that_may_not_be_asked_or_is_down_is_passed_over() -> None:
    assert tried(DOWN, up=False) == [Degraded.MESSAGE]


def test_without_time_nobody_is_asked() -> None:
    assert tried(DOWN._replace(code="deadline_exceeded", time_left=False)) == [Degraded.MESSAGE]


def test_no_message_stands_in_for_json() -> None:
    assert tried(DOWN._replace(constrained=True)) == [Degraded.SMALLER_MODEL]


def test_vectors_of_another_model_are_no_last_resort() -> None:
    assert tried(DOWN._replace(endpoint=Endpoint.EMBEDDINGS, expired_s=1.0)) == [Degraded.STALE_CACHE]


@pytest.mark.parametrize(
    "code", ["no_capable_target", "model_not_allowed", "invalid_field", "stream_broken", "internal_error"]
)
def test_a_call_that_is_itself_at_fault_gets_its_error(code: str) -> None:
    assert code in CATALOGUE
    assert tried(DOWN._replace(code=code, expired_s=1.0)) == []


def test_the_codes_are_those_of_the_catalogue() -> None:
    assert set(CATALOGUE) >= UP_AGAIN_SOON


def test_after_the_first_byte_there_is_no_last_resort() -> None:
    assert tried(DOWN._replace(committed=True, expired_s=1.0)) == []


def test_answers_are_kept_as_long_as_the_longest_last_resort_wants() -> None:
    assert stale_s(ALL) == 60.0
    assert stale_s((*ALL, LastResort(stale_s=3600.0))) == 3600.0
    assert stale_s((SMALL, TEXT)) == 0.0


SHAPES: dict[Endpoint, tuple[Any, str]] = {
    Endpoint.CHAT: (ChatCompletion, "CreateChatCompletionResponse"),
    Endpoint.COMPLETIONS: (Completion, "CreateCompletionResponse"),
    Endpoint.RESPONSES: (Response, "Response"),
}


@pytest.mark.parametrize("endpoint", SHAPES)
def test_a_message_has_the_shape_of_an_answer(endpoint: Endpoint) -> None:
    body = fixed_answer(endpoint, "chat", "Back soon.", "call_1", 1_700_000_000.9)
    SHAPES[endpoint][0].model_validate_json(body, strict=False)
    if FILE.exists():
        check(SHAPES[endpoint][1], json.loads(body))
    told = as_stream(endpoint, body, include_usage=True)
    assert told is not None
    assert sum(b"Back soon." in data for data in datas(told)) >= 1
    assert json.loads(body)["model"] == "chat"


def test_no_message_is_an_embedding() -> None:
    with pytest.raises(ValueError, match="no message"):
        fixed_answer(Endpoint.EMBEDDINGS, "embed", "Back soon.", "call_1", 0.0)
