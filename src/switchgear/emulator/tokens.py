"""The one tokenizer of all emulated places: words of at most twelve letters with the space before them, punctuation, single white space."""

import re

_TOKEN = re.compile(r" ?\w{1,12}| ?[^\w\s]|\s")

IMAGE_TOKENS = 85
"""What an image in a message counts, whatever its size: OpenAI's price of a low-detail image."""


def tokenize(text: str) -> list[str]:
    """The tokens of `text`; joined, they are `text`."""
    return _TOKEN.findall(text)


def count_tokens(text: str) -> int:
    """How many tokens `text` has."""
    return len(_TOKEN.findall(text))
