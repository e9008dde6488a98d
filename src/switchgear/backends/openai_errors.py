"""Errors of OpenAI's API and of those who speak it: what they mean for a call, and their body in OpenAI's shape."""

import msgspec

from switchgear.backends.errors import Verdict
from switchgear.backends.openai_shapes import decode_any
from switchgear.core.decoding import UNREADABLE

_AGAIN = frozenset((408, 425, 429))
_ELSEWHERE = frozenset((401, 402, 403, 404, 405, 407))
_TOO_LONG = ("context_length_exceeded", "exceed_context_size_error")
_TOO_LONG_TEXTS = (b"maximum context length", b"context size", b"context window")
_encode = msgspec.json.Encoder().encode


class _ErrorObject(msgspec.Struct):
    message: str = ""
    type: str | None = None
    code: str | int | None = None


class _ErrorBody(msgspec.Struct):
    error: _ErrorObject | str


class _BareError(msgspec.Struct):
    """An error that is not wrapped in `error`: vLLM's until its version 0.9."""

    message: str
    type: str | None = None
    param: str | None = None
    code: str | int | None = None


_decode_error = msgspec.json.Decoder(_ErrorBody).decode
_decode_bare_error = msgspec.json.Decoder(_BareError).decode


def verdict(status: int, code: str, body: bytes) -> Verdict:
    """What an error status means for its call."""
    if status == 500 and b"too large to process" in body:  # llama.cpp, of an embedding's input
        return Verdict.LARGER
    if status >= 500 or status in _AGAIN or 300 <= status < 400:
        return Verdict.AGAIN
    if status in (400, 413, 422) and (
        code in _TOO_LONG or (code != "content_filter" and any(text in body for text in _TOO_LONG_TEXTS))
    ):
        return Verdict.LARGER
    if status in _ELSEWHERE:
        return Verdict.ELSEWHERE
    return Verdict.ANSWER


def shaped_error(status: int, body: bytes) -> tuple[bytes, str]:
    """An error body in OpenAI's shape, as it came where it has that shape, and its code (or else its type)."""
    error: _ErrorObject | _BareError | str
    try:
        try:
            error = _decode_error(body).error
        except msgspec.ValidationError:
            error = _decode_bare_error(body)
        decoded = decode_any(body)
    except UNREADABLE:
        return wrap_error(status, body), ""
    if isinstance(error, str):
        return wrap_error(status, error.encode()), ""
    code = error.code if isinstance(error.code, str) else ""
    own = decoded["error"] if isinstance(error, _ErrorObject) else {"param": error.param}
    shaped = {
        "param": None,
        **own,
        "message": error.message or f"The backend answered with status {status}.",
        "type": error.type or _kind(status),
        "code": str(error.code) if error.code is not None else None,
    }
    if shaped != own:
        body = _encode({**(decoded if "error" in decoded else {}), "error": shaped})
    return body, code or error.type or ""


def _kind(status: int) -> str:
    return "invalid_request_error" if status < 500 else "upstream_error"


def wrap_error(status: int, text: bytes) -> bytes:
    """An error body in OpenAI's shape around whatever a backend sent instead; at most 2,000 bytes of it."""
    message = text[:2000].decode("utf-8", "replace").strip() or f"The backend answered with status {status}."
    return _encode({"error": {"message": message, "type": _kind(status), "param": None, "code": "upstream_status"}})
