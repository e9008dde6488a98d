"""Real time and virtual time give the same course; virtual time gives the very same one again."""

from pathlib import Path

import msgspec
import pytest

from switchgear.rehearsal.compare import compare, worst
from switchgear.rehearsal.errors import RehearsalError
from switchgear.rehearsal.reading import read_scenario
from switchgear.rehearsal.run import rehearse
from switchgear.rehearsal.seen import Course

SCENARIO = read_scenario(Path(__file__).with_name("course.toml"))
SPEED = 3.0


@pytest.fixture(scope="module")
def virtual() -> Course:
    return rehearse(SCENARIO)


def test_the_course_shows_what_it_is_for(virtual: Course) -> None:
    box, spare = virtual.devices
    assert box.slow_s > 1
    assert box.off_s == pytest.approx(6.0)
    assert spare.capped_s > 1
    assert {call.device for call in virtual.calls} >= {"box", "spare"}


def test_virtual_time_repeats_itself_to_the_last_digit(virtual: Course) -> None:
    again = rehearse(SCENARIO)
    assert again.calls == [
        msgspec.structs.replace(call, call=other.call) for call, other in zip(virtual.calls, again.calls, strict=True)
    ]
    assert again.devices == virtual.devices


def test_another_seed_brings_another_course(virtual: Course) -> None:
    other = rehearse(msgspec.structs.replace(SCENARIO, seed=SCENARIO.seed + 1))
    assert [call.at_s for call in other.calls] != [call.at_s for call in virtual.calls]


def test_real_time_gives_the_same_course(virtual: Course) -> None:
    """Within 5 %. The first token's time is left to bench.rehearsal: what a call costs here is a part of it, magnified by the speed."""
    real = rehearse(SCENARIO, virtual=False, speed=SPEED)
    differences = compare(virtual, real)
    assert {one.figure for one in differences} >= {"availability", "latency median", "box: seconds slowed down by heat"}
    found = worst([one for one in differences if one.figure != "TTFT median"])
    assert found.share <= 0.05, found


def test_courses_of_two_scenarios_are_not_compared(virtual: Course) -> None:
    with pytest.raises(RehearsalError, match="one scenario and seed"):
        compare(virtual, msgspec.structs.replace(virtual, seed=1))


def test_a_speed_that_is_none_is_refused() -> None:
    with pytest.raises(RehearsalError, match="above 0"):
        rehearse(SCENARIO, virtual=False, speed=0)
