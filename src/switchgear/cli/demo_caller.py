"""A caller, as the demonstration needs one: whole answers, streamed answers piece by piece, and nothing of the program inside."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from switchgear.wire.client import Pool
from switchgear.wire.exchange import header
from switchgear.wire.fetch import fetch, request_head
from switchgear.wire.origin import Origin
from switchgear.wire.sse import Splitter, data_of

_CONNECT_S = 2.0
_TOTAL_S = 30.0
_CHAT = "/v1/chat/completions"


@dataclass
class Answer:
    """What a caller sees of one call."""

    status: int = 0
    call: str = ""
    """Its id, from the header x-switchgear-call."""
    backend: str = ""
    """Who answered, or began to; from the header x-switchgear-backend."""
    text: str = ""
    whole: bool = False
    """Whether it came to its proper end."""
    error: str = ""
    """The code of the error that came instead, or in the stream."""


class Caller:
    """Calls one endpoint with one key."""

    def __init__(self, host: str, port: int, key: str) -> None:
        self._pool = Pool(Origin(host, port))
        self._headers = header("authorization", f"Bearer {key}") + header("content-type", "application/json")

    async def chat(self, model: str, prompt: str, max_tokens: int) -> Answer:
        """One whole answer. Raises an ExchangeError when none comes."""
        answer, data = await self._post(_CHAT, _body(model, prompt, max_tokens))
        if answer.status == 200:
            answer.text = data["choices"][0]["message"]["content"]
            answer.whole = data["choices"][0]["finish_reason"] is not None
        else:
            answer.error = data["error"]["code"]
        return answer

    async def embed(self, model: str, text: str) -> tuple[Answer, int]:
        """An embedding, and the number of its dimensions. Raises an ExchangeError when none comes."""
        answer, data = await self._post("/v1/embeddings", {"model": model, "input": text})
        dimensions = len(data["data"][0]["embedding"]) if answer.status == 200 else 0
        answer.whole = dimensions > 0
        if not answer.whole:
            answer.error = data["error"]["code"]
        return answer, dimensions

    async def stream(self, model: str, prompt: str, max_tokens: int, show: Callable[[str], None]) -> Answer:
        """One streamed answer; `show` gets each piece of its text as it comes. Raises an ExchangeError when its connection breaks."""
        body = msgspec.json.encode({**_body(model, prompt, max_tokens), "stream": True})
        reading = _Reading(show)
        connection = await self._pool.acquire(_CONNECT_S)
        deadline = asyncio.get_running_loop().time() + _TOTAL_S
        head = request_head("POST", _CHAT, self._pool.origin.authority, self._headers, body)
        connection.send(head + body, reading, first_s=_TOTAL_S, idle_s=_TOTAL_S, deadline=deadline)
        try:
            await reading.done
        except BaseException:
            connection.cancel(reading)
            raise
        return reading.answer

    async def close(self) -> None:
        await self._pool.close()

    async def _post(self, path: str, fields: dict[str, Any]) -> tuple[Answer, Any]:
        body = msgspec.json.encode(fields)
        response = await fetch(
            self._pool, "POST", path, headers=self._headers, body=body, connect_s=_CONNECT_S, total_s=_TOTAL_S
        )
        return _seen(response.status, response.headers), msgspec.json.decode(response.body)


def _body(model: str, prompt: str, max_tokens: int) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": max_tokens}


def _seen(status: int, headers: Mapping[bytes, bytes]) -> Answer:
    call, backend = (
        headers.get(name, b"").decode("latin-1") for name in (b"x-switchgear-call", b"x-switchgear-backend")
    )
    return Answer(status, call, backend)


class _Reading:
    """The `Receiver` of a streamed chat answer."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self.answer = Answer()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._show = show
        self._splitter = Splitter()
        self._refusal = b""

    def on_whole(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> None:
        self.on_head(status, headers)
        self.on_data(body)
        self.on_end()

    def on_head(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        self.answer = _seen(status, headers)

    def on_data(self, data: bytes) -> None:
        if self.answer.status != 200:
            self._refusal += data
            return
        for event in self._splitter.feed(data):
            content = data_of(event)
            if content == b"[DONE]":
                self.answer.whole = not self.answer.error
            elif content is not None:
                self._read(msgspec.json.decode(content))

    def _read(self, chunk: dict[str, Any]) -> None:
        if "error" in chunk:
            self.answer.error = chunk["error"]["code"]
            return
        for choice in chunk["choices"]:
            if piece := choice["delta"].get("content"):
                self.answer.text += piece
                self._show(piece)

    def on_end(self) -> None:
        if self.answer.status != 200:
            self.answer.error = msgspec.json.decode(self._refusal)["error"]["code"]
        if not self.done.done():
            self.done.set_result(None)

    def on_fault(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)
