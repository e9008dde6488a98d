"""What the gateway asks of an adapter, and what it gets back."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Protocol

import msgspec

from switchgear.backends.errors import HttpError
from switchgear.core.snapshot import Endpoint

Fields = dict[str, msgspec.Raw]
"""The top level of a call's body: names, and values as the caller wrote them."""


class Usage(msgspec.Struct, frozen=True):
    """Tokens that a call took. `cached_tokens` are among the prompt tokens."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


class Answer(msgspec.Struct):
    """What we need to know of a whole answer; its bytes go to the caller as they are."""

    usage: Usage | None
    finish_reason: str
    text_bytes: int
    """Bytes of text in it, for an estimate where it reports no usage."""


class Step(IntEnum):
    """What one event of a stream means for its relay."""

    PREAMBLE = 0
    """Nothing that the caller waits for yet (a role, an item announced)."""
    TOKEN = 1
    """A part of the answer."""
    USAGE = 2
    """Only the usage, which the caller may not have asked for."""
    END = 3
    """The marker that ends the stream."""


SPECIAL = frozenset((*range(0x20), *b'"\\', *range(0x7F, 0x100)))
"""Bytes that need a closer look within a JSON string."""


class StreamReader(Protocol):
    """Follows one stream: fed with the data of each event in turn."""

    usage: Usage | None
    finish_reason: str
    whole: bool
    """Every part of the answer has said that it is finished; what may still come is usage and the end marker."""
    text: list[str]
    """The answer's text so far, in pieces."""
    plain: bool
    """Whether the answer so far is one text and nothing else (no tool call, no second choice, no log-probabilities)."""
    id: str
    """The answer's id, once known."""
    before: bytes | None
    """What stands before the text in the events of this stream, where they differ in it alone; None: they do not, or it is not known yet.

    A part of the stream that begins with it, ends with `after`, and has at least one byte between them and none that is `SPECIAL`, is a
    whole event that adds that text. Whoever finds one may append it to `text` instead of asking `read_token`, which does the same.
    """
    after: bytes

    @property
    def text_bytes(self) -> int:
        """Bytes of text so far, tool calls included, for an estimate where no usage is reported."""
        ...

    def read_token(self, data: bytes, begin: int, end: int) -> bool:
        """The short way for what most events are. `data[begin:end]` is some part of the stream, as it came.

        True: it is one whole event and a piece of plain text, and is taken in. False, and nothing taken in, for all else.
        """
        ...

    def read(self, data: bytes) -> Step:
        """Take one event in. Raises Malformed or InBandError."""
        ...


class Adapter(Protocol):
    """How calls are written to one backend and its answers read. Stateless, made once for each snapshot."""

    def head(self, endpoint: Endpoint) -> bytes:
        """Request line and headers up to, not including, Content-Length."""
        ...

    def models_request(self) -> tuple[str, bytes]:
        """Path and header lines (Host left out) of the request that lists the backend's models."""
        ...

    def body(self, fields: Fields) -> bytes:
        """The body for a call whose fields are final."""
        ...

    def answer(self, endpoint: Endpoint, body: bytes) -> Answer:
        """Read a whole answer. Raises Malformed, or InBandError where it says that it failed."""
        ...

    def reader(self, endpoint: Endpoint, choices: int) -> StreamReader:
        """A reader for a streamed answer of so many choices."""
        ...

    def error(self, status: int, headers: Mapping[bytes, bytes], body: bytes, now_s: float) -> HttpError:
        """Read an answer with an error status."""
        ...

    def continuation(self, endpoint: Endpoint, fields: Fields, text: str) -> Fields | None:
        """The same call, to go on from `text`; None where this backend cannot."""
        ...
