"""Four worker processes, ten thousand calls at once, one budget: not a cent too much, and nothing left behind."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.limits.crowd import BUDGET_USD, LARGEST_USD, SHARING, TOKENS

from switchgear.core.clock import ManualClock, SystemClock
from switchgear.limits.book import Ask, Grant
from switchgear.limits.model import NANO
from switchgear.limits.period import Period
from switchgear.limits.stores import open_store

ROOT = Path(__file__).parents[2]
WORKERS, CALLS = 4, 10_000
BUDGET = round(BUDGET_USD * NANO)
COUNTERS = {
    f"crowd|team=team|{measure}": (period, bound)
    for measure, period, bound in (
        ("usd_per_day", Period.DAY, BUDGET),
        ("tokens_per_minute", Period.MINUTE, TOKENS),
        ("in_flight", Period.MOMENT, 20_000),
    )
}


class Crowds:
    """The processes; they wait at the start until all are ready."""

    def __init__(self, database: str, folder: Path) -> None:
        self.spending = [folder / f"spending-{number}" for number in range(WORKERS)]
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.limits.crowd", database, f"w{number}", str(CALLS // WORKERS), str(path)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number, path in enumerate(self.spending)
        ]
        for process in self.processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"

    def begin(self) -> None:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()

    def results(self) -> list[dict[str, Any]]:
        """Of those that came to their end."""
        outputs = [process.communicate(timeout=100)[0] for process in self.processes]
        return [json.loads(output) for output in outputs if output.strip()]

    def spent(self) -> int:
        """By all, also by a worker that was killed."""
        return sum(int(line) for path in self.spending for line in path.read_text().split())


def books(database: str) -> dict[str, Grant]:
    """What a new worker is told of each counter."""
    store = open_store(database, SystemClock())
    asks = [Ask(name, period, bound, 1, 0, 0, (), 0, 0) for name, (period, bound) in COUNTERS.items()]
    grants = store.settle("the test", asks, 1.0)
    store.settle("the test", [Ask(a.counter, a.period, a.bound, 2, 0, 0, (), 0, 0, 0, True) for a in asks], 1.0)
    store.close()
    return {grant.counter.rpartition("|")[2]: grant for grant in grants}


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'limits.db'}"
    url: str = request.getfixturevalue("postgres").url
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS limit_book")
    return url


def test_ten_thousand_calls_at_once_spend_no_more_than_the_budget(database: str, tmp_path: Path) -> None:
    crowds = Crowds(database, tmp_path)
    crowds.begin()
    results = crowds.results()
    assert len(results) == WORKERS
    spent = sum(result["nano_usd"] for result in results)
    ended = sum(sum(result["ends"].values()) for result in results)
    assert ended == CALLS
    assert spent == crowds.spent()
    assert spent <= BUDGET
    assert spent > BUDGET * 0.7, "far less than there was: shares lay idle"
    assert sum(result["most_under_way"] for result in results) > 1000
    assert {result["outstanding"] for result in results} == {0}
    told = books(database)
    assert {measure: grant.workers for measure, grant in told.items()} == dict.fromkeys(told, 1), (
        "somebody holds a share"
    )
    assert told["in_flight"].available == 20_000
    if all(result["leases_lost"] == 0 for result in results):
        assert told["usd_per_day"].available == BUDGET - spent, "the books agree to the billionth of a dollar"
    assert sum(result["tokens"] for result in results) <= TOKENS


def test_a_worker_that_is_killed_takes_no_more_than_its_share_with_it(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'limits.db'}"
    crowds = Crowds(database, tmp_path)
    crowds.begin()
    while crowds.spent() < BUDGET // 20:  # in the midst of it
        time.sleep(0.01)
    crowds.processes[0].kill()
    results = crowds.results()
    assert len(results) == WORKERS - 1
    # What the killed worker had under way may have been charged by its backends; so it counts.
    store = open_store(database, clock := ManualClock(SystemClock().now_s()))
    clock.advance(SHARING.lease_s + 1.0)
    ask = Ask("crowd|team=team|usd_per_day", Period.DAY, BUDGET, 1, 0, 0, (), 0, 0)
    grant = store.settle("the test", [ask], 1.0)[0]
    slots = store.settle("the test", [Ask("crowd|team=team|in_flight", Period.MOMENT, 20_000, 1, 0, 0, (), 0, 0)], 1.0)[
        0
    ]
    store.close()
    assert slots.available == 20_000, "its calls in flight count no more"
    assert grant.workers == 1, "nobody holds a share any more"
    assert crowds.spent() <= BUDGET - grant.available <= BUDGET
    assert {result["outstanding"] for result in results} == {0}
    assert LARGEST_USD * NANO < BUDGET
