"""The content screen: what a call carries, what is to be done about it, and what its answer may show.

::

    screen = Screen(screening)                  once for each snapshot, in a thread beside the loop: compiling takes a second
    verdict = screen.request(fields, declared)  for each call; CLEAN for most
    watch = screen.watch(verdict, data_class)   for each choice of a streamed answer; None where nothing is to be done
    answer = screen.answer(body, verdict)       for a whole one
"""

from collections.abc import Callable, Sequence

import msgspec

from switchgear.core.data_class import DataClass
from switchgear.core.screening import Detector, Screening
from switchgear.policy.detect import Detectors
from switchgear.policy.detect_own import compile_own, reach_of
from switchgear.policy.detect_place import united
from switchgear.policy.model import CLEAN, AnswerVerdict, Fields, Finding, Verdict, normalised
from switchgear.policy.patterns import words
from switchgear.policy.redact import Placeholders, redact_text, replace_texts
from switchgear.policy.screen_answer import screen_answer
from switchgear.policy.screen_rules import AnswerRules, CallRules, check_names
from switchgear.policy.screen_text import Text, read_texts, without_escapes
from switchgear.policy.watch import Watch

_TEXTLESS = frozenset(
    words(
        "model stream stream_options temperature top_p top_k min_p n max_tokens max_completion_tokens max_output_tokens "
        "presence_penalty frequency_penalty repetition_penalty logit_bias logprobs top_logprobs seed tool_choice "
        "parallel_tool_calls encoding_format dimensions service_tier store reasoning reasoning_effort modalities echo "
        "best_of truncation include background previous_response_id verbosity ignore_eos min_tokens"
    )
)
"""Fields that hold numbers and the API's own words. Any other is read: a backend's own extension may carry text."""
_MESSAGES = frozenset(("messages", "input"))


class Screen:
    """A screening, compiled. One thread's; judging is pure but for the automata's scratch space."""

    __slots__ = (
        "_answer_detectors",
        "_answer_matches",
        "_answer_rules",
        "_detectors",
        "_matches",
        "_own_reach",
        "_rules",
    )

    def __init__(self, screening: Screening) -> None:
        """Raises ScreenError for a pattern, a list or a rule that cannot be used, with the remedy."""
        on = frozenset(screening.detectors if screening.detectors is not None else Detector)
        check_names(screening)
        self._detectors = Detectors(on, compile_own(screening.patterns, screening.word_lists))
        self._matches = self._detectors.matches
        self._rules = CallRules(screening)
        self._answer_rules = AnswerRules(screening)
        own = compile_own(screening.patterns, screening.word_lists, screening.canaries)
        # All types, not only those that rules are for: with fewer a part of an IBAN is taken for a telephone number.
        self._answer_detectors = Detectors(on, own) if screening.answer_rules else None
        # Whether there is anything of the latter at all can be told with less, and nearly all answers need no more.
        watched = frozenset(one for one in on if one.value in self._answer_rules.types)
        self._answer_matches = Detectors(watched, own).matches if screening.answer_rules else None
        self._own_reach = reach_of(screening)

    def request(self, fields: Fields, declared: DataClass | None = None) -> Verdict:
        """What a call carries and what follows. `declared` is its class so far, for rules that are for some classes only."""
        for name in fields:
            if name not in _TEXTLESS:
                data = bytes(fields[name])
                if b"\\" in data:
                    data = without_escapes(data)
                if self._matches(data):
                    return self._examined(fields, declared)
        return CLEAN

    def texts(self, fields: Fields) -> list[str]:
        """Every text of a call, as `Finding.text` counts them: what an external screen is asked about."""
        return [text.value for _, text in _texts(fields)]

    def request_with(self, fields: Fields, declared: DataClass | None, further: Sequence[Finding]) -> Verdict:
        """As `request`, with what an external screen found in `texts(fields)`. One that lies within our own does not count."""
        return self._examined(fields, declared, further)

    def suspects(self, fields: Fields, body: bytes, declared: DataClass | None) -> bool:
        """Whether `request` may find anything in a call: its body is looked at as it came, in one piece, where nothing is escaped."""
        if b"\\" in body:
            return self.request(fields, declared) is not CLEAN
        return self._matches(body)

    def answer_suspects(self, data_class: DataClass | None) -> Callable[[bytes], bool] | None:
        """Says whether the whole body of an answer to a clean call of this class may hold anything; None where no rule is for it."""
        matches = self._answer_matches
        if matches is None or not self._answer_rules.for_class(data_class):
            return None
        return lambda body: matches(without_escapes(body) if b"\\" in body else body)

    def watch(
        self, verdict: Verdict, data_class: DataClass | None = None, *, choice: int = 0, in_json: bool = False
    ) -> Watch | None:
        """What follows one text of a streamed answer. `in_json`: the text is JSON itself, a tool call's arguments.

        None where there is nothing to watch for and nothing to put back: the pieces may pass as they are.
        """
        rules = self._answer_rules.for_class(data_class)
        if not rules and not verdict.originals:
            return None
        detectors = self._answer_detectors if rules else None
        return Watch(detectors, rules, verdict, choice=choice, in_json=in_json, reach=self._own_reach)

    def answer(self, body: bytes, verdict: Verdict, data_class: DataClass | None = None) -> AnswerVerdict:
        """A whole answer's body, screened; its placeholders put back."""
        return screen_answer(body, self._answer_detectors, self._answer_rules.for_class(data_class), verdict)

    def _examined(self, fields: Fields, declared: DataClass | None, further: Sequence[Finding] = ()) -> Verdict:
        texts = _texts(fields)
        found = [self._detectors.find_all(text.value, number) for number, (_, text) in enumerate(texts)]
        if further:
            elsewhere: dict[int, list[Finding]] = {}
            for finding in further:
                elsewhere.setdefault(finding.text, []).append(finding)
            found = [
                _beside(of_text, elsewhere.get(number, ()), len(text.value))
                for number, ((_, text), of_text) in enumerate(zip(texts, found, strict=True))
            ]
        findings = tuple(finding for of_text in found for finding in of_text)
        if not findings:
            return CLEAN
        decision = self._rules.decide(findings, declared)
        redacted: Fields | None = None
        originals: dict[str, str] = {}
        if decision.redacted and not decision.refused_by:
            redacted, originals = _redacted(fields, texts, found, decision.redacted)
        return Verdict(
            findings=findings,
            action=decision.action,
            rules=decision.rules,
            refused_by=decision.refused_by,
            raised_to=decision.raised_to,
            redacted=redacted,
            originals=originals,
            seen=frozenset(
                normalised(texts[finding.text][1].value[finding.start : finding.end]) for finding in findings
            ),
        )


