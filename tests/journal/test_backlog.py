from hypothesis import given, settings
from hypothesis import strategies as st

from switchgear.journal.backlog import Backlog
from switchgear.journal.frame import Frame, framed


@settings(max_examples=50, deadline=None)
@given(
    counts=st.lists(st.lists(st.integers(1, 9), max_size=8), max_size=5),
    max_count=st.integers(1, 60),
    max_bytes=st.integers(1, 4000),
)
def test_a_backlog_keeps_the_newest_within_its_bounds(counts: list[list[int]], max_count: int, max_bytes: int) -> None:
    backlog = Backlog(max_count, max_bytes)
    everything: list[Frame] = []
    dropped = came = 0
    for sizes in counts:
        frames = [framed([(f"{came}-{number}", 1.0, bytes(100))] * size) for number, size in enumerate(sizes)]
        everything += frames
        came += sum(sizes)
        dropped += backlog.add(frames)
        assert len(backlog) <= max_count
        assert backlog.bytes <= max(max_bytes, 2000)  # one frame stays, whatever its size
        assert len(backlog) + dropped == came
    taken: list[Frame] = []
    while part := backlog.take(10):
        assert sum(frame.count for frame in part[:-1]) < 10
        taken += part
    assert taken == everything[len(everything) - len(taken) :]
    assert sum(frame.count for frame in taken) + dropped == came
    assert (len(backlog), backlog.bytes) == (0, 0)
