"""Which calls may be answered with a kept answer, and which answers may be kept. Pure.

A call is repeatable when asking it again could do no more than give the same answer: nothing is stored by it, nothing of an earlier call or
of the world goes into it, and (`deterministic`) it asks for no chance: temperature 0 or a seed. Most engines are not exactly
deterministic even then; what counts is that the caller asked for one answer, not for a draw.
"""

from collections.abc import Mapping

import msgspec

from switchgear.cache.model import Answer
from switchgear.core.caching import ModelCache, Repeatable
from switchgear.core.decoding import UNREADABLE
from switchgear.core.snapshot import Endpoint

_decode = msgspec.json.Decoder().decode
_NOTHING = (b"null", b"false", b"[]", b"{}", b'""')
_EFFECTS = ("previous_response_id", "conversation", "background", "web_search_options", "prompt")
"""Fields that tie a call to an earlier one, to the background, to the web or to a stored prompt (OpenAI's OpenAPI document 2.3.0)."""
_TIED = {
    Endpoint.CHAT: frozenset(_EFFECTS[:-1]),
    Endpoint.COMPLETIONS: frozenset(),
    Endpoint.EMBEDDINGS: frozenset(),
    Endpoint.RESPONSES: frozenset(_EFFECTS),
}
_OWN_TOOLS = ("function", "custom")
"""Tools that the caller runs itself. All others (web search, code, files) are run by the backend and see the world."""
_ENDS = ("stop", "length", "tool_calls", "function_call", "max_output_tokens", "")
"""Ends of an answer that is worth keeping: a content filter may decide otherwise next time."""


def repeatable(endpoint: Endpoint, fields: Mapping[str, msgspec.Raw], rule: Repeatable) -> bool:
    """Whether a call may get a kept answer, and its answer be kept."""
    if endpoint is Endpoint.EMBEDDINGS:
        return True
    if rule is Repeatable.DETERMINISTIC and not _deterministic(fields):
        return False
    if not _TIED[endpoint].isdisjoint(fields) and any(_given(fields, name) for name in _TIED[endpoint]):
        return False
    if _stored(endpoint, fields):
        return False
    return "tools" not in fields or _only_own_tools(fields["tools"])


def admitted(settings: ModelCache, data_class: str) -> bool:
    """Whether answers of this data class are kept at all."""
    return settings.data_classes is None or data_class in settings.data_classes


def worth_keeping(answer: Answer, settings: ModelCache) -> bool:
    """Whether an answer may be given again: not too large, and not ended by a content filter."""
    return len(answer.body) <= settings.max_answer_bytes and answer.finish_reason in _ENDS


def _deterministic(fields: Mapping[str, msgspec.Raw]) -> bool:
    temperature = _value(fields, "temperature")
    if isinstance(temperature, int | float) and not isinstance(temperature, bool) and temperature == 0:
        return True
    seed = _value(fields, "seed")
    return isinstance(seed, int) and not isinstance(seed, bool)


def _stored(endpoint: Endpoint, fields: Mapping[str, msgspec.Raw]) -> bool:
    """Whether the backend keeps the answer for later calls. The responses API does so unless it is told not to."""
    if endpoint is Endpoint.RESPONSES:
        return "store" not in fields or bytes(fields["store"]) != b"false"
    return _given(fields, "store")


def _given(fields: Mapping[str, msgspec.Raw], name: str) -> bool:
    return name in fields and bytes(fields[name]) not in _NOTHING


def _only_own_tools(raw: msgspec.Raw) -> bool:
    tools = _decoded(raw)
    if tools is None:
        return True
    if not isinstance(tools, list):
        return False
    return all(isinstance(tool, dict) and tool.get("type", "function") in _OWN_TOOLS for tool in tools)


def _value(fields: Mapping[str, msgspec.Raw], name: str) -> object:
    return _decoded(fields[name]) if name in fields else None


def _decoded(raw: msgspec.Raw) -> object:
    try:
        value: object = _decode(raw)
    except UNREADABLE:
        return False  # unreadable: neither a number, nor a list
    return value
