"""An external screen beside ours, in a process of its own: its findings count like ours, and policies say what it may see."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.gateway.plane import Plane, checked, request
from tests.gateway.recording import recording
from tests.gateway.test_screen import CARD, CLEAN_CALL, MAIL, answers, pieces, says, text_of
from tests.policy.test_external import CHILD
from tests.wire.serving import Caller

from switchgear.core.authorization import Authorization, PolicyText
from switchgear.core.data_class import DataClass
from switchgear.core.external_screening import ExternalScreening, OnLate
from switchgear.core.record import Outcome
from switchgear.core.screening import Action, Screening, ScreenRule
from switchgear.core.snapshot import make_snapshot
from switchgear.gateway.screening_keeper import ScreeningKeeper
from switchgear.gateway.table import Builder
from switchgear.policy.external import Told
from switchgear.policy.external_process import ExternalProcess

SETTINGS = ExternalScreening(entities=("PERSON",), timeout_s=10.0)


class Watched(ExternalProcess):
    """Keeps what it is asked about."""

    asked: list[list[str]]

    def ask(self, texts: Sequence[str], timeout_s: float, told: Told) -> Callable[[], None]:
        self.asked.append(list(texts))
        return super().ask(texts, timeout_s, told)


@pytest.fixture
def child(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "child.py").write_text(CHILD)
    return sys.executable, str(tmp_path / "child.py")


@pytest.fixture
async def external(child: tuple[str, str]) -> AsyncIterator[Watched]:
    process = Watched(SETTINGS, child)
    process.asked = []
    await process.start()
    yield process
    await process.close()


def screen(action: Action, *, raise_to: DataClass | None = None, **settings: Any) -> Screening:
    return Screening(
        external=msgspec.structs.replace(SETTINGS, **settings),
        rules=(
            ScreenRule(name="no-names", find=("person",), action=action, raise_to=raise_to),
            ScreenRule(name="no-cards", find=("payment_card",), action=Action.REFUSE),
            ScreenRule(name="no-mail", find=("email",), action=Action.REDACT),
        ),
    )


async def test_its_finding_is_redacted_with_ours_and_put_back(external: Watched) -> None:
    for stream in (False, True):
        place_answers = pieces("[PER", "SON_1] has ", "[EMAIL_1]") if stream else answers("[PERSON_1] has [EMAIL_1]")
        async with (
            recording(place_answers) as place,
            Plane("a", urls={"a": place.base_url}, screen=screen(Action.REDACT), external=external) as plane,
        ):
            answer = await plane.send(says(f"Jane is {MAIL}.", stream=stream))
            record = await plane.record()
        got = text_of(answer.body) if stream else json.loads(answer.body)["choices"][0]["message"]["content"]
        assert got == f"Jane has {MAIL}"
        assert place.fields["messages"][0]["content"] == "[PERSON_1] is [EMAIL_1]."
        assert [(one.type, one.offsets) for one in record.findings] == [
            ("person", [(0, 0, 4)]),
            ("email", [(0, 8, 8 + len(MAIL))]),
        ]
        assert record.screen_rules == ["no-names", "no-mail"]
    assert external.asked == [[f"Jane is {MAIL}."]] * 2


async def test_its_finding_refuses_by_the_rule_that_names_its_type(external: Watched) -> None:
    async with (
        recording() as place,
        Plane("a", urls={"a": place.base_url}, screen=screen(Action.REFUSE), external=external) as plane,
    ):
        assert (await plane.send(CLEAN_CALL)).status == 200
        error = checked(await plane.send(says("Who is Jane?")), "refused_by_screen")
        record = await plane.record(2)
    assert "'no-names'" in error["message"]
    assert "1 x person" in error["message"]
    assert record.outcome is Outcome.REFUSED
    assert len(place.bodies) == 1
    assert plane.gateway.desk.calls == 0


async def test_what_ours_refuses_it_is_not_shown(external: Watched) -> None:
    async with (
        recording() as place,
        Plane("a", urls={"a": place.base_url}, screen=screen(Action.FLAG), external=external) as plane,
    ):
        checked(await plane.send(says(f"Charge {CARD} to Jane.")), "refused_by_screen")
    assert external.asked == []
    assert place.bodies == []


async def test_its_finding_raises_the_class_and_policy_decides_with_that(external: Watched) -> None:
    policies = (
        '@id("all") permit (principal, action, resource);\n@id("stays") forbid (principal, action, resource) when'
    )
    policies += ' { context.data_class in DataClass::"restricted" } unless { resource == Backend::"external-screen" };'
    authorization = Authorization(texts=(PolicyText("p.cedar", policies),), unknown_class=DataClass.PUBLIC)
    rules = screen(Action.ROUTE, raise_to=DataClass.RESTRICTED)
    async with (
        recording() as place,
        Plane("a", urls={"a": place.base_url}, screen=rules, external=external, authorization=authorization) as plane,
    ):
        assert (await plane.send(CLEAN_CALL)).status == 200
        error = checked(await plane.send(says("Who is Jane?")), "forbidden_by_policy")
        record = await plane.record(2)
    assert "stays" in error["message"]
    assert record.data_class == "restricted"
    assert len(place.bodies) == 1


@pytest.mark.parametrize("on_late", list(OnLate))
async def test_a_text_that_policy_forbids_it_goes_to_nobody_there(external: Watched, on_late: OnLate) -> None:
    policies = '@id("all") permit (principal, action, resource);\n@id("unseen") @description("nobody looks at it") '
    policies += 'forbid (principal, action == Action::"screen", resource) when { context.data_class in DataClass::"confidential" };'
    authorization = Authorization(texts=(PolicyText("p.cedar", policies),), unknown_class=DataClass.PUBLIC)
    rules = screen(Action.REDACT, on_late=on_late)
    async with (
        recording() as place,
        Plane("a", urls={"a": place.base_url}, screen=rules, external=external, authorization=authorization) as plane,
    ):
        answer = await plane.send(says("Who is Jane?"), x_switchgear_data_class="confidential")
        record = await plane.record()
        assert external.asked == []
        if on_late is OnLate.REFUSE:
            assert "unseen (nobody looks at it)" in checked(answer, "forbidden_by_policy")["message"]
            assert place.bodies == []
        else:
            assert answer.status == 200
            assert record.screen_rules == ([] if on_late is OnLate.PASS else ["external_late:forbidden"])
            assert record.data_class == ("restricted" if on_late is OnLate.RAISE_TO else "confidential")
        assert (await plane.send(says("Who is Jane?"), x_switchgear_data_class="internal")).status == 200
    assert external.asked == [["Who is Jane?"]]
    assert place.fields["messages"][0]["content"] == "Who is [PERSON_1]?"


@pytest.mark.parametrize(("text", "why"), [("sleep", "timeout"), ("crash", "down"), ("fail", "failed")])
async def test_a_call_that_it_does_not_answer_for_goes_on_flagged(external: Watched, text: str, why: str) -> None:
    rules = screen(Action.REFUSE, timeout_s=0.05 if why == "timeout" else 10.0)
    async with recording() as place, Plane("a", urls={"a": place.base_url}, screen=rules, external=external) as plane:
        assert (await plane.send(says(text))).status == 200
        assert (await plane.record()).screen_rules == [f"external_late:{why}"]


async def test_a_call_without_an_answer_is_refused_where_the_configuration_says_so(external: Watched) -> None:
    async with (
        recording() as place,
        Plane(
            "a", urls={"a": place.base_url}, screen=screen(Action.FLAG, on_late=OnLate.REFUSE), external=external
        ) as plane,
    ):
        answer = await plane.send(says("fail"))
        error = checked(answer, "screen_unavailable")
        assert (await plane.record()).screen_rules == ["external_late:failed"]
    assert "(failed)" in error["message"]
    assert answer.headers["retry-after"]
    assert place.bodies == []


async def test_where_nobody_is_there_to_be_asked_that_is_late_too() -> None:
    async with recording() as place, Plane("a", urls={"a": place.base_url}, screen=screen(Action.FLAG)) as plane:
        assert (await plane.send(CLEAN_CALL)).status == 200
        assert (await plane.record()).screen_rules == ["external_late:down"]


async def test_who_hangs_up_while_it_looks_is_gone(external: Watched) -> None:
    async with (
        recording() as place,
        Plane("a", urls={"a": place.base_url}, screen=screen(Action.FLAG), external=external) as plane,
    ):
        async with Caller(plane.address) as caller:
            await caller.send(request(says("sleep")))
            async with asyncio.timeout(10.0):
                while not external.asked:
                    await asyncio.sleep(0)
        record = await plane.record()
        assert record.outcome is Outcome.CANCELLED
        assert plane.gateway.desk.calls == 0
        assert (await plane.send(CLEAN_CALL)).status == 200
    assert len(place.bodies) == 1


async def test_a_reload_changes_it_and_what_cannot_be_started_is_tried_again(child: tuple[str, str]) -> None:
    builder = Builder({})
    keeper = ScreeningKeeper(builder, child)
    empty = make_snapshot({}, {}, ())
    await keeper.follow(empty)
    assert keeper.live() is None
    await keeper.follow(make_snapshot({}, {}, (), screen=screen(Action.FLAG)))
    first = builder.external
    await keeper.follow(make_snapshot({}, {}, (), screen=screen(Action.REFUSE)))
    assert builder.external is first, "the same settings are the same process"
    await keeper.follow(make_snapshot({}, {}, (), screen=screen(Action.FLAG, max_waiting=1)))
    assert builder.external is not first
    assert keeper.live() == {"ready": True, "restarts": 0, "late": 0}
    await keeper.follow(empty)
    assert builder.external is None
    await keeper.close()

    Path(child[1]).write_text("print('[\"ImportError: No module\"]')")
    keeper = ScreeningKeeper(builder, child)
    await keeper.follow(make_snapshot({}, {}, (), screen=screen(Action.FLAG)))
    assert keeper.live() == {"ready": False, "restarts": 0, "late": 0}
    Path(child[1]).write_text(CHILD)
    async with asyncio.timeout(20.0):
        while not (keeper.live() or {})["ready"]:
            await asyncio.sleep(0.02)
    await keeper.close()
