"""The record of a plain call that went well, encoded without being made first.

Of such a record only the call's id and a dozen numbers are its own; all else is known with its plan. So the rest is encoded once, and
each record is one `struct.pack` of numbers between constant bytes: about 1 us where a `Record` and its `Attempt` took 3, and no object
that stays until the batch is sent. Numbers have a fixed width (MessagePack specification: float 64, uint 32), which a reader does not
see. Fields that stand at their defaults at the record's end are left out (ADR 7). A test holds it against `Record`.
"""

import struct
from collections.abc import Callable
from itertools import chain, zip_longest
from typing import Any

import msgspec

from switchgear.core.record import VERSION, AttemptKind, AttemptOutcome, Outcome

PlainRecord = Callable[[bytes, float, float, int, int, int, float, int, int], bytes]
"""`(call_id, at_s, duration_s, prompt_tokens, cached_tokens, completion_tokens, cost_usd, request_bytes, answer_bytes)`.

Raises struct.error for a number that has no place in 32 bits, and for an id of another length than `ID_BYTES`.
"""
ID_BYTES = 29
"""Of the ids that `Gateway` gives its calls."""
_FIELDS_OF_RECORD, _FIELDS_OF_ATTEMPT = 31, 15
_FLOAT, _UINT = b"\xcb", b"\xce"
_encode = msgspec.msgpack.Encoder().encode


VARIABLE = (f"{ID_BYTES}s", *"dddIIIdddIIIdII")
"""What stands between the constant parts, for `struct`: the call's id, then `at_s`; of the attempt `duration_s`, `ttft_s`, tokens (prompt,
cached, completion), `cost_usd`; of the record `ttft_s`, `duration_s`, tokens, `cost_usd`, `request_bytes`, `answer_bytes`."""


def constants(recorded: tuple[Any, ...], backend: str, model: str, finish_reason: str) -> list[bytes]:
    """What stands before, between and behind the `VARIABLE` parts of such records. The arguments are those of `plain_record`."""
    reported = _encode("reported")
    target = _encode(backend) + _encode(model)
    return [
        b"\xdc" + struct.pack(">H", _FIELDS_OF_RECORD) + _encode(VERSION) + b"\xd9" + bytes((ID_BYTES,)),
        _FLOAT,
        b"".join(map(_encode, recorded))
        + bytes((0x91, 0x90 + _FIELDS_OF_ATTEMPT))
        + target
        + _encode(AttemptKind.FIRST)
        + _encode(0.0)
        + _FLOAT,
        _FLOAT,
        _encode(200) + _encode(AttemptOutcome.OK) + _encode("") + _encode(0.0) + _UINT,
        _UINT,
        _UINT,
        reported + _FLOAT,
        _encode(Outcome.OK) + _encode(200) + _encode("") + target + _encode(finish_reason) + _FLOAT,
        _FLOAT,
        _UINT,
        _UINT,
        _UINT,
        reported + _FLOAT,
        _UINT,
        _UINT,
        _encode([]),
    ]


def plain_record(recorded: tuple[Any, ...], backend: str, model: str, finish_reason: str) -> PlainRecord:
    """For calls of one plan that one target answered at once. `recorded`: the record's fields from `gateway` to `ruled_out`."""
    constant = constants(recorded, backend, model, finish_reason)
    sizes = [f"{len(part)}s" for part in constant]
    layout = ">" + "".join(chain.from_iterable(zip_longest(sizes, VARIABLE, fillvalue="")))
    pack = struct.Struct(layout).pack
    a, b, c, d, e, f, g, h, i, j, k, m, n, o, p, q, r = constant

    def packed(
        call_id: bytes,
        at_s: float,
        duration_s: float,
        prompt: int,
        cached: int,
        completion: int,
        cost_usd: float,
        request_bytes: int,
        answer_bytes: int,
    ) -> bytes:
        if len(call_id) != ID_BYTES:
            raise struct.error("an id of another length")
        return pack(
            a, call_id, b, at_s, c, duration_s, d, duration_s, e, prompt, f, cached, g, completion, h, cost_usd,
            i, duration_s, j, duration_s, k, prompt, m, cached, n, completion, o, cost_usd, p, request_bytes, q, answer_bytes, r,
        )  # fmt: skip

    return packed
