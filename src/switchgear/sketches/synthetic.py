"""Stand-ins for findings: of the same type and form, and such that the same detector takes them for it, check digits included.

Which values a type allows is known to its detector alone, so stand-ins are proposed and the detector decides. Where a form is told by
how it begins (a key's prefix, a country's code) proposals keep a beginning: as short as will do, and never more than a third.
"""

import random
import re
from collections.abc import Callable, Iterator
from itertools import islice

from switchgear.core.screening import Detector
from switchgear.sketches.model import Finder
from switchgear.sketches.noise import LONG, RUN, Noise
from switchgear.sketches.scripts import letter_like
from switchgear.sketches.synthetic_forms import FORMS
from switchgear.sketches.words import ALLOWED, MONTHS, STREETS

_KNOWN = frozenset(one.value for one in Detector)
_BEGINNINGS = (0, 2, 3, 4, 5, 8, 13, 16)
_QUICK, _PATIENT = 30, 1_500
"""Proposals for each beginning: first a few for all, then many for each."""
_BUDGET = 12_000
"""Proposals for all findings of one sketch: half a second."""
_HEX = re.compile(r"[0-9A-Fa-f:.\-]+")
_OWN = frozenset((Detector.IP_ADDRESS.value, Detector.MAC_ADDRESS.value))
_EACH = 2_500
"""Proposals for one finding."""
_CONTEXT = 110