def _texts(fields: Fields) -> list[tuple[str, Text]]:
    """Every text of a call, with the field that holds it."""
    return [
        (name, text)
        for name, raw in fields.items()
        if name not in _TEXTLESS
        for text in read_texts(bytes(raw), all_keys=name not in _MESSAGES)
    ]


def _beside(own: Sequence[Finding], further: Sequence[Finding], size: int) -> list[Finding]:
    """Findings in one text, in order: our own, and of the further ones those that say of some part of it what no other says."""
    kept, places = list(own), united(own)
    at, free_from = 0, 0
    for one in sorted(further, key=lambda finding: (finding.start, -finding.end)):
        while at < len(places) and places[at].end <= one.start:
            at += 1
        within = at < len(places) and places[at].start <= one.start and one.end <= places[at].end
        if not within and free_from <= one.start < one.end <= size:
            kept.append(one)
            free_from = one.end
    return sorted(kept, key=lambda finding: finding.start)


def _redacted(
    fields: Fields, texts: Sequence[tuple[str, Text]], found: Sequence[Sequence[Finding]], types: frozenset[str]
) -> tuple[Fields | None, dict[str, str]]:
    """The fields with placeholders, and what stood where; None where no finding is of these types."""
    placeholders = Placeholders(bytes(raw) for raw in fields.values())
    replaced: dict[str, list[tuple[Text, str]]] = {}
    for (name, text), of_text in zip(texts, found, strict=True):
        chosen = united(finding for finding in of_text if finding.type in types)
        if chosen:
            replaced.setdefault(name, []).append((text, redact_text(text.value, chosen, placeholders)))
    if not replaced:
        return None, {}
    changed = {name: msgspec.Raw(replace_texts(bytes(fields[name]), edits)) for name, edits in replaced.items()}
    return {**fields, **changed}, placeholders.originals
