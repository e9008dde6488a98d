"""Placeholders in place of findings, in the JSON where they stand; nothing else of it changes by a byte."""

import re
from collections.abc import Iterable, Sequence

import msgspec

from switchgear.policy.model import Finding
from switchgear.policy.screen_text import Text

_PLACEHOLDER = re.compile(rb"\[([A-Z][A-Z0-9_]*_\d+)\]")
_encode = msgspec.json.encode


class Placeholders:
    """Gives each value a placeholder, `[EMAIL_1]`: the same value the same one, and none that the call holds already."""

    __slots__ = ("_by_value", "_counts", "_taken", "originals")

    def __init__(self, bodies: Iterable[bytes]) -> None:
        self._taken = {f"[{found.decode()}]" for body in bodies for found in _PLACEHOLDER.findall(body)}
        self._by_value: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}
        self.originals: dict[str, str] = {}
        """What stood where each placeholder stands now."""

    def for_value(self, kind: str, value: str) -> str:
        """The placeholder of this value."""
        known = self._by_value.get((kind, value))
        if known is not None:
            return known
        word = kind.upper().replace("-", "_")
        while True:
            count = self._counts[kind] = self._counts.get(kind, 0) + 1
            placeholder = f"[{word}_{count}]"
            if placeholder not in self._taken:
                break
        self._taken.add(placeholder)
        self._by_value[kind, value] = placeholder
        self.originals[placeholder] = value
        return placeholder


def redact_text(text: str, findings: Sequence[Finding], placeholders: Placeholders) -> str:
    """The text with placeholders in place of its findings, which are in order and do not overlap."""
    parts: list[str] = []
    at = 0
    for finding in findings:
        parts += (text[at : finding.start], placeholders.for_value(finding.type, text[finding.start : finding.end]))
        at = finding.end
    parts.append(text[at:])
    return "".join(parts)


def replace_texts(data: bytes, replaced: Sequence[tuple[Text, str]]) -> bytes:
    """The JSON with new strings in place of some of its texts, which are in order. A number becomes a string."""
    edits: list[tuple[int, int, bytes]] = []
    inner: list[tuple[int, int, bytes]] = []
    for place, (text, value) in enumerate(replaced):
        edit = (text.start, text.end, _encode(value))
        outer = text.within
        if outer is None:
            edits.append(edit)
            continue
        inner.append(edit)
        following = replaced[place + 1][0].within if place + 1 < len(replaced) else None
        if following is not outer:  # the last of this string's own texts
            whole = _spliced(outer.value.encode(errors="replace"), inner).decode()
            edits.append((outer.start, outer.end, _encode(whole)))
            inner = []
    return _spliced(data, edits)


def _spliced(data: bytes, edits: Sequence[tuple[int, int, bytes]]) -> bytes:
    parts: list[bytes] = []
    at = 0
    for start, end, value in edits:
        parts += (data[at:start], value)
        at = end
    parts.append(data[at:])
    return b"".join(parts)
