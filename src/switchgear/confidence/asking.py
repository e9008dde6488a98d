"""Asks a target for the log-probabilities that a rule needs, and takes them out of the answer again where the caller did not ask.

Fields: chat `logprobs`, `top_logprobs`; text completions `logprobs` (a number); responses `include`, `top_logprobs` (OpenAI's OpenAPI
document 2.3.0).
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from switchgear.confidence.names import Needs
from switchgear.core.decoding import UNREADABLE
from switchgear.core.snapshot import Endpoint

Fields = dict[str, msgspec.Raw]
_Raw = msgspec.Raw
_INCLUDE = "message.output_text.logprobs"
_decode = msgspec.json.Decoder().decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_encode = msgspec.json.Encoder().encode
_NULL = _Raw(b"null")
_MARGIN_TOP = 2


class Strip:
    """Gives the caller what it asked for of an answer that holds more: no log-probabilities, or fewer alternatives."""

    __slots__ = ("_endpoint", "_top")

    def __init__(self, endpoint: Endpoint, top: int | None) -> None:
        """`top`: alternatives to each token that the caller asked for; None: it asked for no log-probabilities at all."""
        self._endpoint = endpoint
        self._top = top

    def whole(self, body: bytes) -> bytes:
        """A whole answer; one that cannot be read stays as it is."""
        try:
            if self._endpoint is Endpoint.RESPONSES:
                answer = _decode(body)
                self._response(answer)
                return _encode(answer)
            return self._completion(body)
        except (*UNREADABLE, AttributeError, TypeError, KeyError):
            return body

    def event(self, data: bytes) -> bytes:
        """The data of one event of a stream."""
        if b'logprobs"' not in data:
            return data
        try:
            if self._endpoint is Endpoint.RESPONSES:
                event = _decode(data)
                self._response_event(event)
                return _encode(event)
            return self._completion(data)
        except (*UNREADABLE, AttributeError, TypeError, KeyError):
            return data

    def _completion(self, body: bytes) -> bytes:
        fields = _decode_fields(body)
        choices = _decode_list(fields["choices"])
        for choice in choices:
            if "logprobs" in choice:
                choice["logprobs"] = (
                    _NULL if self._top is None else _Raw(_encode(self._fewer(_decode(choice["logprobs"]))))
                )
        fields["choices"] = _Raw(_encode(choices))
        return _encode(fields)

    def _fewer(self, logprobs: Any) -> Any:
        if logprobs is None or self._top is None:
            return None
        for name in ("content", "refusal"):
            _fewer_each(logprobs.get(name) or (), self._top)
        if isinstance(logprobs.get("top_logprobs"), list):
            tokens = logprobs.get("tokens") or [None] * len(logprobs["top_logprobs"])
            pairs = zip(logprobs["top_logprobs"], tokens, strict=False)
            logprobs["top_logprobs"] = [
                _best(others, token, self._top) if others else others for others, token in pairs
            ]
        return logprobs

    def _response_event(self, event: dict[str, Any]) -> None:
        if "logprobs" in event:
            event["logprobs"] = self._tokens(event["logprobs"])
        if isinstance(event.get("part"), dict):
            self._part(event["part"])
        if isinstance(event.get("item"), dict):
            self._item(event["item"])
        if isinstance(event.get("response"), dict):
            self._response(event["response"])

    def _response(self, response: dict[str, Any]) -> None:
        if "top_logprobs" in response:
            response["top_logprobs"] = self._top or 0
        for item in response.get("output") or ():
            self._item(item)

    def _item(self, item: dict[str, Any]) -> None:
        for part in item.get("content") or ():
            self._part(part)

    def _part(self, part: dict[str, Any]) -> None:
        if "logprobs" in part:
            part["logprobs"] = self._tokens(part["logprobs"])

    def _tokens(self, tokens: Any) -> Any:
        if self._top is None:
            return []
        _fewer_each(tokens or (), self._top)
        return tokens


def with_logprobs(endpoint: Endpoint, fields: Fields, needs: Needs) -> tuple[Fields, Strip | None]:
    """The fields of a call that asks for what a rule needs, and what takes it out of the answer; None where the caller had asked itself.

    The fields given are not changed. Embeddings have no log-probabilities.
    """
    if not needs & Needs.LOGPROBS or endpoint is Endpoint.EMBEDDINGS:
        return fields, None
    top = _MARGIN_TOP if needs & Needs.ALTERNATIVES else 0
    if endpoint is Endpoint.CHAT:
        return _ask_chat(dict(fields), top)
    if endpoint is Endpoint.COMPLETIONS:
        return _ask_text(dict(fields), max(1, top))
    return _ask_response(dict(fields), top)


def _ask_chat(fields: Fields, top: int) -> tuple[Fields, Strip | None]:
    asked = _value(fields, "logprobs") is True
    asked_top = _count(fields, "top_logprobs") or 0
    if asked and asked_top >= top:
        return fields, None
    fields["logprobs"] = _Raw(b"true")
    if top > asked_top:
        fields["top_logprobs"] = _Raw(b"%d" % top)
    return fields, Strip(Endpoint.CHAT, asked_top if asked else None)


def _ask_text(fields: Fields, top: int) -> tuple[Fields, Strip | None]:
    asked_top = _count(fields, "logprobs")
    if asked_top is not None and asked_top >= top:
        return fields, None
    fields["logprobs"] = _Raw(b"%d" % top)
    return fields, Strip(Endpoint.COMPLETIONS, asked_top)


def _ask_response(fields: Fields, top: int) -> tuple[Fields, Strip | None]:
    include = _value(fields, "include")
    include = include if isinstance(include, list) else []
    asked = _INCLUDE in include
    asked_top = _count(fields, "top_logprobs") or 0
    if asked and asked_top >= top:
        return fields, None
    if not asked:
        fields["include"] = _Raw(_encode([*include, _INCLUDE]))
    if top > asked_top:
        fields["top_logprobs"] = _Raw(b"%d" % top)
    return fields, Strip(Endpoint.RESPONSES, asked_top if asked else None)


def _value(fields: Mapping[str, msgspec.Raw], name: str) -> Any:
    try:
        return _decode(fields[name]) if name in fields else None
    except UNREADABLE:
        return None


def _count(fields: Mapping[str, msgspec.Raw], name: str) -> int | None:
    value = _value(fields, name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _fewer_each(tokens: Any, top: int) -> None:
    for token in tokens:
        if isinstance(token.get("top_logprobs"), list):
            token["top_logprobs"] = token["top_logprobs"][:top]


def _best(others: dict[str, float], token: str | None, top: int) -> dict[str, float]:
    """The token itself, and the best alternatives as the caller asked for them."""
    best = sorted(others, key=lambda other: -others[other])[: max(1, top)]
    return {other: value for other, value in others.items() if other in best or other == token}
