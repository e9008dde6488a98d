"""An engine in a body: what is lost, what is refused, and that nothing depends on how time is cut."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.emulator.devices import device, drive, figures

from switchgear.emulator.errors import ApiError
from switchgear.emulator.scenario import BadFirmware, BrownOut, HeatWave, PowerCut

CALLS = [(0.5 * number, 200, 30) for number in range(40)]


def test_without_events_every_call_comes_to_its_end() -> None:
    one = device()
    emissions, refused = drive(one, CALLS, 600.0)
    ended = [emission for emission in emissions if emission.ended]
    assert refused == []
    assert sorted(emission.sequence for emission in ended) == list(range(40))
    assert all(emission.tokens == 30 and not emission.lost for emission in ended)
    assert (one.generated_tokens, one.prompt_tokens) == (40 * 30, 40 * 200)


def test_a_cut_loses_what_is_under_way_at_that_moment() -> None:
    one = device(PowerCut(at_s=10.0, for_s=3.0), of=figures(boot_s=2.0))
    emissions, refused = drive(one, CALLS, 600.0)
    lost = {emission.sequence: emission.at_s for emission in emissions if emission.lost}
    assert lost
    assert set(lost.values()) == {10.0}
    ended = {emission.sequence for emission in emissions if emission.ended and not emission.lost}
    assert not ended & lost.keys()
    assert set(refused) == {number for number in range(40) if 10.0 <= CALLS[number][0] < 15.0}
    assert ended | lost.keys() | set(refused) == set(range(40))


def test_while_it_starts_it_says_so_and_while_it_is_off_it_says_nothing() -> None:
    one = device(PowerCut(at_s=10.0, for_s=3.0), of=figures(boot_s=2.0))
    assert one.refusal(9.0) is None
    assert one.off(11.0)
    assert not one.off(14.0)
    refusal = one.refusal(14.0)
    assert refusal is not None
    assert refusal.status == 503
    with pytest.raises(ApiError):
        one.submit(1, 10, 10, 14.5)


def test_bad_firmware_fails_its_share_of_the_calls_and_the_same_ones_again() -> None:
    def failures() -> list[int]:
        one = device(BadFirmware(error_ratio=0.3), of=figures(boot_s=0.0))
        return [number for number in range(1000) if one.refusal(1.0) is not None]

    first = failures()
    assert 250 < len(first) < 350
    assert failures() == first


@settings(max_examples=25, derandomize=True, deadline=None)
@given(looks=st.lists(st.floats(0, 60), max_size=40), cut=st.booleans())
def test_who_looks_when_changes_no_token(looks: list[float], cut: bool) -> None:
    """The same tokens at the same times, to the last bit, however often the device is driven and read in between."""
    events = [HeatWave(rise_k=50.0, at_s=2.0, for_s=30.0, ramp_s=3.0), BrownOut(limit=0.6, at_s=20.0, for_s=20.0)]
    events += [PowerCut(at_s=12.0, for_s=4.0)] if cut else []
    calm, watched = device(*events), device(*events)
    assert drive(calm, CALLS, 120.0) == drive(watched, CALLS, 120.0, sorted(looks))
    assert calm.read(120.0) == watched.read(120.0)


@settings(max_examples=25, derandomize=True, deadline=None)
@given(
    cancelled=st.sets(st.integers(0, 39)),
    events=st.lists(st.builds(PowerCut, at_s=st.floats(1, 15), for_s=st.floats(0.5, 5)), max_size=1),
)
def test_a_cancelled_sequence_frees_its_place(cancelled: set[int], events: list[PowerCut]) -> None:
    one = device(*events)
    for number, (at_s, prompt, output) in enumerate(CALLS):
        while (due_s := one.next_s()) is not None and due_s <= at_s:
            one.advance(due_s)
        if not one.off(at_s) and one.refusal(at_s) is None:
            one.submit(number, prompt, output, at_s)
            if number in cancelled:
                one.cancel(number)
    while (due_s := one.next_s()) is not None:
        one.advance(due_s)
    assert one.load().running == one.load().waiting == one.load().kv_used_tokens == 0
