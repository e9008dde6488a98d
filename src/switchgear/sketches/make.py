"""From a call to its sketch. Takes milliseconds for most, half a second at worst: nothing for an event loop."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from switchgear.core.decoding import UNREADABLE
from switchgear.sketches.check import arguments_of, leaks, texts_of
from switchgear.sketches.errors import CannotSketch
from switchgear.sketches.model import Finder, Found, Job, Sketch, ending_of
from switchgear.sketches.names import Names
from switchgear.sketches.noise import Noise, languages_of, words_of
from switchgear.sketches.structure import sketch_body
from switchgear.sketches.synthetic import Stand, plain
from switchgear.sketches.values import Values
from switchgear.sketches.vocabulary import BINARY_KEYS, KEYS, SCHEMA_WORDS, VALUES, WORD_KEYS

_ROUNDS = 3
"""Noise that happens to hold a word of the original is drawn again."""


class Maker:
    """Makes sketches. One thread's, like its finder."""

    def __init__(self, finder: Finder, random_bytes: Callable[[int], bytes]) -> None:
        """`random_bytes` gives so many random bytes: `os.urandom`."""
        self._finder = finder
        self._random_bytes = random_bytes

    def sketch(self, job: Job) -> Sketch:
        """Raises CannotSketch."""
        try:
            fields = {name: msgspec.json.decode(raw) for name, raw in job.fields.items()}
            original = _Original(fields, self._finder)
            for _ in range(_ROUNDS):
                body, unproven = self._body(fields, original, job.record.model)
                held = leaks(body, original.words, original.findings)
                if not held:
                    break
        except UNREADABLE as error:
            raise CannotSketch(f"the body of call {job.record.call} cannot be read: {error}") from error
        if held:
            raise CannotSketch(f"a sketch of call {job.record.call} would hold {len(held)} words of it; none is kept")
        return self._told(job, original, msgspec.json.encode(body), unproven)

    def _body(self, fields: dict[str, Any], original: "_Original", model: str) -> tuple[dict[str, Any], int]:
        rng = random.Random(self._random_bytes(16))  # noqa: S311  noise; the salt of names comes from the system
        noise = Noise(rng, original.words, english=original.languages[:1] in ((), ("en",), ("Latin",)))
        texts = _Texts(original, Stand(self._finder, noise, original.findings), noise)
        values = Values(texts, noise, Names(self._random_bytes(32)))
        return sketch_body(fields, values, model), texts.stand.unproven

    def _told(self, job: Job, original: "_Original", body: bytes, unproven: int) -> Sketch:
        record = job.record
        last = record.attempts[-1].backend if record.attempts else ""
        return Sketch(
            call=record.call,
            at_s=record.at_s,
            when=job.when.value,
            endpoint=record.endpoint,
            model=record.model,
            streamed=record.streamed,
            body=body,
            ending=ending_of(record),
            snapshot=record.snapshot,
            principal=record.principal,
            team=record.team,
            data_class=record.data_class,
            backend=record.backend or last,
            text_bytes=original.text_bytes,
            words=sum(count for word, count in original.words.items() if not word[0].isdigit()),
            languages=original.languages,
            findings=original.types,
            unproven=unproven,
        )


class _Original:
    """What is to be kept out of a sketch, and what may be told of it."""

    def __init__(self, fields: dict[str, Any], finder: Finder) -> None:
        texts = list(_own_texts({name: value for name, value in fields.items() if name != "model"}))
        self._finder = finder
        self._found = {text: list(finder.find(text)) for text in dict.fromkeys(texts)}
        self.words = words_of(texts)
        self.languages = languages_of(self.words)
        self.text_bytes = sum(len(text.encode(errors="replace")) for text in texts)
        self.types: dict[str, int] = {}
        values: set[str] = set()
        for text in texts:
            for finding in self._found[text]:
                self.types[finding.type] = self.types.get(finding.type, 0) + 1
                values.add(plain(text[finding.start : finding.end]))
        self.findings = frozenset(values)

    def found(self, text: str) -> list[Found]:
        """The findings of one of its texts."""
        known = self._found.get(text)
        return known if known is not None else list(self._finder.find(text))


class _Texts:
    """Makes texts of noise with stand-ins for findings."""

    def __init__(self, original: _Original, stand: Stand, noise: Noise) -> None:
        self.stand = stand
        self._original = original
        self._noise = noise

    def noise(self, text: str) -> str:
        findings = self._original.found(text)
        at = 0
        between: list[str] = []
        for finding in findings:
            between.append(self._noise.text(text[at : finding.start]))
            at = finding.end
        between.append(self._noise.text(text[at:]))
        made = between[0]
        for place, finding in enumerate(findings, start=1):
            value = text[finding.start : finding.end]
            made += self.stand.for_value(finding.type, value, made, between[place]) + between[place]
        return made


def _own_texts(value: Any, key: str = "") -> Iterator[str]:
    """The caller's texts: those within a tool call's arguments one by one; of images and files only where they are."""
    if isinstance(value, dict):
        for name, below in value.items():
            if name not in KEYS and name not in SCHEMA_WORDS:
                yield name
            yield from _own_texts(below, name)
    elif isinstance(value, list):
        for below in value:
            yield from _own_texts(below, key)
    elif isinstance(value, str) and (
        (key in WORD_KEYS and value in VALUES) or (key in BINARY_KEYS and _is_data(value))
    ):
        return
    elif isinstance(value, str) and key == "arguments":
        yield from arguments_of(value)
    else:
        yield from texts_of(value)


def _is_data(value: str) -> bool:
    """Whether a text carries data, not words or an address."""
    return len(value) > 256 and not value.startswith(("http:", "https:"))
