"""What a failed attempt means for its call (DESIGN, failure rules 1 and 2). Pure."""

from enum import StrEnum
from typing import NamedTuple

from switchgear.backends.errors import BackendError, HttpError, Verdict
from switchgear.core.errors import SwitchgearError
from switchgear.wire.errors import (
    ConnectError,
    ConnectTimeout,
    ExchangeError,
    FirstByteTimeout,
    IdleTimeout,
    OutOfSockets,
    PoolExhausted,
    TotalTimeout,
)


class Next(StrEnum):
    """Where the call may go after a failed attempt."""

    AGAIN = "again"
    """To another candidate, or to this one again after a wait."""
    ELSEWHERE = "elsewhere"
    """To another candidate only."""
    LARGER = "larger"
    """To a candidate with a larger context window only."""
    NOWHERE = "nowhere"
    """This is the caller's answer."""


_NEXT = {
    Verdict.AGAIN: Next.AGAIN,
    Verdict.ELSEWHERE: Next.ELSEWHERE,
    Verdict.LARGER: Next.LARGER,
    Verdict.ANSWER: Next.NOWHERE,
}


_FULL_S = 1.0
"""When to come back to a backend that is full."""


class Failure(NamedTuple):
    """One failed attempt."""

    code: str
    """The caller's error, should this be the last attempt: a key of the catalogue."""
    reason: str
    """What happened, as a stable code for the record."""
    text: str
    """For people."""
    next: Next
    blames_target: bool = True
    """Whether it counts against the target's breaker."""
    status: int = 0
    body: bytes = b""
    """An error body in OpenAI's shape, where the backend gave one."""
    retry_after_s: float | None = None


def failure_of(error: SwitchgearError) -> Failure:
    """Read an error of the wire or of an adapter."""
    text = str(error)
    if isinstance(error, HttpError):
        return _of_status(error)
    if isinstance(error, PoolExhausted | OutOfSockets):
        return Failure(
            "no_target_available", error.code, text, Next.ELSEWHERE, blames_target=False, retry_after_s=_FULL_S
        )
    if isinstance(error, ConnectTimeout):
        return Failure("upstream_unreachable", error.code, text, Next.ELSEWHERE)
    if isinstance(error, ConnectError):
        return Failure("upstream_unreachable", error.code, text, Next.AGAIN)
    if isinstance(error, FirstByteTimeout | IdleTimeout | TotalTimeout):
        return Failure("upstream_timeout", error.code, text, Next.ELSEWHERE)
    if isinstance(error, ExchangeError | BackendError):
        return Failure("upstream_error", error.code, text, Next.AGAIN)
    raise TypeError(f"no failure of an attempt: {error!r}") from error


def _of_status(error: HttpError) -> Failure:
    status = error.status
    follows = _NEXT[error.verdict]
    code = (
        "upstream_rate_limited" if status == 429 else "upstream_timeout" if status in (408, 504) else "upstream_error"
    )
    return Failure(
        code,
        error.upstream_code if follows in (Next.NOWHERE, Next.LARGER) and error.upstream_code else f"status_{status}",
        f"{error}",
        follows,
        blames_target=follows in (Next.AGAIN, Next.ELSEWHERE) and status != 429,
        status=status,
        body=error.body,
        retry_after_s=error.retry_after_s,
    )
