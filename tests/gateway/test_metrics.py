"""Metrics are read back by Prometheus' own parser and held against what the records say."""

import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from tests.core.sample_records import all_samples, answered, failed, refused, rescued

from switchgear.core.record import Record
from switchgear.gateway.admin import merge
from switchgear.gateway.exposition import Histogram, escape, number
from switchgear.gateway.live_metrics import Live
from switchgear.gateway.metrics import OTHER, UNKNOWN, ExactSum, Metrics


def families(records: Iterable[Record] = (), live: Any = None, metrics: Metrics | None = None) -> dict[str, Metric]:
    metrics = metrics or Metrics()
    for record in records:
        metrics.add(record)
    text = metrics.render(live)
    assert text == "" or text.endswith("\n")
    found = list(text_string_to_metric_families(text))
    assert len({family.name for family in found}) == len(found)
    assert all(family.documentation and family.type != "unknown" for family in found)
    return {family.name: family for family in found}


def value(family: Metric, suffix: str = "", **labels: str) -> float:
    """Sum of the samples that have these labels."""
    chosen = [s.value for s in family.samples if s.name == family.name + suffix and labels.items() <= s.labels.items()]
    assert chosen, f"{family.name}{suffix} has no sample with {labels}"
    return math.fsum(chosen)


def test_nothing_counted_is_an_empty_text() -> None:
    assert Metrics().render() == ""


def test_calls_by_how_they_ended() -> None:
    calls = families([*all_samples(), answered(), answered()])["switchgear_calls"]
    assert calls.type == "counter"
    assert value(calls, "_total") == 7
    assert value(calls, "_total", outcome="ok", backend="appliance", model="chat", status="200", error="") == 3
    assert value(calls, "_total", outcome="ok", backend="cloud") == 1
    assert value(calls, "_total", outcome="failed", error="upstream_unreachable", endpoint="completions") == 1
    assert value(calls, "_total", outcome="cancelled", endpoint="responses") == 1


def test_attempts_by_why_and_how_they_ended() -> None:
    attempts = families(all_samples())["switchgear_attempts"]
    assert value(attempts, "_total") == 8
    assert value(attempts, "_total", kind="first", outcome="failed", backend="appliance", error="status_503") == 1
    assert value(attempts, "_total", kind="continue", outcome="ok", backend="cloud") == 1
    assert value(attempts, "_total", kind="rescue", outcome="discarded") == 1
    assert value(attempts, "_total", kind="hedge", outcome="lost", backend="onprem") == 1


def test_ruled_out_by_reason() -> None:
    ruled_out = families([rescued(), rescued(), failed()])["switchgear_ruled_out"]
    assert value(ruled_out, "_total", backend="edge", reason="lacks_tools") == 2
    assert value(ruled_out, "_total", backend="appliance", reason="not_pinned") == 1


def test_times_of_calls() -> None:
    found = families([answered(), refused()])
    durations = found["gen_ai_server_request_duration_seconds"]
    assert durations.type == "histogram"
    assert value(durations, "_count") == 2
    assert value(durations, "_sum", gen_ai_operation_name="chat", gen_ai_provider_name="appliance") == pytest.approx(
        0.3
    )
    assert value(durations, "_count", gen_ai_operation_name="embeddings", error_type="model_not_found") == 1
    ttft = found["gen_ai_server_time_to_first_token_seconds"]
    assert value(ttft, "_count") == 1
    assert value(ttft, "_bucket", le="0.06") == 1
    assert value(ttft, "_bucket", le="0.04") == 0
    per_token = found["gen_ai_server_time_per_output_token_seconds"]
    assert value(per_token, "_sum") == pytest.approx((0.30 - 0.06) / 120)


def test_first_tokens_are_timed_of_streams_that_became_whole() -> None:
    plain = msgspec.structs.replace(answered(), streamed=False)
    assert "gen_ai_server_time_to_first_token_seconds" not in families([plain, failed()])


