"""One kept answer in both forms: a stream put together to the whole answer, a whole answer told as a stream. Pure.

Shapes: OpenAI's OpenAPI document 2.3.0 (`CreateChatCompletionResponse` and its stream, `CreateCompletionResponse`, `Response` and its
events). What cannot be put together without loss is not: such an answer is not kept.
"""

from collections.abc import Iterable

from switchgear.cache import completion_events, completion_parts, response_events
from switchgear.core.snapshot import Endpoint


def assembled(endpoint: Endpoint, events: Iterable[bytes]) -> bytes | None:
    """The whole answer that a stream told, from the data of its events in order (`[DONE]` may be among them).

    None where the stream is not whole or holds what is not understood.
    """
    if endpoint is Endpoint.RESPONSES:
        return response_events.assembled(events)
    if endpoint is Endpoint.EMBEDDINGS:
        return None
    return completion_parts.assembled(events, chat=endpoint is Endpoint.CHAT)


def as_stream(endpoint: Endpoint, whole: bytes, *, include_usage: bool) -> bytes | None:
    """A whole answer as the bytes of a stream (`text/event-stream`), its end marker included. The text comes in one piece.

    `include_usage`: whether the caller set it in `stream_options`. None where it cannot be told as a stream.
    """
    if endpoint is Endpoint.RESPONSES:
        return response_events.as_stream(whole)
    if endpoint is Endpoint.EMBEDDINGS:
        return None
    return completion_events.as_stream(whole, chat=endpoint is Endpoint.CHAT, include_usage=include_usage)
