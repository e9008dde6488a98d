"""The last look at a sketch: whether it holds a finding of the original, or a word of it. One that does is not kept."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from switchgear.core.decoding import UNREADABLE
from switchgear.sketches import vocabulary
from switchgear.sketches.images import is_description
from switchgear.sketches.noise import LONG, words_of
from switchgear.sketches.synthetic import plain
from switchgear.sketches.words import ALLOWED

_WHOLE = 8
"""A finding of so many letters and digits is looked for within words and across signs too."""
_OWN_TEXTS = ("https://json-schema.org/draft/2020-12/schema",)
_PUBLIC = ALLOWED | frozenset(
    words_of(
        (
            *vocabulary.KEYS,
            *vocabulary.VALUES,
            *vocabulary.SCHEMA_WORDS,
            *vocabulary.SCHEMA_FORMATS,
            *vocabulary.SCHEMA_TYPES,
            *_OWN_TEXTS,
        )
    )
)


def texts_of(value: Any) -> Iterator[str]:
    """Every text of a JSON value: its keys but the API's own, numbers as they are written, a tool call's arguments one by one."""
    if isinstance(value, dict):
        for key, below in value.items():
            if key not in vocabulary.KEYS:
                yield key
            yield from arguments_of(below) if key == "arguments" and isinstance(below, str) else texts_of(below)
    elif isinstance(value, list):
        for below in value:
            yield from texts_of(below)
    elif isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield repr(value)


def arguments_of(text: str) -> Iterator[str]:
    """The texts within a tool call's arguments; the whole where they are no JSON."""
    try:
        inner = msgspec.json.decode(text)
    except UNREADABLE:
        inner = None
    yield from texts_of(inner) if isinstance(inner, dict | list) else (text,)


def leaks(body: dict[str, Any], words: Counter[str], findings: Iterable[str]) -> list[str]:
    """What of the original is in a sketch's body. `words` are the original's, `findings` as `plain` gives them."""
    texts = [
        text
        for key, value in body.items()
        if key != "model" and key not in vocabulary.NUMBER_KEYS
        for text in texts_of(value)
        if not is_description(text)
    ]
    held = [word for word in words_of(texts) if len(word) >= LONG and word not in _PUBLIC and word in words]
    whole = "\n".join(map(plain, texts))
    return held + [finding for finding in findings if len(finding) >= _WHOLE and finding in whole]
