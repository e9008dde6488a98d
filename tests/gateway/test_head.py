"""What is read from a body: every form that callers send, wrong types named by their field, one reading of what has two."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.routes import make_head

from switchgear.core.snapshot import Capabilities, Endpoint
from switchgear.gateway.errors import Refused
from switchgear.gateway.head import read_head, with_usage_asked

CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES = (
    Endpoint.CHAT,
    Endpoint.COMPLETIONS,
    Endpoint.EMBEDDINGS,
    Endpoint.RESPONSES,
)
ABLE = Capabilities()
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}


def refused(endpoint: Endpoint, body: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        read_head(endpoint, body)
    return caught.value


@pytest.mark.parametrize("endpoint", Endpoint)
def test_the_least_of_each_endpoint(endpoint: Endpoint) -> None:
    head = read_head(endpoint, b'{"model":"chat"}')
    assert (head.model, head.pin, head.streamed, head.choices, head.max_tokens) == ("chat", "", False, 1, 0)
    assert head.lacks(ABLE, 1) == ""


@pytest.mark.parametrize(
    ("name", "model", "pin"),
    [
        ("chat@appliance", "chat", "appliance"),
        ("org/chat:7b", "org/chat:7b", ""),
        ("chat@", "chat", ""),
        ("@x", "", "x"),
        ("a@b@c", "a", "b@c"),
    ],
)
def test_a_name_after_the_at_is_a_pin(name: str, model: str, pin: str) -> None:
    head = make_head(model=name)
    assert (head.model, head.pin) == (model, pin)


def test_a_name_is_no_place_for_a_prompt() -> None:
    longest = "m" * 128 + "@" + "b" * 128
    assert make_head(model=longest).pin == "b" * 128
    error = refused(CHAT, msgspec.json.encode({"model": longest + "b"}))
    assert (error.code, error.param) == ("invalid_field", "model")
    assert "258 characters; a name has at most 257" in str(error)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"chat"',
        b"{'model':'chat'}",
        b'{"model":"chat",}',
        b'{"model":"chat"}{',
        b'{"model":"chat","n":NaN}',
        b'{"model":"chat","n":01}',
        b'\xef\xbb\xbf{"model":"chat"}',
        b'{"model":"chat","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"m\xff":1,"model":"chat"}',
    ],
    ids=lambda body: repr(body[:30]),
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    assert refused(CHAT, body).code == "invalid_json"


@pytest.mark.parametrize("body", [b"{}", b'{"messages":[]}', b'{"Model":"chat"}'])
def test_a_body_without_a_model_is_refused(body: bytes) -> None:
    error = refused(CHAT, body)
    assert (error.code, error.param) == ("missing_model", "model")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", "null"),
        ("model", "7"),
        ("model", '["chat"]'),
        ("model", '"\xff"'),
        ("stream", '"true"'),
        ("stream", "1"),
        ("stream", "{}"),
        ("n", "0"),
        ("n", "-1"),
        ("n", "1.5"),
        ("n", "true"),
        ("n", '"2"'),
        ("n", "1e999"),
        ("n", "[[]]"),
        ("max_tokens", "-1"),
        ("max_tokens", '"12"'),
        ("max_completion_tokens", "1e999"),
        ("max_output_tokens", "{}"),
        ("stream_options", "[]"),
        ("stream_options", '"include_usage"'),
        ("stream_options", '{"include_usage":1e999}'),
        ("response_format", '{"type":"json_schema","x":"\xff"}'),
    ],
)
def test_a_wrong_type_is_refused_with_its_field(field: str, value: str) -> None:
    fields = {"model": '"chat"', "stream": "true", "messages": "[]"}
    fields[field] = value
    body = "{" + ",".join(f'"{name}":{raw}' for name, raw in fields.items()) + "}"
    error = refused(CHAT, body.encode("latin-1"))
    assert (error.code, error.param) == ("invalid_field", field)


def test_embeddings_are_not_streamed() -> None:
    error = refused(EMBEDDINGS, b'{"model":"m","input":"x","stream":true}')
    assert (error.code, error.param) == ("invalid_field", "stream")


@pytest.mark.parametrize(("value", "streamed"), [("true", True), ("false", False), ("null", False), (" true ", True)])
def test_stream(value: str, streamed: bool) -> None:
    assert read_head(CHAT, f'{{"model":"m","stream":{value}}}'.encode()).streamed is streamed


@pytest.mark.parametrize(
    ("body", "model", "streamed"),
    [
        (b'{"model":"a","model":"b"}', "b", False),
        (b'{"model":"a","stream":true,"stream":false}', "a", False),
        (b'{"model":"a","mod\\u0065l":"b"}', "b", False),
    ],
)
def test_a_key_given_twice_is_read_one_way_only_and_sent_once(body: bytes, model: str, streamed: bool) -> None:
    head = read_head(CHAT, body)
    assert (head.model, head.streamed) == (model, streamed)
    sent = msgspec.json.encode(head.fields)
    assert sent.count(b'"model"') == 1, "a backend cannot read the other one"
    assert json.loads(sent)["model"] == model


@pytest.mark.parametrize(
    ("endpoint", "fields", "images"),
    [
        (CHAT, {"messages": [{"role": "user", "content": [IMAGE]}]}, True),
        (CHAT, {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, IMAGE]}], "n": 1}, True),
        (RESPONSES, {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "u"}]}]}, True),
        (CHAT, {"messages": [{"role": "user", "content": 'say "image_url": []'}], "n": 1}, False),
        (CHAT, {"messages": [{"role": "user", "content": [{"type": "text", "text": '"image_url" \\"'}]}]}, False),
        (RESPONSES, {"input": '["input_image"]'}, False),
        (COMPLETIONS, {"prompt": '[{"type": "image_url"}]'}, False),
        (EMBEDDINGS, {"input": ["image_url", "[x]"]}, False),
    ],
)
def test_images_are_seen_where_they_are_parts_and_not_where_they_are_talked_of(
    endpoint: Endpoint, fields: dict[str, Any], images: bool
) -> None:
    head = make_head(endpoint, **fields)
    assert head.images is images
    assert head.lacks(Capabilities(images=False), None) == ("lacks_images" if images else "")


@pytest.mark.parametrize(
    ("endpoint", "fields", "lacks"),
    [
        (CHAT, {"tools": [{"type": "function"}]}, "lacks_tools"),
        (CHAT, {"functions": [{"name": "f"}], "n": None}, "lacks_tools"),
        (CHAT, {"tools": [], "n": 1}, ""),
        (CHAT, {"tools": None, "n": 1}, ""),
        (CHAT, {"response_format": SCHEMA}, "lacks_json_schema"),
        (CHAT, {"response_format": {"type": "json_object"}}, ""),
        (CHAT, {"response_format": {"type": "text", "note": "no json_schema"}}, ""),
        (RESPONSES, {"input": "x", "text": {"format": {"type": "json_schema", "schema": {}}}}, "lacks_json_schema"),
        (RESPONSES, {"input": "x", "text": {"format": {"type": "text"}, "verbosity": "low"}}, ""),
        (CHAT, {"logprobs": True}, "lacks_logprobs"),
        (CHAT, {"logprobs": False, "top_logprobs": 0}, ""),
        (CHAT, {"logprobs": None, "top_logprobs": None}, ""),
        (CHAT, {"top_logprobs": 3}, "lacks_logprobs"),
        (COMPLETIONS, {"prompt": "x", "logprobs": 0}, "lacks_logprobs"),
        (RESPONSES, {"input": "x", "include": ["message.output_text.logprobs"]}, "lacks_logprobs"),
        (RESPONSES, {"input": "x", "include": ["reasoning.encrypted_content"]}, ""),
    ],
)
def test_what_a_call_needs_is_held_against_what_a_target_can(
    endpoint: Endpoint, fields: dict[str, Any], lacks: str
) -> None:
    unable = Capabilities(tools=False, images=False, json_schema=False, logprobs=False)
    head = make_head(endpoint, **fields)
    assert head.lacks(unable, None) == lacks
    assert head.lacks(ABLE, None) == ""


@pytest.mark.parametrize("endpoint", Endpoint)
def test_an_endpoint_that_is_not_served(endpoint: Endpoint) -> None:
    others = tuple(one for one in Endpoint if one is not endpoint)
    assert make_head(endpoint).lacks(Capabilities(endpoints=others), None) == "lacks_endpoint"


def test_a_prompt_counts_as_too_long_only_when_it_surely_is() -> None:
    head = make_head(messages=[{"role": "user", "content": "x" * 4000}])
    assert head.lacks(ABLE, 600) == "context_too_small"
    assert head.lacks(ABLE, 900) == "", "the estimate may be wrong by a quarter"
    assert head.lacks(ABLE, None) == ""
    with_limit = make_head(messages=[{"role": "user", "content": "x" * 4000}], max_tokens=500)
    assert with_limit.lacks(ABLE, 900) == "context_too_small"


def test_images_make_the_size_of_a_prompt_say_nothing() -> None:
    head = make_head(messages=[{"role": "user", "content": [IMAGE, {"type": "text", "text": "x" * 40_000}]}])
    assert head.prompt_tokens(4.0) == 0
    assert head.lacks(ABLE, 500) == ""


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6, "max_tokens": 5}, 6),
        ({"max_completion_tokens": None, "max_tokens": 5}, 5),
        ({"max_output_tokens": 7, "n": 1}, 7),
        ({"max_tokens": None, "n": 1}, 0),
        ({"max_tokens": 10**30}, 10**30),
    ],
)
def test_the_limit_of_an_answer(fields: dict[str, Any], limit: int) -> None:
    assert make_head(**fields).max_tokens == limit


@pytest.mark.parametrize(
    ("endpoint", "fields", "choices"),
    [
        (CHAT, {"n": 3, "stream": True}, 3),
        (CHAT, {"n": None, "stream": True}, 1),
        (COMPLETIONS, {"prompt": "x", "n": 2, "stream": True}, 2),
        (COMPLETIONS, {"prompt": ["x", "y"], "stream": True}, 2),
        (COMPLETIONS, {"prompt": ["x", "y"], "n": 2, "stream": True}, 4),
        (COMPLETIONS, {"prompt": [1, 2, 3], "stream": True}, 1),
        (COMPLETIONS, {"prompt": [[1, 2], [3], [4]], "stream": True}, 3),
        (COMPLETIONS, {"prompt": [], "stream": True}, 1),
    ],
)
def test_how_many_choices_a_stream_will_have(endpoint: Endpoint, fields: dict[str, Any], choices: int) -> None:
    assert make_head(endpoint, **fields).choices == choices


@pytest.mark.parametrize(
    ("options", "wants"),
    [({"include_usage": True}, True), ({"include_usage": False}, False), ({}, False), (None, False)],
)
def test_whether_the_caller_asked_for_usage(options: Any, wants: bool) -> None:
    head = make_head(stream=True, stream_options=options)
    assert head.wants_usage is wants
    with_usage_asked(head.fields)
    assert msgspec.json.decode(head.fields["stream_options"]) == {**(options or {}), "include_usage": True}


def test_asking_for_usage_leaves_other_options_as_they_are() -> None:
    head = make_head(stream=True, stream_options={"include_obfuscation": False})
    with_usage_asked(head.fields)
    assert msgspec.json.decode(head.fields["stream_options"]) == {"include_obfuscation": False, "include_usage": True}


def test_values_are_kept_byte_for_byte() -> None:
    body = b'{ "model" : "m", "temperature":1.0e-1 , "messages": [ {"role" : "user","content":"\\u00e9\xc3\xa9"} ], "x": {"a":1,"a":2} }'
    fields = read_head(CHAT, body).fields
    assert bytes(fields["temperature"]) == b"1.0e-1"
    assert bytes(fields["messages"]) == b'[ {"role" : "user","content":"\\u00e9\xc3\xa9"} ]'
    assert bytes(fields["x"]) == b'{"a":1,"a":2}'


def test_a_body_of_megabytes_is_read() -> None:
    head = make_head(messages=[{"role": "user", "content": "[x" * 4_000_000}], n=2)
    assert head.prompt_bytes > 8_000_000
    assert (head.choices, head.images) == (2, False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
NAMES = [
    "model",
    "stream",
    "messages",
    "prompt",
    "input",
    "n",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "stream_options",
    "tools",
    "functions",
    "logprobs",
    "top_logprobs",
    "response_format",
    "text",
    "include",
]


@given(
    endpoint=st.sampled_from(Endpoint),
    fields=st.dictionaries(st.sampled_from(NAMES), JSON, max_size=8),
    named=st.booleans(),
    noise=st.none() | st.tuples(st.integers(0, 10_000), st.binary(max_size=3)),
)
@settings(max_examples=200, deadline=None)
def test_whatever_comes_is_read_or_refused(
    endpoint: Endpoint, fields: dict[str, Any], named: bool, noise: tuple[int, bytes] | None
) -> None:
    if named:
        fields["model"] = "chat"
    body = json.dumps(fields).encode()
    if noise is not None:
        at = noise[0] % (len(body) + 1)
        body = body[:at] + noise[1] + body[at:]
    try:
        head = read_head(endpoint, body)
    except Refused as error:
        refusal = error
    else:
        assert isinstance(head.lacks(ABLE, 100), str)
        assert head.choices >= 1
        return
    assert refusal.code in ("invalid_json", "missing_model", "invalid_field")
    assert refusal.code != "invalid_field" or refusal.param in NAMES
