"""From a text to its findings: the automaton finds candidates; only where it found one, an expression and a check decide."""

from collections.abc import Callable, Iterator
from functools import lru_cache

from switchgear.core.screening import Detector
from switchgear.policy.detect_automaton import Automaton, Expression, automaton
from switchgear.policy.detect_own import OwnForms
from switchgear.policy.detect_place import Characters, united, without_overlaps
from switchgear.policy.model import Finding
from switchgear.policy.patterns import Shape
from switchgear.policy.patterns_contact import CONTACT
from switchgear.policy.patterns_financial import FINANCIAL
from switchgear.policy.patterns_national import NATIONAL
from switchgear.policy.patterns_network import NETWORK
from switchgear.policy.patterns_papers import PAPERS
from switchgear.policy.patterns_postal import POSTAL
from switchgear.policy.patterns_secret import NAMED_SECRETS, SECRETS

SHAPES: tuple[Shape, ...] = (*SECRETS, *FINANCIAL, *NATIONAL, *NETWORK, *PAPERS, *POSTAL, *CONTACT, *NAMED_SECRETS)
"""Where two findings overlap, the one whose shape stands first counts: a check digit says more than a form."""


class Detectors:
    """The detectors that are on, compiled. One thread's, like their automata."""

    __slots__ = ("_automaton", "_decisions", "_own", "matches")

    def __init__(self, detectors: frozenset[Detector], own: OwnForms | None = None) -> None:
        self._decisions, self._automaton = _compiled(detectors)
        self._own = own
        self.matches: Callable[[bytes], bool] = self._automaton.matches if own is None else self._any_matches
        """Whether bytes hold a candidate: if not, they hold no finding. They may be JSON without escapes."""

    def _any_matches(self, data: bytes) -> bool:
        if self._automaton.matches(data):
            return True
        if not data.isascii():
            data = data.decode(errors="replace").encode()  # an automaton of characters may not be shown anything else
        return self._own is not None and self._own.matches(data)

    def find(self, text: str, number: int = 0) -> list[Finding]:
        """The findings of text `number`, in order, none overlapping another."""
        own, found = self._found(text, number)
        found = own + found
        return without_overlaps(found) if len(found) > 1 else found

    def find_all(self, text: str, number: int = 0) -> list[Finding]:
        """As `find`, but what one looks for oneself hides nothing: a customer's name within an address is one finding, the address another.

        Those of one type do not overlap, nor do those of the detectors.
        """
        own, found = self._found(text, number)
        if len(found) > 1:
            found = without_overlaps(found)
        if not own:
            return found
        for kind in {finding.type for finding in own}:
            found += united(finding for finding in own if finding.type == kind)
        return sorted(found, key=lambda finding: (finding.start, -finding.end, finding.type))

    def _found(self, text: str, number: int) -> tuple[list[Finding], list[Finding]]:
        """One's own and those of the detectors, each in order of preference."""
        data = text.encode(errors="replace")
        own = self._own.find(text, data, number) if self._own is not None else []
        found: list[Finding] = []
        for decision, begin, stop in self._windows(text, data):
            found.extend(decision.findings(text, begin, stop, number))
        return own, found

    def _windows(self, text: str, data: bytes) -> Iterator[tuple["_Decision", int, int]]:
        """The stretches of text around candidates, for each shape, in the order of preference. A shape's own do not overlap."""
        places = None if len(data) == len(text) else Characters(data)
        windows: dict[int, list[tuple[int, int]]] = {}
        for number, end in self._automaton.hits(data):
            at = end if places is None else places.at(end)
            shape = self._decisions[number].shape
            begin, stop = max(at - shape.before, 0), at + shape.after
            known = windows.setdefault(number, [])
            if known and begin <= known[-1][1]:
                known[-1] = (known[-1][0], stop)
            else:
                known.append((begin, stop))
        for number in sorted(windows):
            for begin, stop in windows[number]:
                yield self._decisions[number], begin, stop


class _Decision:
    """A shape's expression, compiled."""

    __slots__ = ("_group", "_search", "shape")

    def __init__(self, shape: Shape) -> None:
        expression = shape.expression()
        self.shape = shape
        self._search = expression.search
        self._group: str | int = "v" if "v" in expression.groupindex else 0

    def findings(self, text: str, begin: int, stop: int, number: int) -> Iterator[Finding]:
        check, extend, name = self.shape.check, self.shape.extend, self.shape.detector.value
        while (match := self._search(text, begin, stop)) is not None:
            if check is None or check(match):
                start, end = match.span(self._group)
                if extend is not None:
                    end = extend(text, end)
                yield Finding(name, start, end, number)
                begin = max(end, match.end())
            else:
                # a longer candidate may have hidden one that begins within it; but a word of context is not looked at again
                begin = match.start() + 1 if self._group == 0 else match.start(self._group)


@lru_cache(maxsize=8)
def _compiled(detectors: frozenset[Detector]) -> tuple[tuple[_Decision, ...], Automaton]:
    """Kept, because compiling takes most of a second and a new snapshot seldom has other detectors."""
    shapes = [shape for shape in SHAPES if shape.detector in detectors]
    return tuple(map(_Decision, shapes)), automaton([Expression(shape.automaton_expression()) for shape in shapes])
