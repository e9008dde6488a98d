"""Public traces: what is in them is what their makers say, and what is wrong in one is said with its line."""

from pathlib import Path

import pytest
from tests.planner.fleets import shared

from switchgear.core.data_class import DataClass
from switchgear.planner.errors import BadWorkload
from switchgear.planner.traces import read_trace
from switchgear.planner.workload import CLASSES, summary

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def test_the_azure_traces_have_the_medians_that_are_known() -> None:
    code, talk = (summary(read_trace(shared(f"azure_llm_2023_{name}.csv"))) for name in ("code", "conv"))
    assert (code.calls, code.prompt_tokens_median, code.output_tokens_median) == (8819, 1469, 13)
    assert (talk.calls, talk.prompt_tokens_median, talk.output_tokens_median) == (19366, 1020, 129)


def test_the_mooncake_trace_has_the_means_and_the_sharing_that_are_known() -> None:
    got = summary(read_trace(shared("mooncake_conversation.jsonl")))
    assert got.calls == 12031
    assert round(got.prompt_tokens_mean) == 12035
    assert round(got.output_tokens_mean) == 343
    assert 0.35 < got.shared_prefix_share < 0.45


def test_seven_digits_of_the_second_and_an_offset(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(f"{AZURE}2023-11-16 18:17:03.9799600,4808,10\n2024-05-10 00:00:00.25+00:00,1,0\n")
    got = read_trace(file, DataClass.RESTRICTED)
    first, second = 1700158623.97996, 1715299200.25
    assert got.at_s.tolist() == pytest.approx([0.0, second - first], abs=1e-6)
    assert {CLASSES[index] for index in got.data_class} == {DataClass.RESTRICTED}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty; give a trace"),
        ("not a trace\n", "lacks the column TIMESTAMP"),
        (AZURE, "holds no call"),
        ("TIMESTAMP,ContextTokens\n", "lacks the column GeneratedTokens"),
        (f"{AZURE}2023-11-16 18:17:03,few,1\n", "line 2"),
        (f"{AZURE}yesterday,1,1\n", "line 2"),
        (f"{AZURE}2023-11-16 18:17:03,-5,1\n", "line 2: ContextTokens is -5"),
        (f"{AZURE}2023-11-16 18:17:03,5,1\n2023-11-16 18:17:04,0,1\n", "line 3: ContextTokens is 0"),
        (f"{AZURE}2023-11-16 18:17:03,5,-1\n", "line 2: GeneratedTokens is -1"),
        (f"{AZURE}2023-11-16 18:17:03,5,1\n2023-11-16 18:17:02,5,1\n", "sort the calls by arrival"),
        ('{"timestamp": 0, "input_length": 5}\n', "line 1"),
        ('{"timestamp": 0, "input_length": -5, "output_length": 1}\n', "line 1: .*>= 1"),
        (
            '{"timestamp": 0, "input_length": 513, "output_length": 1, "hash_ids": [1, 2, 3]}\n',
            "line 1: 3 hash_ids for a prompt of 513; give one for each 512 tokens",
        ),
        (
            '{"timestamp": 5, "input_length": 5, "output_length": 1}\n{"timestamp": 1, "input_length": 5, "output_length": 1}\n',
            "sort",
        ),
    ],
)
def test_what_is_wrong_in_a_trace_is_said(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "trace"
    file.write_text(text)
    with pytest.raises(BadWorkload, match=said):
        read_trace(file)


def test_a_byte_order_mark_as_spreadsheets_write_it_is_no_part_of_a_trace(tmp_path: Path) -> None:
    for name, text in (
        ("a.csv", f"{AZURE}2023-11-16 18:17:03,4808,10\n"),
        ("m.jsonl", '{"timestamp": 0, "input_length": 4808, "output_length": 10}\n'),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
        assert read_trace(tmp_path / name).prompt_tokens.tolist() == [4808]


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(BadWorkload, match="cannot be read"):
        read_trace(tmp_path / "none")
    (tmp_path / "packed").write_bytes(b"\x1f\x8b\xff\xff")
    with pytest.raises(BadWorkload, match="uncompressed"):
        read_trace(tmp_path / "packed")
