"""Where each call of a workload may go, whatever the moment: by policies, or by the strictest data class of each place.

Calls of one caller, called model and data class are a group, and go the same ways. There are a handful of groups, so each is decided once,
by the gateway's own admission, before its first call. For the compiled simulation a group is a row of bit masks over the places.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from switchgear.core.data_class import DataClass
from switchgear.core.snapshot import Kind
from switchgear.planner.fleet import Fleet
from switchgear.planner.simulate_arrays import NO_CANDIDATE
from switchgear.planner.simulate_model import Admitted, PolicyGroup, PolicyResult
from switchgear.planner.workload import CLASSES, Caller, Ints, Workload

COLUMNS = 7
"""Of a group's row: places that an attempt may use; that the first, a fallback, a retry, a rescue may use; whether these differ; why
a call is refused where there is none."""


class Ways(Protocol):
    """Decides a group. See `routing.Router`."""

    def group(self, caller: Caller, data_class: DataClass) -> int:
        """The group's number: 0, 1, … in the order in which they are first asked for."""

    def row(self, group: int) -> Sequence[int]:
        """Of these columns."""

    def rank(self, group: int) -> int:
        """Of the data class that the group's calls count as."""

    def describe(self, group: int, calls: int) -> PolicyGroup:
        """What was decided, in words."""


class Residency:
    """Without policies: a group for each data class, and what `strictest` of each place says."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def group(self, caller: Caller, data_class: DataClass) -> int:
        return data_class.rank

    def row(self, group: int) -> Sequence[int]:
        mask = sum(1 << i for i, place in enumerate(self._fleet.places) if place.allowed.rank >= group)
        return (mask, mask, mask, mask, mask, 0, NO_CANDIDATE)

    def rank(self, group: int) -> int:
        return group

    def describe(self, group: int, calls: int) -> PolicyGroup:
        raise NotImplementedError("without policies there is nothing to describe")


class Admitting:
    """Gives calls their groups, and counts them. Each piece of a workload is to be shown once."""

    def __init__(self, fleet: Fleet, ways: Ways) -> None:
        self._fleet = fleet
        self._ways = ways
        self._groups: dict[tuple[Caller, int], int] = {}
        self._rows = np.zeros((0, COLUMNS), np.int64)
        self._ranks = np.zeros(0, np.int8)
        self._calls = np.zeros(0, np.int64)

    @property
    def rows(self) -> Ints:
        """By group. Grows with pieces; rows that are there stay."""
        return self._rows

    def groups_of(self, part: Workload) -> Ints:
        """The group of each call."""
        key = part.data_class.astype(np.int64)
        if part.caller.size:
            key += part.caller * len(CLASSES)
        found = np.flatnonzero(np.bincount(key, minlength=len(part.callers) * len(CLASSES)))
        lookup = np.zeros(len(part.callers) * len(CLASSES), np.int64)
        for one in found.tolist():
            caller, data_class = part.callers[one // len(CLASSES)], one % len(CLASSES)
            if (caller, data_class) not in self._groups:
                self._groups[caller, data_class] = self._ways.group(caller, CLASSES[data_class])
            lookup[one] = self._groups[caller, data_class]
        groups = lookup[key]
        self._grow(int(lookup.max()) + 1)
        self._calls += np.bincount(groups, minlength=self._calls.size)
        return groups

    def ranks_of(self, groups: Ints) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
        """Of the data class that each call counts as."""
        return self._ranks[groups]

    def _grow(self, size: int) -> None:
        more = range(len(self._rows), size)
        if more:
            rows = np.array([tuple(self._ways.row(group)) for group in more], np.int64)
            self._rows = np.concatenate([self._rows, rows])
            self._ranks = np.concatenate([self._ranks, np.array([self._ways.rank(one) for one in more], np.int8)])
            self._calls = np.concatenate([self._calls, np.zeros(len(more), np.int64)])

    def result(self) -> Admitted:
        """What the calls shown so far come to."""
        clouds = sum(1 << i for i, place in enumerate(self._fleet.places) if place.kind == Kind.CLOUD)
        may = self._rows[:, 0]
        nowhere = int(self._calls[may == 0].sum())
        local = int(self._calls[(may != 0) & (may & clouds == 0)].sum()) if clouds else None
        groups: list[PolicyGroup] = []
        if self._fleet.has_policies:
            counts = self._calls.tolist()
            groups = [self._ways.describe(group, calls) for group, calls in enumerate(counts) if calls]
        policy = policy_result(groups, self._fleet) if self._fleet.has_policies else None
        return Admitted(nowhere=nowhere, must_stay_local=local, policy=policy)


def policy_result(groups: list[PolicyGroup], fleet: Fleet) -> PolicyResult:
    """Groups, and what keeps their calls from all places or from all clouds."""
    clouds = {place.name for place in fleet.places if place.kind == Kind.CLOUD}
    nowhere: dict[str, int] = {}
    local: dict[str, int] = {}
    for one in groups:
        if not one.places:
            why = _joined(list(one.ruled_out.values()))
            nowhere[why] = nowhere.get(why, 0) + one.calls
        elif clouds and not clouds & set(one.places):
            why = _joined([why for place, why in one.ruled_out.items() if place in clouds])
            local[why] = local.get(why, 0) + one.calls
    ordered = sorted(groups, key=lambda one: -one.calls)
    return PolicyResult(files=[text.file for text in fleet.policy.texts], nowhere=nowhere, local=local, groups=ordered)


def _joined(reasons: list[str]) -> str:
    return "; ".join(dict.fromkeys(reasons))
