"""Workloads: what is refused and with which remedy, and what is counted."""

from typing import Any

import numpy as np
import pytest
from tests.planner.fleets import calls

from switchgear.planner.errors import BadWorkload
from switchgear.planner.workload import Caller, grown, merged, scaled, summary, workload_of

GOOD: dict[str, Any] = {"at_s": [0.0, 1.0], "prompt_tokens": [10, 20], "output_tokens": [1, 2], "source": "a trace"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"at_s": [], "prompt_tokens": [], "output_tokens": []}, "holds no call; give a trace"),
        ({"prompt_tokens": [10, -1]}, "prompt_tokens of call 1 is -1"),
        ({"prompt_tokens": [0, 1]}, "prompt_tokens of call 0 is 0; give at least 1"),
        ({"output_tokens": [1.5, 2.0]}, "give a whole number of tokens"),
        ({"output_tokens": [1, 10**9]}, "tokens, not characters or bytes"),
        ({"at_s": [1.0, 0.5]}, "call 1 came at 0.5 s, before the one ahead of it"),
        ({"at_s": [0.0, float("nan")]}, "at_s of call 1 is nan"),
        ({"at_s": [-1.0, 0.0]}, "not before it"),
        ({"at_s": [0.0, 1.7e12]}, "not milliseconds"),
        ({"prompt_tokens": [1]}, "1 prompt_tokens for 2 arrivals"),
        ({"prompt_tokens": ["many", "few"]}, "are no numbers"),
        ({"data_class": [0, 9]}, "data_class of call 1 is 9"),
        ({"blocks": [[1]]}, "blocks of 1 prompts for 2 calls"),
        ({"blocks": [[1], [-2]]}, "a block id is negative"),
        ({"blocks": [[1], [2**64]]}, "a block id does not fit into 63 bits"),
        ({"callers": [Caller("a")] * 3}, "3 callers for 2 calls"),
    ],
)
def test_nonsense_is_refused_with_what_to_do(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(BadWorkload, match=said):
        workload_of(**{**GOOD, **wrong})


def test_a_summary_counts() -> None:
    got = summary(workload_of(**GOOD, blocks=[[7, 8], [7, 9]], block_tokens=5))
    assert (got.calls, got.duration_s, got.rate_per_s) == (2, 1.0, 2.0)
    assert got.prompt_tokens_mean == 15.0
    assert got.shared_prefix_share == pytest.approx(5 / 30)


def test_a_load_so_small_that_no_call_ever_comes_is_refused() -> None:
    for factor in (1e-320, 1e-10):
        with pytest.raises(BadWorkload, match=r"at_s of call 1 is inf|not since 1970"):
            scaled(workload_of(**GOOD), factor)


def test_three_times_the_load_is_three_times_the_rate() -> None:
    whole = calls(500, 5.0)
    assert summary(scaled(whole, 3.0)).rate_per_s == pytest.approx(3 * summary(whole).rate_per_s)
    assert grown(3.0, 0.5) == pytest.approx(3**0.5)
    for factor in (0.0, -1.0, float("nan")):
        with pytest.raises(BadWorkload):
            scaled(whole, factor)


def test_pieces_are_the_whole() -> None:
    whole = workload_of(**GOOD, blocks=[[7, 8], [7, 9, 10]])
    pieces = list(whole.parts(1))
    assert [len(piece) for piece in pieces] == [1, 1]
    assert pieces[1].block_ids.tolist() == [7, 9, 10]
    assert pieces[1].block_ends.tolist() == [0, 3]
    again = merged(pieces)
    assert again.at_s.tolist() == whole.at_s.tolist()


def test_merged_traces_keep_their_texts_apart() -> None:
    one = workload_of(**GOOD, blocks=[[0], [0, 1]], block_tokens=5)
    both = merged([one, one])
    assert both.at_s.tolist() == [0.0, 0.0, 1.0, 1.0]
    assert len(set(both.block_ids.tolist())) == 4
    with pytest.raises(BadWorkload, match="no workload"):
        merged([])


def test_between_cuts_and_moves_the_time() -> None:
    whole = calls(1000, 10.0)
    cut = whole.between(20.0, 30.0)
    assert 0 <= cut.at_s[0] < 1
    assert cut.at_s[-1] < 10
    assert np.count_nonzero((whole.at_s >= 20) & (whole.at_s < 30)) == len(cut)
    with pytest.raises(BadWorkload, match="no call of"):
        whole.between(1e6, 2e6)


def test_callers_stay_with_their_calls() -> None:
    ada, bob = Caller("ada", "lab"), Caller("bob")
    one = workload_of(**GOOD, callers=[ada, bob])
    other = workload_of(**{**GOOD, "at_s": [0.5, 2.0]}, callers=[bob])
    assert other.callers == (bob,)
    assert not other.caller.size
    whole = merged([one, other])
    assert [whole.callers[at] for at in whole.caller] == [ada, bob, bob, bob]
    assert [part.callers[at] for part in whole.parts(1) for at in part.caller] == [ada, bob, bob, bob]
    late = whole.between(0.4, 3.0)
    assert [late.callers[at] for at in late.caller] == [bob, bob, bob]
    assert merged([other, other]).callers == (bob,)
