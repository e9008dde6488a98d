"""What is counted many at once is what is counted one by one, whatever lies among it."""

import math
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from tests.core.sample_records import all_samples

from switchgear.core.record import RuledOut, decode_record, encode_record
from switchgear.gateway.metrics import Metrics
from switchgear.gateway.plain_counting import count, form_of
from switchgear.gateway.plain_record import ID_BYTES, plain_record

TIMES = st.floats(0, 100.0)
TOKENS = st.one_of(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 4, 16, 64]))
CALLS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 16**24 - 1), TIMES, TIMES, TOKENS, TOKENS, TOKENS, TIMES),
    min_size=1,
    max_size=12,
)
OTHERS = [encode_record(record) for record in all_samples()]


def plan(model: str, target: str, *ruled_out: RuledOut) -> tuple[object, ...]:
    names = ("gateway", "snapshot", "chat/completions", "key", "team", "", model, "", False)
    return (*names, [(target, "llama")], list(ruled_out))


PLANS = [
    plain_record(plan("chat", "appliance"), "appliance", "llama", "stop"),
    plain_record(plan("chat", "appliance"), "appliance", "llama", "length"),
    plain_record(plan("chat", "onpremise"), "onpremise", "llama", "stop"),  # as long as the first
    plain_record(plan("large", "cloud", RuledOut("edge", "tiny", "policy:no-edge")), "cloud", "llama", "stop"),
]


def packed(calls: Sequence[tuple[int, int, float, float, int, int, int, float]]) -> list[bytes]:
    return [
        PLANS[number](b"call_%024x" % call, at_s, duration_s, prompt, cached, completion, cost_usd, 1000, 2000)
        for number, call, at_s, duration_s, prompt, cached, completion, cost_usd in calls
    ]


def counted(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(metrics.render())
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


def singly(bodies: Sequence[bytes]) -> tuple[Metrics, int]:
    metrics, unreadable = Metrics(), 0
    for body in bodies:
        try:
            metrics.add(decode_record(body))
        except msgspec.DecodeError:
            unreadable += 1
    return metrics, unreadable


def held_against_singly(bodies: Sequence[bytes]) -> None:
    metrics, errors = Metrics(), list[msgspec.DecodeError]()
    count(bodies, metrics, errors.append)
    wanted, unreadable = singly(bodies)
    assert len(errors) == unreadable
    assert counted(metrics) == pytest.approx(counted(wanted), rel=1e-12)


@settings(deadline=None)
@given(calls=CALLS, times=st.integers(1, 12), others=st.lists(st.sampled_from([*OTHERS, b"", b"\xc1"]), max_size=40))
def test_many_at_once_are_as_one_by_one(
    calls: list[tuple[int, int, float, float, int, int, int, float]], times: int, others: list[bytes]
) -> None:
    held_against_singly([*others[::2], *packed(calls * times), *others[1::2]])


@pytest.mark.parametrize("number", range(len(PLANS)))
def test_each_of_its_numbers_counts(number: int) -> None:
    held_against_singly(
        packed([(number, call, 1.0, call * 1.0, call, call // 3, 2 * call, call / 1000) for call in range(100)])
    )


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_one_that_differs_in_any_byte_is_not_taken_for_another(data: st.DataObject) -> None:
    """But for its id, which nobody counts."""
    bodies = packed([(0, number, 1.0, 0.5, 100, 0, 20, 0.25) for number in range(100)])
    odd = bytearray(bodies[0])
    ident = odd.index(b"call_")
    places = st.one_of(st.integers(0, ident - 1), st.integers(ident + ID_BYTES, len(odd) - 1))
    odd[data.draw(places)] ^= data.draw(st.integers(1, 255))
    bodies.insert(data.draw(st.sampled_from([0, 1, 63, 64, 100])), bytes(odd))
    metrics, errors = Metrics(), list[msgspec.DecodeError]()
    count(bodies, metrics, errors.append)
    wanted, unreadable = singly(bodies)
    assert len(errors) == unreadable
    found, other = counted(metrics), counted(wanted)
    assert found.keys() == other.keys()
    assert all(_same(found[key], other[key]) for key in found)


def _same(one: float, other: float) -> bool:
    return one == other or math.isclose(one, other, rel_tol=1e-12) or (math.isnan(one) and math.isnan(other))


def test_the_form_is_found_of_plain_records_alone() -> None:
    for number in range(len(PLANS)):
        form = form_of(packed([(number, 7, 1.0, 0.5, 100, 3, 20, 0.25)])[0])
        assert form is not None
        others = packed([(number, 8, 2.0, 0.75, 200, 4, 40, 0.5)] * 3)
        numbers = form.numbers(others)
        assert numbers == ((0.75,) * 3, (0.75,) * 3, (200,) * 3, (4,) * 3, (40,) * 3, (0.5,) * 3)
    assert [form_of(body) for body in (*OTHERS, b"", b"\xc1")] == [None] * (len(OTHERS) + 2)


def test_plans_of_the_same_length_are_told_apart() -> None:
    mixed = packed([(number, call, 1.0, 0.5, 100, 3, 20, 0.25) for call in range(100) for number in (0, 2)])
    assert len({len(body) for body in mixed}) == 1
    form = form_of(mixed[0])
    assert form is not None
    assert form.sorted_out(mixed) == (mixed[::2], mixed[1::2])
    assert form.numbers(mixed) is None
    held_against_singly(mixed)
