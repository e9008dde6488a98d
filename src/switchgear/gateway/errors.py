"""The errors that a caller can get: their codes, types and statuses, in OpenAI's shape.

This is the edge: elsewhere an error has a code and no status. docs/errors.md lists every code; a test holds it against `CATALOGUE`.

::

    CallError
    ├── Refused     the call went nowhere: it is wrong, not allowed, or has nowhere to go
    └── Failed      the targets were asked and gave no whole answer
"""

from typing import NamedTuple

import msgspec

from switchgear.core.errors import SwitchgearError


class Shape(NamedTuple):
    """How a code is shown: HTTP status, OpenAI's `type`, and what it means and what to do, for the documentation."""

    status: int
    type: str
    meaning: str


_INVALID = "invalid_request_error"
_AUTHENTICATION = "authentication_error"
_PERMISSION = "permission_error"
_UPSTREAM = "upstream_error"
_SERVER = "server_error"
_RATE = "rate_limit_error"

CATALOGUE: dict[str, Shape] = {
    # the request as such; the server answers these by itself and closes the connection
    "malformed_request": Shape(400, _INVALID, "Not a valid HTTP/1.1 request, or one that could be read in two ways."),
    "missing_host": Shape(400, _INVALID, "An HTTP/1.1 request without a Host header."),
    "invalid_host": Shape(400, _INVALID, "The Host header is no host with an optional port."),
    "repeated_header": Shape(400, _INVALID, "A header that may stand once is given twice."),
    "unsupported_http_version": Shape(400, _INVALID, "Only HTTP/1.1 and HTTP/1.0 are spoken."),
    "unsupported_transfer_encoding": Shape(400, _INVALID, "Only `Transfer-Encoding: chunked` is read."),
    "expectation_failed": Shape(417, _INVALID, "Only `Expect: 100-continue` is understood."),
    "header_too_large": Shape(431, _INVALID, "Request line and headers exceed `limits.header_bytes`."),
    "too_many_headers": Shape(431, _INVALID, "More headers than `limits.header_count`."),
    "body_too_large": Shape(413, _INVALID, "The body exceeds `limits.body_bytes`."),
    "head_timeout": Shape(408, _INVALID, "The head took longer than `limits.head_s`."),
    "body_timeout": Shape(408, _INVALID, "The body stopped for longer than `limits.body_idle_s`."),
    "too_many_connections": Shape(429, _RATE, "More open connections than `limits.connections`; try again."),
    "draining": Shape(503, _SERVER, "The gateway is shutting down; send the call again, another process serves it."),
    # the call
    "not_found": Shape(404, _INVALID, "No such path. The API is below /v1/."),
    "method_not_allowed": Shape(405, _INVALID, "The path exists but not with this method."),
    "unsupported_content_encoding": Shape(415, _INVALID, "Bodies are read as they are; send them uncompressed."),
    "invalid_json": Shape(400, _INVALID, "The body is not a JSON object."),
    "invalid_field": Shape(400, _INVALID, "A field that the gateway reads has the wrong type; `param` names it."),
    "missing_model": Shape(400, _INVALID, "The body names no `model`."),
    "missing_key": Shape(401, _AUTHENTICATION, "No `Authorization: Bearer KEY` header."),
    "invalid_api_key": Shape(401, _AUTHENTICATION, "The key is not known here."),
    "key_expired": Shape(401, _AUTHENTICATION, "The key has expired; ask for a new one."),
    "key_not_yet_valid": Shape(401, _AUTHENTICATION, "The key is not valid yet; use the one before it until then."),
    "key_disabled": Shape(403, _PERMISSION, "The key is disabled; ask who runs this gateway why."),
    "invalid_token": Shape(401, _AUTHENTICATION, "The token's issuer, type, key or signature is not accepted here."),
    "token_expired": Shape(401, _AUTHENTICATION, "The token has expired; sign in again, or refresh it."),
    "token_not_yet_valid": Shape(401, _AUTHENTICATION, "The token is not valid yet; check the clocks of this machine and its provider."),
    "token_wrong_audience": Shape(401, _AUTHENTICATION, "The token is meant for somebody else; ask its provider for this audience."),
    "token_claims_unusable": Shape(403, _PERMISSION, "The token does not say who calls in the way that is configured here."),
    "principal_disabled": Shape(403, _PERMISSION, "This identity is disabled here; ask who runs this gateway why."),
    "identity_provider_unavailable": Shape(503, _SERVER, "The token cannot be verified now, as its provider does not answer; try again."),
    "unknown_certificate": Shape(401, _AUTHENTICATION, "The client certificate is nobody's here."),
    "certificate_expired": Shape(401, _AUTHENTICATION, "The certificate's identity has expired here; ask for a new one."),
    "certificate_disabled": Shape(403, _PERMISSION, "The certificate's identity is disabled here."),
    "ambiguous_certificate": Shape(403, _PERMISSION, "The certificate matches several identities; ask who runs this gateway."),
    "data_class_not_allowed": Shape(403, _PERMISSION, "The caller may not send data of this class; the message says which it may."),
    "forbidden_by_policy": Shape(403, _PERMISSION, "Policies let no target take the call; the message names them and what would do."),
    "model_not_found": Shape(404, _INVALID, "No such model; `GET /v1/models` lists those that the key may call."),
    "model_not_allowed": Shape(403, _PERMISSION, "The key may not call this model."),
    "pin_not_allowed": Shape(403, _PERMISSION, "The key may not choose a backend with model@backend."),
    "unknown_pin": Shape(404, _INVALID, "The model has no target at the backend named after `@`."),
    "no_capable_target": Shape(400, _INVALID, "No target of the model can do what the call needs; the message says what lacks where."),
    "no_target_available": Shape(503, _SERVER, "Every target of the model is broken or full; Retry-After says when to come back."),
    "rate_limit_exceeded": Shape(429, _RATE, "A limit of requests or tokens per minute is reached; Retry-After says when there is room."),
    "too_many_in_flight": Shape(429, _RATE, "A limit of calls in flight is reached; one that ends makes room."),
    "limit_share_pending": Shape(429, _RATE, "This worker's share of a limit is being fetched; come back in a moment."),
    "budget_exceeded": Shape(402, "insufficient_quota", "A budget in US dollars is used up; the message names it and when it begins anew."),
    "exceeds_limit_alone": Shape(400, _INVALID, "The call by itself may use more than a limit allows."),
    "unpriced_under_budget": Shape(403, _PERMISSION, "A budget applies, and no price is known for a target; an unknown price is not zero."),
    "limits_unavailable": Shape(503, _SERVER, "Limits cannot be checked: their database is not reachable, this worker's share is used up."),
    "refused_by_screen": Shape(403, _PERMISSION, "A rule of the content screen refuses what the call holds; the message names it."),
    "screen_unavailable": Shape(503, _SERVER, "The external screen gave no answer, and the configuration refuses calls without one."),
    "answer_blocked": Shape(403, _PERMISSION, "A rule of the content screen blocks the answer for what it holds."),
    "journal_unavailable": Shape(503, _SERVER, 'Records cannot be written and `on_journal_failure` is "refuse".'),
    # the targets were asked
    "upstream_unreachable": Shape(503, _UPSTREAM, "No connection to any target that was asked."),
    "upstream_error": Shape(502, _UPSTREAM, "The last target that was asked answered with an error or not in its protocol."),
    "upstream_rate_limited": Shape(429, _RATE, "Every target that was asked limits its rate at the moment."),
    "upstream_timeout": Shape(504, _UPSTREAM, "The last target that was asked did not answer in time."),
    "deadline_exceeded": Shape(504, _UPSTREAM, "The call's deadline passed over its attempts."),
    "stream_broken": Shape(502, _UPSTREAM, "A stream broke after its first byte and no target could carry it on; sent as an event."),
    "internal_error": Shape(500, _SERVER, "A defect of the gateway; the log has the cause."),
}  # fmt: skip


class CallError(SwitchgearError):
    """A call that ends in an error body. `code` is a key of `CATALOGUE`."""

    def __init__(
        self, code: str, message: str, *, param: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]  # one class for many codes: the catalogue is their list
        self.param = param
        self.retry_after_s = retry_after_s

    @property
    def status(self) -> int:
        return CATALOGUE[self.code].status

    def body(self) -> bytes:
        return error_body(self.code, str(self), self.param)


class Refused(CallError):
    """The call was not sent anywhere."""


class Failed(CallError):
    """The targets were asked and gave no whole answer."""


def challenge(code: str) -> bytes:
    """The header that an answer with status 401 has (RFC 6750, section 3)."""
    if code not in CATALOGUE or CATALOGUE[code].status != 401:
        return b""
    told = b"" if code == "missing_key" else b' error="invalid_token"'
    return b"www-authenticate: Bearer%b\r\n" % told


def error_body(code: str, message: str, param: str | None = None) -> bytes:
    """OpenAI's error object as JSON."""
    return msgspec.json.encode(
        {"error": {"message": message, "type": CATALOGUE[code].type, "param": param, "code": code}}
    )