def test_tokens_and_money_go_to_who_earned_them() -> None:
    found = families([answered(), rescued()])
    tokens = found["switchgear_tokens"]
    assert value(tokens, "_total", backend="appliance", type="input", usage="reported") == 250
    assert value(tokens, "_total", backend="appliance", type="cached_input", usage="reported") == 50
    assert value(tokens, "_total", backend="appliance", type="output", usage="estimated") == 11
    assert value(tokens, "_total", backend="cloud", type="output") == 100
    usage = found["gen_ai_client_token_usage"]
    assert usage.type == "histogram"
    assert value(usage, "_count", gen_ai_token_type="input") == 3
    assert value(usage, "_sum", gen_ai_token_type="output", gen_ai_request_model="gpt-x") == 100
    costs = found["switchgear_cost_usd"]
    assert value(costs, "_total") == pytest.approx(0.0000246, rel=1e-15)
    assert [sample.labels["backend"] for sample in costs.samples] == [
        "appliance"
    ]  # unpriced is not zero: it is not there
    assert value(found["switchgear_unpriced_calls"], "_total", model="chat", backend="cloud") == 1


def test_histograms_are_cumulative_and_end_in_their_count() -> None:
    for family in families([*all_samples(), answered()]).values():
        if family.type != "histogram":
            continue
        series: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
        counts = {tuple(sorted(s.labels.items())): s.value for s in family.samples if s.name.endswith("_count")}
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                labels = dict(sample.labels)
                bound = float(labels.pop("le"))
                series.setdefault(tuple(sorted(labels.items())), []).append((bound, sample.value))
        assert series.keys() == counts.keys()
        for labels_of, buckets in series.items():
            assert buckets == sorted(buckets)
            assert [count for _, count in buckets] == sorted(count for _, count in buckets)
            assert buckets[-1] == (math.inf, counts[labels_of])


@given(st.lists(st.floats(0, 100), min_size=1))
def test_a_value_lies_in_the_first_bucket_that_is_not_below_it(values: list[float]) -> None:
    bounds = (0.1, 1.0, 10.0)
    histogram = Histogram(bounds)
    for one in values:
        histogram.add(one)
    for index, bound in enumerate(bounds):
        assert sum(histogram.counts[: index + 1]) == sum(one <= bound for one in values)
    assert sum(histogram.counts) == len(values)


@given(st.text())
def test_labels_come_back_as_they_were(name: str) -> None:
    record = msgspec.structs.replace(answered(), model=name)
    calls = families([record])["switchgear_calls"]
    # The parser ends lines at every character that Python calls a line's end; the format knows `\n` alone.
    if len(name.splitlines()) < 2 and name.isprintable():
        assert value(calls, "_total", model=name) == 1
    assert "\n" not in escape(name)


def test_what_callers_write_makes_no_series() -> None:
    metrics = Metrics()
    for guess in range(1000):
        metrics.add(msgspec.structs.replace(refused(), model=f"guess {guess}"))
    metrics.add(answered())
    metrics.add(msgspec.structs.replace(refused(), model="chat", error="model_not_allowed", status=403))
    calls = families(metrics=metrics)["switchgear_calls"]
    assert {sample.labels["model"] for sample in calls.samples} == {UNKNOWN, "chat"}
    assert value(calls, "_total", model=UNKNOWN) == 1000
    assert value(calls, "_total", model="chat", error="model_not_allowed") == 1


def test_the_number_of_series_is_bounded_and_the_sums_still_hold() -> None:
    metrics = Metrics(max_series=10)
    for n in range(50):
        record = msgspec.structs.replace(answered(), model=f"model {n}", backend=f"backend {n}")
        record.attempts = [msgspec.structs.replace(record.attempts[0], backend=f"backend {n}")]
        metrics.add(record)
    found = families(metrics=metrics)
    assert len(found["switchgear_calls"].samples) == 11
    assert value(found["switchgear_calls"], "_total") == 50
    assert value(found["switchgear_calls"], "_total", model=OTHER) == 40
    assert value(found["switchgear_attempts"], "_total") == 50
    assert value(found["switchgear_attempts"], "_total", backend=OTHER) == 40
    assert value(found["switchgear_cost_usd"], "_total") == pytest.approx(50 * 0.0000146, rel=1e-15)
    assert value(found["switchgear_metrics_collapsed"], "_total") == 80


