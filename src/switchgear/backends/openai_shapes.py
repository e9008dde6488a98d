"""Whole answers of OpenAI's API as far as they are read, and the text in them for estimates. Shapes: OpenAI's OpenAPI document 2.3.0."""

from collections.abc import Iterable
from typing import Any

import msgspec

from switchgear.backends.model import Usage
from switchgear.core.decoding import UNREADABLE

Raw = msgspec.Raw
ABSENT = Raw()
NULL = Raw(b"null")
decode_any = msgspec.json.Decoder().decode
_MOST_TOKENS = 2**48
"""Of one call; far beyond what any takes."""


def lenient(raw: Raw) -> Any:
    """A value decoded; None where it cannot be."""
    try:
        return decode_any(raw)
    except UNREADABLE:
        return None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class ReportedUsage(msgspec.Struct):
    """Both namings: completions' and responses'."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    input_tokens_details: _PromptDetails | None = None

    def usage(self) -> Usage | None:
        """None where nothing is reported, or what can be no count of tokens: it would pay into budgets, or no record could hold it."""
        prompt, completion, details = self.prompt_tokens, self.completion_tokens, self.prompt_tokens_details
        if prompt and completion and details is None and not (prompt | completion) >> 32:
            return Usage(prompt, completion)  # the usual one, in fewer steps
        details = details or self.input_tokens_details
        prompt = self.prompt_tokens or self.input_tokens or 0
        completion = self.completion_tokens or self.output_tokens or 0
        if not (0 <= prompt <= _MOST_TOKENS and 0 <= completion <= _MOST_TOKENS):
            return None
        if not (prompt or completion) and self.prompt_tokens is None and self.input_tokens is None:
            return None
        cached = (details.cached_tokens or 0) if details is not None else 0
        return Usage(prompt, completion, cached if 0 <= cached <= prompt else 0)


class Choice(msgspec.Struct):
    finish_reason: str | None = None
    message: Raw = ABSENT
    text: str | None = None


class Completion(msgspec.Struct):
    choices: list[Choice]
    usage: ReportedUsage | None = None


class Embeddings(msgspec.Struct):
    data: list[Raw]
    usage: ReportedUsage | None = None


class _Reason(msgspec.Struct):
    reason: str = ""


class Response(msgspec.Struct):
    status: str
    output: list[Raw] = []
    usage: ReportedUsage | None = None
    incomplete_details: _Reason | None = None
    id: str = ""


def finish_reason(response: Response) -> str:
    """Why a response ended, in the words of the completions."""
    if response.status == "completed":
        return "stop"
    return response.incomplete_details.reason if response.incomplete_details is not None else response.status


def encoded(texts: Iterable[str]) -> int:
    """Bytes of texts in UTF-8."""
    return sum(len(text.encode()) for text in texts)


def called_bytes(calls: Iterable[Raw]) -> int:
    """Bytes of the names and arguments in tool calls, or in pieces of them."""
    return _function_bytes(map(lenient, calls))


def _function_bytes(calls: Iterable[Any]) -> int:
    texts: list[str] = []
    for call in calls:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            texts += [text for text in (function.get("name"), function.get("arguments")) if isinstance(text, str)]
    return encoded(texts)


def choice_bytes(choice: Choice) -> int:
    """Bytes of text in a choice, tool calls included: what a stream of it would have brought."""
    message = lenient(choice.message) if choice.message is not ABSENT else {}
    if not isinstance(message, dict):
        return 0
    text, calls = message.get("content") or choice.text, message.get("tool_calls")
    return encoded([text] if isinstance(text, str) else []) + _function_bytes(calls if isinstance(calls, list) else ())


def item_bytes(raw: Raw) -> int:
    """Bytes of text in one item of a response's output."""
    item = lenient(raw)
    if not isinstance(item, dict):
        return 0
    content = item.get("content")
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    texts = [item.get("arguments"), *(part.get("text", part.get("refusal")) for part in parts)]
    return encoded([text for text in texts if isinstance(text, str)])
