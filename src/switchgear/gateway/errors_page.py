"""docs/errors.md, made from the catalogue of errors, the table of failures and the reasons for which targets are ruled out. Pure."""

from collections.abc import Iterator

from switchgear.backends.errors import HttpError, InBandError, Malformed, Verdict
from switchgear.core.errors import SwitchgearError
from switchgear.gateway.candidates import REASONS
from switchgear.gateway.errors import CATALOGUE
from switchgear.gateway.failure import Next, failure_of
from switchgear.gateway.rescue import Diverged
from switchgear.wire import errors as wire

_INTRODUCTION = """\
# Errors

Every error of the gateway has one shape, OpenAI's, on every endpoint:

```json
{"error": {"message": "…", "type": "invalid_request_error", "param": "model", "code": "model_not_found"}}
```

`code` is stable and made for programs; `message` is for people and may change. `param` names the field or header at fault, or is null.
An error of a call carries `x-switchgear-call` (its id, for `switchgear explain`), `x-switchgear-attempts`, and `x-switchgear-backend`
where somebody was asked. `Retry-After` says when to come back, where that is known.

Where a backend refused the call itself (a field it does not take, a prompt too long for all targets, a content filter), its own status and
error are the answer, in this shape: what it left out is filled in, and its codes are its own.

An error after the first byte of a stream is an event, and no `[DONE]` follows it: `data: {"error": {…}}` in chat and text completions,
`event: error` in responses.

This page is made by `tools/docs.py`; change the code, not the page.
"""
ATTEMPTS: tuple[tuple[SwitchgearError, str], ...] = (
    (wire.ConnectError(), "No connection: refused, unreachable, name unknown, TLS failed."),
    (wire.ConnectTimeout(), "No connection within `connect_s`."),
    (wire.OutOfSockets(), "This process has no file descriptor left for a connection, or this machine no port."),
    (wire.PoolExhausted(), "All connections to the backend were in use, and none came free within `connect_s`."),
    (wire.ResetError(""), "The connection ended before any byte of an answer."),
    (wire.Truncated(), "The connection, or the stream, ended within the answer."),
    (wire.FirstByteTimeout(), "No first token within `first_token_s`."),
    (wire.IdleTimeout(), "The stream stopped for `idle_s`."),
    (wire.TotalTimeout(), "The answer was not whole within `total_s`, or when the call's deadline had come."),
    (wire.ProtocolError(), "What came is not HTTP/1.1."),
    (wire.AnswerTooLarge(), "The head of the answer exceeds 64 KiB, or the whole 256 MiB."),
    (wire.Cancelled(), "The gateway closed the connection: it is shutting down."),
    (Malformed(), "The answer, or an event of the stream, does not have the shape that its protocol has."),
    (InBandError(), "An error object within a stream that had begun well, or a response that says that it failed."),
    (Diverged(), "The second answer of a rescue does not begin with the text already sent."),
)
"""Each way in which an attempt can fail without an error status, and what it means."""
_STATUSES = (
    (HttpError(503, Verdict.AGAIN, "", b"", None), "status_NNN", "The backend answered with this status."),
    (HttpError(401, Verdict.ELSEWHERE, "", b"", None), "status_401", "Also 402, 403, 404, 405 and 407: it will not do it."),
    (HttpError(429, Verdict.AGAIN, "", b"", None), "status_429", "The backend limits its rate."),
    (HttpError(400, Verdict.LARGER, "context_length_exceeded", b"", None), "context_length_exceeded", "Too long for this target."),
    (HttpError(400, Verdict.ANSWER, "content_filter", b"", None), "content_filter", "Refused on its content."),
)  # fmt: skip
_NEXT = {
    Next.AGAIN: "another candidate, or this one after a wait",
    Next.ELSEWHERE: "another candidate only",
    Next.LARGER: "a candidate with a larger context window only",
    Next.NOWHERE: "nowhere: it is the caller's answer",
}


def errors_page() -> str:
    """The whole page."""
    return "\n".join(
        [
            _INTRODUCTION,
            "## What a caller gets\n",
            "| code | status | type | meaning |",
            "|---|---|---|---|",
            *(f"| `{code}` | {one.status} | {one.type} | {one.meaning} |" for code, one in CATALOGUE.items()),
            "\n## Why an attempt failed\n",
            "`error` of an attempt on the record, and where the call goes from there. If nobody answers, the caller gets the last column's",
            "code. What each of them means for the call in full: [failure.md](failure.md).\n",
            "| reason | what happened | the call goes to | code for the caller |",
            "|---|---|---|---|",
            *_attempts(),
            "\nBehind another 4xx stands the backend's own code where it gave one (64 characters at most), else `status_NNN`.",
            "\n## Why a target was ruled out\n",
            "`reason` of a target that was no candidate for a call. After a colon follow the ids of the policies that ruled it out, or the",
            "limit and what it bounds: `forbidden:restricted-stays-in-our-buildings`, `limited:research.in_flight`.\n",
            "| reason | the target |",
            "|---|---|",
            *(f"| `{reason}` | {meaning} |" for reason, meaning in REASONS.items()),
            "",
        ]
    )


def _attempts() -> Iterator[str]:
    for error, meaning in ATTEMPTS:
        failure = failure_of(error)
        yield _row(failure.reason, meaning, failure.next, failure.code)
    for status, reason, meaning in _STATUSES:
        failure = failure_of(status)
        yield _row(reason, meaning, failure.next, "" if failure.next in (Next.NOWHERE, Next.LARGER) else failure.code)


def _row(reason: str, meaning: str, follows: Next, code: str) -> str:
    told = f"`{code}`" if code else "the backend's own"
    return f"| `{reason}` | {meaning} | {_NEXT[follows]} | {told} |"
