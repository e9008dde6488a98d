"""Counts records as they lie in the journal. Those of plain calls are read many at once: making each of them took longer than the rest.

Records that `plain_record` packed for calls of one plan differ in numbers alone, and those stand at fixed places. So one of them is made,
and of all that agree with it in every other byte the numbers are taken in columns. Whatever is no such record is made by itself.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, chain, zip_longest
from typing import TypeVar

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
_NAMES = (2, 8)
"""Places within the constant parts of those that hold names."""

T = TypeVar("T")


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
        widths = [struct.calcsize(">" + kind) for kind in VARIABLE]
        read = [kind if place in _COUNTED else f"{widths[place]}x" for place, kind in enumerate(VARIABLE)]
        self._read = struct.Struct(">" + "".join(_alternately([f"{len(part)}x" for part in constant], read, "")))
        blanks = [bytes(width) for width in widths]
        pieces = list(_alternately(constant, blanks, b""))
        blank = b"".join(pieces)
        mask = b"".join(_alternately([b"\xff" * len(part) for part in constant], blanks, b""))
        self._blank, self._mask = int.from_bytes(blank * _AT_ONCE), int.from_bytes(mask * _AT_ONCE)
        self.size = len(blank)
        """Bytes of each."""
        ends = list(accumulate(map(len, pieces)))
        self._names = [slice(ends[2 * place - 1], ends[2 * place]) for place in _NAMES]
        """Where names stand: what tells plans apart."""
        self._own = [blank[names] for names in self._names]

    def sorted_out(self, bodies: list[bytes]) -> tuple[list[bytes], list[bytes]]:
        """Of bodies of the same length those that seem to have this form, and the others."""
        one, other = self._names
        own_one, own_other = self._own
        alike: list[bytes] = []
        others: list[bytes] = []
        for body in bodies:
            (alike if body[one] == own_one and body[other] == own_other else others).append(body)
        return alike, others

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


def _alternately(constant: Sequence[T], between: Sequence[T], nothing: T) -> Iterator[T]:
    """A constant part, what stands behind it, the next, and so on; behind the last stands nothing."""
    return chain.from_iterable(zip_longest(constant, between, fillvalue=nothing))


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
