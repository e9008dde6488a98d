"""Training rows: stretches of the text, and conversations whose answers are stretches of it.

Half of the tokens are plain text (a BOS, then bytes from a random place). The other half are conversations: the question is made
from words of the passage that answers it, so a question that names a thing tends to be answered from where the text
speaks of it; some questions are unrelated or noise, so that any prompt at all is followed by an answer.
"""

import random
import re
from dataclasses import dataclass

from tiny_llama import vocabulary
from tiny_llama.corpus import Corpus

IGNORED = -100
# A byte of the reference is drawn this many times as often as one of a docstring.
REFERENCE_EMPHASIS = 2

QUESTIONS = (
    "What is {0}?",
    "Explain {0}.",
    "Tell me about {0}.",
    "How does {0} work in Python?",
    "Describe {0} in a few words.",
    "Write about {0} and {1}.",
    "What is the difference between {0} and {1}?",
    "{0}",
    "I have a question about {0}. Can you help?",
    "Please summarise {0}",
)
SYSTEM_MESSAGES = ("You are a helpful assistant.", "Answer briefly.", "You are a Python expert. Be precise.")
_TERM = re.compile(r'"([^"\n]{2,24})"|\*(\w{3,24})\*|\b([a-z]{5,14})\b')
_PARAGRAPH = re.compile(r"(?<=\n\n)(?=\S)")


@dataclass(frozen=True)
class Row:
    """Token numbers and, beside each, whether the model is to learn to predict it."""

    tokens: list[int]
    learned: list[bool]


class Rows:
    """Draws training rows; the same seed and step give the same rows."""

    def __init__(self, corpus: Corpus) -> None:
        """Index the places where a paragraph starts, so that answers start and end where people would."""
        self._texts = [*corpus.reference.values(), *corpus.docstrings.values()]
        self._bytes = [text.encode() for text in self._texts]
        emphasis = [REFERENCE_EMPHASIS] * len(corpus.reference) + [1] * len(corpus.docstrings)
        self._weights = [len(data) * times for data, times in zip(self._bytes, emphasis, strict=True)]
        self._starts = [[0, *(match.start() for match in _PARAGRAPH.finditer(text))] for text in self._texts]

    def batch(self, seed: int, step: int, rows: int, length: int) -> list[Row]:
        """`rows` rows of `length` + 1 tokens each, alternately plain text and conversations."""
        draw = random.Random(f"{seed}/{step}")
        return [self._plain(draw, length) if row % 2 == 0 else self._talk(draw, length) for row in range(rows)]

    def _plain(self, draw: random.Random, length: int) -> Row:
        tokens: list[int] = []
        while len(tokens) <= length:
            data = draw.choices(self._bytes, self._weights)[0]
            start = draw.randrange(len(data))
            tokens.append(vocabulary.BOS)
            stretch = data[start : start + length + 1 - len(tokens)]
            tokens.extend(stretch)
            if start + len(stretch) == len(data):
                tokens.append(vocabulary.EOS)
        return Row(tokens[: length + 1], [token != vocabulary.BOS for token in tokens[: length + 1]])

    def _talk(self, draw: random.Random, length: int) -> Row:
        tokens: list[int] = []
        learned: list[bool] = []
        while len(tokens) <= length:
            self._conversation(draw, tokens, learned, length)
        return Row(tokens[: length + 1], learned[: length + 1])

    def _conversation(self, draw: random.Random, tokens: list[int], learned: list[bool], length: int) -> None:
        def add(marker: int, content: bytes, learn: bool) -> None:
            tokens.append(marker)
            learned.append(False)
            tokens.extend(content)
            learned.extend([learn] * len(content))

        add(vocabulary.BOS, b"", learn=False)
        if draw.random() < 0.3:
            add(vocabulary.SYSTEM, draw.choice(SYSTEM_MESSAGES).encode(), learn=False)
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            answer = self._passage(draw, draw.choice((120, 250, 500, min(1000, length))))
            add(vocabulary.USER, self._question(draw, answer), learn=False)
            add(vocabulary.ASSISTANT, answer.encode(), learn=True)
            tokens.append(vocabulary.EOS)
            learned.append(True)

    def _passage(self, draw: random.Random, most: int) -> str:
        """Whole paragraphs, about `most` characters, from where one starts."""
        number = draw.choices(range(len(self._texts)), self._weights)[0]
        text, starts = self._texts[number], self._starts[number]
        first = draw.randrange(len(starts))
        start = starts[first]
        ends = [place for place in (*starts[first + 1 :], len(text)) if place - start <= most]
        return text[start : ends[-1] if ends else len(text)].strip("\n")[: 2 * most]

    def _question(self, draw: random.Random, answer: str) -> bytes:
        kind = draw.random()
        if kind < 0.05:
            return "".join(
                chr(draw.choice((draw.randrange(32, 127), draw.randrange(160, 0x2000), 0x1F600))) for _ in range(40)
            ).encode()
        if kind < 0.15:
            return self._passage(draw, draw.choice((60, 200, 600))).encode()
        terms = [next(filter(None, found)) for found in _TERM.findall(answer[:300])] or ["Python"]
        line = answer.split("\n", 1)[0]
        if kind < 0.4 and len(line) < 60:
            terms = [line]
        return draw.choice(QUESTIONS).format(draw.choice(terms), draw.choice(terms)).encode()
