"""What each way to fail means for its call: the whole table, and that nothing which an attempt can raise is missing from it."""

import pytest

from switchgear.backends.errors import BackendError, HttpError, InBandError, Malformed, Verdict
from switchgear.core.errors import SwitchgearError
from switchgear.gateway.errors import CATALOGUE
from switchgear.gateway.failure import Next, failure_of
from switchgear.gateway.rescue import Diverged
from switchgear.wire import errors as wire

AGAIN, ELSEWHERE, LARGER, NOWHERE = Next.AGAIN, Next.ELSEWHERE, Next.LARGER, Next.NOWHERE

RAISED: list[
    tuple[SwitchgearError, str, str, Next, bool]
] = [  # error, caller's code, reason, where next, breaker counts
    (wire.ConnectError("x"), "upstream_unreachable", "connect_failed", AGAIN, True),
    (wire.ConnectTimeout("x"), "upstream_unreachable", "connect_timeout", ELSEWHERE, True),
    (wire.OutOfSockets("x"), "no_target_available", "out_of_sockets", ELSEWHERE, False),
    (wire.PoolExhausted("x"), "no_target_available", "pool_exhausted", ELSEWHERE, False),
    (wire.ResetError("x"), "upstream_error", "connection_reset", AGAIN, True),
    (wire.Truncated("x"), "upstream_error", "answer_truncated", AGAIN, True),
    (wire.FirstByteTimeout("x"), "upstream_timeout", "first_byte_timeout", ELSEWHERE, True),
    (wire.IdleTimeout("x"), "upstream_timeout", "idle_timeout", ELSEWHERE, True),
    (wire.TotalTimeout("x"), "upstream_timeout", "total_timeout", ELSEWHERE, True),
    (wire.ProtocolError("x"), "upstream_error", "protocol_error", AGAIN, True),
    (wire.AnswerTooLarge("x"), "upstream_error", "answer_too_large", AGAIN, True),
    (wire.Cancelled("x"), "upstream_error", "exchange_cancelled", AGAIN, True),
    (Malformed("x"), "upstream_error", "malformed_answer", AGAIN, True),
    (InBandError("x"), "upstream_error", "upstream_in_band_error", AGAIN, True),
    (Diverged("x"), "upstream_error", "answer_diverged", AGAIN, True),
]
STATUSES: list[tuple[int, Verdict, str, str, str, Next, bool]] = [
    (500, Verdict.AGAIN, "", "upstream_error", "status_500", AGAIN, True),
    (503, Verdict.AGAIN, "overloaded", "upstream_error", "status_503", AGAIN, True),
    (504, Verdict.AGAIN, "", "upstream_timeout", "status_504", AGAIN, True),
    (408, Verdict.AGAIN, "", "upstream_timeout", "status_408", AGAIN, True),
    (429, Verdict.AGAIN, "rate_limit_exceeded", "upstream_rate_limited", "status_429", AGAIN, False),
    (401, Verdict.ELSEWHERE, "invalid_api_key", "upstream_error", "status_401", ELSEWHERE, True),
    (404, Verdict.ELSEWHERE, "model_not_found", "upstream_error", "status_404", ELSEWHERE, True),
    (400, Verdict.LARGER, "context_length_exceeded", "upstream_error", "context_length_exceeded", LARGER, False),
    (400, Verdict.LARGER, "", "upstream_error", "status_400", LARGER, False),
    (400, Verdict.ANSWER, "content_filter", "upstream_error", "content_filter", NOWHERE, False),
    (422, Verdict.ANSWER, "", "upstream_error", "status_422", NOWHERE, False),
]


@pytest.mark.parametrize(("error", "code", "reason", "follows", "blames"), RAISED, ids=lambda value: str(value)[:40])
def test_errors_of_the_wire_and_of_the_adapter(
    error: SwitchgearError, code: str, reason: str, follows: Next, blames: bool
) -> None:
    failure = failure_of(error)
    assert (failure.code, failure.reason, failure.next, failure.blames_target) == (code, reason, follows, blames)
    assert failure.text == "x"
    assert failure.code in CATALOGUE
    assert failure.retry_after_s == (1.0 if code == "no_target_available" else None), (
        "the catalogue promises Retry-After"
    )


@pytest.mark.parametrize(("status", "verdict", "upstream", "code", "reason", "follows", "blames"), STATUSES)
def test_statuses(
    status: int, verdict: Verdict, upstream: str, code: str, reason: str, follows: Next, blames: bool
) -> None:
    failure = failure_of(HttpError(status, verdict, upstream, b"{}", 7.0))
    assert (failure.code, failure.reason, failure.next, failure.blames_target) == (code, reason, follows, blames)
    assert (failure.status, failure.body, failure.retry_after_s) == (status, b"{}", 7.0)
    assert failure.code in CATALOGUE


def test_the_table_is_complete() -> None:
    def leaves(kind: type[SwitchgearError]) -> set[type[SwitchgearError]]:
        below = kind.__subclasses__()
        return {leaf for one in below for leaf in leaves(one)} if below else {kind}

    every = {kind for root in (wire.ExchangeError, BackendError) for kind in leaves(root)}
    assert {type(error) for error, *_ in RAISED} == every - {HttpError}


def test_what_no_attempt_raises_is_a_defect() -> None:
    with pytest.raises(TypeError):
        failure_of(wire.AddressError("x"))
