"""What the server promises of any bytes whatever.

No exception, no answer but 200 and 4xx, the same requests and the same refusal however the bytes are cut and whenever the handler
answers, and no request that a plain reading of the same bytes does not find.
"""

from tests.fuzz.program import Input
from tests.wire.hostile.corpus import CASES
from tests.wire.plain_reading import requests_in
from tests.wire.still_loop import Outcome, play

from switchgear.wire.model import Limits

WIDE = Limits(header_bytes=1 << 20, body_bytes=1 << 20)
"""Nothing a fuzzer sends comes near: every outcome must be the same to the byte."""
NARROW = Limits(header_bytes=96, header_count=4, body_bytes=24)
"""Here a cut may decide which of two refusals comes first, and how many spaces are too many; never what a request says."""

SEEDS = [b"\0" + case.data for case in CASES if len(case.data) <= 4000]


def check(data: bytes) -> None:
    """Raises AssertionError where a promise is broken."""
    given = Input(data)
    whole = play([given.rest], WIDE)
    readings = [play(given.pieces(), WIDE), play(given.pieces(), WIDE, later=True), play(given.bytewise(), WIDE)]
    for reading in readings:
        assert reading == whole, f"{reading} in pieces, {whole} whole"
    sound(whole, given.rest)
    twice = given.rest + given.rest  # what a connection remembers of one request must not show in the next
    reading, plainly = (
        play([given.rest, given.rest], WIDE),
        play([twice[at : at + 1] for at in range(len(twice))], WIDE),
    )
    assert reading == plainly, f"{reading} said twice, {plainly} byte by byte"
    sound(reading, twice)
    narrow = [play([given.rest], NARROW), play(given.pieces(), NARROW), play(given.bytewise(), NARROW, later=True)]
    for reading in narrow:
        sound(reading, given.rest)


def sound(outcome: Outcome, data: bytes) -> None:
    """Each request was there to be read, and each refusal blames the caller."""
    plain = tuple(requests_in(data))
    assert outcome.calls == plain[: len(outcome.calls)], f"{outcome.calls} where a plain reading finds {plain}"
    served = len(outcome.calls)
    assert outcome.statuses[:served] == (200,) * served
    refusals = outcome.statuses[served:]
    assert len(refusals) <= 1
    assert all(400 <= status < 500 for status in refusals)
    assert outcome.closed or not refusals
