"""What is known of an answer's confidence so far: log-probabilities, refusal, format, length; whole or event by event."""

from math import inf

from switchgear.confidence.format import Format, arguments_fit
from switchgear.confidence.rule import Known, Range
from switchgear.confidence.shapes import (
    Choice,
    Item,
    Message,
    Response,
    Scored,
    decode_completion,
    decode_event,
    decode_response,
    scored,
    scored_tokens,
)
from switchgear.core.escalation import Confidence
from switchgear.core.snapshot import Endpoint

_LEAST_LOGPROB = -100.0
"""A lower one stands for minus infinity (OpenAI and vLLM write -9999.0): it must not drown the mean."""
_LENGTH = ("length", "max_output_tokens", "max_tokens")
_FILTER = "content_filter"
_FLAGS = ("refusal", "format_failure", "length_cut")
_WATCHED_PIECES = 64
"""A beginning is looked at with each of so many pieces; the end looks at it once more."""


class Phrases:
    """Beginnings by which a refusal is known. Case, white space before them and curly apostrophes do not matter."""

    __slots__ = ("_phrases", "letters")

    def __init__(self, phrases: tuple[str, ...]) -> None:
        self._phrases = tuple(_plain(phrase) for phrase in phrases)
        self.letters = max((len(phrase) for phrase in phrases), default=0)
        """So many letters decide."""

    def begin(self, text: str) -> bool:
        """Whether a text begins with one of them."""
        return bool(self._phrases) and _plain(text).startswith(self._phrases)


def _plain(text: str) -> str:
    return text.lstrip().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").casefold()


