"""The few things about a call that decisions depend on, read from its body; the rest of the body is never decoded."""

import math
from typing import Any

import msgspec

from switchgear.backends.model import Fields
from switchgear.core.snapshot import Capabilities, Endpoint
from switchgear.gateway.errors import Refused

_decode_fields = msgspec.json.Decoder(Fields).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_flag = msgspec.json.Decoder(bool).decode
_decode_any = msgspec.json.Decoder().decode
_PROMPT = {
    Endpoint.CHAT: "messages",
    Endpoint.COMPLETIONS: "prompt",
    Endpoint.EMBEDDINGS: "input",
    Endpoint.RESPONSES: "input",
}
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_NO_LIST = (b"null", b"[]", b"{}")
_NO_FLAG = (b"null", b"false")
_NO_COUNT = (b"null", b"0")
_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_SURE = 0.75
"""A prompt counts as too long only when this share of its estimate is: estimates err, and a wrong refusal is worse than a wrong try."""
ASSUMED_COMPLETION_TOKENS = 256
"""Where a caller sets no limit, an estimate of cost takes this many."""


class CallHead:
    """What one call asks for."""

    __slots__ = (
        "choices",
        "endpoint",
        "fields",
        "images",
        "json_schema",
        "logprobs",
        "max_tokens",
        "model",
        "pin",
        "plain",
        "prompt_bytes",
        "streamed",
        "tools",
        "wants_usage",
    )

    def __init__(self, endpoint: Endpoint, body: bytes) -> None:
        """Raises Refused, naming the field that is wrong."""
        try:
            fields = _decode_fields(body)
        except _UNREADABLE as error:
            raise Refused("invalid_json", f"The body is not a JSON object: {error}.") from error
        self.endpoint = endpoint
        self.fields = fields
        model = fields.get("model")
        if model is None:
            raise Refused("missing_model", "The body names no model.", param="model")
        try:
            name = _decode_text(model)
            stream = fields.get("stream")
            self.streamed = stream is not None and bytes(stream) != b"null" and _decode_flag(stream)
        except _UNREADABLE as error:
            param = "stream" if "name" in locals() else "model"
            raise Refused("invalid_field", f"The field {param} has the wrong type: {error}.", param=param) from error
        self.model, _, self.pin = name.partition("@")
        if self.streamed and endpoint is Endpoint.EMBEDDINGS:
            raise Refused("invalid_field", "Embeddings are not streamed.", param="stream")
        prompt = bytes(fields.get(_PROMPT[endpoint], b""))
        self.prompt_bytes = len(prompt)
        # parts stand in a list of their own; as JSON strings their names can only be a value or a key: within a text the quotes are escaped
        self.images = (
            prompt.find(b"[", 1) > 0
            and (endpoint is Endpoint.CHAT or endpoint is Endpoint.RESPONSES)
            and (b'"image_url"' in prompt or b'"input_image"' in prompt)
        )
        self.tools = "tools" in fields or "functions" in fields
        self.logprobs = "logprobs" in fields or "top_logprobs" in fields
        self.json_schema = "response_format" in fields or "text" in fields
        self.choices = 1
        self.max_tokens = 0
        self.wants_usage = False
        if len(fields) > 2:
            self._look_closer(fields, prompt)
        self.plain = not (self.tools or self.images or self.json_schema or self.logprobs or self.pin)
        """Whether it needs nothing that a target may lack but its endpoint and a window that is large enough."""

    def _look_closer(self, fields: Fields, prompt: bytes) -> None:
        if self.tools:
            self.tools = any(_given(fields, name, _NO_LIST) for name in ("tools", "functions"))
        if self.logprobs:  # a text completion's `logprobs: 0` asks for those of its own tokens
            self.logprobs = _given(fields, "logprobs", _NO_FLAG) or _given(fields, "top_logprobs", _NO_COUNT)
        if "include" in fields:
            self.logprobs = self.logprobs or b"output_text.logprobs" in bytes(fields["include"])
        if self.json_schema:
            self.json_schema = _wants_schema(fields)
        if "n" in fields:
            self.choices = _integer(fields, "n", 1) or 1
        if self.streamed and self.endpoint is Endpoint.COMPLETIONS and prompt[:1] == b"[":
            self.choices *= _prompts(fields)
        for name in _LIMITS:
            if name in fields and (limit := _integer(fields, name, 0)):
                self.max_tokens = limit
                break
        if self.streamed and "stream_options" in fields:
            options = _object(fields, "stream_options")
            self.wants_usage = options.get("include_usage") is True

    def prompt_tokens(self, bytes_per_token: float) -> int:
        """Estimated from the prompt's size; 0 where images make its size say nothing."""
        return 0 if self.images else math.ceil(self.prompt_bytes / bytes_per_token)

    def lacks(self, can: Capabilities, context_window: int | None) -> str:
        """Why a target with these capabilities cannot serve the call, as a stable code; empty where it can."""
        if self.endpoint not in can.endpoints:
            return "lacks_endpoint"
        if self.tools and not can.tools:
            return "lacks_tools"
        if self.images and not can.images:
            return "lacks_images"
        if self.json_schema and not can.json_schema:
            return "lacks_json_schema"
        if self.logprobs and not can.logprobs:
            return "lacks_logprobs"
        if context_window is not None:
            wanted = self.prompt_tokens(can.bytes_per_token) * _SURE + self.max_tokens
            if wanted > context_window:
                return "context_too_small"
        return ""


def with_usage_asked(fields: Fields) -> None:
    """Ask a streaming backend for the usage, whatever else the caller's options say."""
    options = _object(fields, "stream_options") if "stream_options" in fields else {}
    options["include_usage"] = True
    fields["stream_options"] = msgspec.Raw(msgspec.json.encode(options))


def _given(fields: Fields, name: str, nothing: tuple[bytes, ...]) -> bool:
    return name in fields and bytes(fields[name]) not in nothing


def _prompts(fields: Fields) -> int:
    """How many prompts a text completion has: strings or lists of tokens are one each, numbers together are one."""
    prompts = _value(fields, "prompt")
    return len(prompts) if prompts and not isinstance(prompts[0], int) else 1


def _wants_schema(fields: Fields) -> bool:
    for name in ("response_format", "text"):
        if name in fields and b"json_schema" in bytes(fields[name]):
            value = _value(fields, name)
            if isinstance(value, dict):
                value = value.get("format", value)
                if isinstance(value, dict) and value.get("type") == "json_schema":
                    return True
    return False


def _integer(fields: Fields, name: str, least: int) -> int:
    value = _value(fields, name)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise Refused("invalid_field", f"The field {name} must be a whole number of at least {least}.", param=name)
    return value


def _object(fields: Fields, name: str) -> dict[str, Any]:
    value = _value(fields, name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refused("invalid_field", f"The field {name} must be an object.", param=name)
    return value


def _value(fields: Fields, name: str) -> Any:
    """A field decoded. Its JSON was found well-formed with the body; its numbers and texts are only read here."""
    try:
        return _decode_any(fields[name])
    except _UNREADABLE as error:
        raise Refused("invalid_field", f"The field {name} cannot be read: {error}.", param=name) from error
