"""Server-sent events against the WHATWG text, with a plain reading of it as the judge."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.wire.sse_by_the_standard import events_by_the_standard

from switchgear.wire.sse import Event, EventTooLarge, Splitter, comment, data_of, encode, interpret


def read(pieces: list[bytes]) -> tuple[list[bytes], bytes, list[tuple[str, str]]]:
    """What `Splitter` gives for a stream in `pieces`, what it keeps, and the events it comes to."""
    splitter = Splitter()
    given = [event for piece in pieces for event in splitter.feed(piece)]
    events = [(event.type, event.data) for event in map(interpret, given) if event is not None]
    return given, splitter.rest, events


# -- streams: mostly of what the standard gives a meaning to, in every mixture --

LINE_END = st.sampled_from([b"\n", b"\r", b"\r\n"])
FIELD = st.sampled_from(
    [b"data", b"data:", b"data: ", b"event: ", b"event:", b"id: ", b"retry: ", b":", b"other: ", b"datax: ", b" data: "]
)
VALUE = st.sampled_from(
    [
        b"",
        b" ",
        b"a",
        b"a b",
        b":",
        b": x",
        b"\xc3\xa9",
        b"\xff",
        b"[DONE]",
        b'{"a":1}',
        b"\xef\xbb\xbf",
        b"\0",
        b"data: x",
    ]
)
LINE = st.builds(lambda field, value, end: field + value + end, FIELD, VALUE, LINE_END)
STREAM = st.builds(
    lambda mark, parts: mark + b"".join(parts),
    st.sampled_from([b"", b"", b"\xef\xbb\xbf", b"\xef\xbb", b"\xef\xbb\xbf\xef\xbb\xbf"]),
    st.lists(st.one_of(LINE, LINE_END, LINE_END, st.binary(max_size=3)), max_size=30),
)


@st.composite
def cut(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A stream, and the same stream in pieces."""
    stream = draw(STREAM)
    places = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    return stream, [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]


@settings(deadline=None)
@given(cut())
@example((b"data: a\r\n\r\ndata: b\r\n\r\n", [b"data: a\r\n\r", b"\ndata: b\r\n\r\n"]))
@example((b"data: a\r\n\r\n", [b"data: a\r", b"\n\r\n"]))
@example((b"data: a\r\r\n\ndata: b\n\n", [b"data: a\r\r", b"\n\ndata: b\n\n"]))
@example((b"\xef\xbb\xbfdata: a\n\n", [b"\xef", b"\xbb", b"\xbfdata: a\n\n"]))
def test_a_stream_cut_anywhere_comes_to_the_events_of_the_standard(stream: tuple[bytes, list[bytes]]) -> None:
    whole, pieces = stream
    expected = events_by_the_standard(whole)
    assert read([whole])[2] == expected
    assert read(pieces)[2] == expected
    assert read([whole[at : at + 1] for at in range(len(whole))])[2] == expected


@settings(deadline=None)
@given(cut())
def test_no_byte_is_lost_or_changed_but_a_byte_order_mark(stream: tuple[bytes, list[bytes]]) -> None:
    whole, pieces = stream
    given, rest, _ = read(pieces)
    assert b"".join(given) + rest == whole.removeprefix(b"\xef\xbb\xbf")


@settings(deadline=None)
@given(cut())
def test_an_event_is_given_with_the_read_that_ends_it(stream: tuple[bytes, list[bytes]]) -> None:
    _, pieces = stream
    splitter = Splitter()
    so_far = b""
    count = 0
    for piece in pieces:
        so_far += piece
        count += sum(interpret(event) is not None for event in splitter.feed(piece))
        assert count == len(events_by_the_standard(so_far))


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize("piece", [1, 2, 3, 1000])
def test_every_line_end_everywhere(end: bytes, piece: int) -> None:
    stream = end.join([b"event: x", b"data: 1", b"data: 2", b"", b": comment", b"", b"data: 3", b"", b""])
    pieces = [stream[at : at + piece] for at in range(0, len(stream), piece)]
    assert read(pieces)[2] == [("x", "1\n2"), ("message", "3")]


