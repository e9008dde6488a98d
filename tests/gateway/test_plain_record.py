"""The record of a plain call that is encoded at once is the one that `Record` would be, whatever its numbers."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switchgear.core.record import (
    VERSION,
    Attempt,
    AttemptKind,
    AttemptOutcome,
    Outcome,
    Record,
    RuledOut,
    decode_record,
    encode_record,
)
from switchgear.gateway.plain_record import ID_BYTES, plain_record

CALL = "call_" + "0123456789abcdef01234567"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
NUMBERS = st.integers(0, 2**32 - 1)
TIMES = st.floats(0, 1e12)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_it_is_the_record_field_by_field(data: st.DataObject) -> None:
    draw = data.draw
    names = [draw(TEXTS, label=name) for name in ("gateway", "snapshot", "endpoint", "key", "team", "class", "model")]
    candidates = draw(st.lists(st.tuples(TEXTS, TEXTS), max_size=20))
    ruled_out = [RuledOut(*three) for three in draw(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=20))]
    backend, model, reason = draw(TEXTS), draw(TEXTS), draw(TEXTS)
    at_s, duration_s, cost_usd = draw(TIMES), draw(TIMES), draw(TIMES)
    prompt, cached, completion, request_bytes, answer_bytes = (draw(NUMBERS) for _ in range(5))
    recorded = (*names, "", False, candidates, ruled_out)
    encoded = plain_record(recorded, backend, model, reason)(
        CALL.encode(), at_s, duration_s, prompt, cached, completion, cost_usd, request_bytes, answer_bytes
    )
    attempt = Attempt(
        backend, model, AttemptKind.FIRST, 0.0, duration_s, duration_s, 200, AttemptOutcome.OK,
        prompt_tokens=prompt, cached_tokens=cached, completion_tokens=completion, usage="reported", cost_usd=cost_usd,
    )  # fmt: skip
    record = Record(
        VERSION, CALL, at_s, *names, "", False, candidates, ruled_out, [attempt], Outcome.OK, 200, "", backend, model, reason,
        duration_s, duration_s, prompt, cached, completion, "reported", cost_usd, request_bytes, answer_bytes,
    )  # fmt: skip
    assert encode_record(decode_record(encoded)) == encode_record(record)


@pytest.mark.parametrize(
    ("call_id", "prompt"),
    [(b"x" * ID_BYTES, -1), (b"x" * ID_BYTES, 2**32), (b"x" * ID_BYTES, 1.5), (b"x", 1), (b"x" * 30, 1)],
)
def test_what_has_no_place_is_refused(call_id: bytes, prompt: int) -> None:
    encode = plain_record(("g", "s", "e", "k", "t", "", "m", "", False, [], []), "b", "m", "stop")
    with pytest.raises(struct.error):
        encode(call_id, 1.0, 1.0, prompt, 0, 0, 0.0, 0, 0)
