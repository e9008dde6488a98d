"""The shape of `/v1/completions`: `CreateCompletionResponse`, whole and streamed alike."""

from typing import Any

from switchgear.emulator.answer import Answer, Choice
from switchgear.emulator.logprobs import alternatives, scored
from switchgear.emulator.shapes import DONE, FINGERPRINT, encode, event, usage


class CompletionWriter:
    """A `Writer`. `echoes[i]` stands before the text of choice i; `logprobs` None gives none."""

    def __init__(
        self,
        answer: Answer,
        *,
        echoes: list[str],
        logprobs: int | None = None,
        include_usage: bool = False,
        report_usage: bool = True,
    ) -> None:
        self.answer = answer
        self._echoes = echoes
        self._top = logprobs
        self._include_usage = include_usage and report_usage
        self._report_usage = report_usage

    def whole(self) -> bytes:
        body = self._head()
        body["choices"] = [
            self._choice(
                choice, self._echoes[choice.index] + choice.text, range(len(choice.tokens)), choice.finish_reason
            )
            for choice in self.answer.choices
        ]
        if self._report_usage:
            body["usage"] = usage(self.answer)
        return encode(body)

    def opening(self) -> bytes:
        return b"".join(
            self._chunk(choice, self._echoes[choice.index], range(0))
            for choice in self.answer.choices
            if self._echoes[choice.index]
        )

    def piece(self, choice: int, position: int) -> bytes:
        chosen = self.answer.choices[choice]
        return self._chunk(chosen, chosen.tokens[position], range(position, position + 1))

    def ended(self, choice: int) -> bytes:
        chosen = self.answer.choices[choice]
        return self._chunk(chosen, "", range(0), chosen.finish_reason)

    def closing(self) -> bytes:
        if not self._include_usage:
            return b""
        return event({**self._head(), "choices": [], "usage": usage(self.answer)})

    def last(self) -> bytes:
        return DONE

    def _head(self) -> dict[str, Any]:
        return {
            "id": self.answer.id,
            "object": "text_completion",
            "created": self.answer.created_s,
            "model": self.answer.model,
            "system_fingerprint": FINGERPRINT,
        }

    def _chunk(self, choice: Choice, text: str, positions: range, finish_reason: str | None = None) -> bytes:
        chunk = {**self._head(), "choices": [self._choice(choice, text, positions, finish_reason)]}
        if self._include_usage:
            chunk["usage"] = None
        return event(chunk)

    def _choice(self, choice: Choice, text: str, positions: range, finish_reason: str | None) -> dict[str, Any]:
        return {
            "index": choice.index,
            "text": text,
            "logprobs": self._logprobs(choice, positions),
            "finish_reason": finish_reason,
        }

    def _logprobs(self, choice: Choice, positions: range) -> dict[str, Any] | None:
        if self._top is None or not positions:
            return None
        top = max(1, self._top)
        offset = len(self._echoes[choice.index]) + sum(map(len, choice.tokens[: positions.start]))
        offsets, tokens = [], choice.tokens[positions.start : positions.stop]
        for token in tokens:
            offsets.append(offset)
            offset += len(token)
        places = list(zip(tokens, positions, strict=True))
        return {
            "tokens": list(tokens),
            "token_logprobs": [scored(token, position).logprob for token, position in places],
            "top_logprobs": [
                {other.token: other.logprob for other in alternatives(token, position, top)}
                for token, position in places
            ],
            "text_offset": offsets,
        }
