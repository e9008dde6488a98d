"""Prompts of a wanted length that no two calls share the beginning of, so that no cache of prefixes can answer for the hardware."""

from dataclasses import dataclass
from random import Random

from switchgear.profiling.errors import NoAnswer

_WORDS = (
    "time",
    "year",
    "people",
    "way",
    "day",
    "man",
    "thing",
    "woman",
    "life",
    "child",
    "world",
    "school",
    "state",
    "family",
    "student",
    "group",
    "country",
    "problem",
    "hand",
    "part",
    "place",
    "case",
    "week",
    "company",
    "system",
    "program",
    "question",
    "work",
    "government",
    "number",
    "night",
    "point",
    "home",
    "water",
    "room",
    "mother",
    "area",
    "money",
    "story",
    "fact",
    "month",
    "lot",
    "right",
    "study",
    "book",
    "eye",
    "job",
    "word",
    "business",
    "issue",
    "side",
    "kind",
    "head",
    "house",
    "service",
    "friend",
    "father",
    "power",
    "hour",
    "game",
    "line",
    "end",
    "member",
    "law",
    "car",
)
FALLBACK_BYTES_PER_TOKEN = 4.0


@dataclass(frozen=True, slots=True)
class Scale:
    """How many tokens a prompt of so many words has at this backend: `fixed` for its template, `per_word` for the rest."""

    fixed: float
    per_word: float

    def words(self, tokens: int) -> int:
        """Words of a prompt of about so many tokens; at least one."""
        return max(1, round((tokens - self.fixed) / self.per_word))


def measured_scale(short_words: int, short_tokens: int, long_words: int, long_tokens: int) -> Scale:
    """The scale that two prompts show. Raises NoAnswer where the longer one has no more tokens."""
    per_word = (long_tokens - short_tokens) / (long_words - short_words)
    if per_word <= 0:
        raise NoAnswer(
            f"the backend counts {long_tokens} tokens for {long_words} words and {short_tokens} for {short_words}; "
            "check that its usage is that of the call"
        )
    return Scale(max(0.0, short_tokens - short_words * per_word), per_word)


def text(random: Random, words: int) -> str:
    """So many words, other ones each time. The first is a number of its own."""
    return " ".join([f"{random.getrandbits(32)}", *random.choices(_WORDS, k=words - 1)])


def estimated_tokens(prompt: str) -> int:
    """For a backend that reports no usage."""
    return max(1, round(len(prompt.encode()) / FALLBACK_BYTES_PER_TOKEN))
