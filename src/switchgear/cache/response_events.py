"""An answer of the responses API in both forms. Its stream ends with the whole answer, so only the other direction takes work."""

from collections.abc import Iterable
from typing import Any

import msgspec

from switchgear.core.decoding import UNREADABLE

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode
_ENDS = ("response.completed", "response.incomplete")


class _End(msgspec.Struct):
    type: str
    response: msgspec.Raw = msgspec.Raw()


_decode_end = msgspec.json.Decoder(_End).decode


def assembled(events: Iterable[bytes]) -> bytes | None:
    """The whole answer that the last event brings; None where none of them is that."""
    for data in reversed(list(events)):
        if data == b"[DONE]":
            continue
        try:
            end = _decode_end(data)
        except UNREADABLE:
            return None
        response = bytes(end.response)
        return response if end.type in _ENDS and response else None
    return None


def as_stream(whole: bytes) -> bytes | None:
    """The stream's bytes; None where the answer is not of that shape or has no end."""
    try:
        response = _decode(whole)
        status = response["status"]
        if f"response.{status}" not in _ENDS:
            return None
        stream = _Stream()
        begun = {**response, "status": "in_progress", "output": [], "incomplete_details": None}
        for name in ("completed_at", "usage"):  # only its end knows them
            begun.pop(name, None)
        stream.tell("response.created", response=begun)
        stream.tell("response.in_progress", response=begun)
        for index, item in enumerate(response["output"]):
            _item(stream, index, item)
        stream.tell(f"response.{status}", response=response)
    except (*UNREADABLE, KeyError, TypeError, AttributeError):
        return None
    return b"".join(stream.events)


class _Stream:
    def __init__(self) -> None:
        self.events: list[bytes] = []

    def tell(self, kind: str, **fields: Any) -> None:
        event = {"type": kind, "sequence_number": len(self.events), **fields}
        self.events.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode(event)))


def _item(stream: _Stream, index: int, item: dict[str, Any]) -> None:
    """One item of the output, announced, told and done. Kinds that have no pieces of their own come whole."""
    kind = item["type"]
    begun = {**item, "status": "in_progress"} if "status" in item else dict(item)
    if kind == "message":
        begun["content"] = []
    elif kind == "function_call":
        begun["arguments"] = ""
    stream.tell("response.output_item.added", output_index=index, item=begun)
    place = {"item_id": item.get("id", ""), "output_index": index}
    if kind == "message":
        for number, part in enumerate(item["content"]):
            _part(stream, {**place, "content_index": number}, part)
    elif kind == "function_call":
        stream.tell("response.function_call_arguments.delta", **place, delta=item["arguments"])
        stream.tell("response.function_call_arguments.done", **place, name=item["name"], arguments=item["arguments"])
    stream.tell("response.output_item.done", output_index=index, item=item)


def _part(stream: _Stream, place: dict[str, Any], part: dict[str, Any]) -> None:
    if part["type"] == "output_text":
        logprobs = part.get("logprobs") or []
        stream.tell(
            "response.content_part.added", **place, part={**part, "text": "", "annotations": [], "logprobs": []}
        )
        stream.tell("response.output_text.delta", **place, delta=part["text"], logprobs=logprobs)
        for number, annotation in enumerate(part.get("annotations") or ()):
            stream.tell(
                "response.output_text.annotation.added", **place, annotation_index=number, annotation=annotation
            )
        stream.tell("response.output_text.done", **place, text=part["text"], logprobs=logprobs)
    elif part["type"] == "refusal":
        stream.tell("response.content_part.added", **place, part={**part, "refusal": ""})
        stream.tell("response.refusal.delta", **place, delta=part["refusal"])
        stream.tell("response.refusal.done", **place, refusal=part["refusal"])
    else:
        stream.tell("response.content_part.added", **place, part=part)
    stream.tell("response.content_part.done", **place, part=part)
