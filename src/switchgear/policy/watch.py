"""A streamed answer, watched: what might be the beginning of a finding is held back until it is known what it is.

Pieces come and go one for one: an event whose piece went as it came can be sent on as it came.
"""

import re
from collections import deque

from switchgear.core.screening import AnswerAction, Detector
from switchgear.policy.detect import Detectors
from switchgear.policy.detect_place import united
from switchgear.policy.model import Finding, Verdict
from switchgear.policy.screen_rules import AnswerDecider
from switchgear.policy.watch_hold import held_from, placeholder_from
from switchgear.policy.watch_judge import Edit, Judged, PutBack, judge, mask

_BEFORE = 100
"""Characters already sent that are kept, for the context of what follows them."""
LONGEST_HELD = 2_000
"""Characters that are held back at most. What is longer and a finding is taken out as it comes."""
_SCANNED_AGAIN_AFTER = 48
"""Where so much is held that looking at it again for each piece would cost, it waits for so many characters more."""
_DETECTORS = frozenset(Detector)
_REST_OF_KEY = re.compile(r"[A-Za-z0-9+/=\s\\\-]*")
_REST_OF_TOKEN = re.compile(r"[\w\-./+=~%]*", re.ASCII)
_END_OF_KEY = re.compile(r"-----END [A-Z0-9 ]{1,60}-----")


