"""What a backend should not have answered.

::

    BackendError
    ├── Malformed         not the shape that its protocol has: no JSON, no choices, an event that cannot be read
    ├── InBandError       an error object within a stream that had begun well
    └── HttpError         an answer with an error status; `Verdict` says what it means for the call
"""

from enum import StrEnum

from switchgear.core.errors import SwitchgearError


class BackendError(SwitchgearError):
    code = "upstream_error"


class Malformed(BackendError):
    code = "malformed_answer"


class InBandError(BackendError):
    code = "upstream_in_band_error"


class Verdict(StrEnum):
    """What an error status means for the call (DESIGN, failure rule 1)."""

    ANSWER = "answer"
    """The call itself is at fault, or was refused on its content: this is the caller's answer."""
    AGAIN = "again"
    """The target may do better in a moment; another may do better now."""
    ELSEWHERE = "elsewhere"
    """This target will not do it, another may: our credentials or its model's name are wrong there."""
    LARGER = "larger"
    """The call is too long for this target: only one with a larger context window may do."""


class HttpError(BackendError):
    """An answer with an error status."""

    code = "upstream_status"

    def __init__(
        self, status: int, verdict: Verdict, upstream_code: str, body: bytes, retry_after_s: float | None
    ) -> None:
        super().__init__(f"status {status}{f' ({upstream_code})' if upstream_code else ''}")
        self.status = status
        self.verdict = verdict
        self.upstream_code = upstream_code
        self.body = body
        """The error in OpenAI's shape: as it came where it has that shape, else wrapped."""
        self.retry_after_s = retry_after_s
