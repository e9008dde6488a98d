"""The texts of a body: the strings in its JSON, read where they stand, so that they can be replaced where they stand.

A tool call's arguments are JSON within a string. Their strings, keys included, and their long numbers are texts of their own.
"""

import json
import re
from collections.abc import Iterator

import msgspec

from switchgear.core.decoding import UNREADABLE


class _Turn(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A message that is a text and nothing else: whatever is more fails to decode."""

    content: str
    role: str


_STRING = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"(\s*:)?', re.DOTALL)
_STRING_OR_NUMBER = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"(\s*:)?|(?<![\w.+\-])(\d{8,})(?![\w.+\-])', re.DOTALL)
_decode_string = msgspec.json.Decoder(str).decode
_decode_turns = msgspec.json.Decoder(list[_Turn]).decode
_decode_any = msgspec.json.Decoder().decode

_NO_TEXT = frozenset(
    (b"role", b"type", b"id", b"tool_call_id", b"call_id", b"encrypted_content", b"signature", b"thought_signature")
)
"""Keys of messages and items whose values are the API's own words and handles: replaced, they would not fit together."""
_BINARY = frozenset((b"data", b"file_data", b"b64_json", b"image_url", b"url"))
"""Keys whose long values are base64."""
_BASE64 = re.compile(rb"(?:data:[\w.+\-/;=]{0,100};base64,|[A-Za-z0-9+/]{256})")


class Text:
    """One string of a body."""

    __slots__ = ("end", "number", "start", "value", "within")

    def __init__(self, value: str, start: int, end: int, *, within: "Text | None" = None, number: bool = False) -> None:
        self.value = value
        """As the caller meant it: escapes are read."""
        self.start = start
        """Where its token begins, quotes included: in the field's bytes, or in the UTF-8 of the text that it is within."""
        self.end = end
        self.within = within
        """The string that holds it as JSON, for a tool call's arguments."""
        self.number = number
        """A number, not a string; only within another text."""


def read_texts(data: bytes, *, all_keys: bool = False) -> list[Text]:
    """Every text in well-formed JSON, in the order in which they stand. Bytes that are no UTF-8 are read as U+FFFD.

    `all_keys` reads keys too, and the values of `id` and the like: outside messages they are the caller's own data.
    """
    texts: list[Text] = []
    key = b""
    for found in _STRING.finditer(data):
        raw = found[1]
        if found[2] is not None:
            key = raw
            if all_keys:
                texts.append(Text(_decoded(raw), found.start(), found.end(1) + 1))
        elif not ((key in _NO_TEXT and not all_keys) or (key in _BINARY and _BASE64.match(raw))):
            text = Text(_decoded(raw), found.start(), found.end(1) + 1)
            inner = list(_arguments(text)) if key == b"arguments" else []
            texts.extend(inner or (text,))
    return texts


def _arguments(outer: Text) -> Iterator[Text]:
    """The texts within a tool call's arguments; none where they are no JSON, which is then a text like any other."""
    data = outer.value.encode(errors="replace")
    try:
        _decode_any(data)
    except UNREADABLE:
        return
    for found in _STRING_OR_NUMBER.finditer(data):
        if found[3] is not None:
            yield Text(found[3].decode(), found.start(), found.end(), within=outer, number=True)
        else:
            yield Text(_decoded(found[1]), found.start(), found.end(1) + 1, within=outer)


def _decoded(raw: bytes) -> str:
    if b"\\" not in raw:
        return raw.decode(errors="replace")
    try:
        return _decode_string(b'"%b"' % raw)
    except UNREADABLE:
        return _decoded_somehow(raw.decode(errors="replace"))


def _decoded_somehow(raw: str) -> str:
    """Of a string that no strict reader takes: half a surrogate pair is U+FFFD; with escapes that are none, it is read as it stands."""
    try:
        text: str = json.loads(f'"{raw}"', strict=False)
    except ValueError:
        return raw
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def without_escapes(data: bytes) -> bytes:
    """JSON as the automaton must see it: each text's characters as they are, in one piece, with a quote on either side.

    What most calls are, plain messages or one string, is decoded in one go; of anything else the texts are read one by one.
    """
    try:
        if data[:1] == b"[":
            return '"'.join([turn.content for turn in _decode_turns(data)]).encode()
        return _decode_string(data).encode()
    except UNREADABLE:
        return '"'.join([text.value for text in read_texts(data, all_keys=True)]).encode(errors="replace")
