"""Memory: never above its bound, never an answer beyond its time, and what is asked for again stays."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cache.samples import entry

from switchgear.cache.memory import Memory

KEYS = [bytes([number]) for number in range(12)]


def test_what_was_put_is_found_until_its_last_time() -> None:
    memory = Memory(1_000_000)
    kept = entry(now_s=100.0, ttl_s=10.0, stale_s=5.0)
    assert memory.put(b"k", kept)
    assert memory.get(b"k", 109.9) is kept
    assert kept.fresh(109.9)
    assert memory.get(b"k", 114.9) is kept
    assert not kept.fresh(110.0)
    assert memory.get(b"k", 115.0) is None
    assert len(memory) == 0
    assert memory.size == 0


def test_a_new_answer_takes_the_place_of_the_old() -> None:
    memory = Memory(1_000_000)
    memory.put(b"k", entry(b"old"))
    memory.put(b"k", entry(b"new"))
    found = memory.get(b"k", 1.0)
    assert found is not None
    assert found.answer.body == b"new"
    assert len(memory) == 1


def test_what_is_larger_than_an_eighth_is_not_kept_and_drives_nothing_out() -> None:
    memory = Memory(100_000)
    memory.put(b"small", entry())
    assert not memory.put(b"large", entry(b"x" * 20_000))
    assert b"small" in memory
    assert b"large" not in memory


def test_what_is_asked_for_again_outlives_a_long_scan() -> None:
    memory = Memory(entry().size * 20)
    for number in range(10):
        memory.put(b"dear %d" % number, entry())
    for number in range(1000):
        for dear in range(10):
            memory.get(b"dear %d" % dear, 1.0)
        memory.put(b"once %d" % number, entry())
    assert all(b"dear %d" % number in memory for number in range(10))
    assert memory.evicted == 990


def test_a_sweep_forgets_what_is_over_and_nobody_asks_for() -> None:
    memory = Memory(1_000_000)
    for number in range(100):
        memory.put(b"%d" % number, entry(ttl_s=10.0 if number % 2 else 1000.0))
    assert memory.sweep(5.0, 1000) == 0
    assert sum(memory.sweep(20.0, 16) for _ in range(7)) == 50
    assert len(memory) == 50


def test_clear_leaves_nothing() -> None:
    memory = Memory(1_000_000)
    for key in KEYS:
        memory.put(key, entry())
    memory.clear()
    assert len(memory) == memory.size == 0
    memory.put(b"k", entry())
    assert memory.get(b"k", 1.0) is not None


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(KEYS), st.integers(0, 6000)),
        st.tuples(st.just("get"), st.sampled_from(KEYS), st.just(0)),
        st.tuples(st.just("drop"), st.sampled_from(KEYS), st.just(0)),
        st.tuples(st.just("wait"), st.just(b""), st.integers(1, 20)),
        st.tuples(st.just("sweep"), st.just(b""), st.integers(1, 5)),
    ),
    max_size=120,
)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(STEPS)
def test_it_is_a_map_that_forgets_and_never_grows_beyond_its_bound(steps: list[tuple[str, bytes, int]]) -> None:
    memory = Memory(32 * 1024)
    model: dict[bytes, tuple[bytes, float]] = {}
    now_s = 0.0
    for what, key, number in steps:
        if what == "put":
            body = random.Random(number).randbytes(number)
            memory.put(key, entry(body, now_s=now_s, ttl_s=20.0, stale_s=10.0))
            model[key] = (body, now_s + 30.0)
        elif what == "get":
            found = memory.get(key, now_s)
            if found is not None:
                assert (found.answer.body, found.stale_until_s) == model[key]
                assert now_s < found.stale_until_s
        elif what == "drop":
            memory.drop(key)
            assert memory.get(key, now_s) is None
        elif what == "wait":
            now_s += number
        else:
            memory.sweep(now_s, number)
        assert memory.size <= memory.capacity
        assert memory.size == sum(memory._nodes[key].size for key in memory._nodes)
        assert chained(memory) == list(memory._nodes)


class Sieve:
    """SIEVE as its authors' figure 1 has it, on a plain list of [key, visited], oldest first; each entry takes one place of `room`."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.kept: list[list[object]] = []
        self.hand = 0

    def get(self, key: bytes) -> bool:
        for one in self.kept:
            if one[0] == key:
                one[1] = True
                return True
        return False

    def drop(self, key: bytes) -> None:
        for place, one in enumerate(self.kept):
            if one[0] == key:
                self._remove(place)
                return

    def put(self, key: bytes) -> None:
        self.drop(key)
        if len(self.kept) == self.room:
            place = self.hand
            while self.kept[place][1]:
                self.kept[place][1] = False
                place = (place + 1) % len(self.kept)
            self.hand = place
            self._remove(place)
        self.kept.append([key, False])

    def _remove(self, place: int) -> None:
        """The hand stays where it is, on the next newer; beyond the newest it begins with the oldest again."""
        del self.kept[place]
        if self.hand > place:
            self.hand -= 1
        if self.hand >= len(self.kept):
            self.hand = 0


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["put", "get", "get", "drop"]), st.sampled_from(KEYS)), max_size=150))
def test_it_evicts_as_sieve_does(steps: list[tuple[str, bytes]]) -> None:
    memory, plain = Memory(entry().size * 8), Sieve(8)
    for what, key in steps:
        if what == "put":
            memory.put(key, entry())
            plain.put(key)
        elif what == "get":
            assert (memory.get(key, 1.0) is not None) is plain.get(key)
        else:
            memory.drop(key)
            plain.drop(key)
        assert list(memory._nodes) == [one[0] for one in plain.kept]


def test_a_sweep_goes_on_where_it_was_though_that_entry_has_gone() -> None:
    memory = Memory(1_000_000)
    for number in range(6):
        memory.put(b"%d" % number, entry(ttl_s=10.0))
    memory.sweep(1.0, 2)
    memory.drop(b"2")
    assert memory.sweep(20.0, 3) == 3
    assert list(memory._nodes) == [b"0", b"1"]
    assert memory.sweep(20.0, 2) == 2


def chained(memory: Memory) -> list[bytes]:
    """The keys by the list that links them, checked in both directions."""
    forward, node = [], memory._oldest
    while node is not None:
        forward.append(node.key)
        node = node.newer
    backward, node = [], memory._newest
    while node is not None:
        backward.append(node.key)
        node = node.older
    assert backward == forward[::-1]
    return forward
