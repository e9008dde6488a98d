import msgspec
import pytest
from tests.core.sample_records import all_samples, answered, cancelled, failed, refused, rescued

from switchgear.core.escalation import Confidence
from switchgear.core.record import VERSION, Attempt, AttemptKind, AttemptOutcome, Outcome, Record
from switchgear.core.screening import Found
from switchgear.gateway.story import amount, duration, explain, moment, timeline, usd


def test_a_plain_answer() -> None:
    assert explain(answered()) == [
        "2025-10-09 08:53:20.250 UTC: key demo (team platform) asked model chat for chat/completions, streamed.",
        "Candidates in order: appliance (llama-8b), then cloud (gpt-x).",
        "Attempt 1: at 100 us, appliance (llama-8b), first choice. First token after 50 ms. It answered after 250 ms, "
        "250 + 121 tokens, $0.0000146.",
        "The caller got a whole answer from appliance (llama-8b); it ended with stop, status 200, in 300 ms, "
        "the first byte after 60 ms, 2 ms a token.",
        "Tokens: 250 of prompt (50 of them cached), 121 of answer. Cost of all attempts: $0.0000146.",
    ]


def test_what_is_not_streamed_has_a_first_byte() -> None:
    record = answered()
    record.streamed = False
    assert "First byte after 50 ms." in explain(record)[2]
    assert [event.what for event in timeline(record)] == ["asked", "attempt", "first byte", "answered", "ended", "done"]


def test_a_rescue() -> None:
    story = explain(rescued())
    assert "data class internal, streamed" in story[0]
    assert story[1:4] == [
        "Ruled out: edge (tiny) cannot call tools.",
        "Ruled out: lab (llama-8b) is broken at the moment.",
        "Candidates in order: appliance (llama-8b), then onprem (llama-70b), then cloud (gpt-x).",
    ]
    assert story[4].endswith("first choice. It failed after 200 ms: status 503.")
    assert "at 350 ms after a wait of 150 ms, appliance (llama-8b), the same target again" in story[5]
    assert "It failed after 400 ms: the connection ended within the answer (answer_truncated, status 200)" in story[5]
    assert (
        "a second target beside the slow first one. It was cancelled after 100 ms, because the other one was"
        in story[6]
    )
    assert "It was given up after 200 ms: its answer did not begin with the text already sent." in story[7]
    assert "asked to go on from the text already sent" in story[8]
    assert story[8].endswith("261 + 100 tokens, unpriced.")
    assert "from cloud (gpt-x), which carried a broken stream to its end; it ended with length" in story[9]
    assert story[10] == "Tokens: 250 of prompt, 111 of answer, estimated. Cost of all attempts: unpriced."


def test_a_refusal_says_who_and_why() -> None:
    assert explain(refused()) == [
        "2025-10-09 08:53:22.250 UTC: an unknown caller asked model no such model for embeddings.",
        "The caller got an error before any target was asked: model_not_found "
        "(No such model; `GET /v1/models` lists those that the key may call), status 404, in 200 us.",
    ]


def test_what_the_screen_found_and_by_which_rules() -> None:
    record = refused()
    record.findings = [Found("payment_card", 2, [(0, 5, 24), (1, 0, 19)]), Found("email", 1, [(0, 30, 44)])]
    record.screen_rules = ["cards", "external_late:timeout"]
    assert explain(record)[1:3] == [
        "The content screen found 2 x payment_card, 1 x email; rules: cards.",
        "The external screen did not look at it: timeout.",
    ]
    record.screen_rules, record.answer_findings = [], [Found("canary", 1, [(0, 0, 9)])]
    assert explain(record)[1:3] == [
        "The content screen found 2 x payment_card, 1 x email; no rule was for that.",
        "In the answer it found 1 x canary.",
    ]


def test_limits_that_were_passed_over() -> None:
    record = answered()
    record.flags = ["watch.requests_per_minute", "budget.usd_per_day:unshared"]
    assert "Beyond limits that did not refuse it: watch.requests_per_minute, budget.usd_per_day:unshared." in explain(
        record
    )


def test_a_failure_names_the_backend_that_the_caller_chose() -> None:
    story = explain(failed())
    assert "The caller chose the backend cloud." in story
    assert "Ruled out: appliance (llama-8b) is not the backend that the caller chose." in story
    assert any("It failed after 2.00 s: no connection in time (connect_timeout)." in line for line in story)
    assert "after the targets had been asked: upstream_unreachable" in story[-2]
    assert story[-1] == "No tokens were counted."


def test_a_caller_that_hung_up() -> None:
    story = explain(cancelled())
    assert "It was cancelled after 100 ms, because the caller hung up." in story[2]
    assert story[3].startswith("The caller hung up, status 200, in 100 ms")


def test_no_candidate_left() -> None:
    record = rescued()
    record.candidates, record.attempts, record.outcome, record.error = [], [], Outcome.REFUSED, "no_target_available"
    assert "No candidate was left." in explain(record)


