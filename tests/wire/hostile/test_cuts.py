"""Every hostile request, cut at every place, ends as it does in one piece: without a network, so that each cut is exact."""

from collections.abc import Iterator

import pytest
from tests.wire.hostile.corpus import CASES, GROUPS, LIMITS, Case
from tests.wire.still_loop import Outcome, play

_AT_MOST = 600
"""Bytes of a case that is cut at every place; a larger one is cut near its ends, where its framing is, and at some places between."""


def expected(case: Case) -> Outcome:
    statuses = [200] * len(case.seen)
    closed = case.closes
    if case.status is not None and not case.unfinished:
        statuses.append(case.status)
        closed = True
    return Outcome(list(case.seen), statuses, closed, case.unfinished)


def cuts(size: int) -> list[int]:
    if size <= _AT_MOST:
        return list(range(1, size))
    near = 60 if size < 50_000 else 3
    return [*range(1, near), *range(near, size - near, size // 20), *range(size - near, size)]


def wrong_cuts(case: Case) -> Iterator[str]:
    data = case.data
    end = expected(case)
    step = 1 if len(data) < 20_000 else 1021
    small = [data[at : at + step] for at in range(0, len(data), step)]
    for name, pieces in {"whole": [data], "small pieces": small}.items():
        for later in (False, True):
            if (seen := play(pieces, LIMITS, later=later)) != end:
                yield f"{case.name}, {name}, {later=}: {seen}"
    if len(data) < _AT_MOST:
        twice = data + data  # what a connection remembers of one request must not show in the next
        plainly = play([twice[at : at + 1] for at in range(len(twice))], LIMITS)
        if (seen := play([data, data], LIMITS)) != plainly:
            yield f"{case.name}, twice: {seen}, byte by byte {plainly}"
    for cut in cuts(len(data)):
        if (seen := play([data[:cut], data[cut:]], LIMITS)) != end:
            yield f"{case.name}, cut at {cut}: {seen}"


@pytest.mark.parametrize("group", GROUPS)
def test_a_hostile_request_ends_the_same_way_wherever_it_is_cut(group: str) -> None:
    assert [wrong for case in GROUPS[group] for wrong in wrong_cuts(case)] == []


def test_the_corpus_is_as_large_as_it_is_said_to_be() -> None:
    assert len({case.data for case in CASES}) >= 500
    assert sum(case.status is not None for case in CASES) >= 350
    assert {case.status for case in CASES if case.status} <= set(range(400, 500))
