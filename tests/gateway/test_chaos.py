"""Many calls of every kind at once while every place fails now and then: each ends whole or with a clear error, and leaves its record."""

import asyncio
import json
import random
from typing import Any

import pytest
from tests.gateway.plane import MODEL, Plane
from tests.wire.serving import Answer

from switchgear.core.record import AttemptOutcome, Outcome
from switchgear.core.snapshot import Breaker, Hedge, Retry, Timeouts
from switchgear.gateway.errors import CATALOGUE

CALLS = 50
FAULTS = [
    {"fault": "connect_reset", "probability": 0.06},
    {"fault": "status;code=500", "probability": 0.06},
    {"fault": "status;code=429;retry_after_s=0.05", "probability": 0.04},
    {"fault": "malformed_body", "probability": 0.04},
    {"fault": "cut;after_tokens=3", "probability": 0.08},
    {"fault": "stall;after_tokens=2", "probability": 0.03},
    {"fault": "malformed_event;after_tokens=2", "probability": 0.06},
    {"fault": "end_early;after_tokens=4", "probability": 0.06},
    {"fault": "no_done", "probability": 0.06},
    {"fault": "no_usage", "probability": 0.1},
    {"fault": "slow_first_token;delay_s=0.1", "probability": 0.1},
    {"fault": "no_answer", "probability": 0.02},
]
PROMPTS = [f"Tell me about {subject}." for subject in ("rivers", "relays", "salt", "glass")]
TIMEOUTS = Timeouts(connect_s=0.5, first_token_s=0.3, idle_s=0.3, total_s=0.6)


def chat(prompt: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return "chat/completions", {
        "model": "chat",
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": 12,
        **more,
    }


def kinds(prompt: str) -> list[tuple[str, dict[str, Any]]]:
    """Every kind of call with a prompt."""
    text = {"model": "chat", "prompt": prompt, "max_tokens": 12}
    response = {"model": "chat", "input": prompt, "max_output_tokens": 16}
    return [
        chat(prompt),
        chat(prompt, stream=True),
        chat(prompt, stream=True, n=2),
        chat(prompt, stream=True, model="hedged"),
        chat(prompt, model="hedged"),
        chat(prompt, stream=True, model="held"),
        ("completions", text),
        ("completions", {**text, "stream": True, "stream_options": {"include_usage": True}}),
        ("embeddings", {"model": "chat", "input": prompt, "dimensions": 8}),
        ("responses", response),
        ("responses", {**response, "stream": True}),
    ]


def heard(path: str, body: dict[str, Any], answer: Answer) -> Any:
    """What the caller takes for the answer; None for an error, which must be a clear one."""
    if answer.status != 200:
        error = json.loads(answer.body)["error"]
        assert error["code"] in CATALOGUE
        assert answer.status == CATALOGUE[error["code"]].status
        return None
    if not body.get("stream"):
        value = json.loads(answer.body)
        return value.get("choices") or value.get("data") or [item["content"] for item in value["output"]]
    events = [event.rpartition("data: ")[2] for event in answer.body.decode().split("\n\n") if event]
    values = [json.loads(event) for event in events if event != "[DONE]"]
    if "error" in values[-1]:
        assert values[-1]["error"]["code"] == "stream_broken"
        assert events[-1] != "[DONE]", "no clean end of a broken answer"
        return None
    if path == "responses":
        assert values[-1]["type"] in ("response.completed", "response.incomplete")
        return [item["content"] for item in values[-1]["response"]["output"]]
    assert events[-1] == "[DONE]"
    return [
        [
            "".join(
                (choice.get("text") or choice.get("delta", {}).get("content") or "")
                for value in values
                for choice in value["choices"]
                if choice["index"] == index
            )
            for index in range(body.get("n", 1))
        ],
        {choice["index"]: choice["finish_reason"] for value in values for choice in value["choices"]},
    ]


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_call_ends_whole_or_with_a_clear_error(seed: int) -> None:
    draw = random.Random(seed)
    backends = {name: {"timeouts": TIMEOUTS, "breaker": Breaker(open_s=0.1)} for name in "abc"}
    retry = Retry(backoff_s=0.02, budget_ratio=0.5)
    aliases = {"hedged": {"hedge": Hedge(after_s=0.05, max_ratio=0.5), "retry": retry}, "held": {"delivery": "whole"}}
    async with Plane("a", "b", "c", model={"retry": retry}, aliases=aliases, backends=backends) as plane:
        asked = [draw.choice(kinds(draw.choice(PROMPTS))) for _ in range(CALLS)]
        expected = [heard(path, body, await plane.send(body, path=path)) for path, body in asked]
        assert None not in expected
        for place in plane.places.values():
            place.set_faults(FAULTS)
        async with asyncio.timeout(20.0):
            answers = await asyncio.gather(*(plane.send(body, path=path) for path, body in asked))
        whole = 0
        for (path, body), answer, wanted in zip(asked, answers, expected, strict=True):
            got = heard(path, body, answer)
            assert got is None or got == wanted, "an answer that looks whole is whole"
            whole += got is not None
        assert whole > CALLS // 2
        check_records(plane, {answer.headers["x-switchgear-call"]: answer for answer in answers})
        for place in plane.places.values():
            place.set_faults([])
        await asyncio.sleep(0.15)
        assert await plane.ask(), "the gateway still serves"


def check_records(plane: Plane, answers: dict[str, Answer]) -> None:
    """Each call has one record, and it tells what the caller saw."""
    records = {record.call: record for record in plane.records.kept[CALLS:]}
    assert set(records) == set(answers)
    assert len(plane.records.kept) == 2 * CALLS
    for call, answer in answers.items():
        record = records[call]
        assert record.status == answer.status
        assert (record.outcome is Outcome.OK) == (record.error == "")
        if record.outcome is Outcome.OK:
            assert record.attempts[-1].outcome is AttemptOutcome.OK or len(record.attempts) > 1
            assert record.answered_model == MODEL
            assert record.prompt_tokens > 0
        assert all(attempt.error for attempt in record.attempts if attempt.outcome is AttemptOutcome.FAILED)
    assert plane.gateway.desk.calls == 0
    for target in plane.gateway.table.targets():
        assert target.state.in_flight == target.backend_state.in_flight == 0
