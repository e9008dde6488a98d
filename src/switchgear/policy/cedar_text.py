"""Cedar texts taken apart into single policies, each with its file, its line and what it names.

Cedar's own parser gives no line with an error and calls policies policy0, policy1; so each policy is parsed by itself, and ids are ours.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import cedarpy
import msgspec
from cedarpy import pst

from switchgear.core.authorization import PolicyText
from switchgear.core.errors import Problem
from switchgear.policy.cedar_schema import Uid

_TOKEN = re.compile(r'//[^\n]*|"(?:\\.|[^"\\])*"|;', re.DOTALL)
_COMMENT = re.compile(r"//[^\n]*")
_LEAD = re.compile(r"(?:\s|//[^\n]*)*")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,63}")
_QUOTED = re.compile(r'`([^`]+)`|"([^"]+)"')


class Statement(NamedTuple):
    """The text of one policy, from its first annotation to its semicolon."""

    file: str
    line: int
    text: str

    def line_of(self, pattern: str) -> int:
        """The line of the first match outside comments; the policy's first line where there is none."""
        found = re.search(pattern, _blank_comments(self.text))
        return self.line + self.text.count("\n", 0, found.start()) if found else self.line

    def problem(self, message: str, remedy: str, *, at: str = "") -> Problem:
        """Something wrong in it. Its line is that of the first match of `at`, or of a word that the message quotes."""
        patterns = [at] if at else [_word(one or two) for one, two in _QUOTED.findall(message)]
        lines = (self.line_of(pattern) for pattern in patterns)
        return Problem(self.file, message, remedy, next((line for line in lines if line != self.line), self.line))


class Policy(NamedTuple):
    """One policy that Cedar can read."""

    id: str
    permits: bool
    """Whether it is a permit; else a forbid."""
    description: str
    remedy: str
    """What its author says to those whom it refuses."""
    statement: Statement
    json: msgspec.Raw
    """In Cedar's JSON form."""
    uids: frozenset[Uid]
    """Every entity that it names."""
    attributes: frozenset[str]
    """Every attribute that it reads, of whatever."""
    labels: frozenset[str]
    """Labels that it asks for."""


class _Est(msgspec.Struct):
    staticPolicies: dict[str, msgspec.Raw] = {}  # noqa: N815  Cedar's JSON names it so
    templates: dict[str, msgspec.Raw] = {}


def read(texts: tuple[PolicyText, ...]) -> tuple[list[Policy], list[Problem]]:
    """The policies of some files, and what is wrong with those that cannot be read."""
    policies: dict[str, Policy] = {}
    problems: list[Problem] = []
    for text in texts:
        for statement in split(text):
            policy = _policy(statement)
            if isinstance(policy, Problem):
                problems.append(policy)
            elif (other := policies.setdefault(policy.id, policy)) is not policy:
                where = f"{other.statement.file} on line {other.statement.line}"
                problems.append(
                    statement.problem(f'"{policy.id}" is the id of a policy in {where}', "Choose another id.")
                )
    return list(policies.values()), problems


def split(text: PolicyText) -> Iterator[Statement]:
    """Single policies of a file. In Cedar a semicolon outside strings and comments ends a policy, and nothing else."""
    begin = 0
    content = text.text
    ends = [token.end() for token in _TOKEN.finditer(content) if token[0] == ";"]
    for end in (*ends, len(content)):
        lead = _LEAD.match(content, begin, end)
        start = lead.end() if lead else begin
        if start < end:
            yield Statement(text.file, content.count("\n", 0, start) + 1, content[start:end])
        begin = end


def _policy(statement: Statement) -> Policy | Problem:
    try:
        est = msgspec.json.decode(cedarpy.policies_to_json_str(statement.text), type=_Est)
        node = cedarpy.policies_to_pst(statement.text)
    except ValueError as error:
        return statement.problem(f"is not Cedar: {error}", _syntax_remedy(str(error), statement))
    if est.templates:
        return statement.problem(
            "has a slot, and nothing fills slots here",
            "Name the principal or the backend in the policy.",
            at=r"\?(?:principal|resource)",
        )
    ((_, policy),) = node.static_policies.items()
    ((_, json),) = est.staticPolicies.items()
    notes = policy.annotations
    if not notes.get("id"):
        return statement.problem("has no id", 'Write @id("a-name") before it: refusals and records name it.')
    if not _ID.fullmatch(notes["id"]):
        remedy = "Use letters, digits and . _ / -, at most 64, a letter or digit first."
        return statement.problem(f'"{notes["id"]}" is no id', remedy)
    uids, attributes, labels = uses(policy)
    return Policy(
        notes["id"],
        policy.effect == "permit",
        notes.get("description", ""),
        notes.get("remedy", ""),
        statement,
        json,
        uids,
        attributes,
        labels,
    )


def uses(policy: pst.Template) -> tuple[frozenset[Uid], frozenset[str], frozenset[str]]:
    """Entities that a policy names, attributes that it reads, and labels that it asks for."""
    attributes: set[str] = set()
    labels: set[str] = set()
    stack: list[object] = [policy]
    while stack:
        node = stack.pop()
        match node:
            case pst.GetAttr(attr=attr):
                attributes.add(attr)
            case pst.HasAttr(attrs=attrs):
                attributes.update(attrs)
            case pst.BinaryOp(left=pst.GetAttr(attr="labels"), right=right):
                labels.update(text.value for text in _flat(right) if isinstance(text, pst.StringLit))
        stack.extend(_below(node))
    uids = frozenset((str(one.type), one.id) for one in pst.entity_uids(policy))
    return uids, frozenset(attributes), frozenset(labels)


def _flat(node: object) -> Iterator[object]:
    yield from node.elements if isinstance(node, pst.Set) else (node,)


def _below(node: object) -> Iterator[object]:
    if isinstance(node, tuple):
        yield from node
    elif isinstance(node, Mapping):
        yield from node.values()
    else:  # every node is a dataclass with slots; another kind that a later Cedar brings is walked as well
        yield from (getattr(node, name) for name in getattr(type(node), "__dataclass_fields__", ()))


def _word(text: str) -> str:
    start = r"\b" if text[:1].isalnum() else ""
    end = r"\b" if text[-1:].isalnum() else ""
    return f"{start}{re.escape(text)}{end}"


def _blank_comments(text: str) -> str:
    """The same text with comments made spaces, so that places stay what they are."""
    return _TOKEN.sub(lambda token: " " * len(token[0]) if _COMMENT.match(token[0]) else token[0], text)


def _syntax_remedy(message: str, statement: Statement) -> str:
    if "unexpected end" in message:
        closed = statement.text.rstrip().endswith(";")
        return (
            "A bracket or a quote is not closed."
            if closed
            else "End the policy with a semicolon; close its brackets and quotes."
        )
    if "variable in the policy scope" in message:
        return "The scope is (principal, action, resource), in this order."
    if "duplicate annotation" in message:
        return "Keep one."
    return "A policy is `permit (principal, action, resource) when { … };` or the same with forbid; see docs/policy.md."
