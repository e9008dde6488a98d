"""Records of every version stay readable: samples that earlier versions wrote, frozen in `records/`."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.core.sample_records import FOLDER, answered, described, frozen_samples, refused

from switchgear.core.record import (
    VERSION,
    Attempt,
    Record,
    RuledOut,
    decode_record,
    encode_record,
    inter_token_s,
)

VERSIONS = range(1, VERSION + 1)


def bodies(version: int) -> list[bytes]:
    return msgspec.msgpack.decode((FOLDER / f"v{version}.msgpack").read_bytes(), type=list[bytes])


def descriptions(version: int) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = json.loads((FOLDER / f"v{version}.json").read_text())
    return content


def holds(whole: Any, part: Any) -> bool:
    """Whether `whole` has everything that `part` has, further fields aside."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(name in whole and holds(whole[name], part[name]) for name in part)
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(holds, whole, part))
    return bool(whole == part)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_frozen_sample_reads_as_it_was_written(version: int) -> None:
    samples, expected = bodies(version), descriptions(version)
    assert len(samples) == len(expected) >= 5
    for body, description in zip(samples, expected, strict=True):
        record = decode_record(body)
        assert record.version == version
        assert holds(described(record), description)


@pytest.mark.parametrize("version", VERSIONS)
def test_fields_were_only_appended(version: int) -> None:
    for description in descriptions(version):
        assert list(Record.__struct_fields__)[: len(description)] == list(description)
        for part, kind in (("attempts", Attempt), ("ruled_out", RuledOut)):
            for entry in description[part]:
                assert list(kind.__struct_fields__)[: len(entry)] == list(entry)


def test_every_sample_file_is_of_a_known_version() -> None:
    found = {path.name for path in Path(FOLDER).iterdir()}
    assert found == {f"v{version}.{kind}" for version in VERSIONS for kind in ("msgpack", "json")}


def test_the_sample_of_this_version_is_what_this_version_writes() -> None:
    assert bodies(VERSION) == [encode_record(record) for record in frozen_samples()]


def test_a_newer_version_with_further_fields_is_read() -> None:
    content = msgspec.msgpack.decode(encode_record(answered()))
    content[0] = VERSION + 1
    content.append("a field of the future")
    assert decode_record(msgspec.msgpack.encode(content)).call == answered().call


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x90", msgspec.msgpack.encode({"version": 1})])
def test_what_is_no_record_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_record(body)


def test_time_between_tokens() -> None:
    record = answered()
    assert inter_token_s(record) == pytest.approx((0.30 - 0.06) / 120)
    for changes in ({"streamed": False}, {"ttft_s": None}, {"completion_tokens": 1}):
        assert inter_token_s(msgspec.structs.replace(answered(), **changes)) is None
    assert inter_token_s(msgspec.structs.replace(answered(), ttft_s=0.4)) == 0.0
    assert inter_token_s(refused()) is None
