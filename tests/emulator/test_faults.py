"""Faults and rules as data: read, decided, combined. Nothing here opens a socket."""

from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.emulator import faults
from switchgear.emulator.behaviour import Breakage, behave
from switchgear.emulator.errors import EmulatorError
from switchgear.emulator.faults import KINDS, describe, parse_faults
from switchgear.emulator.rules import Asked, FaultBook, Rule, Schedule, chance, decide, parse_rules


def asked(
    model: str = "llama-8b", endpoint: str = "chat/completions", number: int = 1, elapsed_s: float = 0.0
) -> Asked:
    return Asked(model, endpoint, number, elapsed_s)


def test_the_wire_names_of_the_faults_are_a_contract() -> None:
    assert KINDS == (
        "none",
        "connect_reset",
        "no_answer",
        "slow_first_token",
        "stall",
        "cut",
        "no_done",
        "end_early",
        "malformed_event",
        "malformed_body",
        "status",
        "context_length_exceeded",
        "content_filter",
        "flap",
        "no_usage",
        "slow",
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_is_read_from_text_and_from_json_alike(kind: str) -> None:
    (from_text,) = parse_faults(kind)
    assert parse_faults({"kind": kind}) == (from_text,)
    assert parse_faults(describe(from_text)) == (from_text,)


def test_several_faults_with_parameters() -> None:
    assert parse_faults("stall; after_tokens=5, status;code=429;retry_after_s=2;once, no_usage;at=cloud") == (
        faults.Stall(after_tokens=5),
        faults.Status(code=429, retry_after_s=2, once=True),
        faults.NoUsage(at="cloud"),
    )
    assert parse_faults(["stall", {"kind": "slow", "multiplier": 2}]) == (faults.Stall(), faults.Slow(multiplier=2))
    assert parse_faults(None) == parse_faults("") == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("stal", "'stal' is unknown; choose one of none, connect_reset"),
        ("stall;after_token=5", "unknown field `after_token`"),
        ("stall;after_tokens=-1", "after_tokens is -1; give a finite number, 0 or more"),
        ("slow;multiplier=nan", "multiplier is nan"),
        ("slow_first_token;delay_s=inf", "delay_s is inf"),
        ("status;retry_after_s=nan", "retry_after_s is nan"),
        ("stall;after_tokens=many", "Expected `int`"),
        ("status;code=200", "give 400 to 599"),
        ("flap;period_s=10;down_s=20", "down_s must be above 0 and at most period_s"),
        ("content_filter;mode=loud", "Invalid enum value 'loud'"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(EmulatorError, match=reason):
        parse_faults(text)


def test_retry_after_in_both_forms() -> None:
    assert faults.Status(retry_after_s=1.5).retry_after(0) == "1.5"
    assert faults.Status().retry_after(0) is None
    date = faults.Status(retry_after_s=30, retry_after_as="date").retry_after(1_700_000_000)
    assert date is not None
    assert parsedate_to_datetime(date).timestamp() == 1_700_000_030


def test_rules_match_by_model_and_endpoint() -> None:
    rules = parse_rules([{"fault": "stall", "model": "llama-*"}, {"fault": "cut", "endpoint": "embeddings"}, "slow"])
    assert decide(rules, {}, asked(), 0) == [0, 2]
    assert decide(rules, {}, asked(model="gpt-x", endpoint="embeddings"), 0) == [1, 2]


def test_a_count_ends_a_rule() -> None:
    rules = parse_rules({"fault": "stall", "count": 2})
    assert decide(rules, {0: 1}, asked(), 0) == [0]
    assert decide(rules, {0: 2}, asked(), 0) == []


@given(st.floats(0, 1000), st.floats(0, 50), st.floats(0.1, 50), st.floats(0, 50))
def test_a_schedule_holds_in_its_window_and_again_each_period(
    elapsed_s: float, start_s: float, length_s: float, pause_s: float
) -> None:
    schedule = Schedule(start_s=start_s, end_s=start_s + length_s, every_s=length_s + pause_s + 0.001)
    phase_s = (elapsed_s - start_s) % (length_s + pause_s + 0.001)
    if min(abs(phase_s - length_s), phase_s) > 1e-6:
        assert schedule.holds(elapsed_s) == (elapsed_s >= start_s and phase_s < length_s)
    assert not Schedule(start_s=elapsed_s + 1).holds(elapsed_s)


@given(st.integers(0, 5), st.floats(0.05, 0.95))
def test_a_probability_is_kept_and_a_run_can_be_repeated(seed: int, probability: float) -> None:
    rules = (Rule(fault=faults.Stall(), probability=probability),)
    hits = [bool(decide(rules, {}, asked(number=number), seed)) for number in range(500)]
    assert hits == [bool(decide(rules, {}, asked(number=number), seed)) for number in range(500)]
    assert sum(hits) / len(hits) == pytest.approx(probability, abs=0.12)


def test_chances_of_other_seeds_rules_and_requests_differ() -> None:
    assert len({chance(seed, rule, number) for seed in (0, 1) for rule in (0, 1) for number in (0, 1)}) == 8


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ({"fault": "stall", "modell": "x"}, "unknown key 'modell'; known are count"),
        ({"fault": "stall", "probability": 2}, "probability must be from 0 to 1"),
        ({"fault": "stall", "count": 0}, "count must be at least 1"),
        ({"fault": "stall", "schedule": {"start_s": 5, "end_s": 3}}, "end_s must be after start_s"),
        ({"fault": "stall", "schedule": {"every_s": 3}}, "every_s needs an end_s"),
        ([7], "fault '7' is unknown"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(raw: object, reason: str) -> None:
    with pytest.raises(EmulatorError, match=reason):
        parse_rules(raw)


def test_the_book_joins_what_a_request_brings_and_the_rules() -> None:
    book = FaultBook("appliance", 0, parse_rules({"fault": "slow", "count": 1}))
    own = parse_faults("no_usage, stall;at=cloud")
    assert book.meet("chat/completions", "m", own, 1.0, b"{}") == (faults.NoUsage(), faults.Slow())
    assert book.meet("chat/completions", "m", own, 1.0, b"{}") == (faults.NoUsage(),)
    assert book.fired == {0: 1}
    book.set(parse_rules("cut"), 2.0)
    assert book.fired == {}
    assert book.meet("chat/completions", "m", (), 2.0, b"{}") == (faults.Cut(),)
    assert book.meet("chat/completions", "m", parse_faults("none"), 2.0, b"{}") == ()


def test_once_is_once_for_each_body() -> None:
    book = FaultBook("appliance", 0)
    once = parse_faults("status;code=500;once")
    assert book.meet("chat/completions", "m", once, 0.0, b"one") == once
    assert book.meet("chat/completions", "m", once, 0.0, b"one") == ()
    assert book.meet("chat/completions", "m", once, 0.0, b"two") == once


def test_once_forgets_the_oldest_and_not_the_latest() -> None:
    book = FaultBook("appliance", 0)
    once = parse_faults("status;once")
    for number in range(5000):
        book.meet("chat/completions", "m", once, 0.0, b"%d" % number)
    assert book.meet("chat/completions", "m", once, 0.0, b"4999") == ()
    assert book.meet("chat/completions", "m", once, 0.0, b"0") == once


def test_faults_combine() -> None:
    behaviour = behave(
        parse_faults("slow;multiplier=2,slow;multiplier=3,slow_first_token;delay_s=1,cut;after_tokens=4,no_done"),
        now_s=0,
        elapsed_s=0,
    )
    assert behaviour.multiplier == 6
    assert behaviour.delay_s == 1
    assert behaviour.breakage == Breakage("cut", 4)
    assert not behaviour.done
    assert behaviour.names == "slow,slow,slow_first_token,cut,no_done"


def test_flapping_follows_the_age_of_the_place() -> None:
    flap = parse_faults("flap;period_s=60;down_s=20")
    assert behave(flap, now_s=0, elapsed_s=19.9).reset
    assert not behave(flap, now_s=0, elapsed_s=20).reset
    assert behave(flap, now_s=0, elapsed_s=61).reset
    answering = behave(parse_faults("flap;code=503"), now_s=0, elapsed_s=1)
    assert not answering.reset
    assert answering.refusal is not None
    assert answering.refusal.status == 503


def test_refusals_carry_the_codes_of_the_field() -> None:
    def code(text: str) -> tuple[int, str | None]:
        refusal = behave(parse_faults(text), now_s=0, elapsed_s=0).refusal
        assert refusal is not None
        return refusal.status, refusal.error_code

    assert code("context_length_exceeded") == (400, "context_length_exceeded")
    assert code("content_filter;mode=refusal") == (400, "content_filter")
    assert code("status;code=429") == (429, "rate_limit_exceeded")
    assert code("status;code=401") == (401, "invalid_api_key")
    assert code("status") == (503, None)
