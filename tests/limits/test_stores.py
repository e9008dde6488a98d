"""What every store must do, over all of them: memory, SQLite, PostgreSQL."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from tests.limits.postgres import Cluster, running

from switchgear.core.clock import ManualClock, SystemClock
from switchgear.limits.book import Ask
from switchgear.limits.errors import SharingFailing, SharingUnusable
from switchgear.limits.memory_store import MemoryStore
from switchgear.limits.period import Period
from switchgear.limits.ports import Store
from switchgear.limits.postgres_store import PostgresStore
from switchgear.limits.sqlite_store import SqliteStore
from switchgear.limits.stores import open_store


def ask(
    counter: str = "c",
    *,
    period: Period = Period.DAY,
    bound: int = 100,
    seq: int = 1,
    held: int = 0,
    spent: int = 0,
    refunds: tuple[tuple[float, int], ...] = (),
    keep: int = 0,
    want: int = 0,
    least: int = 0,
    final: bool = False,
) -> Ask:
    return Ask(counter, period, bound, seq, held, spent, refunds, keep, want, least, final)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Iterator[Store]:
    store: Store
    if request.param == "memory":
        store = MemoryStore(clock)
    elif request.param == "sqlite":
        store = SqliteStore(tmp_path / "new" / "limits.db", clock)
    else:
        cluster: Cluster = request.getfixturevalue("postgres")
        with psycopg.connect(cluster.url, autocommit=True) as connection:
            connection.execute("DROP TABLE IF EXISTS limit_book")
        store = PostgresStore(cluster.url, clock)
    yield store
    store.close()


def test_what_one_worker_holds_another_does_not_get(store: Store) -> None:
    assert store.settle("one", [ask(want=70)], 10.0)[0].hold == 70
    grant = store.settle("two", [ask(want=70)], 10.0)[0]
    assert (grant.hold, grant.available, grant.workers) == (15, 15, 2), "half of what is left"


def test_grants_come_in_the_order_of_the_asks(store: Store) -> None:
    asks = [ask(name, bound=bound, want=1000) for name, bound in (("b", 20), ("a", 10), ("c", 30))]
    assert [(grant.counter, grant.hold) for grant in store.settle("one", asks, 10.0)] == [
        ("b", 20),
        ("a", 10),
        ("c", 30),
    ]


def test_nothing_to_ask_is_no_error(store: Store) -> None:
    assert store.settle("one", [], 10.0) == []


def test_use_is_remembered_and_so_is_what_was_given_back(store: Store) -> None:
    store.settle("one", [ask(want=100)], 10.0)
    store.settle("one", [ask(seq=2, held=100, spent=30, keep=5)], 10.0)
    assert store.settle("two", [ask(want=1)], 10.0)[0].available == 64


def test_an_ask_that_comes_twice_counts_once(store: Store) -> None:
    store.settle("one", [ask(want=100)], 10.0)
    again = ask(seq=2, held=100, spent=30, keep=5, want=10)
    first = store.settle("one", [again], 10.0)
    assert store.settle("one", [again], 10.0) == first


def test_a_lease_that_is_not_renewed_is_over_and_counts_as_spent(store: Store, clock: ManualClock) -> None:
    store.settle("one", [ask(want=60)], 10.0)
    clock.advance(10.0)
    assert store.settle("two", [ask(want=0)], 10.0)[0].available == 40
    assert store.settle("one", [ask(seq=2, held=60, spent=3, keep=57)], 10.0)[0].lost


def test_calls_in_flight_of_a_lease_that_is_over_are_free_again(store: Store, clock: ManualClock) -> None:
    store.settle("one", [ask(period=Period.MOMENT, want=60)], 10.0)
    clock.advance(10.0)
    assert store.settle("two", [ask(period=Period.MOMENT)], 10.0)[0].available == 100


def test_a_worker_that_thinks_its_lease_over_while_it_is_not_leaves_what_it_held_behind(store: Store) -> None:
    store.settle("one", [ask(want=60)], 10.0)
    assert store.settle("one", [ask(seq=2, want=0)], 10.0)[0].available == 40


def test_a_final_ask_leaves_nothing_held(store: Store) -> None:
    store.settle("one", [ask(want=60)], 10.0)
    store.settle("one", [ask(seq=2, held=60, spent=10, final=True)], 10.0)
    grant = store.settle("two", [ask()], 10.0)[0]
    assert (grant.available, grant.workers) == (90, 1)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_workers_with_connections_of_their_own_never_hold_more_than_there_is(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind == "postgres":
        url = request.getfixturevalue("postgres").url
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP TABLE IF EXISTS limit_book")
    else:
        url = f"sqlite:///{tmp_path / 'limits.db'}"
    holds: dict[str, int] = {}
    begin = threading.Barrier(6)

    def work(name: str) -> None:
        store = open_store(url, SystemClock())
        begin.wait()
        for seq in range(1, 25):
            held = holds.get(name, 0)
            told = [ask(bound=1000, seq=seq, held=held, keep=held, want=13)]
            for _ in range(20):  # a file that others hold for too long fails an ask, and the same one is made again
                with suppress(SharingFailing):
                    holds[name] = store.settle(name, told, 60.0)[0].hold
                    break
        store.close()

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(holds) == 6, "a worker failed"
    assert 900 < sum(holds.values()) <= 1000


def test_sqlite_notices_that_its_file_was_replaced(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "limits.db"
    store = SqliteStore(path, clock)
    store.settle("one", [ask(want=60)], 10.0)
    for file in tmp_path.iterdir():
        file.unlink()
    with pytest.raises(SharingFailing):
        store.settle("one", [ask(seq=2, held=60, keep=60)], 10.0)
    assert store.settle("one", [ask(seq=3, want=60)], 10.0)[0].hold == 60
    store.close()


def test_sqlite_says_what_is_wrong_with_its_file(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "limits.db"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(SharingFailing, match=r"limits\.db: file is not a database"):
        SqliteStore(path, clock).settle("one", [ask()], 10.0)


def test_sqlite_that_another_one_locks_for_long_is_failing_and_written_once_it_is_free(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "limits.db"
    store = SqliteStore(path, clock, busy_s=0.01)
    store.settle("one", [ask(want=10)], 10.0)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(SharingFailing, match="locked"):
        store.settle("one", [ask(seq=2, held=10, spent=4, keep=6)], 10.0)
    other.close()
    assert store.settle("one", [ask(seq=2, held=10, spent=4, keep=6)], 10.0)[0].available == 90
    store.close()


def test_books_without_anything_in_them_leave_no_row(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "limits.db"
    store = SqliteStore(path, clock)
    store.settle("one", [ask("a", want=10), ask("b", want=10)], 10.0)
    store.settle("one", [ask("a", seq=2, held=10, final=True), ask("b", seq=2, held=10, spent=1, final=True)], 10.0)
    store.close()
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT counter FROM limit_book").fetchall()
    connection.close()
    assert rows == [("b",)]


def test_postgres_that_comes_back_after_a_crash_goes_on_where_it_was() -> None:
    with running() as cluster:
        store = PostgresStore(cluster.url, patience_s=1.0)
        assert store.settle("one", [ask(want=10)], 60.0)[0].hold == 10
        cluster.stop()
        with pytest.raises(SharingFailing, match="PostgreSQL"):
            store.settle("one", [ask(seq=2, held=10, spent=4, keep=6)], 60.0)
        cluster.start()
        assert store.settle("one", [ask(seq=2, held=10, spent=4, keep=6)], 60.0)[0].available == 90
        store.close()


def test_postgres_takes_the_time_of_the_database(postgres: Cluster) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS limit_book")
        store = PostgresStore(postgres.url)
        store.settle("one", [ask(want=10)], 60.0)
        row = connection.execute(
            "SELECT (book::json->'holds'->'one'->>1)::float8 - extract(epoch from clock_timestamp()) FROM limit_book"
        ).fetchone()
    store.close()
    assert row is not None
    assert 30.0 < row[0] <= 60.0


@pytest.mark.parametrize("address", ["", "limits.db", "mysql://host/db", "sqlite://relative"])
def test_an_address_that_means_no_database_is_refused(address: str, clock: ManualClock) -> None:
    with pytest.raises(SharingUnusable, match="sqlite:///PATH"):
        open_store(address, clock)
