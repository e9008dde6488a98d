"""The last keys of a provider, as a file."""

from pathlib import Path

import pytest

from switchgear.identity.memory import KeyFile
from switchgear.identity.ports import Kept

KEPT = Kept(b'{"keys":[]}', 5.0)


def test_what_is_kept_is_found_again_and_only_for_its_issuer(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "identity"
    file = KeyFile(folder, "https://one")
    assert file.load() is None
    file.keep(Kept(b"{}", 1.0))
    file.keep(KEPT)
    assert KeyFile(folder, "https://one").load() == KEPT
    assert KeyFile(folder, "https://two").load() is None
    assert [path.name for path in folder.iterdir()] == [file.path.name]
    assert file.path.stat().st_mode & 0o777 == 0o600
    file.path.rename(KeyFile(folder, "https://two").path)
    assert KeyFile(folder, "https://two").load() is None, "another issuer's file under its name"


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"issuer": "https://one", "read_at_s": 1, "jwks": '])
def test_a_damaged_file_is_told_of_and_counts_as_none(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file = KeyFile(tmp_path, "https://one")
    file.path.write_bytes(content)
    assert file.load() is None
    assert "cannot be read" in caplog.text
    file.keep(KEPT)
    assert file.load() == KEPT


def test_a_folder_that_cannot_be_written_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    KeyFile(tmp_path / "file" / "below", "https://one").keep(KEPT)
    assert "cannot be kept" in caplog.text
