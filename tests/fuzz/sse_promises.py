"""What the reading of server-sent events promises of any bytes whatever, however they are cut.

The events of the standard's own reading, no byte lost, and what is written is read back.
"""

from tests.fuzz.program import Input
from tests.wire.sse_by_the_standard import events_by_the_standard

from switchgear.wire.sse import Splitter, data_of, encode, interpret

SEEDS = [
    b"\0data: 1\n\ndata: [DONE]\n\n",
    b"\0\xef\xbb\xbfevent: x\r\ndata: 1\r\ndata: 2\r\n\r\n: comment\r\n\r\n",
    b"\0data: 1\r\rdata\r\r\nid: 7\ndata: 3\n\n\n",
    b"\0data:\n\ndata\ndata\n\nretry: 5\n\n",
]


def check(data: bytes) -> None:
    """Raises AssertionError where a promise is broken."""
    given = Input(data)
    expected = events_by_the_standard(given.rest)
    for pieces in ([given.rest], given.pieces(), given.bytewise()):
        splitter = Splitter()
        found = [piece for read in pieces for piece in splitter.feed(read)]
        assert b"".join(found) + splitter.rest == given.rest.removeprefix(b"\xef\xbb\xbf")
        events = [event for event in map(interpret, found) if event is not None]
        assert [(event.type, event.data) for event in events] == expected, pieces
        for piece in found:
            assert (data_of(piece) is None) == (interpret(piece) is None)
    for kind, text in expected:
        written = encode(text, event="" if kind == "message" or "\0" in kind else kind)
        assert events_by_the_standard(written) == [("message" if "\0" in kind else kind, text)]
