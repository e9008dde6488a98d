"""What follows from findings: the rules that apply to each type, and the strictest of what they say."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from switchgear.core.data_class import DataClass
from switchgear.core.screening import (
    CANARY,
    GROUPS,
    Action,
    AnswerAction,
    AnswerRule,
    Detector,
    Screening,
    ScreenRule,
)
from switchgear.policy.errors import ScreenError
from switchgear.policy.model import Finding

_ACTIONS = tuple(Action)
_ANSWER_ACTIONS = tuple(AnswerAction)


class Decision(NamedTuple):
    """What the rules say of the findings of one call."""

    action: Action
    rules: tuple[str, ...]
    refused_by: str
    raised_to: DataClass | None
    redacted: frozenset[str]
    """Types whose findings are replaced."""


class CallRules:
    """The rules for calls."""

    __slots__ = ("_rules",)

    def __init__(self, screening: Screening) -> None:
        """Raises ScreenError for a rule that names what is not there, or that can have no effect."""
        elsewhere = screening.external.types if screening.external is not None else frozenset[str]()
        self._rules = [(rule, _types(screening, "rules", rule.name, rule.find, elsewhere)) for rule in screening.rules]
        for rule, _ in self._rules:
            if rule.action is Action.ROUTE and rule.raise_to is None:
                raise ScreenError(
                    f"rules.{rule.name}", "routes nowhere in particular", 'Give `raise_to`, for example "restricted".'
                )

    def decide(self, findings: Sequence[Finding], declared: DataClass | None) -> Decision:
        """All rules that apply, the strictest action of them and the strictest class."""
        action, refused_by, raised_to = Action.FLAG, "", None
        names: list[str] = []
        redacted: set[str] = set()
        for rule, types in self._rules:
            if not _applies(rule, types, findings, declared):
                continue
            names.append(rule.name)
            action = max(action, rule.action, key=_ACTIONS.index)
            if rule.action is Action.REFUSE and not refused_by:
                refused_by = rule.name
            if rule.action is Action.REDACT:
                redacted |= types
            if rule.raise_to is not None:
                raised_to = rule.raise_to if raised_to is None else max(raised_to, rule.raise_to)
        return Decision(action, tuple(names), refused_by, raised_to, frozenset(redacted))


def _applies(rule: ScreenRule, types: frozenset[str], findings: Sequence[Finding], declared: DataClass | None) -> bool:
    if rule.data_classes is not None and declared is not None and declared not in rule.data_classes:
        return False
    return sum(finding.type in types for finding in findings) >= rule.at_least


class AnswerRules:
    """The rules for answers."""

    __slots__ = ("_any_class", "_deciders", "_rules", "types")

    def __init__(self, screening: Screening) -> None:
        """Raises ScreenError for a rule that names what is not there."""
        self._rules = [
            (rule, _types(screening, "answer_rules", rule.name, rule.find, frozenset((CANARY,))))
            for rule in screening.answer_rules
        ]
        self.types: frozenset[str] = frozenset().union(*(types for _, types in self._rules))
        """All that answers are watched for."""
        self._any_class = AnswerDecider(self._rules)
        self._deciders = [
            AnswerDecider(
                [one for one in self._rules if one[0].data_classes is None or data_class in one[0].data_classes]
            )
            for data_class in DataClass
        ]

    def for_class(self, data_class: DataClass | None) -> "AnswerDecider":
        """What the rules say in a call of this class; all of them where it is not known."""
        return self._any_class if data_class is None else self._deciders[data_class.rank]


class AnswerDecider:
    """The rules for the answer to one call."""

    __slots__ = ("_rules",)

    def __init__(self, rules: Sequence[tuple[AnswerRule, frozenset[str]]]) -> None:
        self._rules = rules

    def __bool__(self) -> bool:
        return bool(self._rules)

    def decide(self, kind: str, *, in_prompt: bool) -> tuple[AnswerAction, str] | None:
        """The strictest action for a finding of this type and the rule that says so; None where no rule is for it."""
        strictest: tuple[AnswerAction, str] | None = None
        for rule, types in self._rules:
            if kind not in types or (rule.unless_in_prompt and kind != CANARY and in_prompt):
                continue
            if strictest is None or _ANSWER_ACTIONS.index(rule.action) > _ANSWER_ACTIONS.index(strictest[0]):
                strictest = (rule.action, rule.name)
        return strictest


def check_names(screening: Screening) -> None:
    """Raises ScreenError where two patterns or lists, or one and a detector, a group or an entity of the external screen, have one name."""
    taken = {*GROUPS, *(detector.value for detector in Detector), CANARY}
    if screening.external is not None:
        taken |= screening.external.types
    names = [("patterns", pattern.name) for pattern in screening.patterns]
    names += [("word_lists", words.name) for words in screening.word_lists]
    for table, name in names:
        if name in taken:
            raise ScreenError(f"{table}.{name}.name", "is taken", "Give it a name of its own.")
        taken.add(name)


def _types(
    screening: Screening, table: str, rule: str, names: Iterable[str], further: frozenset[str]
) -> frozenset[str]:
    """The types that `find` stands for. `all` includes own patterns and lists, and `further` types."""
    own = {pattern.name for pattern in screening.patterns} | {words.name for words in screening.word_lists}
    on = frozenset(screening.detectors if screening.detectors is not None else Detector)
    types: set[str] = set()
    for name in names:
        if name in GROUPS:
            types |= {detector.value for detector in GROUPS[name] & on}
            if name == "all":
                types |= own | further
        elif name in own or name in further or name in on:
            types.add(name)
        elif name in Detector.__members__.values():
            raise ScreenError(
                f"{table}.{rule}.find",
                f"names {name}, which `detectors` leaves off",
                f'Add "{name}" to `screen.detectors`.',
            )
        else:
            known = ", ".join(sorted({*GROUPS, *(one.value for one in on), *own, *further}))
            raise ScreenError(f"{table}.{rule}.find", f"names {name}, which is not known", f"Known are {known}.")
    if not types:
        raise ScreenError(
            f"{table}.{rule}.find", "stands for nothing that is on", "Name a detector or group, or take the rule out."
        )
    return frozenset(types)
