"""The short way for a head that is known: it takes only what the long way would read just so."""

import pytest

from switchgear.wire.express import RequestLane, ResponseLane

_REQUEST = b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: %b\r\nAuthorization: Bearer k\r\n\r\n%b"
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: %b\r\ncontent-type: application/json\r\n\r\n%b"
_SMUGGLED = b"12345" + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def test_a_known_head_with_another_length_is_read() -> None:
    lane = RequestLane()
    assert lane.read(_REQUEST % (b"5", b"12345")) is not None
    read = lane.read(_REQUEST % (b"3", b"abc"))
    assert read is not None
    assert (read[0], read[1], read[2][b"content-length"], read[3]) == (b"POST", b"/v1/x", b"3", b"abc")


@pytest.mark.parametrize(
    ("length", "body"),
    [
        (b"5", b"1234"),
        (b"5", _SMUGGLED),
        (b"5", b""),
        (b"0", b"12345"),
        (b"+5", b"12345"),
        (b"5 ", b"12345"),
        (b"5, 5", b"12345"),
        (b"0x5", b"12345"),
        (b"", b"12345"),
        (b"-5", b"12345"),
        ("٥".encode(), b"12345"),
    ],
)
def test_a_known_head_whose_length_is_not_the_bodys_goes_the_long_way(length: bytes, body: bytes) -> None:
    requests, answers = RequestLane(), ResponseLane()
    assert requests.read(_REQUEST % (b"5", b"12345")) is not None
    assert requests.read(_REQUEST % (length, body)) is None
    assert answers.read(_ANSWER % (b"5", b"12345")) is not None
    assert answers.read(_ANSWER % (length, body)) is None


def test_a_second_length_behind_the_known_head_is_not_overlooked() -> None:
    lane = RequestLane()
    assert lane.read(_REQUEST % (b"5", b"12345")) is not None
    assert lane.read(_REQUEST % (b"5\r\nContent-Length: 9", b"12345")) is None
    assert lane.read(_REQUEST % (b"5\r\nTransfer-Encoding: chunked", b"12345")) is None


def test_another_key_of_the_same_length_is_another_head() -> None:
    lane = RequestLane()
    first = lane.read(_REQUEST % (b"5", b"12345"))
    other = lane.read((_REQUEST % (b"5", b"12345")).replace(b"Bearer k", b"Bearer z"))
    assert first is not None
    assert other is not None
    assert other[2][b"authorization"] == b"Bearer z"
