from hypothesis import given, settings
from hypothesis import strategies as st

from switchgear.journal.backlog import Backlog
from switchgear.journal.model import Entry


@settings(max_examples=50, deadline=None)
@given(counts=st.lists(st.integers(0, 40), max_size=5), max_count=st.integers(1, 60), max_bytes=st.integers(1, 4000))
def test_a_backlog_keeps_the_newest_within_its_bounds(counts: list[int], max_count: int, max_bytes: int) -> None:
    backlog = Backlog(max_count, max_bytes)
    everything: list[Entry] = []
    dropped = 0
    for count in counts:
        entries: list[Entry] = [(str(len(everything) + n), 1.0, bytes(100)) for n in range(count)]
        everything += entries
        dropped += backlog.add(entries)
        assert len(backlog) <= max_count
        assert backlog.bytes <= max(max_bytes, 100)
        assert len(backlog) + dropped == len(everything)
    assert backlog.take(1_000_000) == everything[dropped:]
    assert backlog.bytes == 0
