"""Carrying on a stream that broke after its first byte (DESIGN, failure rule 4).

The next candidate is asked again; if its answer begins with the text already sent, the rest of it is sent. Otherwise a
candidate that can continue an assistant turn is asked to go on from that text. The caller sees one answer with one id; the
`model` field of each chunk names the model that it came from.
"""

import msgspec

from switchgear.backends.errors import BackendError
from switchgear.backends.model import Fields, Step, StreamReader
from switchgear.gateway.call import Call
from switchgear.gateway.relay import StreamTry
from switchgear.gateway.shape import DONE, event, with_id, with_text, with_tokens_moved
from switchgear.gateway.table import Target
from switchgear.wire.sse import data_of


class Diverged(BackendError):
    """A second answer does not begin with the text already sent."""

    code = "answer_diverged"


class Sent:
    """What the caller has of the answer: its id and its text so far."""

    __slots__ = ("_pieces", "id")

    def __init__(self, reader: StreamReader) -> None:
        self.id = reader.id
        self._pieces = list(reader.text)

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    @property
    def tokens(self) -> int:
        """About."""
        return len(self._pieces)

    def add(self, text: str) -> None:
        if text:
            self._pieces.append(text)


class RescueTry(StreamTry, eq=False):
    """Joins a second stream to what was sent: with `overlap`, by leaving out as much of it; else, from its beginning."""

    sent: Sent = None  # type: ignore[assignment]  # always given
    overlap: bool = False
    expected: str = ""
    at: int = 0
    """So much of what is expected has come."""
    matched: bool = True
    moved: int = 0
    """Tokens (about) that are completion to the caller and prompt to this backend."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.passing = True  # the head of the answer has long been sent
        if self.overlap:
            self.expected = self.sent.text
            self.matched = False
        else:
            self.moved = self.sent.tokens

    def _take(self, events: list[bytes], out: list[bytes]) -> bool:
        reader = self.reader
        tokens = False
        for one in events:
            data = data_of(one)
            if data is None:
                continue
            before = len(reader.text)
            step = reader.read(data)
            if step is Step.TOKEN:
                tokens = True
                self._first()
                if not reader.plain:
                    raise Diverged("the second answer is not plain text")
                self._join(data, "".join(reader.text[before:]), out)
            elif step is Step.USAGE:
                if self.wants_usage:
                    out.append(event(with_tokens_moved(with_id(data, self.sent.id), self.moved)))
            elif step is Step.END:
                if not reader.whole or not self.matched:
                    raise Diverged("the second answer ended before the text already sent")
                self.tail = DONE
                break
        return tokens

    def _join(self, data: bytes, text: str, out: list[bytes]) -> None:
        if self.matched:
            out.append(event(with_id(data, self.sent.id)))
            self.sent.add(text)
            return
        expected, at = self.expected, self.at
        self.at = min(at + len(text), len(expected))
        rest = text[self.at - at :]
        if not expected.startswith(text[: self.at - at], at):
            raise Diverged("the second answer does not begin with the text already sent")
        if rest or (self.reader.whole and self.at == len(expected)):
            self.matched = True
            out.append(event(with_text(data, rest, self.sent.id)))
            self.sent.add(rest)
        elif self.reader.whole:
            raise Diverged("the second answer ended before the text already sent")

    def _pass(self, out: list[bytes], *, tokens: bool) -> None:
        exchange = self.call.exchange
        if out and exchange.flow is not self:
            exchange.flow = self
            if exchange.stalled:
                self.pause()
        super()._pass(out, tokens=tokens)

    def _complete(self) -> bool:
        return self.matched and super()._complete()


def continuation_fields(call: Call, target: Target, fields: Fields, sent: Sent) -> Fields | None:
    """The call once more, to go on from what was sent, with the caller's limit lowered by it; None where the target cannot."""
    continued = target.adapter.continuation(call.endpoint, fields, sent.text)
    if continued is None:
        return None
    for name in ("max_completion_tokens", "max_tokens"):
        if name in continued:
            limit = msgspec.json.decode(continued[name])
            if isinstance(limit, int):
                continued[name] = msgspec.Raw(msgspec.json.encode(max(1, limit - sent.tokens)))
    return continued
