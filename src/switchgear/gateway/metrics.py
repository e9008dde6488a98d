"""Figures about calls, counted from their records, as Prometheus text.

Names follow OpenTelemetry's semantic conventions for generative AI where they have one (`gen_ai_*`; the dots become underscores and the
unit a suffix, as its Prometheus compatibility says): what our callers see is `gen_ai_server_*`, what we see of the backends, one sample
an attempt, is `gen_ai_client_*`. Buckets are those that the conventions ask for. What they have no name for is `switchgear_*`, called
like its counterpart in vLLM where there is one.

The number of series is bounded: labels hold names of the configuration and stable codes only. A model that no record has yet shown to
be one of ours (a caller may write anything there) is counted as `_unknown`, and should there be more than `max_series` combinations,
further ones are counted together as `_other`.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from switchgear.core.record import Attempt, Outcome, Record, inter_token_s
from switchgear.gateway.exposition import Histogram, Labels, Text
from switchgear.gateway.live_metrics import Live, write_live

DURATION_BOUNDS_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TTFT_BOUNDS_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
TOKEN_TIME_BOUNDS_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
TOKEN_BOUNDS = tuple(4**power for power in range(14))

_OPERATIONS = {
    "chat/completions": "chat",
    "responses": "chat",
    "completions": "text_completion",
    "embeddings": "embeddings",
}
UNKNOWN, OTHER = "_unknown", "_other"
_FOLD_AT = 256

K = TypeVar("K", bound=Hashable)
CallKey = tuple[str, str, str, str, int, str]
AttemptKey = tuple[str, str, str, str, str, str, str, str]


class ExactSum:
    """A sum of money that does not drift, however many small amounts it is made of: kept as two floats, folded by `math.fsum`."""

    __slots__ = ("_high", "_low", "_pending")

    def __init__(self) -> None:
        self._high = self._low = 0.0
        self._pending: list[float] = []

    def add(self, amount: float) -> None:
        """Add one amount."""
        self._pending.append(amount)
        if len(self._pending) >= _FOLD_AT:
            self._fold()

    def add_many(self, amounts: Iterable[float]) -> None:
        """Add each of them."""
        self._pending += amounts
        if len(self._pending) >= _FOLD_AT:
            self._fold()

    @property
    def value(self) -> float:
        """The sum, correctly rounded to one float."""
        self._fold()
        return self._high

    def _fold(self) -> None:
        parts = (self._high, self._low, *self._pending)
        self._high = math.fsum(parts)
        self._low = math.fsum((*parts, -self._high))
        self._pending.clear()


class CallSeries:
    """What calls that agree in endpoint, model, backend, outcome, status and error have in common."""

    __slots__ = ("count", "duration", "token_time", "ttft", "unpriced")

    def __init__(self) -> None:
        self.count = self.unpriced = 0
        self.duration = Histogram(DURATION_BOUNDS_S)
        self.ttft = Histogram(TTFT_BOUNDS_S)
        self.token_time = Histogram(TOKEN_TIME_BOUNDS_S)


class AttemptSeries:
    """What attempts that agree in endpoint, model, target, kind, outcome, error and source of usage have in common."""

    __slots__ = ("cached", "completion", "cost", "count", "duration", "prompt")

    def __init__(self) -> None:
        self.count = self.cached = 0
        self.duration = Histogram(DURATION_BOUNDS_S)
        self.prompt = Histogram(TOKEN_BOUNDS)
        self.completion = Histogram(TOKEN_BOUNDS)
        self.cost = ExactSum()


class Numbers(NamedTuple):
    """In what plain calls of one plan differ: one number for each call in every column, in seconds, tokens and US dollars."""

    duration_s: Sequence[float]
    attempt_duration_s: Sequence[float]
    prompt_tokens: Sequence[int]
    cached_tokens: Sequence[int]
    completion_tokens: Sequence[int]
    cost_usd: Sequence[float]


class Metrics:
    """Counts records. Belongs to one thread."""

    def __init__(self, max_series: int = 5000) -> None:
        self._max_series = max_series
        self._calls: dict[CallKey, CallSeries] = {}
        self._attempts: dict[AttemptKey, AttemptSeries] = {}
        self._ruled_out: dict[tuple[str, str], int] = {}
        self._models: set[str] = set()
        self._reused: dict[tuple[str, str], int] = {}
        self._degraded: dict[tuple[str, str], int] = {}
        self._collapsed = 0

    def add(self, record: Record) -> None:
        """Count one call and its attempts. This runs for every call of all workers: lookups and additions, nothing else."""
        calls = self._calls_of(record)
        calls.count += 1
        calls.duration.add(record.duration_s)
        if record.streamed and record.outcome is Outcome.OK:
            if record.ttft_s is not None:
                calls.ttft.add(record.ttft_s)
            if (token_s := inter_token_s(record)) is not None:
                calls.token_time.add(token_s)
        if record.cost_usd is None:
            calls.unpriced += 1
        if record.reuse:
            reused = (record.model, record.reuse)
            self._reused[reused] = self._reused.get(reused, 0) + 1
        if record.degraded:
            degraded = (record.model, record.degraded)
            self._degraded[degraded] = self._degraded.get(degraded, 0) + 1
        for attempt in record.attempts:
            self._add_attempt(record, attempt)
        if record.ruled_out:
            self._add_ruled_out(record, 1)

    def add_alike(self, record: Record, numbers: Numbers) -> None:
        """Count calls that are as `record` is but for these numbers: unstreamed, with one attempt, priced, nothing reused or degraded."""
        count = len(numbers.duration_s)
        (attempt,) = record.attempts
        calls = self._calls_of(record)
        calls.count += count
        calls.duration.add_many(numbers.duration_s)
        series = self._attempts_of(record, attempt)
        series.count += count
        series.duration.add_many(numbers.attempt_duration_s)
        series.prompt.add_many(numbers.prompt_tokens)
        series.completion.add_many(numbers.completion_tokens)
        series.cached += sum(numbers.cached_tokens)
        series.cost.add_many(numbers.cost_usd)
        self._add_ruled_out(record, count)

    def _add_attempt(self, record: Record, attempt: Attempt) -> None:
        series = self._attempts_of(record, attempt)
        series.count += 1
        series.duration.add(attempt.duration_s)
        if attempt.usage != "none":
            series.prompt.add(attempt.prompt_tokens)
            series.completion.add(attempt.completion_tokens)
            series.cached += attempt.cached_tokens
        if attempt.cost_usd:
            series.cost.add(attempt.cost_usd)

    def _add_ruled_out(self, record: Record, count: int) -> None:
        for target in record.ruled_out:
            reason = (target.backend, target.reason.partition(":")[0])  # which policies and limits: the records have it
            self._ruled_out[reason] = self._ruled_out.get(reason, 0) + count

    def _calls_of(self, record: Record) -> CallSeries:
        # `_value_`: hashing an enum's member, or asking for `.value`, runs Python code; this is a plain attribute.
        outcome = record.outcome._value_
        key = (record.endpoint, record.model, record.backend, outcome, record.status, record.error)
        return self._calls.get(key) or self._new_calls(key, record)

    def _attempts_of(self, record: Record, attempt: Attempt) -> AttemptSeries:
        key = (
            record.endpoint, record.model, attempt.backend, attempt.model,
            attempt.kind._value_, attempt.outcome._value_, attempt.error, attempt.usage,
        )  # fmt: skip
        return self._attempts.get(key) or self._new_attempts(key)

    def _new_calls(self, key: CallKey, record: Record) -> CallSeries:
        endpoint, model, backend, outcome, status, error = key
        if record.candidates or record.ruled_out or record.attempts or record.reuse:
            self._models.add(model)
        elif model and model not in self._models:
            key = (endpoint, UNKNOWN, backend, outcome, status, error)
        if key not in self._calls and len(self._calls) >= self._max_series:
            self._collapsed += 1
            key = (endpoint, OTHER, OTHER, outcome, 0, OTHER)
        return self._calls.setdefault(key, CallSeries())

    def _new_attempts(self, key: AttemptKey) -> AttemptSeries:
        if len(self._attempts) >= self._max_series:
            self._collapsed += 1
            key = (key[0], OTHER, OTHER, OTHER, key[4], key[5], OTHER, key[7])
        return self._attempts.setdefault(key, AttemptSeries())

    def render(self, live: Live | Mapping[str, Any] | None = None) -> str:
        """Everything counted so far, and what is true now, as Prometheus text 0.0.4.

        `live` may be the state as the admin address tells it. Raises msgspec.ValidationError when it is not of that shape.
        """
        text = Text()
        self._write_calls(text)
        self._write_server_times(text)
        self._write_attempts(text)
        self._write_tokens_and_money(text)
        text.counter(
            "switchgear_metrics_collapsed_total",
            "Lookups that found no room for a series of their own and were counted as _other.",
            [((), self._collapsed)] if self._collapsed else [],
        )
        if live is not None:
            write_live(text, live if isinstance(live, Live) else msgspec.convert(live, Live))
        return str(text)

    def _write_calls(self, text: Text) -> None:
        names = ("endpoint", "model", "backend", "outcome", "status", "error")
        text.counter(
            "switchgear_calls_total",
            "Calls by how they ended; status 0: the caller hung up before one.",
            ((_labels(names, key), calls.count) for key, calls in self._calls.items()),
        )
        unpriced = _summed((_labels(("model", "backend"), key[1:3]), c.unpriced) for key, c in self._calls.items())
        text.counter(
            "switchgear_unpriced_calls_total",
            "Calls whose cost is not known, because a target that took part has no price.",
            ((labels, count) for labels, count in unpriced if count),
        )
        text.counter(
            "switchgear_ruled_out_total",
            "Targets that were no candidate for a call.",
            ((_labels(("backend", "reason"), key), count) for key, count in self._ruled_out.items()),
        )
        text.counter(
            "switchgear_reused_calls_total",
            "Calls whose answer was not asked for anew, by how it came: hit, collapsed, stale.",
            ((_labels(("model", "reuse"), key), count) for key, count in self._reused.items()),
        )
        text.counter(
            "switchgear_degraded_calls_total",
            "Calls that got a last resort, by which: stale-cache, smaller-model, message, unsure.",
            ((_labels(("model", "degraded"), key), count) for key, count in self._degraded.items()),
        )

    def _write_server_times(self, text: Text) -> None:
        def series(pick: Callable[[CallSeries], Histogram], *, errors: bool) -> Iterator[tuple[Labels, Histogram]]:
            return _merged((_server_labels(key, errors=errors), pick(calls)) for key, calls in self._calls.items())

        text.histogram(
            "gen_ai_server_request_duration_seconds",
            "From the call's head to the last byte of its answer.",
            series(lambda calls: calls.duration, errors=True),
        )
        text.histogram(
            "gen_ai_server_time_to_first_token_seconds",
            "From the call's head to the first byte of a streamed answer that became whole.",
            series(lambda calls: calls.ttft, errors=False),
        )
        text.histogram(
            "gen_ai_server_time_per_output_token_seconds",
            "Mean time between two tokens of a streamed answer after its first (inter-token latency).",
            series(lambda calls: calls.token_time, errors=False),
        )

    def _write_attempts(self, text: Text) -> None:
        names = ("backend", "kind", "outcome", "error")
        text.counter(
            "switchgear_attempts_total",
            "Tries at a target, by why it was asked and how that ended.",
            _summed((_labels(names, (key[2], *key[4:7])), found.count) for key, found in self._attempts.items()),
        )
        text.histogram(
            "gen_ai_client_operation_duration_seconds",
            "Time of one attempt at a backend.",
            _merged(
                ((*_client_labels(key), ("error_type", _error_type(key[5], key[6]))), found.duration)
                for key, found in self._attempts.items()
            ),
        )

    def _write_tokens_and_money(self, text: Text) -> None:
        text.histogram(
            "gen_ai_client_token_usage",
            "Tokens of one attempt, reported by the backend or estimated.",
            _merged(
                ((*_client_labels(key), ("gen_ai_token_type", kind)), getattr(found, field))
                for key, found in self._attempts.items()
                for kind, field in (("input", "prompt"), ("output", "completion"))
            ),
        )
        names = ("model", "backend", "type", "usage")
        tokens = _summed(
            (_labels(names, (key[1], key[2], kind, key[7])), count)
            for key, found in self._attempts.items()
            for kind, count in (
                ("input", found.prompt.sum),
                ("cached_input", found.cached),
                ("output", found.completion.sum),
            )
        )
        text.counter(
            "switchgear_tokens_total",
            "Tokens of all attempts; cached_input is a part of input. usage says whether a backend reported them.",
            ((labels, count) for labels, count in tokens if count),
        )
        costs: dict[Labels, list[float]] = {}
        for key, found in self._attempts.items():
            costs.setdefault(_labels(("model", "backend"), key[1:3]), []).append(found.cost.value)
        text.counter(
            "switchgear_cost_usd_total",
            "What the attempts cost by the configured prices, US dollars; unpriced calls are not in it.",
            ((labels, math.fsum(parts)) for labels, parts in costs.items() if any(parts)),
        )


def _labels(names: tuple[str, ...], values: Iterable[object]) -> Labels:
    return tuple((name, str(value)) for name, value in zip(names, values, strict=True))


def _error_type(outcome: str, error: str) -> str:
    return error or (outcome if outcome not in ("ok", "lost") else "")


def _server_labels(key: CallKey, *, errors: bool) -> Labels:
    endpoint, model, backend, outcome, _, error = key
    operation = _OPERATIONS.get(endpoint, endpoint)
    labels = _labels(
        ("gen_ai_operation_name", "gen_ai_request_model", "gen_ai_provider_name"), (operation, model, backend)
    )
    return (*labels, ("error_type", _error_type(outcome, error))) if errors else labels


def _client_labels(key: AttemptKey) -> Labels:
    operation = _OPERATIONS.get(key[0], key[0])
    names = ("gen_ai_operation_name", "gen_ai_request_model", "gen_ai_provider_name")
    return _labels(names, (operation, key[3], key[2]))


def _summed(samples: Iterable[tuple[K, float]]) -> Iterator[tuple[K, float]]:
    found: dict[K, float] = {}
    for labels, value in samples:
        found[labels] = found.get(labels, 0) + value
    yield from found.items()


def _merged(samples: Iterable[tuple[K, Histogram]]) -> Iterator[tuple[K, Histogram]]:
    found: dict[K, Histogram] = {}
    for labels, histogram in samples:
        if labels not in found:
            found[labels] = Histogram(histogram.bounds)
        found[labels].merge(histogram)
    yield from found.items()
