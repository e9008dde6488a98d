"""What the faults that a request meets make of its answer, in one place. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from switchgear.emulator import faults
from switchgear.emulator.errors import ApiError, context_length_exceeded, rate_limited


class Breakage(NamedTuple):
    """How an answer breaks, and after how many of its tokens."""

    kind: Literal["stall", "cut", "end_early", "malformed_event"]
    after_tokens: int


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How to answer one request. The default is to do it well."""

    names: str = ""
    reset: bool = False
    silent: bool = False
    refusal: ApiError | None = None
    delay_s: float = 0.0
    multiplier: float = 1.0
    breakage: Breakage | None = None
    malformed_body: bool = False
    done: bool = True
    report_usage: bool = True
    filter_after: int | None = None


def behave(met: Iterable[faults.Fault], *, now_s: float, elapsed_s: float) -> Behaviour:
    """Combine faults. `now_s` is the time of day, for Retry-After as a date; `elapsed_s` the place's age, for flapping."""
    met = tuple(met)
    behaviour = Behaviour(names=faults.names(met))
    for fault in met:
        behaviour = _with(behaviour, fault, now_s, elapsed_s)
    return behaviour


def _with(behaviour: Behaviour, fault: faults.Fault, now_s: float, elapsed_s: float) -> Behaviour:
    match fault:
        case faults.ConnectReset():
            return replace(behaviour, reset=True)
        case faults.NoAnswer():
            return replace(behaviour, silent=True)
        case faults.SlowFirstToken(delay_s=delay_s):
            return replace(behaviour, delay_s=behaviour.delay_s + delay_s)
        case faults.Slow(multiplier=multiplier):
            return replace(behaviour, multiplier=behaviour.multiplier * multiplier)
        case faults.Stall(after_tokens=after):
            return replace(behaviour, breakage=Breakage("stall", after))
        case faults.Cut(after_tokens=after):
            return replace(behaviour, breakage=Breakage("cut", after))
        case faults.EndEarly(after_tokens=after):
            return replace(behaviour, breakage=Breakage("end_early", after))
        case faults.MalformedEvent(after_tokens=after):
            return replace(behaviour, breakage=Breakage("malformed_event", after))
        case faults.MalformedBody():
            return replace(behaviour, malformed_body=True)
        case faults.NoDone():
            return replace(behaviour, done=False)
        case faults.NoUsage():
            return replace(behaviour, report_usage=False)
        case faults.Status():
            return replace(behaviour, refusal=status_refusal(fault.code, fault.retry_after(now_s)))
        case faults.ContextLengthExceeded():
            return replace(behaviour, refusal=context_length_exceeded(1, 1, 1, "messages"))
        case faults.ContentFilter(mode="refusal"):
            return replace(behaviour, refusal=_filtered())
        case faults.ContentFilter(after_tokens=after):
            return replace(behaviour, filter_after=after)
        case faults.Flap():
            return _flapping(behaviour, fault, elapsed_s)
        case faults.NoFault():
            return behaviour


def _flapping(behaviour: Behaviour, fault: faults.Flap, elapsed_s: float) -> Behaviour:
    if elapsed_s % fault.period_s >= fault.down_s:
        return behaviour
    if fault.code is None:
        return replace(behaviour, reset=True)
    return replace(behaviour, refusal=status_refusal(fault.code, None))


def status_refusal(code: int, retry_after: str | None) -> ApiError:
    """The error that a place of the field gives with status `code`."""
    if code == 429:
        return rate_limited(retry_after)
    if code == 401:
        return wrong_key()
    kind = "invalid_request_error" if code < 500 else "server_error"
    return ApiError(code, f"The emulated place answers {code}.", kind=kind, error_code=None, retry_after=retry_after)


def wrong_key() -> ApiError:
    """The refusal of a call without the right key."""
    return ApiError(401, "Incorrect API key provided.", error_code="invalid_api_key")


def _filtered() -> ApiError:
    """As Azure OpenAI refuses a prompt: status 400, code content_filter."""
    return ApiError(
        400,
        "The response was filtered because the prompt triggered this place's content filter. Please modify your prompt and retry.",
        param="prompt",
        error_code="content_filter",
    )