def test_the_standards_own_examples() -> None:
    assert read(
        [b"data: This is the first message.\n\ndata: This is the second message, it\ndata: has two lines.\n\n"]
    )[2] == [
        ("message", "This is the first message."),
        ("message", "This is the second message, it\nhas two lines."),
    ]
    assert read([b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n"])[2] == [
        ("add", "73857293"),
        ("remove", "2153"),
    ]
    assert read([b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event"])[2] == [
        ("message", "first event"),
        ("message", "second event"),
    ]
    assert read([b"data\n\ndata\ndata\n\ndata:"])[2] == [("message", ""), ("message", "\n")]
    assert read([b"data:test\n\ndata: test\n\n"])[2] == [("message", "test")] * 2


def test_ids_are_read() -> None:
    assert interpret(b"id: 7\ndata: a\n\n") == Event("message", "a", "7")
    assert interpret(b"id\ndata: a\n\n") == Event("message", "a", "")
    assert interpret(b"id: a\0b\ndata: a\n\n") == Event("message", "a", None)
    assert interpret(b"data: a\n\n") == Event("message", "a", None)


def test_what_has_no_data_is_no_event() -> None:
    for piece in (b": comment\n\n", b"event: x\n\n", b"id: 1\n\n", b"retry: 5\n\n", b"\n\n", b"\n", b"datax: 1\n\n"):
        assert interpret(piece) is None
        assert data_of(piece) is None


@settings(deadline=None)
@given(st.binary(max_size=40), st.sampled_from([b"\n\n", b"\r\n\r\n", b"\r\r"]))
def test_data_is_read_the_same_the_fast_and_the_slow_way(value: bytes, end: bytes) -> None:
    piece = b"data: " + value + end
    slow = data_of(b": slow\n" + piece)
    assert data_of(piece) == slow


TEXT = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=("Cs",)), max_size=20)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=40), TEXT, TEXT)
def test_what_is_encoded_is_read_back(data: str, kind: str, id: str) -> None:
    piece = encode(data, event=kind, id=id)
    (only,) = Splitter().feed(piece)
    assert only == piece
    lines = data.replace("\r\n", "\n").replace("\r", "\n")  # the standard has one line end within data
    assert interpret(piece) == Event(kind or "message", lines, id or None)
    assert encode(data.encode(), event=kind, id=id) == piece


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b"])
def test_an_event_cannot_be_ended_from_within_its_type_or_id(value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        encode("x", event=value)
    with pytest.raises(ValueError, match="line break"):
        encode("x", id=value)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=40))
def test_a_comment_is_ignored_whatever_it_says(text: str) -> None:
    assert read([b"data: 1\n\n" + comment(text) + b"data: 2\n\n"])[2] == [("message", "1"), ("message", "2")]


def test_an_event_may_not_grow_without_end() -> None:
    for piece in (b"x", b"x" * 100, b"x\r", b"x\n"):
        splitter = Splitter(limit=1000)
        with pytest.raises(EventTooLarge):
            any(splitter.feed(piece) for _ in range(1001))
    with pytest.raises(EventTooLarge):
        Splitter(limit=1000).feed(b"x" * 1001)
    splitter = Splitter(limit=1000)
    for _ in range(1000):
        assert splitter.feed(b"data: " + b"x" * 900 + b"\n\n") != []


def test_a_large_event_in_many_reads_is_not_copied_with_each() -> None:
    """Sixteen megabytes, a kilobyte at a time: a copy of the whole with each read would be a hundred gigabytes."""
    splitter = Splitter()
    splitter.feed(b"data: ")
    for _ in range(16_000):
        assert splitter.feed(b"x" * 1000) == []
    (event,) = splitter.feed(b"\n\n")
    assert len(event) == 16_000_008
    assert splitter.rest == b""
