"""A screen in a process of its own: its findings, and what happens when it is late, crashed or not there."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from switchgear.core.data_class import DataClass
from switchgear.core.external_screening import ExternalScreening, OnLate
from switchgear.policy.external import LATE, ExternalAnswer, LateDecision, follow
from switchgear.policy.external_process import ExternalFailed, ExternalProcess
from switchgear.policy.model import Finding

CHILD = """
import json, os, sys, time
print(json.dumps([""]), flush=True)
for line in sys.stdin:
    number, texts = json.loads(line)
    if texts[0] == "crash":
        os._exit(3)
    if texts[0] == "sleep":
        time.sleep(0.4)
    if texts[0] == "fail":
        print(json.dumps([number, [], "ValueError"]), flush=True)
    elif texts[0] == "garbage":
        print("no JSON", flush=True)
    else:
        found = [["person", t.index("Jane"), t.index("Jane") + 4, n] for n, t in enumerate(texts) if "Jane" in t]
        print(json.dumps([number, found, ""]), flush=True)
"""


async def asked(screen: ExternalProcess, *texts: str, timeout_s: float = 5.0) -> ExternalAnswer:
    answer: asyncio.Future[ExternalAnswer] = asyncio.get_running_loop().create_future()
    screen.ask(texts, timeout_s, answer.set_result)
    return await asyncio.wait_for(answer, 10.0)


async def up_again(screen: ExternalProcess) -> None:
    async with asyncio.timeout(10.0):
        while (await asked(screen, "x")).late:
            await asyncio.sleep(0.02)


@pytest.fixture
async def screen(tmp_path: Path) -> AsyncIterator[ExternalProcess]:
    (tmp_path / "child.py").write_text(CHILD)
    opened = ExternalProcess(ExternalScreening(max_waiting=3), (sys.executable, str(tmp_path / "child.py")))
    await opened.start()
    yield opened
    await opened.close()


async def test_findings_come_with_their_text_and_place(screen: ExternalProcess) -> None:
    answer = await asked(screen, "Nobody here.", "I met Jane.")
    assert answer == ExternalAnswer((Finding("person", 6, 10, 1),))


async def test_who_is_late_is_late_and_the_next_is_answered(screen: ExternalProcess) -> None:
    assert await asked(screen, "sleep", timeout_s=0.05) == ExternalAnswer(late="timeout")
    assert (await asked(screen, "I met Jane.")).findings
    assert screen.late == 1


async def test_it_is_started_again_after_a_crash_and_after_nonsense(screen: ExternalProcess) -> None:
    for number, text in enumerate(("crash", "garbage"), start=1):
        assert await asked(screen, text) == ExternalAnswer(late="down")
        await up_again(screen)
        assert screen.restarts == number


async def test_what_fails_within_it_is_no_crash(screen: ExternalProcess) -> None:
    assert await asked(screen, "fail") == ExternalAnswer(late="failed")
    assert (await asked(screen, "Jane")).findings
    assert screen.restarts == 0


async def test_no_more_wait_than_may(screen: ExternalProcess) -> None:
    answers = await asyncio.gather(*(asked(screen, "sleep") for _ in range(5)))
    assert [answer.late for answer in answers] == ["", "", "", "overloaded", "overloaded"]


async def test_who_is_gone_is_not_told(screen: ExternalProcess) -> None:
    told: list[ExternalAnswer] = []
    screen.ask(["Jane"], 5.0, told.append)()
    screen.ask(["Jane"], 0.0, told.append)()
    assert (await asked(screen, "Jane")).findings
    assert told == []


async def test_it_tells_everybody_when_it_is_closed(screen: ExternalProcess) -> None:
    waiting = asyncio.ensure_future(asked(screen, "sleep"))
    await asyncio.sleep(0)
    await screen.close()
    assert (await waiting).late == "down"
    assert (await asked(screen, "Jane")).late == "down"


async def test_one_that_cannot_be_used_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text("print('[\"ImportError: No module\"]')")
    with pytest.raises(ExternalFailed, match=r"No module.*pip install"):
        await ExternalProcess(ExternalScreening(), (sys.executable, str(tmp_path / "child.py"))).start()
    with pytest.raises(ExternalFailed, match="ended at once"):
        await ExternalProcess(ExternalScreening(), (sys.executable, "-c", "0")).start()


@pytest.mark.parametrize(
    ("on_late", "decision"),
    [
        (OnLate.PASS, LateDecision()),
        (OnLate.FLAG, LateDecision(flag=f"{LATE}:timeout")),
        (OnLate.RAISE_TO, LateDecision(flag=f"{LATE}:timeout", raised_to=DataClass.CONFIDENTIAL)),
        (OnLate.REFUSE, LateDecision(refused=True, flag=f"{LATE}:timeout")),
    ],
)
def test_what_a_missing_answer_means_is_configured(on_late: OnLate, decision: LateDecision) -> None:
    settings = ExternalScreening(on_late=on_late, late_class=DataClass.CONFIDENTIAL)
    assert follow(ExternalAnswer(late="timeout"), settings) == decision
    assert follow(ExternalAnswer((Finding("person", 0, 4),)), settings) == LateDecision()


async def test_presidio_finds_by_its_patterns_without_a_model() -> None:
    pytest.importorskip("presidio_analyzer")
    settings = ExternalScreening(entities=("PHONE_NUMBER", "EMAIL_ADDRESS", "PERSON"), min_score=0.4)
    presidio = ExternalProcess(settings)
    await presidio.start()
    try:
        answer = await asked(presidio, "Nothing.", "Write to jane@example.org or call 212-555-0199.", timeout_s=30.0)
    finally:
        await presidio.close()
    assert [(one.type, one.text, one.start) for one in answer.findings] == [
        ("email_address", 1, 9),
        ("phone_number", 1, 34),
    ]


async def test_presidio_finds_names_by_the_model_that_is_named(tmp_path: Path) -> None:
    pytest.importorskip("presidio_analyzer")
    import spacy
    from spacy.pipeline import EntityRuler

    model = spacy.blank("en")
    ruler = model.add_pipe("entity_ruler")
    assert isinstance(ruler, EntityRuler)
    ruler.add_patterns([{"label": "PERSON", "pattern": "Jane Doe"}])
    model.to_disk(tmp_path / "model")
    presidio = ExternalProcess(ExternalScreening(model=str(tmp_path / "model")))
    await presidio.start()
    try:
        answer = await asked(presidio, "I met Jane Doe.", timeout_s=30.0)
    finally:
        await presidio.close()
    assert answer.findings == (Finding("person", 6, 14, 0),)
    with pytest.raises(ExternalFailed, match="no_such_model"):
        await ExternalProcess(ExternalScreening(model="no_such_model")).start()
