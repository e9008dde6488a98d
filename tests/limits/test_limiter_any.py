"""Any calls, at any times: what was really used is written down beside the limiter and held against the bounds."""

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.limits.desk import Desk

from switchgear.core.limits import Limit
from switchgear.limits.model import Measure, RefusalCode
from switchgear.limits.reservation import Reservation

CALLS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "settle", "release", "wait"]),
        st.integers(0, 120),
        st.integers(0, 120),
        st.floats(0, 40),
    ),
    max_size=60,
)


@given(CALLS)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_no_sixty_seconds_hold_more_than_the_bound(steps: list[tuple[str, int, int, float]]) -> None:
    """Real use, written down at the moment of admission, over every window there is; calls never larger than estimated."""
    desk = Desk(Limit(requests_per_minute=4, tokens_per_minute=200, in_flight=3))
    log: list[list[float]] = []
    running: list[tuple[Reservation, list[float]]] = []
    for step, estimate, real, wait_s in steps:
        now_s = desk.clock.monotonic_s()
        if step == "wait":
            desk.clock.advance(wait_s)
        elif step == "reserve":
            answer = desk.ask(tokens=estimate)
            if isinstance(answer, Reservation):
                entry = [now_s, 1.0, float(estimate)]
                log.append(entry)
                running.append((answer, entry))
            elif answer.retry_after_s is not None and answer.code is RefusalCode.RATE:
                assert 0.0 < answer.retry_after_s <= 61.0
        elif running:
            reservation, entry = running.pop(estimate % len(running))
            if step == "release":
                entry[1:] = [0.0, 0.0]
                desk.release(reservation)
            else:
                entry[2] = min(float(real), float(reservation.tokens))
                desk.settle(reservation, tokens=int(entry[2]))
        assert len(running) <= 3
        assert desk.shares.outstanding == {reservation for reservation, _ in running}
        for begin, *_ in log:
            inside = [entry for entry in log if begin <= entry[0] < begin + 60.0]
            assert sum(entry[1] for entry in inside) <= 4
            assert sum(entry[2] for entry in inside) <= 200


@given(
    st.lists(st.tuples(st.floats(0.0, 0.6), st.floats(0.0, 1.5), st.booleans(), st.integers(0, 50_000)), max_size=60)
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_a_day_costs_no_more_than_its_budget_and_what_estimates_fell_short(
    steps: list[tuple[float, float, bool, int]],
) -> None:
    desk = Desk(Limit(usd_per_day=1.0))
    spent: dict[int, float] = {}
    short: dict[int, float] = {}
    running: list[tuple[Reservation, float]] = []
    for estimate, factor, end, wait_s in steps:
        answer = desk.ask(cost_usd=estimate)
        if isinstance(answer, Reservation):
            running.append((answer, estimate))
        desk.clock.advance(wait_s)
        if end and running:
            reservation, estimated = running.pop(0)
            day, real = int(desk.clock.now_s() // 86_400), estimated * factor
            spent[day] = spent.get(day, 0.0) + real
            short[day] = short.get(day, 0.0) + max(0.0, real - estimated)
            desk.settle(reservation, cost_usd=real)
    assert all(usd <= 1.0 + short[day] + 1e-6 for day, usd in spent.items())


@given(st.lists(st.tuples(st.floats(0.0, 0.2), st.sampled_from(["settle", "release", "unknown"])), max_size=80))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_sums_of_money_are_exact(steps: list[tuple[float, str]]) -> None:
    desk = Desk(Limit(usd_per_month=1e6, usd_per_day=1e6))
    spent = 0
    for cost_usd, end in steps:
        reservation = desk.admit(cost_usd=cost_usd)
        if end == "release":
            desk.release(reservation)
            continue
        desk.settle(reservation, cost_usd=None if end == "unknown" else cost_usd)
        spent += int(cost_usd * 1e9 + 0.5)
    for share in desk.shares:
        assert share.counter.measure in (Measure.USD_DAY, Measure.USD_MONTH)
        assert share.spent == spent
        assert share.free == 10**15 - spent
        assert share.under_way == 0