class Signals:
    """Fed with one answer. `tokens_at_most`: later tokens are not looked at. A piece of text without log-probabilities counts as one."""

    __slots__ = (
        "_alternatives",
        "_arguments",
        "_endpoint",
        "_format",
        "_least",
        "_margin_sum",
        "_min_margin",
        "_most",
        "_phrases",
        "_pieces",
        "_sum",
        "_texts",
        "ended",
        "format_failure",
        "length_cut",
        "refusal",
        "tokens",
    )

    def __init__(
        self, endpoint: Endpoint, phrases: Phrases, wanted: Format | None, tokens_at_most: float = inf
    ) -> None:
        self._endpoint = endpoint
        self._phrases = phrases
        self._format = wanted
        self._most = tokens_at_most
        self._sum = 0.0
        self._least = 0.0
        self._margin_sum = 0.0
        self._min_margin = inf
        self._alternatives = 0
        self._texts: dict[int, list[str]] = {}
        self._arguments: dict[tuple[int, int], list[str]] = {}
        self._pieces = 0
        self.tokens = 0
        self.refusal = False
        self.format_failure = False
        self.length_cut = False
        self.ended = False

    @property
    def full(self) -> bool:
        """Whether as many tokens were looked at as are to be."""
        return self.tokens >= self._most or self._pieces >= self._most

    # -- reading: each raises one of `shapes.UNREADABLE` --

    def read_whole(self, body: bytes) -> None:
        """A whole answer."""
        if self._endpoint is Endpoint.RESPONSES:
            self._response(decode_response(body))
        else:
            for choice in decode_completion(body).choices:
                self._choice(choice)
        self.end()

    def read_event(self, data: bytes) -> None:
        """The data of one event of a stream."""
        if self._endpoint is not Endpoint.RESPONSES:
            for choice in decode_completion(data).choices:
                self._choice(choice)
            return
        event = decode_event(data)
        if event.type == "response.output_text.delta" and isinstance(event.delta, str):
            self._text(0, event.delta)
            if event.logprobs:
                for token in scored_tokens(event.logprobs):
                    self._token(token)
        elif event.type == "response.refusal.delta":
            self.refusal = True
        elif event.response is not None and event.type in ("response.completed", "response.incomplete"):
            self._response_end(event.response)

    def end(self) -> None:
        """The answer is whole: what only its end shows."""
        self.ended = True
        texts = {index: "".join(pieces) for index, pieces in self._texts.items()}
        if any(map(self._phrases.begin, texts.values())):
            self.refusal = True
        called = {index for index, _ in self._arguments}
        if not all(arguments_fit("".join(pieces) or "{}") for pieces in self._arguments.values()):
            self.format_failure = True
        if self._format is not None and not self.refusal:
            wanted = [text for index, text in texts.items() if text or index not in called] or ([] if called else [""])
            if not all(map(self._format.fits, wanted)):
                self.format_failure = True

    # -- parts --

    def _choice(self, choice: Choice) -> None:
        message = choice.delta or choice.message
        if message is not None:
            self._message(choice.index, message)
        elif choice.text:
            self._text(choice.index, choice.text)
        if choice.logprobs is not None:
            for token in scored(choice.logprobs):
                self._token(token)
        if choice.finish_reason is not None:
            self._finish(choice.finish_reason)

    def _message(self, index: int, message: Message) -> None:
        if message.refusal:
            self.refusal = True
        if isinstance(message.content, str) and message.content:
            self._text(index, message.content)
        for place, call in enumerate(message.tool_calls or ()):
            if call.function is not None:
                key = (index, call.index or place)
                self._arguments.setdefault(key, []).append(call.function.arguments or "")

    def _response(self, response: Response) -> None:
        for place, item in enumerate(response.output):
            self._item(place, item)
        self._response_end(response)

    def _item(self, place: int, item: Item) -> None:
        if item.arguments is not None and item.type == "function_call":
            self._arguments[(0, place)] = [item.arguments]
        for part in item.content or ():
            if part.type == "refusal" or part.refusal:
                self.refusal = True
            elif part.type == "output_text" and part.text is not None:
                self._text(0, part.text)
                for token in scored_tokens(part.logprobs or []):
                    self._token(token)

    def _response_end(self, response: Response) -> None:
        if response.incomplete_details is not None:
            self._finish(response.incomplete_details.reason)
        for place, item in enumerate(response.output):  # arguments come whole here, however they were streamed
            if item.arguments is not None and item.type == "function_call":
                self._arguments[(0, place)] = [item.arguments]

    def _text(self, index: int, text: str) -> None:
        self._pieces += 1
        pieces = self._texts.setdefault(index, [])
        pieces.append(text)
        if len(pieces) <= _WATCHED_PIECES and (self._phrases.letters or self._format is not None):
            self._look_at_beginning("".join(pieces))

    def _look_at_beginning(self, beginning: str) -> None:
        if self._phrases.begin(beginning):
            self.refusal = True
        if self._format is not None and not self._format.may_fit(beginning):
            self.format_failure = True

    def _finish(self, reason: str) -> None:
        if reason in _LENGTH:
            self.length_cut = True
        elif reason == _FILTER:
            self.refusal = True

    def _token(self, token: Scored) -> None:
        if self.tokens >= self._most:
            return
        logprob, other = token
        logprob = min(0.0, max(logprob, _LEAST_LOGPROB))
        self.tokens += 1
        self._sum += logprob
        self._least = min(self._least, logprob)
        if other is not None:
            margin = logprob - max(other, _LEAST_LOGPROB)
            self._alternatives += 1
            self._margin_sum += margin
            self._min_margin = min(self._min_margin, margin)

    # -- what is known --

    def known(self) -> Known:
        """What a rule may be decided on now: exact at the end, else where each number may still come to lie."""
        if self.ended:
            return self.shown()
        known = self._exact() if self.full else self._bounds()
        for name in _FLAGS:
            if getattr(self, name):
                known[name] = True
        return known

    def shown(self) -> Known:
        """Taking for granted that nothing more comes: what has not shown itself is not so."""
        known = self._exact()
        for name in _FLAGS:
            known[name] = getattr(self, name)
        return known

    def _bounds(self) -> dict[str, Range | bool]:
        known: dict[str, Range | bool] = {}
        if self.tokens:
            # All that may come are log-probabilities of at most 0, so with sum S after some of N tokens the mean ends at most at S / N.
            known["mean_logprob"] = Range(-inf, self._sum / self._most)
            known["min_logprob"] = Range(-inf, self._least)
            known["tokens"] = Range(self.tokens, self._most)
            if self._alternatives:
                known["min_margin"] = Range(-inf, self._min_margin)
        return known

    def _exact(self) -> dict[str, Range | bool]:
        return {name: Range(value, value) for name, value in self._numbers().items() if value is not None}

    def _numbers(self) -> dict[str, float | None]:
        tokens, alternatives = self.tokens, self._alternatives
        return {
            "mean_logprob": self._sum / tokens if tokens else None,
            "min_logprob": self._least if tokens else None,
            "margin": self._margin_sum / alternatives if alternatives else None,
            "min_margin": self._min_margin if alternatives else None,
            "tokens": float(tokens) if tokens else None,
        }

    def confidence(self, *, unsure: bool) -> Confidence:
        """For the record."""
        numbers = self._numbers()
        return Confidence(
            mean_logprob=numbers["mean_logprob"],
            min_logprob=numbers["min_logprob"],
            margin=numbers["margin"],
            min_margin=numbers["min_margin"],
            tokens=self.tokens,
            refusal=self.refusal,
            format_failure=self.format_failure,
            length_cut=self.length_cut,
            unsure=unsure,
        )
