"""Counts records as they lie in the journal. Those of plain calls are read many at once: making each of them took longer than the rest.

Records that `plain_record` packed for calls of one plan differ in numbers alone, and those stand at fixed places. So one of them is made,
and of all that agree with it in every other byte the numbers are taken in columns. Whatever is no such record is made by itself.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, zip_longest

import msgspec

from switchgear.core.record import Record, decode_record
from switchgear.gateway.metrics import Metrics, Numbers
from switchgear.gateway.plain_record import VARIABLE, constants

_FEWEST = 32
"""Of one length, for which a form pays."""
_AT_ONCE = 64
_MISSES = 8
"""Records of one length that have no form, before the rest of them is no longer asked."""
_RECORDED = slice(3, 14)
_COUNTED = (9, 2, 4, 5, 6, 7)
"""Places within `VARIABLE` of what `Numbers` has."""


def count(bodies: Iterable[bytes], metrics: Metrics, unreadable: Callable[[msgspec.DecodeError], None]) -> None:
    """Count encoded records, in any order. What is no record goes to `unreadable`."""

    def singly(some: Iterable[bytes]) -> None:
        for body in some:
            try:
                metrics.add(decode_record(body))
            except msgspec.DecodeError as error:
                unreadable(error)

    by_length: dict[int, list[bytes]] = {}
    for body in bodies:
        by_length.setdefault(len(body), []).append(body)
    for waiting in by_length.values():
        misses = 0
        while len(waiting) >= _FEWEST and misses < _MISSES:
            form = form_of(waiting[0])
            if form is None:
                misses += 1
                singly(waiting[:1])
                del waiting[:1]
                continue
            alike, waiting = form.sorted_out(waiting)
            numbers = form.numbers(alike)
            if numbers is not None:
                metrics.add_alike(form.record, numbers)
            else:
                singly(alike)
        singly(waiting)


class Form:
    """How the records of one plan lie in memory. `record` is one of them, in `constant` its parts that are the same in all."""

    def __init__(self, record: Record, constant: Sequence[bytes]) -> None:
        self.record = record
        skipped = [str(struct.calcsize(">" + kind)) + "x" for kind in VARIABLE]
        kinds = [kind if place in _COUNTED else skipped[place] for place, kind in enumerate(VARIABLE)]
        sizes = [f"{len(part)}x" for part in constant]
        self._read = struct.Struct(">" + "".join(chain.from_iterable(zip_longest(sizes, kinds, fillvalue=""))))
        blanks = [bytes(struct.calcsize(">" + kind)) for kind in VARIABLE]
        blank = b"".join(chain.from_iterable(zip_longest(constant, blanks, fillvalue=b"")))
        masks = [b"\xff" * len(part) for part in constant]
        self._mask = int.from_bytes(b"".join(chain.from_iterable(zip_longest(masks, blanks, fillvalue=b""))) * _AT_ONCE)
        self._blank = int.from_bytes(blank * _AT_ONCE)
        self.size = len(blank)
        """Bytes of each."""
        self._parts = self._longest(constant, blanks)

    @staticmethod
    def _longest(constant: Sequence[bytes], blanks: Sequence[bytes]) -> list[tuple[int, bytes]]:
        """The two parts that hold names, and where they begin: what tells plans apart."""
        begin, found = 0, []
        for place, part in enumerate(constant):
            if place in (2, 8):
                found.append((begin, part))
            begin += len(part) + (len(blanks[place]) if place < len(blanks) else 0)
        return found

    def sorted_out(self, bodies: list[bytes]) -> tuple[list[bytes], list[bytes]]:
        """Of bodies of the same length those that seem to have this form, and the others."""
        (first, names), (second, more) = self._parts
        first_end, second_end = first + len(names), second + len(more)
        alike = [body for body in bodies if body[first:first_end] == names and body[second:second_end] == more]
        if len(alike) == len(bodies):
            return alike, []
        return alike, [body for body in bodies if body[first:first_end] != names or body[second:second_end] != more]

    def numbers(self, bodies: Sequence[bytes]) -> Numbers | None:
        """Their numbers, each a column; None where one of them has another form after all."""
        together = b"".join(bodies)
        if not self._holds(together):
            return None
        attempt_durations, prompt, cached, completion, costs, durations = zip(
            *self._read.iter_unpack(together), strict=True
        )
        return Numbers(durations, attempt_durations, prompt, cached, completion, costs)

    def _holds(self, together: bytes) -> bool:
        """Whether records, one behind the other, are the same as `record` but for the numbers."""
        step = _AT_ONCE * self.size
        for begin in range(0, len(together), step):
            # Whole numbers of any size are masked and compared in C, many records in one step.
            piece = together[begin : begin + step]
            spare = 8 * (step - len(piece))
            if int.from_bytes(piece) & self._mask >> spare != self._blank >> spare:
                return False
        return True


def form_of(body: bytes) -> Form | None:
    """The form of a record, where `plain_record` could have packed it."""
    try:
        record = decode_record(body)
        constant = constants(
            msgspec.structs.astuple(record)[_RECORDED], record.backend, record.answered_model, record.finish_reason
        )
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    form = Form(record, constant)
    return form if form.size == len(body) and form.numbers([body]) is not None else None
