"""The few things about a call that decisions depend on, read from its body; the rest of the body is never decoded."""

import math
from typing import Any

import msgspec

from switchgear.backends.model import Fields
from switchgear.core.decoding import UNREADABLE
from switchgear.core.snapshot import Capabilities, Endpoint
from switchgear.gateway.errors import Refused

decode_fields = msgspec.json.Decoder(Fields).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_flag = msgspec.json.Decoder(bool).decode
_decode_any = msgspec.json.Decoder().decode
_PROMPT = {
    Endpoint.CHAT: "messages",
    Endpoint.COMPLETIONS: "prompt",
    Endpoint.EMBEDDINGS: "input",
    Endpoint.RESPONSES: "input",
}
_LONGEST_NAME = 257
"""Characters of model@backend: the configuration takes 128 for each."""
_NO_LIST = (b"null", b"[]", b"{}")
_NO_FLAG = (b"null", b"false")
_NO_COUNT = (b"null", b"0")
_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_ANY_LIMIT = frozenset(_LIMITS)
_SPECIAL = frozenset(
    (
        *("stream", "stream_options", "tools", "functions", "logprobs", "top_logprobs", "include"),
        *("response_format", "text", "n"),
    )
)
"""Fields that `read_head` looks at, beside the model, the prompt and the limits."""
_DIGITS = 10
"""A number of fewer digits is what it looks like; JSON lets none begin with a zero, which was checked with the body."""
_SURE = 0.75
"""A prompt counts as too long only when this share of its estimate is: estimates err, and a wrong refusal is worse than a wrong try."""
ASSUMED_COMPLETION_TOKENS = 256
"""Where a caller sets no limit, an estimate of cost takes this many."""


class CallHead(msgspec.Struct, eq=False):
    """What one call asks for. As it is made without further fields, it is plain: it asks for nothing special."""

    endpoint: Endpoint
    fields: Fields
    model: str
    """The alias, without the backend that may be pinned."""
    pin: str = ""
    streamed: bool = False
    images: bool = False
    tools: bool = False
    logprobs: bool = False
    json_schema: bool = False
    choices: int = 1
    max_tokens: int = 0
    wants_usage: bool = False
    plain: bool = True
    """Whether it needs nothing that a target may lack but its endpoint and a window that is large enough."""

    @property
    def prompt_bytes(self) -> int:
        """Size of the prompt as it stands in the body."""
        prompt = self.fields.get(_PROMPT[self.endpoint])
        return 0 if prompt is None else len(bytes(prompt))

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


def read_head(endpoint: Endpoint, body: bytes) -> CallHead:
    """Raises Refused, naming the field that is wrong."""
    try:
        fields = decode_fields(body)
    except UNREADABLE as error:
        raise Refused("invalid_json", f"The body is not a JSON object: {error}.") from error
    model = fields.get("model")
    if model is None:
        raise Refused("missing_model", "The body names no model.", param="model")
    try:
        name = _decode_text(model)
        stream = fields.get("stream")
        streamed = stream is not None and bytes(stream) != b"null" and _decode_flag(stream)
    except UNREADABLE as error:
        param = "stream" if "name" in locals() else "model"
        raise Refused("invalid_field", f"The field {param} has the wrong type: {error}.", param=param) from error
    if len(name) > _LONGEST_NAME:  # it would stand in the answer and on the record
        text = f"The field model has {len(name):,} characters; a name has at most {_LONGEST_NAME}. Is it the prompt?"
        raise Refused("invalid_field", text, param="model")
    alias, _, pin = name.partition("@")
    if streamed and endpoint is Endpoint.EMBEDDINGS:
        raise Refused("invalid_field", "Embeddings are not streamed.", param="stream")
    head = CallHead(endpoint, fields, alias, pin, streamed)
    prompt = bytes(fields.get(_PROMPT[endpoint], b""))
    # parts stand in a list of their own; as JSON strings their names can only be a value or a key: within a text the quotes are escaped
    head.images = (
        prompt.find(b"[", 1) > 0
        and (endpoint is Endpoint.CHAT or endpoint is Endpoint.RESPONSES)
        and (b'"image_url"' in prompt or b'"input_image"' in prompt)
    )
    head.max_tokens = limit_of(fields)
    if not _SPECIAL.isdisjoint(fields):
        _look_closer(head, fields, prompt)
    head.plain = not (head.tools or head.images or head.json_schema or head.logprobs or head.pin)
    return head


def surely_plain(fields: Fields, body: bytes) -> bool:
    """Whether a body asks for nothing that decisions depend on but its model and limit. False says nothing: `read_head` looks closely."""
    return _SPECIAL.isdisjoint(fields) and b"image" not in body


def limit_of(fields: Fields) -> int:
    """Tokens that the answer may have; 0: no limit is set. Raises Refused."""
    raw = fields.get("max_tokens")
    if raw is not None and "max_completion_tokens" not in fields:  # the usual one, in fewer steps
        digits = bytes(raw)
        if digits.isdigit() and len(digits) < _DIGITS and (limit := int(digits)):
            return limit
    if _ANY_LIMIT.isdisjoint(fields):
        return 0
    for name in _LIMITS:
        if name in fields:
            digits = bytes(fields[name])
            limit = int(digits) if digits.isdigit() and len(digits) < _DIGITS else _integer(fields, name, 0)
            if limit:
                return limit
    return 0


def with_usage_asked(fields: Fields) -> None:
    """Ask a streaming backend for the usage, whatever else the caller's options say."""
    options = _object(fields, "stream_options") if "stream_options" in fields else {}
    options["include_usage"] = True
    fields["stream_options"] = msgspec.Raw(msgspec.json.encode(options))


def without_usage_asked(fields: Fields) -> Fields:
    """The fields for a backend that refuses what `with_usage_asked` adds; the caller's other options stay."""
    options = _object(fields, "stream_options") if "stream_options" in fields else {}
    options.pop("include_usage", None)
    fields = {name: value for name, value in fields.items() if name != "stream_options"}
    if options:
        fields["stream_options"] = msgspec.Raw(msgspec.json.encode(options))
    return fields


def _look_closer(head: CallHead, fields: Fields, prompt: bytes) -> None:
    if "tools" in fields or "functions" in fields:
        head.tools = any(_given(fields, name, _NO_LIST) for name in ("tools", "functions"))
    if (
        "logprobs" in fields or "top_logprobs" in fields
    ):  # a text completion's `logprobs: 0` asks for those of its own tokens
        head.logprobs = _given(fields, "logprobs", _NO_FLAG) or _given(fields, "top_logprobs", _NO_COUNT)
    if "include" in fields:
        head.logprobs = head.logprobs or b"output_text.logprobs" in bytes(fields["include"])
    if "response_format" in fields or "text" in fields:
        head.json_schema = _wants_schema(fields)
    if "n" in fields:
        head.choices = _integer(fields, "n", 1) or 1
    if head.streamed and head.endpoint is Endpoint.COMPLETIONS and prompt[:1] == b"[":
        head.choices *= _prompts(fields)
    if head.streamed and "stream_options" in fields:
        options = _object(fields, "stream_options")
        head.wants_usage = options.get("include_usage") is True


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
    except UNREADABLE as error:
        raise Refused("invalid_field", f"The field {name} cannot be read: {error}.", param=name) from error
