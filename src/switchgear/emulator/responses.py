"""The shapes of `/v1/responses`: `Response` and the events of its stream, each with its sequence number."""

from typing import Any

from switchgear.emulator.answer import Answer
from switchgear.emulator.chat import token_logprob
from switchgear.emulator.requests import ResponsesBody
from switchgear.emulator.shapes import encode, event

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponsesWriter:
    """A `Writer`. `top_logprobs` None gives none; `report_usage` False hides usage."""

    def __init__(
        self, answer: Answer, body: ResponsesBody, *, top_logprobs: int | None = None, report_usage: bool = True
    ) -> None:
        self.answer = answer
        self._body = body
        self._top_logprobs = top_logprobs
        self._report_usage = report_usage
        self._choice = answer.choices[0]
        self._item_id = ("msg_" if self._choice.call is None else "fc_") + answer.id.removeprefix("resp_")
        self._sequence_number = 0

    def whole(self) -> bytes:
        return encode(self._finished())

    def opening(self) -> bytes:
        response = self._response("in_progress")
        begun = self._event("response.created", response=response) + self._event(
            "response.in_progress", response=response
        )
        begun += self._event("response.output_item.added", output_index=0, item=self._item("in_progress", ""))
        if self._choice.call is None:
            begun += self._event("response.content_part.added", **self._place(), part=_text_part("", []))
        return begun

    def piece(self, choice: int, position: int) -> bytes:
        token = self._choice.tokens[position]
        if self._choice.call is not None:
            return self._event(
                "response.function_call_arguments.delta", item_id=self._item_id, output_index=0, delta=token
            )
        logprobs = self._logprobs(range(position, position + 1))
        return self._event("response.output_text.delta", **self._place(), delta=token, logprobs=logprobs)

    def ended(self, choice: int) -> bytes:
        text, status = self._choice.text, self._status()
        if self._choice.call is not None:
            done = self._event(
                "response.function_call_arguments.done",
                item_id=self._item_id,
                name=self._choice.call.name,
                output_index=0,
                arguments=text,
            )
        else:
            logprobs = self._logprobs(range(len(self._choice.tokens)))
            done = self._event("response.output_text.done", **self._place(), text=text, logprobs=logprobs)
            done += self._event("response.content_part.done", **self._place(), part=_text_part(text, logprobs))
        return done + self._event("response.output_item.done", output_index=0, item=self._item(status, text))

    def closing(self) -> bytes:
        return b""

    def last(self) -> bytes:
        return self._event(f"response.{self._status()}", response=self._finished())

    def _event(self, kind: str, **fields: Any) -> bytes:
        number = self._sequence_number
        self._sequence_number += 1
        return event({"type": kind, "sequence_number": number, **fields}, kind)

    def _place(self) -> dict[str, Any]:
        return {"item_id": self._item_id, "output_index": 0, "content_index": 0}

    def _status(self) -> str:
        return "incomplete" if self._choice.finish_reason in _INCOMPLETE else "completed"

    def _item(self, status: str, text: str) -> dict[str, Any]:
        if self._choice.call is not None:
            return {
                "id": self._item_id,
                "type": "function_call",
                "status": status,
                "call_id": self._choice.call.id,
                "name": self._choice.call.name,
                "arguments": text,
            }
        logprobs = self._logprobs(range(len(self._choice.tokens))) if text else []
        content = [] if status == "in_progress" else [_text_part(text, logprobs)]
        return {"id": self._item_id, "type": "message", "status": status, "role": "assistant", "content": content}

    def _logprobs(self, positions: range) -> list[dict[str, Any]]:
        if self._top_logprobs is None:
            return []
        return [token_logprob(self._choice.tokens[place], place, self._top_logprobs) for place in positions]

    def _finished(self) -> dict[str, Any]:
        status = self._status()
        response = self._response(status)
        response["output"] = [self._item(status, self._choice.text)]
        if (reason := _INCOMPLETE.get(self._choice.finish_reason)) is not None:
            response["incomplete_details"] = {"reason": reason}
        else:
            response["completed_at"] = self.answer.created_s
        if self._report_usage:
            response["usage"] = {
                "input_tokens": self.answer.prompt_tokens,
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": self.answer.completion_tokens,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": self.answer.prompt_tokens + self.answer.completion_tokens,
            }
        return response

    def _response(self, status: str) -> dict[str, Any]:
        """The response without what only its end knows."""
        body = self._body
        return {
            "id": self.answer.id,
            "object": "response",
            "created_at": self.answer.created_s,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "model": self.answer.model,
            "output": [],
            "parallel_tool_calls": True if body.parallel_tool_calls is None else body.parallel_tool_calls,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "store": False,
            "temperature": 1.0 if body.temperature is None else body.temperature,
            "text": body.text or {"format": {"type": "text"}},
            "tool_choice": body.tool_choice or "auto",
            "tools": body.tools or [],
            "top_p": 1.0 if body.top_p is None else body.top_p,
            "truncation": "disabled",
            "metadata": body.metadata or {},
        }


def _text_part(text: str, logprobs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}
