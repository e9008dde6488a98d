"""What the shapes of all endpoints share. Field names and types follow the OpenAPI document of OpenAI's API, version 2.3.0."""

from typing import Any, Protocol

import msgspec

from switchgear.emulator.answer import Answer
from switchgear.wire import sse

encode = msgspec.json.encode
FINGERPRINT = "fp_switchgear_emulator"
DONE = sse.encode(b"[DONE]")


class WholeWriter(Protocol):
    """Writes one answer as one body."""

    answer: Answer

    def whole(self) -> bytes:
        """The body of the answer that is not streamed."""
        ...


class Writer(WholeWriter, Protocol):
    """Writes one answer as events too. They are asked for in order: `opening`, pieces and `ended`, `closing`, `last`."""

    def opening(self) -> bytes:
        """Events before the first token."""
        ...

    def piece(self, choice: int, position: int) -> bytes:
        """The event of one token."""
        ...

    def ended(self, choice: int) -> bytes:
        """Events after the last token of a choice; they carry its finish reason."""
        ...

    def closing(self) -> bytes:
        """Events after the last choice: usage."""
        ...

    def last(self) -> bytes:
        """The event that says that the stream is whole."""
        ...


def event(data: dict[str, Any], kind: str = "") -> bytes:
    """One server-sent event with JSON data."""
    return sse.encode(encode(data), event=kind)


def usage(answer: Answer) -> dict[str, Any]:
    """OpenAI's `CompletionUsage`. Nothing is cached and nothing is reasoning here."""
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