def test_codes_that_are_not_known_stay_as_they_are() -> None:
    record = failed()
    record.attempts[0].error = "a_code_of_the_backend"
    record.error = "a_code_of_the_future"
    story = explain(record)
    assert any("It failed after 2.00 s: a_code_of_the_backend." in line for line in story)
    assert any("asked: a_code_of_the_future, status 503" in line for line in story)


@pytest.mark.parametrize("kind", AttemptKind)
@pytest.mark.parametrize("outcome", AttemptOutcome)
def test_every_kind_and_outcome_has_its_words(kind: AttemptKind, outcome: AttemptOutcome) -> None:
    record = answered()
    record.attempts = [Attempt("a", "m", kind, 0.0, 0.1, outcome=outcome, error="idle_timeout")]
    story = explain(record)
    assert story[2].startswith("Attempt 1: at 0 us, a (m), ")
    assert " It " in story[2]
    assert timeline(record)[-1].what == "done"


def test_the_timeline_of_a_rescue() -> None:
    assert [(round(event.at_s, 4), event.what) for event in timeline(rescued())] == [
        (0.0, "asked"),
        (0.0001, "attempt"),
        (0.2, "waiting"),
        (0.2001, "ended"),
        (0.35, "attempt"),
        (0.45, "first token"),
        (0.5, "attempt"),
        (0.5, "answered"),
        (0.6, "ended"),
        (0.75, "ended"),
        (0.76, "attempt"),
        (0.86, "first token"),
        (0.96, "ended"),
        (1.0, "attempt"),
        (1.2, "first token"),
        (1.5, "ended"),
        (1.5, "done"),
    ]


def test_a_timeline_begins_and_ends_with_the_call() -> None:
    for record in all_samples():
        events = timeline(record)
        assert (events[0].what, events[0].at_s) == ("asked", 0.0)
        assert (events[-1].what, events[-1].at_s) == ("done", record.duration_s)
        assert [event.at_s for event in events] == pytest.approx(sorted(event.at_s for event in events))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 us"),
        (0.00018, "180 us"),
        (0.0061, "6.1 ms"),
        (0.25, "250 ms"),
        (0.9994, "999 ms"),
        (2.5, "2.50 s"),
        (75, "75.00 s"),
    ],
)
def test_durations_as_people_read_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("cost_usd", "text"),
    [
        (None, "unpriced"),
        (0.0, "$0.00"),
        (0.0000146, "$0.0000146"),
        (0.012, "$0.0120"),
        (0.5, "$0.500"),
        (12.345, "$12.35"),
    ],
)
def test_costs_as_people_read_them(cost_usd: float | None, text: str) -> None:
    assert usd(cost_usd) == text


def test_numbers_and_moments() -> None:
    assert amount(1234567) == "1 234 567"
    assert moment(0.0019) == "1970-01-01 00:00:00.001 UTC"  # cut, not rounded: never a moment that has not come


def test_a_small_model_that_was_unsure() -> None:
    record = answered()
    sure = Confidence(-1.25, -4.0, None, None, 40, refusal=True, unsure=True)
    small = Attempt("edge", "tiny", AttemptKind.FIRST, 0.0, 0.1, outcome=AttemptOutcome.UNSURE, confidence=sure)
    record.attempts = [small, msgspec.structs.replace(record.attempts[0], kind=AttemptKind.ESCALATE)]
    story = explain(record)
    assert story[2] == (
        "Attempt 1: at 0 us, edge (tiny), first choice. It was unsure after 100 ms."
        " The rule called it unsure (mean logprob -1.25, min logprob -4, over 40 tokens, refusal)."
    )
    assert "appliance (llama-8b), the larger model, because the smaller one was unsure." in story[3]
    assert any(event.text == "attempt 1, edge (tiny): unsure" for event in timeline(record))


def test_answers_that_were_not_asked_for_and_last_resorts() -> None:
    hit = Record(
        VERSION, "c", 0.0, "g", "s", "chat/completions", backend="b", answered_model="m", status=200, reuse="hit"
    )
    story = explain(hit)
    assert story[1].startswith("The caller got a whole answer from b (m), status 200")
    assert story[2:] == ["It was kept from an earlier call that said the same (x-switchgear-cache: hit)."]
    message = msgspec.structs.replace(hit, backend="", reuse="", degraded="message")
    story = explain(message)
    assert story[1].startswith("The caller got a whole answer, status 200")
    assert story[2:] == ["It was a last resort: a fixed message (x-switchgear-degraded: message)."]
    newer = explain(msgspec.structs.replace(hit, reuse="borrowed", degraded="half"))
    assert newer[2:] == [
        "It was not asked for anew (x-switchgear-cache: borrowed).",
        "It was a last resort: half (x-switchgear-degraded: half).",
    ]
