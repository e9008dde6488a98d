"""The verdict on a rehearsal: each objective with what was measured, and whether all hold. Pure."""

import math
from collections.abc import Iterable, Sequence

import msgspec

from switchgear.core.data_class import DataClass
from switchgear.rehearsal.model import Objectives, Scenario, allowed
from switchgear.rehearsal.seen import CallSeen, Course, Ending


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One objective."""

    name: str
    unit: str
    """`share`, `s`, `J` or `calls`."""
    bound: str
    """`at least` or `at most`."""
    wanted: float
    measured: float | None
    """None: nothing was seen that could be measured, which passes nothing."""
    passed: bool
    detail: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the rehearsal passed, and why."""

    passed: bool
    checks: tuple[Check, ...]


def judge(scenario: Scenario, course: Course) -> Verdict:
    """Hold a course against its scenario's objectives."""
    objectives, calls = scenario.objectives, course.calls
    checks = [
        _at_least("availability", "share", objectives.availability, availability(calls)),
        *_times(objectives, calls),
        _forbidden(scenario, course),
    ]
    if objectives.most_broken is not None:
        broken = _share(sum(call.ending is Ending.BROKEN for call in calls), len(calls))
        checks.append(_at_most("answers broken", "share", objectives.most_broken, broken))
    if objectives.energy_per_call_j is not None:
        checks.append(_at_most("energy per call", "J", objectives.energy_per_call_j, energy_per_call_j(course)))
    if course.through_gateway:
        ids = [*course.lost, *course.repeated]
        detail = f"for example {ids[0]}" if ids else ""
        checks.append(_at_most("records lost or repeated", "calls", 0, len(ids), detail))
    return Verdict(passed=all(check.passed for check in checks), checks=tuple(checks))


def availability(calls: Sequence[CallSeen]) -> float | None:
    """Share of calls that got a whole answer; None without calls."""
    return _share(sum(call.ending is Ending.OK for call in calls), len(calls))


def percentile(values: Iterable[float], percent: float) -> float | None:
    """By nearest rank: the smallest value that at least so many percent are not above; None without values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else None


def ttfts_s(calls: Iterable[CallSeen]) -> list[float]:
    """Times to the first token of streamed calls that got a whole answer."""
    return [call.ttft_s for call in calls if call.ending is Ending.OK and call.streamed and call.ttft_s is not None]


def energy_per_call_j(course: Course) -> float | None:
    """Joules of all boards for a call that got a whole answer; None without one, or where a device's energy is not known."""
    ok = course.endings()[Ending.OK]
    if not ok or not all(device.seen_inside for device in course.devices):
        return None
    return sum(device.energy_j for device in course.devices) / ok


def forbidden(scenario: Scenario, course: Course) -> list[str]:
    """Where a call went that its data class forbids: one line for each attempt."""
    strictest = allowed(scenario.specs())
    classes = {call.call: call.data_class for call in course.calls if call.call}
    found: list[str] = []
    for record in course.records:
        carried = DataClass(record.data_class) if record.data_class else classes.get(record.call)
        if carried is None:
            continue
        for attempt in record.attempts:
            if carried > strictest[attempt.backend]:
                found.append(f"{record.call}: {carried.value} to {attempt.backend}")
    if not course.through_gateway:
        for call in course.calls:
            if call.data_class is not None and call.data_class > strictest[call.device]:
                found.append(f"call {call.number}: {call.data_class.value} to {call.device}")
    return found


def _times(objectives: Objectives, calls: Sequence[CallSeen]) -> list[Check]:
    checks: list[Check] = []
    if objectives.ttft_p99_s is not None:
        checks.append(_at_most("TTFT p99", "s", objectives.ttft_p99_s, percentile(ttfts_s(calls), 99)))
    if objectives.latency_p99_s is not None:
        whole = [call.latency_s for call in calls if call.ending is Ending.OK]
        checks.append(_at_most("latency p99", "s", objectives.latency_p99_s, percentile(whole, 99)))
    return checks


def _forbidden(scenario: Scenario, course: Course) -> Check:
    found = forbidden(scenario, course)
    return _at_most("calls where they must not go", "calls", 0, len(found), f"for example {found[0]}" if found else "")


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _at_least(name: str, unit: str, wanted: float, measured: float | None) -> Check:
    passed = measured is not None and measured >= wanted
    return Check(name=name, unit=unit, bound="at least", wanted=wanted, measured=measured, passed=passed)


def _at_most(name: str, unit: str, wanted: float, measured: float | None, detail: str = "") -> Check:
    passed = measured is not None and measured <= wanted
    return Check(name=name, unit=unit, bound="at most", wanted=wanted, measured=measured, passed=passed, detail=detail)
