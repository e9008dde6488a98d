"""Minutes, days and months, against the calendar."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from switchgear.limits.period import Period, leaves_s, oldest_slot, slot_of

MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


@given(MOMENTS)
def test_a_day_and_a_month_are_the_calendar_s(moment: datetime) -> None:
    now_s = moment.timestamp()
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    assert leaves_s(Period.DAY, slot_of(Period.DAY, now_s)) == (midnight + timedelta(days=1)).timestamp()
    first = midnight.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    assert leaves_s(Period.MONTH, slot_of(Period.MONTH, now_s)) == following.timestamp()
    assert slot_of(Period.MONTH, first.timestamp()) == slot_of(Period.MONTH, following.timestamp() - 1)
    assert slot_of(Period.MONTH, following.timestamp()) == slot_of(Period.MONTH, now_s) + 1


@given(st.floats(0, 1e9), st.floats(0, 200))
def test_what_was_used_counts_for_sixty_seconds_and_at_most_one_more(used_s: float, later_s: float) -> None:
    slot, now_s = slot_of(Period.MINUTE, used_s), used_s + later_s
    counts = slot >= oldest_slot(Period.MINUTE, now_s)
    if now_s - used_s < 60.0:
        assert counts
    if now_s - used_s > 61.0:
        assert not counts
    assert counts == (now_s < leaves_s(Period.MINUTE, slot))
