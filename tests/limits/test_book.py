"""One counter's book, entry by entry."""

from hypothesis import given, settings
from hypothesis import strategies as st

from switchgear.limits.book import Ask, Book
from switchgear.limits.period import Period


def ask(
    seq: int,
    *,
    held: int = 0,
    spent: int = 0,
    keep: int = 0,
    want: int = 0,
    least: int = 0,
    refunds: tuple[tuple[float, int], ...] = (),
) -> Ask:
    return Ask("c", Period.MINUTE, 100, seq, held, spent, refunds, keep, want, least)


def test_what_is_given_back_in_time_is_there_again_at_once() -> None:
    book = Book()
    book.settle("one", ask(1, spent=80), 1000.0, 10.0)
    assert book.settle("one", ask(2, refunds=((5.0, 30),)), 1005.0, 10.0).available == 50


def test_what_is_given_back_after_its_minute_is_not_there_twice() -> None:
    book = Book()
    book.settle("one", ask(1, spent=80), 1000.0, 10.0)
    book.settle("one", ask(2, spent=60), 1061.0, 10.0)
    assert book.settle("one", ask(3, refunds=((70.0, 80),)), 1070.0, 10.0).available == 40


def test_the_last_of_it_is_not_lost_between_workers_that_each_want_all() -> None:
    book = Book()
    for seq, worker in enumerate("abcd", 1):
        book.settle(worker, ask(seq, want=1000), 1000.0, 10.0)
    holds = {worker: hold.amount for worker, hold in book.holds.items()}
    assert sum(holds.values()) == 100, "the first one got it all; it gives back what it does not need"
    book.settle("a", ask(10, held=100, keep=7), 1000.5, 10.0)
    assert book.settle("d", ask(11, want=1000, least=60), 1001.0, 10.0).hold == 60, "a call waits for so much"
    assert book.settle("c", ask(12, want=1000), 1001.0, 10.0).hold == 8, "a part among four"


def test_it_tells_when_what_was_used_stops_counting() -> None:
    book = Book()
    book.settle("one", ask(1, spent=30), 1000.25, 10.0)
    book.settle("one", ask(2, spent=70), 1010.0, 10.0)
    grant = book.settle("two", ask(1, want=5), 1020.0, 10.0)
    assert grant.hold == 0
    assert grant.leaving == ((41.0, 30), (51.0, 70))


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"), st.floats(0.0, 20.0), st.floats(0.0, 1.0), st.integers(0, 150), st.integers(0, 40)
        ),
        max_size=40,
    )
)
@settings(deadline=None, derandomize=True, max_examples=200)
def test_used_and_held_together_never_exceed_the_bound(steps: list[tuple[str, float, float, int, int]]) -> None:
    """Workers that use no more than they hold, whether they renew in time or not."""
    book, now_s = Book(), 1000.0
    holds: dict[str, tuple[int, int]] = dict.fromkeys("abc", (0, 0))
    for worker, wait_s, part, want, least in steps:
        now_s += wait_s
        held, seq = holds[worker]
        spent = int(held * part)
        told = ask(seq + 1, held=held, spent=spent, keep=held - spent, want=want, least=least)
        grant = book.settle(worker, told, now_s, 10.0)
        holds[worker] = (0 if grant.lost else grant.hold, seq + 1)
        assert book.total() + book.held() <= 100
        assert grant.available == 100 - book.total() - book.held()
