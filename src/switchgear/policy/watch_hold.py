"""Where a text that is still coming must be held back: from the first word that might belong to a finding which is not whole yet.

Most findings have no space within, so the last word is held. Those that do (numbers in groups, dates, addresses) are made of words
with a digit, a capital or one of few small words: as far back as such words reach without a gap, they are held too.
"""

import re

_WORDS_HELD = 14
"""An address of the United States with apartment, city, state and ZIP code."""
_LONGEST_PLACEHOLDER = 80
_PART_OF_SOMETHING = re.compile(
    r"[^a-z\u1100-\u11ff\u2e80-\ud7ff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]|[a-z]*[A-Z\d@_=+/]|(?:a|al|av|avenue|bis|boulevard|chemin|cours|d'|da|das|de|del|della|delle|di|do|dos|du|el|ext|impasse|l'|la|las|le|les|los|of"
    r"|place|pl|quai|route|rue|ter|ul|ulica|van|x)\.?,?$"
    r"|(?:jan|feb|mar|m[aä]r|apr|a[bv]r|ma[iyj]|m[aä]|ju[inl]|jui|ao|aug|ag|se[pt]|set|o[ck]t|out|nov|d[eéi]c|dez|en|fév|gen|giu|lug|mag|ott)[^\W\d]{0,7}[.,]?$"
)
_NO_SPACES_BETWEEN = re.compile(r"[\s\u1100-\u11ff\u2e80-\ud7ff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")
"""Spaces, and letters of scripts that need none between words."""


def held_from(held: str, reach: int) -> int:
    """The first character that must stay; all before it is known. `reach` characters stay in any case."""
    at = _last_word(held)
    if at == 0 or not held[at - 1].isspace():
        return min(at, max(0, len(held) - reach)) if reach else at
    words = 0
    while at and words < _WORDS_HELD:
        previous = max(held.rfind(" ", 0, at - 1), held.rfind("\n", 0, at - 1)) + 1
        if previous < at - 1 and _PART_OF_SOMETHING.match(held, previous, at - 1) is None:
            break
        at = previous
        words += 1
    return min(at, max(0, len(held) - reach)) if reach else at


def _last_word(held: str) -> int:
    """Where the last word begins; the text's length where it has just ended."""
    at = max(held.rfind(" "), held.rfind("\n")) + 1
    if held.isascii():
        return at
    for place in range(len(held) - 1, at - 1, -1):
        if _NO_SPACES_BETWEEN.match(held, place):
            return place + 1
    return at


def placeholder_from(held: str) -> int:
    """The first character of what might become a placeholder; the text's length where nothing might."""
    at = held.rfind("[", max(0, len(held) - _LONGEST_PLACEHOLDER))
    return at if at >= 0 and "]" not in held[at:] else len(held)
