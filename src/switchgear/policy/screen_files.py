"""What a screening names outside of the configuration file, taken into it: a snapshot has to be enough to serve from."""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from switchgear.core.screening import Canary, Screening, WordList
from switchgear.policy.errors import ScreenError

SHORTEST_CANARY = 8
"""Characters: a shorter token would stand in answers by chance."""


def _read(name: str) -> str:
    return Path(name).read_text(encoding="utf-8")


def with_files(screening: Screening, environment: Mapping[str, str], read: Callable[[str], str] = _read) -> Screening:
    """The screening with its files' words and its canaries' tokens. `read` gives a file's text, or raises OSError or ValueError.

    Raises ScreenError, naming what cannot be read or used; never with a token in it.
    """
    return msgspec.structs.replace(
        screening,
        word_lists=tuple(_with_words(words, read) for words in screening.word_lists),
        canaries=tuple(_with_token(canary, environment, read) for canary in screening.canaries),
    )


def _with_words(words: WordList, read: Callable[[str], str]) -> WordList:
    if words.file is None:
        return words
    lines = _text_of(f"word_lists.{words.name}.file", words.file, read).splitlines()
    found = (line.partition("#")[0].strip() for line in lines)
    return msgspec.structs.replace(words, words=(*words.words, *(word for word in found if word)), file=None)


def _with_token(canary: Canary, environment: Mapping[str, str], read: Callable[[str], str]) -> Canary:
    path = f"canaries.{canary.name}"
    token = canary.token
    if canary.token_env is not None:
        token = environment.get(canary.token_env, "")
        if not token:
            raise ScreenError(f"{path}.token_env", "names a variable that is not set", "Set it where the gateway runs.")
    elif canary.token_file is not None:
        token = _text_of(f"{path}.token_file", canary.token_file, read).strip()
    if len(token) < SHORTEST_CANARY:
        raise ScreenError(path, "has a short token or none", f"Give one of at least {SHORTEST_CANARY} characters.")
    return msgspec.structs.replace(canary, token=token, token_env=None, token_file=None)


def _text_of(path: str, name: str, read: Callable[[str], str]) -> str:
    try:
        return read(name)
    except (OSError, ValueError) as error:
        remedy = "It must be text in UTF-8 that the gateway may read; paths are relative to where it is started."
        raise ScreenError(path, "names a file that cannot be read", remedy) from error
