"""Which calls are repeatable, and which answers worth keeping."""

import msgspec
import pytest
from tests.cache.samples import answer

from switchgear.cache.repeatable import admitted, repeatable, worth_keeping
from switchgear.core.caching import ModelCache, Repeatable
from switchgear.core.data_class import DataClass
from switchgear.core.snapshot import Endpoint


def asked(endpoint: Endpoint, body: str, rule: Repeatable = Repeatable.DETERMINISTIC) -> bool:
    return repeatable(endpoint, msgspec.json.decode(body.encode(), type=dict[str, msgspec.Raw]), rule)


@pytest.mark.parametrize(
    "body",
    [
        '{"temperature": 0}',
        '{"temperature": 0.0}',
        '{"temperature": -0e3}',
        '{"seed": 7}',
        '{"seed": 0, "temperature": 1}',
        '{"temperature": 0, "tools": null}',
        '{"temperature": 0, "tools": [{"type": "function", "function": {}}]}',
        '{"temperature": 0, "store": false}',
        '{"temperature": 0, "store": null}',
    ],
)
def test_temperature_zero_or_a_seed_asks_for_one_answer(body: str) -> None:
    assert asked(Endpoint.CHAT, body)


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"temperature": 0.1}',
        '{"temperature": null}',
        '{"temperature": false}',
        '{"temperature": "0"}',
        '{"seed": null}',
        '{"seed": true}',
        '{"top_p": 0}',
    ],
)
def test_a_draw_is_not_repeatable_unless_every_call_is(body: str) -> None:
    assert not asked(Endpoint.CHAT, body)
    assert asked(Endpoint.CHAT, body, Repeatable.EVERY)


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        (Endpoint.CHAT, '{"temperature": 0, "store": true}'),
        (Endpoint.CHAT, '{"temperature": 0, "web_search_options": {"user_location": null}}'),
        (Endpoint.CHAT, '{"temperature": 0, "tools": [{"type": "web_search"}]}'),
        (Endpoint.CHAT, '{"temperature": 0, "tools": 3}'),
        (Endpoint.RESPONSES, '{"temperature": 0}'),
        (Endpoint.RESPONSES, '{"temperature": 0, "store": false, "previous_response_id": "resp_1"}'),
        (Endpoint.RESPONSES, '{"temperature": 0, "store": false, "conversation": "conv_1"}'),
        (Endpoint.RESPONSES, '{"temperature": 0, "store": false, "background": true}'),
        (Endpoint.RESPONSES, '{"temperature": 0, "store": false, "prompt": {"id": "pmpt_1"}}'),
        (Endpoint.RESPONSES, '{"temperature": 0, "store": false, "tools": [{"type": "file_search"}]}'),
    ],
)
def test_what_stores_something_or_depends_on_the_world_is_never_repeatable(endpoint: Endpoint, body: str) -> None:
    assert not asked(endpoint, body)
    assert not asked(endpoint, body, Repeatable.EVERY)


def test_a_response_that_is_not_stored_is_repeatable() -> None:
    assert asked(Endpoint.RESPONSES, '{"temperature": 0, "store": false, "background": false}')


def test_a_text_completion_has_its_prompt() -> None:
    assert asked(Endpoint.COMPLETIONS, '{"temperature": 0, "prompt": "once upon"}')


def test_embeddings_always_are() -> None:
    assert asked(Endpoint.EMBEDDINGS, '{"input": "x"}')


def test_data_classes_that_are_not_named_are_not_kept() -> None:
    assert admitted(ModelCache(ttl_s=1.0), "restricted")
    assert admitted(ModelCache(ttl_s=1.0, data_classes=(DataClass.PUBLIC, DataClass.INTERNAL)), "internal")
    assert not admitted(ModelCache(ttl_s=1.0, data_classes=(DataClass.PUBLIC, DataClass.INTERNAL)), "restricted")
    assert not admitted(ModelCache(ttl_s=1.0, data_classes=(DataClass.PUBLIC,)), "")


@pytest.mark.parametrize(
    ("finish_reason", "size", "kept"),
    [("stop", 100, True), ("length", 100, True), ("", 100, True), ("content_filter", 10, False), ("stop", 101, False)],
)
def test_what_a_filter_cut_and_what_is_too_large_is_not_kept(finish_reason: str, size: int, kept: bool) -> None:
    settings = ModelCache(ttl_s=1.0, max_answer_bytes=100)
    assert worth_keeping(answer(b"x" * size, finish_reason=finish_reason), settings) is kept