class Watch:
    """One text of an answer, in pieces as they come."""

    __slots__ = (
        "_before",
        "_choice",
        "_decided",
        "_detectors",
        "_gone",
        "_held",
        "_in_json",
        "_pieces",
        "_put_back",
        "_reach",
        "_rest",
        "_rules",
        "_scan_at",
        "_sent",
        "_verdict",
        "blocked_by",
        "findings",
    )

    def __init__(
        self,
        detectors: Detectors | None,
        rules: AnswerDecider,
        verdict: Verdict,
        *,
        choice: int = 0,
        in_json: bool = False,
        reach: int = 0,
    ) -> None:
        """Without `detectors` placeholders are put back and nothing else is done. `reach`: see `reach_of`."""
        self._detectors = detectors
        self._rules = rules
        self._verdict = verdict
        self._put_back = PutBack(verdict.originals, in_json=in_json)
        self._choice = choice
        self._in_json = in_json
        self._reach = reach
        self._pieces: deque[str] = deque()
        self._held = ""
        self._before = ""
        self._sent = 0
        self._scan_at = 0
        self._gone = ""
        self._rest: re.Pattern[str] | None = None
        self.findings: list[Finding] = []
        """Those that a rule is for, in the order of the text; offsets count from the text's beginning."""
        self.blocked_by = ""
        """The rule that ended the answer; nothing comes out any more."""

    def feed(self, piece: str) -> list[str]:
        """Take a piece in. Returns those that may go now, in order, each one for one that came; what was found is replaced in them."""
        if self.blocked_by:
            return []
        if self._rest is not None:
            piece = self._after_rest(piece)
        self._pieces.append(piece)
        self._held = held = self._held + piece
        return self._released(
            placeholder_from(held) if self._detectors is None else held_from(held, self._reach), final=False
        )

    def finish(self) -> list[str]:
        """The text has ended: all that is still held."""
        return [] if self.blocked_by else self._released(len(self._held), final=True)

    def _after_rest(self, piece: str) -> str:
        """What of a piece comes after a finding that was too long to wait for."""
        expression = self._rest
        assert expression is not None  # noqa: S101  for the type checker: `feed` asked
        rest = expression.match(piece)
        end = rest.end() if rest is not None else 0
        if expression is _REST_OF_KEY:
            gone = self._gone
            last = _END_OF_KEY.search(gone + piece)
            if last is not None and last.end() - len(gone) <= end:
                self._rest = None
                return piece[last.end() - len(gone) :]
            self._gone = (gone + piece)[-_BEFORE:]
        if end < len(piece):
            self._rest = None
        return piece[end:]

    def _released(self, known: int, *, final: bool) -> list[str]:
        """The pieces that end within the first `known` characters, or before a finding that is not whole within them."""
        size = len(self._held)
        if not final and (size < LONGEST_HELD if known == 0 else size < self._scan_at):
            return []
        found = self._found()
        if not found and not self._may_put_back():
            return self._passed(known if size - known < LONGEST_HELD else size - _BEFORE)
        if not final:
            known = self._known(united(found), known)
        whole = [finding for finding in found if finding.end <= known]
        judged = judge(self._held, whole, self._rules, self._verdict)
        edits, known = self._edits(judged, known)
        end, pieces = self._take(known, edits, united(whole))
        self._note(judged, end)
        self._forget(end, whole)
        held = len(self._held)
        self._scan_at = held + _SCANNED_AGAIN_AFTER if held > 4 * _SCANNED_AGAIN_AFTER else 0
        return pieces

    def _may_put_back(self) -> bool:
        return bool(self._verdict.originals) and "[" in self._held

    def _passed(self, known: int) -> list[str]:
        """The pieces within `known`, as they came: what nearly every piece does."""
        pieces = self._pieces
        passed: list[str] = []
        end = 0
        while pieces and end + len(pieces[0]) <= known:
            passed.append(pieces.popleft())
            end += len(passed[-1])
        if end:
            self._before = (self._before + self._held[:end])[-_BEFORE:]
            self._held = self._held[end:]
            self._sent += end
        self._scan_at = 0
        return passed

    def _found(self) -> list[Finding]:
        """Findings that end in what is held, with places in it."""
        if self._detectors is None:
            return []
        window = self._before + self._held
        if not self._detectors.matches(window.encode(errors="replace")):
            return []
        shift = len(self._before)
        return [
            Finding(one.type, max(one.start - shift, 0), one.end - shift, self._choice)
            for one in self._detectors.find_all(window)
            if one.end > shift
        ]

    def _known(self, found: list[Finding], known: int) -> int:
        """How much is known, given findings that may still grow, none overlapping another.

        Where too much would be held, what is there is taken as it is.
        """
        unfinished = next((finding for finding in found if finding.end > known), None)
        if unfinished is not None and unfinished.start < known:
            known = unfinished.start
        if len(self._held) - known < LONGEST_HELD:
            return known
        if unfinished is None:
            return len(self._held) - _BEFORE
        if unfinished.end == len(self._held):
            self._rest = _REST_OF_KEY if unfinished.type == Detector.PRIVATE_KEY else _REST_OF_TOKEN
            self._gone = self._held[-_BEFORE:]
        return unfinished.end

    def _edits(self, judged: list[Judged], known: int) -> tuple[list[Edit], int]:
        """What is replaced within the first `known` characters, in order; and how many may go: none from a block on."""
        taken_out: list[Finding] = []
        for finding, action, rule in judged:
            if action is AnswerAction.BLOCK:
                self.blocked_by = rule
                known = finding.start
                break
            if action is AnswerAction.REDACT:
                taken_out.append(finding)
        edits = [Edit(one.start, one.end, self._mask(one)) for one in united(taken_out)]
        masked = tuple(edits)
        for edit in self._put_back.edits(self._held):
            if edit.end <= known:
                if not any(edit.start < other.end and other.start < edit.end for other in masked):
                    edits.append(edit)
            elif edit.start < known:
                known = edit.start
        edits.sort()
        return edits, known

    def _mask(self, finding: Finding) -> str:
        """In JSON a bare number's stead is taken by a string."""
        name = mask(finding.type)
        before = (self._before + self._held[: finding.start]).rstrip()[-1:]
        return f'"{name}"' if self._in_json and before in (":", ",", "[") else name

    def _take(self, known: int, edits: list[Edit], found: list[Finding]) -> tuple[int, list[str]]:
        """The whole pieces within `known`, edited, that no finding reaches beyond; and where they end.

        A finding stays whole even where nothing is done about it: the half of one would be judged as something else.
        """
        ends: list[int] = []
        end = 0
        for piece in self._pieces:
            if end + len(piece) > known:
                break
            end += len(piece)
            ends.append(end)
        spans = [*((edit.start, edit.end) for edit in edits), *((one.start, one.end) for one in found)]
        while ends and any(start < ends[-1] < end for start, end in spans):
            ends.pop()
        taken: list[str] = []
        start = 0
        for end in ends:
            piece = self._pieces.popleft()
            taken.append(_edited_piece(piece, start, end, edits) if edits else piece)
            start = end
        return start, taken

    def _note(self, judged: list[Judged], end: int) -> None:
        """Findings are told once they, or the answer before them, have gone."""
        for finding, action, _ in judged:
            if finding.end <= end or action is AnswerAction.BLOCK:
                at = self._sent
                self.findings.append(Finding(finding.type, at + finding.start, at + finding.end, self._choice))
            if action is AnswerAction.BLOCK:
                break

    def _forget(self, end: int, found: list[Finding]) -> None:
        """Keep of what has gone only what may be context for what comes."""
        if self.blocked_by:
            self._pieces.clear()
            self._held = ""
            return
        # a word of one's own stays: it may be the context itself, as "key" is in "api_key = …"
        context = max((one.end for one in found if one.end <= end and one.type in _DETECTORS), default=None)
        gone = self._before + self._held[:end] if context is None else self._held[context:end]
        self._before = gone[-_BEFORE:]
        self._held = self._held[end:]
        self._sent += end


def _edited_piece(piece: str, start: int, end: int, edits: list[Edit]) -> str:
    """One piece, which stands from `start` to `end`: an edit's value goes where it begins, all that it covers goes out."""
    parts: list[str] = []
    at = start
    for edit in edits:
        if edit.end <= start or edit.start >= end:
            continue
        parts.append(piece[at - start : max(edit.start, at) - start])
        if edit.start >= start:
            parts.append(edit.value)
        at = min(edit.end, end)
    return "".join((*parts, piece[at - start :])) if at > start or parts else piece
