"""Log-probabilities are asked for where a rule needs them, and the caller gets what it asked for itself."""

import json
from typing import Any

import msgspec
import pytest
from tests.cache.written import CASES, TEXT, TWO, streamed, whole

from switchgear.confidence.asking import Strip, with_logprobs
from switchgear.confidence.names import Needs
from switchgear.core.snapshot import Endpoint

LOGPROBS, MARGIN = Needs.LOGPROBS, Needs.LOGPROBS | Needs.ALTERNATIVES
INCLUDE = "message.output_text.logprobs"


def asked(endpoint: Endpoint, body: dict[str, Any], needs: Needs) -> tuple[dict[str, Any], Strip | None]:
    fields = {name: msgspec.Raw(json.dumps(value).encode()) for name, value in body.items()}
    before = dict(fields)
    made, strip = with_logprobs(endpoint, fields, needs)
    assert fields == before
    return {name: json.loads(bytes(value)) for name, value in made.items()}, strip


@pytest.mark.parametrize(
    ("endpoint", "body", "needs", "made"),
    [
        (Endpoint.CHAT, {}, LOGPROBS, {"logprobs": True}),
        (Endpoint.CHAT, {}, MARGIN, {"logprobs": True, "top_logprobs": 2}),
        (Endpoint.CHAT, {"logprobs": False}, LOGPROBS, {"logprobs": True}),
        (Endpoint.CHAT, {"logprobs": True, "top_logprobs": 1}, MARGIN, {"logprobs": True, "top_logprobs": 2}),
        (Endpoint.COMPLETIONS, {}, LOGPROBS, {"logprobs": 1}),
        (Endpoint.COMPLETIONS, {"logprobs": None}, MARGIN, {"logprobs": 2}),
        (Endpoint.COMPLETIONS, {"logprobs": 0}, LOGPROBS, {"logprobs": 1}),
        (Endpoint.RESPONSES, {}, LOGPROBS, {"include": [INCLUDE]}),
        (Endpoint.RESPONSES, {"include": ["x"]}, MARGIN, {"include": ["x", INCLUDE], "top_logprobs": 2}),
        (Endpoint.RESPONSES, {"include": [INCLUDE]}, MARGIN, {"include": [INCLUDE], "top_logprobs": 2}),
    ],
)
def test_what_is_missing_is_asked_for(
    endpoint: Endpoint, body: dict[str, Any], needs: Needs, made: dict[str, Any]
) -> None:
    fields, strip = asked(endpoint, body, needs)
    assert fields == made
    assert strip is not None


@pytest.mark.parametrize(
    ("endpoint", "body", "needs"),
    [
        (Endpoint.CHAT, {"logprobs": True}, LOGPROBS),
        (Endpoint.CHAT, {"logprobs": True, "top_logprobs": 5}, MARGIN),
        (Endpoint.COMPLETIONS, {"logprobs": 3}, MARGIN),
        (Endpoint.RESPONSES, {"include": [INCLUDE], "top_logprobs": 2}, MARGIN),
        (Endpoint.CHAT, {}, Needs.FORMAT),
        (Endpoint.EMBEDDINGS, {}, MARGIN),
    ],
)
def test_what_the_caller_asked_for_or_nobody_needs_is_left_alone(
    endpoint: Endpoint, body: dict[str, Any], needs: Needs
) -> None:
    fields, strip = asked(endpoint, body, needs)
    assert fields == body
    assert strip is None


@pytest.mark.parametrize("name", [name for name, (_, _, top) in CASES.items() if top])
def test_a_caller_who_did_not_ask_gets_the_answer_of_one_who_was_not_asked_for(name: str) -> None:
    endpoint, choices, top = CASES[name]
    strip = Strip(endpoint, None)
    assert json.loads(strip.whole(whole(endpoint, choices, top))) == json.loads(whole(endpoint, choices, None))
    plain = [json.loads(data) for data in streamed(endpoint, choices, None) if data != b"[DONE]"]
    stripped = [json.loads(strip.event(data)) for data in streamed(endpoint, choices, top) if data != b"[DONE]"]
    assert stripped == plain


@pytest.mark.parametrize(
    ("endpoint", "choices", "asked_for", "given"),
    [
        (Endpoint.CHAT, TWO, 1, 2),
        (Endpoint.CHAT, TWO, 0, 2),
        (Endpoint.COMPLETIONS, TWO, 1, 2),
        (Endpoint.RESPONSES, TEXT, 1, 2),
    ],
)
def test_a_caller_who_asked_for_fewer_gets_fewer(endpoint: Endpoint, choices: Any, asked_for: int, given: int) -> None:
    strip = Strip(endpoint, asked_for)
    assert json.loads(strip.whole(whole(endpoint, choices, given))) == json.loads(whole(endpoint, choices, asked_for))
    fewer = [json.loads(data) for data in streamed(endpoint, choices, asked_for) if data != b"[DONE]"]
    stripped = [json.loads(strip.event(data)) for data in streamed(endpoint, choices, given) if data != b"[DONE]"]
    assert stripped == fewer


@pytest.mark.parametrize("data", [b"no json", b'{"logprobs": 1}', b"[]", b'{"choices": 3, "logprobs": 1}'])
@pytest.mark.parametrize("endpoint", [Endpoint.CHAT, Endpoint.COMPLETIONS])
def test_what_is_no_completion_passes_as_it_is(endpoint: Endpoint, data: bytes) -> None:
    assert Strip(endpoint, None).whole(data) == Strip(endpoint, None).event(data) == data


@pytest.mark.parametrize(
    "data", [b"no json", b"[]", b'{"output": 3, "logprobs": 1}', b'{"part": {"type": 3}, "x": "logprobs""}']
)
def test_what_is_no_response_is_still_the_same_json(data: bytes) -> None:
    strip = Strip(Endpoint.RESPONSES, None)
    assert strip.whole(data) == data or json.loads(strip.whole(data)) == json.loads(data)


def test_the_rest_of_an_answer_is_not_changed() -> None:
    body = b'{"id":"c","x":1e2,"choices":[{"index":0,"logprobs":{"content":[]},"message":{"content":"\\u00e9"}}]}'
    made = Strip(Endpoint.CHAT, None).whole(body)
    assert made == b'{"id":"c","x":1e2,"choices":[{"index":0,"logprobs":null,"message":{"content":"\\u00e9"}}]}'
