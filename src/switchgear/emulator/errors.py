"""What an emulated place refuses.

::

    EmulatorError          cannot be emulated as asked: a fault, a place, a model
    └── ApiError           a request that the place answers with an error body in OpenAI's shape
"""

from typing import Any

import msgspec

from switchgear.core.errors import SwitchgearError


class EmulatorError(SwitchgearError):
    """Something that cannot be emulated. The message ends with what to do about it."""

    code = "invalid_emulation"


class ApiError(EmulatorError):
    """A request refused with an HTTP status and OpenAI's error body (OpenAPI document, schema `Error`)."""

    code = "refused_by_emulator"

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        error_code: str | None = None,
        retry_after: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.param = param
        self.error_code = error_code
        self.retry_after = retry_after
        """The value of the Retry-After header, seconds or an HTTP date."""

    def body(self) -> bytes:
        """The error body."""
        error: dict[str, Any] = {
            "message": str(self),
            "type": self.kind,
            "param": self.param,
            "code": self.error_code,
        }
        return msgspec.json.encode({"error": error})


def context_length_exceeded(limit: int, prompt_tokens: int, output_tokens: int, param: str) -> ApiError:
    """The refusal of a call that needs more than the model's window, with OpenAI's code."""
    return ApiError(
        400,
        f"This model's maximum context length is {limit} tokens. However, you requested {prompt_tokens + output_tokens} tokens "
        f"({prompt_tokens} in the {param}, {output_tokens} in the completion). Please reduce the length of the {param} or completion.",
        param=param,
        error_code="context_length_exceeded",
    )


def rate_limited(retry_after: str | None) -> ApiError:
    """The refusal of a call above the rate limit."""
    return ApiError(
        429,
        "Rate limit reached for requests. Please slow down.",
        kind="rate_limit_error",
        error_code="rate_limit_exceeded",
        retry_after=retry_after,
    )
