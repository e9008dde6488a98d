"""The shapes of `/v1/chat/completions`: `CreateChatCompletionResponse` and `CreateChatCompletionStreamResponse`."""

from typing import Any

from switchgear.emulator.answer import Answer, Choice
from switchgear.emulator.logprobs import Scored, alternatives, scored
from switchgear.emulator.shapes import DONE, FINGERPRINT, encode, event, usage


class ChatWriter:
    """A `Writer`. `top_logprobs` None gives none; `include_usage` asks for the usage chunk; `report_usage` False hides all usage."""

    def __init__(
        self, answer: Answer, *, top_logprobs: int | None = None, include_usage: bool = False, report_usage: bool = True
    ) -> None:
        self.answer = answer
        self._top_logprobs = top_logprobs
        self._include_usage = include_usage and report_usage
        self._report_usage = report_usage

    def whole(self) -> bytes:
        body: dict[str, Any] = {
            "id": self.answer.id,
            "object": "chat.completion",
            "created": self.answer.created_s,
            "model": self.answer.model,
            "choices": [
                {
                    "index": choice.index,
                    "message": _message(choice),
                    "logprobs": self._logprobs(choice, range(len(choice.tokens))),
                    "finish_reason": choice.finish_reason,
                }
                for choice in self.answer.choices
            ],
            "system_fingerprint": FINGERPRINT,
        }
        if self._report_usage:
            body["usage"] = usage(self.answer)
        return encode(body)

    def opening(self) -> bytes:
        return b"".join(self._opening(choice) for choice in self.answer.choices)

    def _opening(self, choice: Choice) -> bytes:
        if choice.call is None:
            return self._chunk(choice.index, {"role": "assistant", "content": "", "refusal": None})
        call = {
            "index": 0,
            "id": choice.call.id,
            "type": "function",
            "function": {"name": choice.call.name, "arguments": ""},
        }
        return self._chunk(choice.index, {"role": "assistant", "content": None, "tool_calls": [call]})

    def piece(self, choice: int, position: int) -> bytes:
        chosen = self.answer.choices[choice]
        token = chosen.tokens[position]
        delta: dict[str, Any] = (
            {"content": token}
            if chosen.call is None
            else {"tool_calls": [{"index": 0, "function": {"arguments": token}}]}
        )
        return self._chunk(choice, delta, logprobs=self._logprobs(chosen, range(position, position + 1)))

    def ended(self, choice: int) -> bytes:
        return self._chunk(choice, {}, self.answer.choices[choice].finish_reason)

    def closing(self) -> bytes:
        if not self._include_usage:
            return b""
        return event({**self._head(), "choices": [], "usage": usage(self.answer)})

    def last(self) -> bytes:
        return DONE

    def _head(self) -> dict[str, Any]:
        return {
            "id": self.answer.id,
            "object": "chat.completion.chunk",
            "created": self.answer.created_s,
            "model": self.answer.model,
            "system_fingerprint": FINGERPRINT,
        }

    def _chunk(
        self, index: int, delta: dict[str, Any], finish_reason: str | None = None, logprobs: Any = None
    ) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        chunk = {**self._head(), "choices": [choice]}
        if self._include_usage:
            chunk["usage"] = None
        return event(chunk)

    def _logprobs(self, choice: Choice, positions: range) -> dict[str, Any] | None:
        if self._top_logprobs is None or choice.call is not None:
            return None
        content = [token_logprob(choice.tokens[position], position, self._top_logprobs) for position in positions]
        return {"content": content, "refusal": None}


def _message(choice: Choice) -> dict[str, Any]:
    if choice.call is None:
        return {"role": "assistant", "content": choice.text, "refusal": None}
    function = {"name": choice.call.name, "arguments": choice.text}
    calls = [{"id": choice.call.id, "type": "function", "function": function}]
    return {"role": "assistant", "content": None, "refusal": None, "tool_calls": calls}


def token_logprob(token: str, position: int, top: int) -> dict[str, Any]:
    """One `ChatCompletionTokenLogprob`."""
    return {
        **_entry(scored(token, position)),
        "top_logprobs": [_entry(other) for other in alternatives(token, position, top)],
    }


def _entry(one: Scored) -> dict[str, Any]:
    return {"token": one.token, "logprob": one.logprob, "bytes": list(one.token.encode("utf-8", "surrogatepass"))}
