from contextlib import closing
from pathlib import Path

from tests.journal.keeping import ids_in, in_frames, rows_in

from switchgear.core.clock import ManualClock
from switchgear.journal.cursor import Cursor
from switchgear.journal.keeper import Keeper
from switchgear.journal.model import Entry, Settings

DAY_S = 86_400.0
NOW_S = 1_700_000_000.0


def filled(folder: Path, count: int, clock: ManualClock, settings: Settings) -> Keeper:
    """Rows of one minute each, the last of this moment."""
    keeper = Keeper(folder / "worker-0.db", settings, clock)
    rows: list[Entry] = [(f"{n:05}", NOW_S - (count - 1 - n) * 60, b"") for n in range(count)]
    for begin in range(0, count, 100):
        assert keeper.write(in_frames(rows[begin : begin + 100])) is None
    return keeper


def expire_all(keeper: Keeper, clock: ManualClock) -> None:
    """All steps of one round."""
    while keeper.wake_in_s() == 0:
        keeper.expire()
    clock.advance(600)
    assert keeper.wake_in_s() == 0


def test_rows_older_than_keep_days_go_and_no_others(tmp_path: Path) -> None:
    clock = ManualClock(NOW_S)
    with closing(filled(tmp_path, 5000, clock, Settings(keep_days=1.0))) as keeper:
        expire_all(keeper, clock)
        assert ids_in(tmp_path / "worker-0.db") == [f"{n:05}" for n in range(5000 - 1441, 5000)]
        assert keeper.expired == 5000 - 1441


def test_a_few_rows_that_fill_no_extent_expire_too(tmp_path: Path) -> None:
    clock = ManualClock(NOW_S)
    with closing(filled(tmp_path, 10, clock, Settings(keep_days=5 / 1440))) as keeper:
        expire_all(keeper, clock)
        assert ids_in(tmp_path / "worker-0.db") == [f"{n:05}" for n in range(4, 10)]


def test_numbers_are_not_given_twice_when_all_rows_are_gone(tmp_path: Path) -> None:
    clock = ManualClock(NOW_S)
    keeper = filled(tmp_path, 1500, clock, Settings(keep_days=1.0))
    clock.advance(30 * DAY_S)
    expire_all(keeper, clock)
    assert rows_in(tmp_path / "worker-0.db") == []
    keeper.close()
    with closing(Keeper(tmp_path / "worker-0.db", Settings(), clock)) as keeper:
        assert keeper.write(in_frames([("new", NOW_S, b"")])) is None
    assert [row[:2] for row in rows_in(tmp_path / "worker-0.db")] == [(1501, "new")]


def test_what_a_consumer_has_not_acknowledged_stays(tmp_path: Path) -> None:
    clock = ManualClock(NOW_S)
    with (
        closing(filled(tmp_path, 3000, clock, Settings(keep_days=1 / 24))) as keeper,
        closing(Cursor(tmp_path, "metering")) as slow,
        closing(Cursor(tmp_path, "audit")) as fast,
    ):
        while batch := fast.read():
            fast.acknowledge(batch)
        for _ in range(2):
            batch = slow.read(600)
            assert batch is not None
            slow.acknowledge(batch)
        expire_all(keeper, clock)
        assert ids_in(tmp_path / "worker-0.db") == [f"{n:05}" for n in range(1200, 3000)]
        assert slow.behind() == 1800
        slow.forget()
        keeper.expire()
        expire_all(keeper, clock)
        assert ids_in(tmp_path / "worker-0.db") == [f"{n:05}" for n in range(3000 - 51, 3000)]


def test_unless_told_so(tmp_path: Path) -> None:
    clock = ManualClock(NOW_S)
    settings = Settings(keep_days=1 / 24, drop_unacknowledged=True)
    with closing(filled(tmp_path, 3000, clock, settings)) as keeper, closing(Cursor(tmp_path, "metering")) as cursor:
        assert cursor.read(1) is not None
        expire_all(keeper, clock)
        assert ids_in(tmp_path / "worker-0.db") == [f"{n:05}" for n in range(3000 - 61, 3000)]
        batch = cursor.read(1)
        assert batch is not None
        assert batch.rows[0].seq == 3000 - 60  # the hole shows in the numbers


def test_nothing_expires_without_keep_days(tmp_path: Path) -> None:
    clock = ManualClock(NOW_S)
    with closing(filled(tmp_path, 10, clock, Settings())) as keeper:
        clock.advance(10_000 * DAY_S)
        assert keeper.wake_in_s() is None
        keeper.expire()
        assert len(rows_in(tmp_path / "worker-0.db")) == 10