class Stand:
    """Makes stand-ins for the findings of one call. The same value gets the same one, so that what hangs together still does."""

    def __init__(self, finder: Finder, noise: Noise, originals: frozenset[str]) -> None:
        """`originals` are the values of all findings, their letters and digits in lower case."""
        self._finder = finder
        self._noise = noise
        self._rng: random.Random = noise.rng
        self._originals = originals
        self._known: dict[tuple[str, str], str] = {}
        self._left = _BUDGET
        self.unproven = 0
        """Stand-ins that the detector was not brought to take."""

    def for_value(self, kind: str, value: str, before: str, after: str) -> str:
        """A stand-in for a value of a type, between the text before and after it, as it will stand in the sketch."""
        known = self._known.get((kind, value))
        if known is None:
            known = self._known[kind, value] = self._made(kind, value, before[-_CONTEXT:], after[:_CONTEXT])
        return known

    def _made(self, kind: str, value: str, before: str, after: str) -> str:
        form = FORMS.get(kind)
        if form is not None and (made := form(value, self._rng)) and self._is_new(made):
            if not self._is_taken(kind, made, before, after):
                self.unproven += 1
            return made
        if kind in _KNOWN:
            for proposal in islice(self._proposals(kind, value), min(_EACH, self._left)):
                self._left -= 1
                if self._is_new(proposal) and self._is_taken(kind, proposal, before, after):
                    return proposal
        self.unproven += 1
        return self._noise.text(RUN.sub(lambda run: self._fresh(run[0]), value))

    def _is_new(self, made: str) -> bool:
        words = (run.casefold() for run in RUN.findall(made))
        return plain(made) not in self._originals and all(
            len(word) < LONG or word in ALLOWED or self._noise.may_stand(word) for word in words
        )

    def _is_taken(self, kind: str, made: str, before: str, after: str) -> bool:
        start, end = len(before), len(before) + len(made)
        return any(
            found.type == kind and found.start < end and found.end > start and found.end - found.start >= len(made) - 2
            for found in self._finder.find(before + made + after)
        )

    def _fresh(self, run: str) -> str:
        return self._noise.digits(run) if run[0].isdigit() else self._noise.word(run)

    # -- proposals --

    def _proposals(self, kind: str, value: str) -> Iterator[str]:
        kept = [size for size in _BEGINNINGS if size <= len(value) // 3]
        ways = _ways(value)
        for tries in (_QUICK, _PATIENT):
            for size in kept:
                if size > 0 and len(RUN.sub("", value[:size])) == 0 and value[:size].isdigit():
                    continue  # the beginning of a number is as much of it as its end
                for attempt in range(tries):
                    digits = iter(ways[attempt % len(ways)](self._rng))
                    yield value[:size] + self._like(kind, value[size:], digits)

    def _like(self, kind: str, value: str, digits: Iterator[str]) -> str:
        """A value of the same shape; its digits are `digits`, in their order."""
        in_hex = kind in _OWN and _HEX.fullmatch(value) is not None and not value.replace(".", "").isdigit()
        parts: list[str] = []
        at = 0
        for run in RUN.finditer(value):
            parts.append(value[at : run.start()])
            at = run.end()
            if in_hex:
                parts.append("".join(self._hex(letter) for letter in run[0]))
            elif run[0][0].isdigit():
                parts.append("".join(next(digits, "") or self._rng.choice("0123456789") for _ in run[0]))
            else:
                parts.append(self._word(kind, run[0]))
        return "".join((*parts, value[at:]))

    def _hex(self, letter: str) -> str:
        if letter.isdigit():
            return self._rng.choice("0123456789")
        return self._rng.choice("ABCDEF" if letter.isupper() else "abcdef")

    def _word(self, kind: str, word: str) -> str:
        lower = word.casefold()
        if kind == Detector.POSTAL_ADDRESS.value:
            return word if lower in STREETS else self._street(word)
        if kind == Detector.DATE_OF_BIRTH.value:
            return next((_as(word, self._rng.choice(year)) for year in MONTHS if lower in year), word)
        return "".join(letter_like(letter, self._rng) for letter in word)

    def _street(self, word: str) -> str:
        """A name of noise, with the ending that makes a Germanic street of it."""
        for ending in _ENDINGS:
            if word.casefold().endswith(ending) and len(word) > len(ending):
                return self._noise.word(word[: -len(ending)]) + word[-len(ending) :]
        return self._noise.word(word)


_ENDINGS = (
    "straße", "strasse", "boulevard", "straat", "gracht", "platz", "allee", "gasse", "plein", "kade", "singel", "steeg", "dreef", "weg",
    "ring", "damm", "ufer", "laan", "dijk", "pad", "str",
)  # fmt: skip


def plain(value: str) -> str:
    """Letters and digits in lower case: however a value is parted, it is the same one."""
    return "".join(filter(str.isalnum, value.casefold()))


def _as(word: str, other: str) -> str:
    return other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other


Way = Callable[[random.Random], str]


def _ways(value: str) -> tuple[Way, ...]:
    """How the digits of such a value may be drawn: evenly, or as dates and other numbers often go."""
    count = sum(character.isdigit() for character in value)

    def filled(digits: str, rng: random.Random) -> str:
        return digits + "".join(rng.choice("0123456789") for _ in range(max(count - len(digits), 0)))

    def even(rng: random.Random) -> str:
        return filled("", rng)

    def day_month_year(rng: random.Random) -> str:
        return filled(f"{rng.randint(1, 28):02d}{rng.randint(1, 12):02d}{rng.randint(1940, 2009)}", rng)

    def short_year_first(rng: random.Random) -> str:
        return filled(f"{rng.randint(40, 99):02d}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}", rng)

    def year_first(rng: random.Random) -> str:
        return filled(f"{rng.randint(1940, 2009)}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}", rng)

    def after_sex(rng: random.Random) -> str:
        return filled(f"{rng.choice('12')}{rng.randint(40, 99):02d}{rng.randint(1, 12):02d}", rng)

    def hardly_repeated(rng: random.Random) -> str:
        ten = rng.sample("0123456789", 10)
        ten[rng.randrange(1, 10)] = rng.choice(ten[:1] if ten[0] != "0" else "5")
        return filled("".join(ten), rng)

    return (
        (even,)
        if count < 4
        else (even, day_month_year, short_year_first, year_first, after_sex, hardly_repeated, even, even)
    )
