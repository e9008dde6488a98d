"""The words of word lists that stand in files, taken into the screening: a snapshot has to be enough to serve from.

Canaries' tokens are not: they are secrets, and read where they are used.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec

from switchgear.core.screening import Screening, WordList
from switchgear.policy.errors import ScreenError


def _read(name: str) -> str:
    return Path(name).read_text(encoding="utf-8")


def with_words(screening: Screening, read: Callable[[str], str] = _read) -> Screening:
    """The screening with the words of its lists' files. `read` gives a file's text, or raises OSError or ValueError.

    Raises ScreenError, naming the list whose file cannot be read or holds no word.
    """
    lists = tuple(_with_words(words, read) for words in screening.word_lists)
    return msgspec.structs.replace(screening, word_lists=lists)


def _with_words(words: WordList, read: Callable[[str], str]) -> WordList:
    if words.file is None:
        return words
    path = f"word_lists.{words.name}.file"
    try:
        lines = read(words.file).splitlines()
    except (OSError, ValueError) as error:
        remedy = "It must be text in UTF-8 that the gateway may read; paths are relative to where it is started."
        raise ScreenError(path, "names a file that cannot be read", remedy) from error
    found = [word for line in lines if (word := line.partition("#")[0].strip())]
    if not found:
        raise ScreenError(
            path, "names a file without words", "Write one word or phrase on each line; `#` begins a comment."
        )
    return msgspec.structs.replace(words, words=(*words.words, *found), file=None)
