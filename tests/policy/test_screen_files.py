from pathlib import Path

import pytest

from switchgear.core.screening import Canary, Screening, WordList
from switchgear.policy.errors import ScreenError
from switchgear.policy.screen_files import with_files


def test_words_and_tokens_are_taken_in(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("# customers\nAcme GmbH  # the large one\n\nMüller & Co\n", encoding="utf-8")
    (tmp_path / "token").write_text("zebra-42-quartz\n")
    screening = Screening(
        word_lists=(WordList(name="customers", words=("Falcon",), file=str(tmp_path / "words")),),
        canaries=(
            Canary(name="file", token_file=str(tmp_path / "token")),
            Canary(name="variable", token_env="CANARY"),
            Canary(name="here", token="yak-17-basalt"),
        ),
    )
    whole = with_files(screening, {"CANARY": "otter-99-gneiss"})
    assert whole.word_lists == (WordList(name="customers", words=("Falcon", "Acme GmbH", "Müller & Co")),)
    assert [canary.token for canary in whole.canaries] == ["zebra-42-quartz", "otter-99-gneiss", "yak-17-basalt"]
    assert with_files(whole, {}) == whole


@pytest.mark.parametrize(
    ("screening", "path"),
    [
        (Screening(word_lists=(WordList(name="w", file="no-such-file"),)), "word_lists.w.file"),
        (Screening(canaries=(Canary(name="c", token_env="UNSET"),)), "canaries.c.token_env"),
        (Screening(canaries=(Canary(name="c", token_file="no-such-file"),)), "canaries.c.token_file"),
        (Screening(canaries=(Canary(name="c", token="short"),)), "canaries.c"),
        (Screening(canaries=(Canary(name="c"),)), "canaries.c"),
    ],
)
def test_what_cannot_be_read_is_named(screening: Screening, path: str) -> None:
    with pytest.raises(ScreenError) as raised:
        with_files(screening, {})
    assert raised.value.path == path
    assert "short" not in str(raised.value).replace("a short token", "")
