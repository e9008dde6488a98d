from pathlib import Path

import pytest

from switchgear.core.screening import Canary, Screening, WordList
from switchgear.policy.errors import ScreenError
from switchgear.policy.screen_files import with_words


def test_words_of_files_are_taken_in(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("# customers\nAcme GmbH  # the large one\n\nMüller & Co\n", encoding="utf-8")
    canaries = (Canary(name="c", token_env="CANARY"),)
    lists = (
        WordList(name="customers", words=("Falcon",), file=str(tmp_path / "words")),
        WordList(name="x", words=("y",)),
    )
    whole = with_words(Screening(word_lists=lists, canaries=canaries))
    assert whole.word_lists == (WordList(name="customers", words=("Falcon", "Acme GmbH", "Müller & Co")), lists[1])
    assert whole.canaries == canaries, "a token is a secret: it is read where it is used"
    assert with_words(whole) == whole


@pytest.mark.parametrize("content", [None, b"# nothing\n\n", b"\xff\xfe"])
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "words").write_bytes(content)
    with pytest.raises(ScreenError) as raised:
        with_words(Screening(word_lists=(WordList(name="w", file=str(tmp_path / "words")),)))
    assert raised.value.path == "word_lists.w.file"
