"""Faults as data: what an emulated place does wrong on purpose.

Each is written as JSON, `{"kind": "stall", "after_tokens": 5}`, or as text, `stall;after_tokens=5` (a bare word means true). Several are
joined by commas. `at` limits a fault to the place of that name, so that one request can pass several places and fail at one.
"""

import math
from collections.abc import Iterable
from email.utils import formatdate
from typing import Any, Literal

import msgspec

from switchgear.emulator.errors import EmulatorError


class _Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    at: str = ""
    """The place that is to fail; every place where empty."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, int | float) and not 0 <= value < math.inf:
                raise ValueError(f"{name} is {value}; give a finite number, 0 or more")


class NoFault(_Fault, frozen=True, tag="none"):
    """Nothing: says that this request is to go well, whatever the rules say."""


class ConnectReset(_Fault, frozen=True, tag="connect_reset"):
    """The connection is reset before any byte of an answer."""


class NoAnswer(_Fault, frozen=True, tag="no_answer"):
    """The request is read and never answered."""


class SlowFirstToken(_Fault, frozen=True, tag="slow_first_token"):
    """The answer begins `delay_s` real seconds late."""

    delay_s: float = 5.0


class Stall(_Fault, frozen=True, tag="stall"):
    """The answer stops after `after_tokens` tokens and the connection stays open. Not streamed: after half of the body."""

    after_tokens: int = 0


class Cut(_Fault, frozen=True, tag="cut"):
    """The connection is closed after `after_tokens` tokens. Not streamed: after half of the body."""

    after_tokens: int = 0


class NoDone(_Fault, frozen=True, tag="no_done"):
    """The stream is whole but for its last event, `[DONE]` (in `/v1/responses`: `response.completed`)."""


class EndEarly(_Fault, frozen=True, tag="end_early"):
    """The stream ends after `after_tokens` tokens as if it were whole in HTTP, with neither finish reason nor `[DONE]`.

    Not streamed: as `malformed_body`, a JSON text cut short under the length that it then has.
    """

    after_tokens: int = 0


class MalformedEvent(_Fault, frozen=True, tag="malformed_event"):
    """In place of the event of token `after_tokens` comes one that is no JSON; the text of that token is lost. Then the stream goes on."""

    after_tokens: int = 0


class MalformedBody(_Fault, frozen=True, tag="malformed_body"):
    """A body that is no JSON, with status 200 and its proper length, streamed or not."""


class Status(_Fault, frozen=True, tag="status"):
    """An HTTP status in place of an answer.

    `retry_after_s` adds a Retry-After header, in seconds or as an HTTP date. `once`: only for the first request with this body.
    """

    code: int = 503
    retry_after_s: float | None = None
    retry_after_as: Literal["seconds", "date"] = "seconds"
    once: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 400 <= self.code <= 599:
            raise ValueError(f"code {self.code} is no error; give 400 to 599")

    def retry_after(self, now_s: float) -> str | None:
        """The header's value at the time of day `now_s`."""
        if self.retry_after_s is None:
            return None
        if self.retry_after_as == "date":
            return formatdate(now_s + self.retry_after_s, usegmt=True)
        return f"{self.retry_after_s:g}"


class ContextLengthExceeded(_Fault, frozen=True, tag="context_length_exceeded"):
    """The refusal of a prompt that is too long, whatever its length."""


class ContentFilter(_Fault, frozen=True, tag="content_filter"):
    """A content filter. `answer`: an answer that ends after `after_tokens` with that finish reason; `refusal`: status 400, as Azure's."""

    mode: Literal["answer", "refusal"] = "answer"
    after_tokens: int = 0


class Flap(_Fault, frozen=True, tag="flap"):
    """Down for the first `down_s` of every `period_s` seconds: connections are reset, or answered with status `code` where given."""

    period_s: float = 60.0
    down_s: float = 30.0
    code: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.down_s <= self.period_s:
            raise ValueError("down_s must be above 0 and at most period_s")


class NoUsage(_Fault, frozen=True, tag="no_usage"):
    """The answer reports no usage."""


class Slow(_Fault, frozen=True, tag="slow"):
    """Every token comes `multiplier` times as late."""

    multiplier: float = 4.0


Fault = (
    NoFault
    | ConnectReset
    | NoAnswer
    | SlowFirstToken
    | Stall
    | Cut
    | NoDone
    | EndEarly
    | MalformedEvent
    | MalformedBody
    | Status
    | ContextLengthExceeded
    | ContentFilter
    | Flap
    | NoUsage
    | Slow
)

KINDS: tuple[str, ...] = tuple(str(kind.__struct_config__.tag) for kind in Fault.__args__)
"""The names of all faults."""


def parse_faults(raw: Any) -> tuple[Fault, ...]:
    """Read faults from text, from one JSON object, or from a list of either.

    Raises EmulatorError that names the fault and what is wrong with it.
    """
    if raw is None or raw == "":
        return ()
    if isinstance(raw, str):
        return tuple(_convert(_from_text(part), part) for part in raw.split(",") if part.strip())
    if isinstance(raw, list):
        return tuple(fault for part in raw for fault in parse_faults(part))
    return (_convert(raw, str(raw)),)


def describe(fault: Fault) -> str:
    """The text form of a fault."""
    fields: dict[str, Any] = msgspec.to_builtins(fault)
    kind = fields.pop("kind")
    parts = [f"{name}={value}" for name, value in fields.items() if value != getattr(type(fault)(), name)]
    return ";".join([kind, *parts])


def _from_text(text: str) -> dict[str, Any]:
    kind, *parameters = (part.strip() for part in text.split(";"))
    fields: dict[str, Any] = {"kind": kind}
    for parameter in parameters:
        name, equals, value = parameter.partition("=")
        fields[name.strip()] = value.strip() if equals else True
    return fields


def _convert(raw: Any, text: str) -> Fault:
    if not isinstance(raw, dict) or raw.get("kind") not in KINDS:
        raise EmulatorError(f"fault {text!r} is unknown; choose one of {', '.join(KINDS)}")
    try:
        fault: Fault = msgspec.convert(raw, Fault, strict=False)
    except msgspec.ValidationError as error:
        raise EmulatorError(f"fault {text!r}: {error}; see `switchgear emulate --help`") from error
    return fault


def names(faults: Iterable[Fault]) -> str:
    """The kinds of `faults`, for logs."""
    return ",".join(str(fault.__struct_config__.tag) for fault in faults)
