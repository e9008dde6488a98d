"""Answers in OpenAI's shapes, whole and streamed, by the writers of the emulated places."""

from switchgear.core.snapshot import Endpoint
from switchgear.emulator.answer import Answer, Choice, ToolCall
from switchgear.emulator.chat import ChatWriter
from switchgear.emulator.completions import CompletionWriter
from switchgear.emulator.requests import ResponsesBody
from switchgear.emulator.responses import ResponsesWriter
from switchgear.emulator.shapes import Writer
from switchgear.wire.sse import Splitter, data_of

WORDS = ("The", " answer", " is", " 42", ".")
TEXT = (Choice(0, WORDS, "stop"),)
TWO = (Choice(0, WORDS, "stop"), Choice(1, WORDS[:2], "length"))
CALL = (Choice(0, ('{"at":', '"here"}'), "tool_calls", ToolCall("call_1", "look")),)
EMPTY = (Choice(0, (), "stop"),)
CASES: dict[str, tuple[Endpoint, tuple[Choice, ...], int | None]] = {
    "chat": (Endpoint.CHAT, TEXT, None),
    "chat-two-scored": (Endpoint.CHAT, TWO, 2),
    "chat-call": (Endpoint.CHAT, CALL, None),
    "chat-empty": (Endpoint.CHAT, EMPTY, None),
    "text": (Endpoint.COMPLETIONS, TEXT, None),
    "text-two-scored": (Endpoint.COMPLETIONS, TWO, 1),
    "response": (Endpoint.RESPONSES, TEXT, None),
    "response-scored": (Endpoint.RESPONSES, TEXT, 2),
    "response-call": (Endpoint.RESPONSES, CALL, None),
    "response-cut": (Endpoint.RESPONSES, (Choice(0, WORDS, "length"),), None),
}
"""By name: endpoint, choices, alternatives to each token."""


def writer(endpoint: Endpoint, choices: tuple[Choice, ...], top: int | None, *, usage: bool = True) -> Writer:
    """Writes one answer, whole and as a stream."""
    answer = Answer("answer-1", 1_700_000_000, "llama-8b", 12, choices)
    if endpoint is Endpoint.CHAT:
        return ChatWriter(answer, top_logprobs=top, include_usage=usage)
    if endpoint is Endpoint.COMPLETIONS:
        return CompletionWriter(answer, echoes=[""] * len(choices), logprobs=top, include_usage=usage)
    return ResponsesWriter(answer, ResponsesBody(model="llama-8b"), top_logprobs=top)


def streamed(endpoint: Endpoint, choices: tuple[Choice, ...], top: int | None, *, usage: bool = True) -> list[bytes]:
    """The data of each event of the answer as a stream."""
    told = writer(endpoint, choices, top, usage=usage)
    stream = told.opening()
    for choice in choices:
        stream += b"".join(told.piece(choice.index, place) for place in range(len(choice.tokens)))
        stream += told.ended(choice.index)
    return datas(stream + told.closing() + told.last())


def datas(stream: bytes) -> list[bytes]:
    """The data of each event in a stream's bytes."""
    return [data for event in Splitter().feed(stream) if (data := data_of(event)) is not None]


def whole(endpoint: Endpoint, choices: tuple[Choice, ...], top: int | None) -> bytes:
    """The same answer unstreamed."""
    return writer(endpoint, choices, top).whole()
