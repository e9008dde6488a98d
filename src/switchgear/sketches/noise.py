"""Words of noise in place of words: as long, of the same script, in the same capitals, between the same signs."""

import random
import re
from collections import Counter
from collections.abc import Iterable

from switchgear.core.screening import Detector
from switchgear.sketches.scripts import letter_like, script_of
from switchgear.sketches.words import COMMON, LANGUAGES, STOP

RUN = re.compile(r"(?:[^\W\d_]|[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u0903\u093a-\u094d\u0e31-\u0e4e])+|\d+")
"""A run of letters (marks that belong to them included) or of digits."""
_PLACEHOLDER = re.compile(rf"\[(?:{'|'.join(one.value.upper() for one in Detector)})_\d+\]")
"""What the screen put in place of data of its own types. A type of the company's own is a word like any other."""
_VOWELS = "aeiou"
_CONSONANTS = "bcdfghklmnprstvz"
_TRIES = 60
_TOLD_BY_WORDS = 2
"""So many function words tell a language."""
LONG = 4
"""A word of fewer letters says too little to be anybody's."""


def words_of(texts: Iterable[str]) -> Counter[str]:
    """Runs of letters and of digits, letters in lower case."""
    return Counter(run.casefold() for text in texts for run in RUN.findall(text))


def languages_of(words: Counter[str]) -> tuple[str, ...]:
    """What texts are written in, commonest first: languages told by their function words, and scripts that are not Latin."""
    found: Counter[str] = Counter()
    for code, known in LANGUAGES.items():
        hits = sum(count for word, count in words.items() if word in known)
        if hits >= _TOLD_BY_WORDS:
            found[code] = hits
    best = max(found.values(), default=0)
    told = Counter({code: hits for code, hits in found.items() if hits >= 0.7 * best})
    for word, count in words.items():
        script = script_of(word[0]) if not word[0].isdigit() else ""
        if script and (script != "Latin" or not found):
            told[script] += count
    return tuple(name for name, _ in told.most_common(3))


class Noise:
    """Replaces words. Each time anew, so that nothing can be counted; never by a word of `avoided`, unless that is shorter than `LONG`."""

    def __init__(self, rng: random.Random, avoided: Iterable[str], *, english: bool) -> None:
        """`avoided` are words and numbers of the original, as `words_of` gives them."""
        self.rng = rng
        self._avoided = frozenset(word for word in avoided if len(word) >= LONG)
        self._english = english

    def text(self, text: str) -> str:
        """A text with every run of letters or digits replaced, but for the words that everybody writes and the screen's placeholders."""
        parts: list[str] = []
        at = 0
        for kept in _PLACEHOLDER.finditer(text):
            parts += (RUN.sub(self._replaced, text[at : kept.start()]), kept[0])
            at = kept.end()
        return "".join((*parts, RUN.sub(self._replaced, text[at:])))

    def _replaced(self, run: re.Match[str]) -> str:
        word = run[0]
        if word[0].isdigit():
            return self.digits(word)
        return word if word.casefold() in STOP else self.word(word)

    def digits(self, digits: str) -> str:
        """As many digits, the first one 0 only where it was."""
        for _ in range(_TRIES):
            made = "".join(self.rng.choice("0123456789") for _ in digits)
            first = "0" if digits[0] == "0" else self.rng.choice("123456789")
            made = first + made[1:]
            if made not in self._avoided:
                return made
        return "7" * len(digits) if "7" * len(digits) not in self._avoided else "8" * len(digits)

    def word(self, word: str) -> str:
        """A word of noise."""
        for _ in range(_TRIES):
            made = self._common(word) or self._spelt(word)
            if self.may_stand(made):
                return made
        return "".join("q" if letter.isascii() else letter_like(letter, self.rng) for letter in word)

    def may_stand(self, word: str) -> bool:
        """Whether a word of noise is none of the original's."""
        return word.casefold() not in self._avoided

    def _common(self, word: str) -> str:
        if not self._english or not word.isascii():
            return ""
        known = COMMON.get(len(word), ())
        if not known or (word[1:] != word[1:].lower() and not word.isupper()):
            return ""
        choice = self.rng.choice(known)
        if not self.may_stand(choice):
            return ""
        return choice.upper() if word.isupper() else choice.capitalize() if word[0].isupper() else choice

    def _spelt(self, word: str) -> str:
        rng, made, vowel = self.rng, [], self.rng.random() < 0.4
        for letter in word:
            if letter.isascii() and letter.isalpha():
                choice = rng.choice(_VOWELS if vowel else _CONSONANTS)
                made.append(choice.upper() if letter.isupper() else choice)
                vowel = not vowel
            elif letter.isalpha():
                made.append(letter_like(letter, rng))
            else:
                made.append(letter)  # a mark
        return "".join(made)