amounts = st.floats(0, 1e6, allow_subnormal=False).filter(lambda usd: usd == 0 or usd > 1e-12)


@given(st.lists(amounts, max_size=700))
def test_a_sum_of_money_is_the_exact_one_rounded_once(parts: list[float]) -> None:
    total = ExactSum()
    for usd in parts:
        total.add(usd)
    assert total.value == float(sum(map(Fraction, parts), Fraction()))
    assert total.value == total.value


def test_a_million_small_amounts_beside_a_large_one() -> None:
    total = ExactSum()
    total.add(1e9)
    for _ in range(1_000_000):
        total.add(1e-7)
    assert total.value == float(Fraction(1e9) + 1_000_000 * Fraction(1e-7))
    drifting = 1e9
    for _ in range(1_000_000):
        drifting += 1e-7
    assert drifting != total.value  # what a plain sum makes of it


@given(st.floats(allow_nan=False))
def test_numbers_read_back_the_same(one: float) -> None:
    if math.isinf(one) and one < 0:
        return
    assert float(number(one)) == one


def live_worker(number: int, breaker: str, **journal: Any) -> dict[str, Any]:
    """As a worker tells its state."""
    target = {
        "backend": "appliance", "model": "llama-8b", "breaker": breaker, "breaker_opened": 2, "in_flight": 3,
        "latency_ewma_s": 0.25, "latency_p50_s": None, "latency_p99_s": None, "last_error": "",
    }  # fmt: skip
    told = {"journal": "id", "healthy": True, "failing": "", "pending": 4, "lag_s": 0.5, "written": 10, "lost": 1}
    return {
        "worker": number, "pid": 1, "ready": True, "connections": 5, "calls_in_flight": 6, "snapshot": "abc",
        "refused": {"head_timeout": 7}, "pools": {"appliance": {"open": 8, "opened": 9}}, "targets": [target],
        "journal": {**told, "moved_aside": 0, "expired": 0, **journal},
    }  # fmt: skip


def test_live_state_of_all_workers() -> None:
    failing = {"healthy": False, "failing": "disk full"}
    live = merge([live_worker(0, "closed"), live_worker(2, "open", **failing)])
    found = families(live={**live, "snapshot": "abc", "workers_wanted": 3, "restarts": 4})
    assert value(found["switchgear_num_requests_running"]) == 12
    assert value(found["switchgear_target_num_requests_running"], backend="appliance", model="llama-8b") == 6
    states = {s.labels["state"]: s.value for s in found["switchgear_breaker_state"].samples}
    assert states == {"closed": 0, "half_open": 0, "open": 1}
    assert value(found["switchgear_breaker_opened"], "_total") == 4
    assert [value(found["switchgear_worker_up"], worker=str(n)) for n in range(3)] == [1, 0, 1]
    assert value(found["switchgear_worker_restarts"], "_total") == 4
    assert value(found["switchgear_journal_failing"], worker="0") == 0
    assert value(found["switchgear_journal_failing"], worker="2") == 1
    assert value(found["switchgear_journal_pending_records"]) == 8
    assert value(found["switchgear_journal_lag_seconds"], worker="0") == 0.5
    assert value(found["switchgear_journal_written_records"], "_total") == 20
    assert value(found["switchgear_journal_lost_records"], "_total") == 2
    assert value(found["switchgear_snapshot_info"], snapshot="abc", worker="2") == 1
    assert value(found["switchgear_refused_requests"], "_total", code="head_timeout") == 14
    assert value(found["switchgear_pool_connections"], backend="appliance") == 16


def test_a_live_state_of_another_shape_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        Metrics().render({"workers": "none"})
    assert "switchgear_num_requests_running 0" in Metrics().render(Live())
