"""What a count runs over: the last 60 seconds, a day, a month, or nothing but the moment. Days and months are UTC's.

Time is cut into slots with numbers that rise: seconds for a rate, days and months for money. Use is written down by slot. The time of a
rate may be of any clock that only moves forward; days and months need Unix time.
"""

from datetime import UTC, datetime
from enum import IntEnum

MINUTE_SLOTS = 60
_DAY_S = 86_400


class Period(IntEnum):
    """The span that a bound holds for."""

    MOMENT = 0
    """Calls in flight: what ended counts no more."""
    MINUTE = 1
    """Any 60 seconds."""
    DAY = 2
    MONTH = 3


def slot_of(period: Period, now_s: float) -> int:
    """The slot that what is used now is written down in."""
    if period is Period.MINUTE:
        return int(now_s)
    if period is Period.DAY:
        return int(now_s // _DAY_S)
    if period is Period.MONTH:
        day = datetime.fromtimestamp(now_s, UTC)
        return day.year * 12 + day.month - 1
    return 0


def oldest_slot(period: Period, now_s: float) -> int:
    """The first slot that still counts.

    For a rate that is the second of 60 s ago, which has begun more than 60 s ago or just then: so no 60 s, wherever they begin, hold
    more than the bound.
    """
    slot = slot_of(period, now_s)
    return slot - MINUTE_SLOTS if period is Period.MINUTE else slot


def leaves_s(period: Period, slot: int) -> float:
    """When a slot stops counting: on the clock of a rate, or in Unix time for days and months."""
    if period is Period.MINUTE:
        return float(slot + MINUTE_SLOTS + 1)
    if period is Period.DAY:
        return float((slot + 1) * _DAY_S)
    if period is Period.MONTH:
        year, month = divmod(slot + 1, 12)
        return datetime(year, month + 1, 1, tzinfo=UTC).timestamp()
    return 0.0
