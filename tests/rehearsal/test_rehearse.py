"""Rehearsals from end to end, in virtual time: what passes, what must not, and what a broken failover looks like."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from switchgear.core.data_class import DataClass
from switchgear.core.snapshot import Retry
from switchgear.gateway.config import Config
from switchgear.rehearsal.configuration import of_user, shipped
from switchgear.rehearsal.errors import RehearsalError
from switchgear.rehearsal.model import Objectives, Scenario
from switchgear.rehearsal.reading import parse_scenario, read_scenario
from switchgear.rehearsal.run import rehearse
from switchgear.rehearsal.seen import Course, Ending
from switchgear.rehearsal.story import moments, windows
from switchgear.rehearsal.verdict import Verdict, forbidden, judge

SCENARIOS = Path(__file__).parents[2] / "examples" / "scenarios"
CUT = """
name = "cut"
lasts_s = 60
seed = 3
[devices.box]
profile = "appliance"
model = "llama-3.1-8b"
[devices.spare]
profile = "l4"
model = "llama-3.1-8b"
[[load]]
rate_per_s = 2.0
prompt_tokens = 50
output_tokens = 20
[[events]]
kind = "power_cut"
on = ["box"]
at_s = 20
for_s = 20
[objectives]
availability = 0.99
ttft_p99_s = 2.0
most_broken = 0.0
"""


def cut(**changes: Any) -> Scenario:
    return msgspec.structs.replace(parse_scenario(CUT.encode()), **changes)


def check(verdict: Verdict, name: str) -> bool:
    return next(one.passed for one in verdict.checks if one.name == name)


def lighter(scenario: Scenario) -> Scenario:
    """A shipped scenario as it is, with a tenth of its calls, and a fleet of a tenth."""
    load = tuple(msgspec.structs.replace(one, rate_per_s=one.rate_per_s / 10) for one in scenario.load)
    devices = {
        name: msgspec.structs.replace(spec, count=max(1, spec.count // 10) if spec.count > 100 else spec.count)
        for name, spec in scenario.devices.items()
    }
    return msgspec.structs.replace(scenario, load=load, devices=devices)


@pytest.mark.parametrize("name", ["heat-wave", "power-cut", "network", "rollout", "brown-out", "fleet"])
def test_the_shipped_scenarios_pass_with_the_shipped_configuration(name: str) -> None:
    scenario = lighter(read_scenario(SCENARIOS / f"{name}.toml"))
    course = rehearse(scenario)
    verdict = judge(scenario, course)
    assert verdict.passed, verdict.checks
    assert len(course.calls) > 20
    assert len(course.records) == (len(course.calls) if scenario.through_gateway else 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["heat-wave", "power-cut", "network", "rollout", "brown-out", "fleet"])
def test_the_shipped_scenarios_pass_in_full(name: str) -> None:
    scenario = read_scenario(SCENARIOS / f"{name}.toml")
    verdict = judge(scenario, rehearse(scenario))
    assert verdict.passed, verdict.checks


@pytest.fixture(scope="module")
def course() -> Course:
    return rehearse(cut())


def test_a_cut_is_survived_and_told(course: Course) -> None:
    scenario = cut()
    verdict = judge(scenario, course)
    assert verdict.passed, verdict.checks
    assert {call.device for call in course.calls} == {"box", "spare"}
    box = course.devices[0]
    assert box.off_s == pytest.approx(20.0)
    told = [moment.what for moment in moments(scenario, course)]
    assert "power_cut on box begins" in told
    assert any(what.startswith("box is off") for what in told)
    rows = windows(scenario, course, 3)
    assert [row.events for row in rows] == [(), ("power_cut",), ()]
    assert rows[1].answered_by == {"spare": rows[1].calls}
    assert sum(row.calls for row in rows) == len(course.calls)


def test_it_fails_when_an_objective_is_tightened(course: Course) -> None:
    tight = cut(objectives=Objectives(availability=1.0, ttft_p99_s=0.001))
    verdict = judge(tight, course)
    assert not verdict.passed
    assert not check(verdict, "TTFT p99")
    assert check(verdict, "availability")


def test_it_fails_when_the_failover_is_broken() -> None:
    scenario = cut()
    config = shipped(scenario)
    chat = config.models["chat"]
    alone = msgspec.structs.replace(chat, targets=chat.targets[:1], retry=Retry(attempts=1))
    course = rehearse(scenario, msgspec.structs.replace(config, models={"chat": alone}))
    verdict = judge(scenario, course)
    assert not verdict.passed
    assert not check(verdict, "availability")
    assert course.endings()[Ending.REFUSED] > 0


def test_a_call_where_its_class_forbids_it_fails_the_rehearsal() -> None:
    scenario = cut()
    load = tuple(msgspec.structs.replace(one, data_class=DataClass.RESTRICTED) for one in scenario.load)
    spare = msgspec.structs.replace(scenario.devices["spare"], strictest=DataClass.INTERNAL)
    scenario = msgspec.structs.replace(scenario, load=load, devices={**scenario.devices, "spare": spare})
    course = rehearse(scenario)
    found = forbidden(scenario, course)
    assert found
    assert all(one.endswith("restricted to spare") for one in found)
    assert not check(judge(scenario, course), "calls where they must not go")


def test_a_lost_or_a_repeated_record_fails_the_rehearsal(course: Course) -> None:
    lost = msgspec.structs.replace(course, lost=["call_1"])
    repeated = msgspec.structs.replace(course, repeated=["call_1"])
    for spoiled in (lost, repeated):
        assert not check(judge(cut(), spoiled), "records lost or repeated")


def test_what_was_not_seen_passes_nothing(course: Course) -> None:
    silent = msgspec.structs.replace(course, calls=[])
    verdict = judge(cut(), silent)
    assert not check(verdict, "availability")
    assert not check(verdict, "TTFT p99")


def test_energy_of_a_call_counts_what_everything_drew(course: Course) -> None:
    scenario = cut(objectives=Objectives(energy_per_call_j=10_000.0))
    one = next(one for one in judge(scenario, course).checks if one.name == "energy per call")
    idle_j = (30 + 16) * 60.0
    assert one.measured is not None
    assert one.measured > idle_j * 0.6 / len(course.calls)


def test_a_gateways_slow_disk_and_stepped_clock_lose_no_record() -> None:
    text = CUT + (
        '[[events]]\nkind = "slow_disk"\non = ["gateway"]\ndelay_s = 30\n'
        '[[events]]\nkind = "clock_step"\non = ["gateway"]\nstep_s = -7200\nat_s = 10\nfor_s = 30\n'
    )
    scenario = parse_scenario(text.encode())
    course = rehearse(scenario)
    assert judge(scenario, course).passed
    assert len(course.records) == len(course.calls)
    times = [record.at_s for record in course.records]
    assert max(times) - min(times) > 7000


def test_a_users_configuration_is_rehearsed_with_its_own_names() -> None:
    scenario = cut()
    config = shipped(scenario)
    course = rehearse(scenario, config)
    assert judge(scenario, course).passed
    missing = msgspec.structs.replace(config, backends={**config.backends, "vllm": config.backends["box"]})
    with pytest.raises(RehearsalError, match=r"add a table \[devices.vllm\]"):
        of_user(missing, scenario)
    unnamed: Config = msgspec.structs.replace(config, models={"other": config.models["chat"]})
    with pytest.raises(RehearsalError, match="the load calls 'chat'"):
        of_user(unnamed, scenario)


def test_devices_without_a_gateway_take_no_configuration() -> None:
    scenario = cut(through_gateway=False)
    with pytest.raises(RehearsalError, match="through_gateway"):
        rehearse(scenario, shipped(scenario))


HOT = """
name = "hot"
lasts_s = 240
seed = 5
[devices.hot]
profile = "l4"
model = "llama-3.1-8b"
[devices.cool]
profile = "l4"
model = "llama-3.1-8b"
[models.chat]
strategy = "STRATEGY"
targets = [{ backend = "*o*", model = "llama-3.1-8b" }]
[[load]]
rate_per_s = 1.5
prompt_tokens = 100
output_tokens = 24
[[events]]
kind = "fan_failure"
on = ["hot"]
speed = 0.15
at_s = 20
"""


def test_headroom_leaves_a_device_before_it_slows_down() -> None:
    """The same calls, the same broken fan: in order of preference the device slows down, by headroom it never does."""
    priority = rehearse(parse_scenario(HOT.replace("STRATEGY", "priority").encode()))
    headroom = rehearse(parse_scenario(HOT.replace("STRATEGY", "headroom").encode()))
    assert priority.devices[0].name == headroom.devices[0].name == "hot"
    assert priority.devices[0].slow_s > 10
    assert priority.health["hot"]["bad"] > 10
    assert headroom.devices[0].slow_s == 0
    assert headroom.devices[0].tokens > 0
    assert headroom.endings() == priority.endings() == {Ending.OK: len(headroom.calls)}
