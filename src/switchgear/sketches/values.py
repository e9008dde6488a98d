"""Any JSON value, as noise of the same shape."""

import re
from typing import Any, Protocol

import msgspec

from switchgear.core.decoding import UNREADABLE
from switchgear.sketches.names import Names
from switchgear.sketches.noise import Noise

_DIGITS = re.compile(r"\d+")


class Texts(Protocol):
    """Makes a text without the data of another."""

    def noise(self, text: str) -> str: ...


class Values:
    """Replaces what callers wrote: their texts, their numbers, and the keys of their own objects."""

    def __init__(self, texts: Texts, noise: Noise, names: Names) -> None:
        self.text = texts.noise
        self.name = names.of
        self._noise = noise

    def data(self, value: Any) -> Any:
        """A value of the caller's own: keys hashed, texts and numbers replaced, truth values and nulls kept."""
        if isinstance(value, dict):
            return {self.name(key): self.data(below) for key, below in value.items()}
        if isinstance(value, list):
            return [self.data(below) for below in value]
        if isinstance(value, str):
            return self.text(value)
        return self.number(value) if isinstance(value, int | float) and not isinstance(value, bool) else value

    def number(self, value: float) -> float:
        """A number with as many digits; 0 and 1 stay."""
        if value in (0, 1):
            return value
        whole, exponent, power = repr(value).partition("e")
        made = _DIGITS.sub(lambda run: self._noise.digits(run[0]), whole) + exponent + power
        return int(made) if isinstance(value, int) else float(made)

    def token(self) -> int:
        """A token's number: one that any vocabulary has."""
        return self._noise.rng.randint(100, 999)

    def arguments(self, text: str) -> str:
        """A tool call's arguments: JSON in a text. What is no JSON is a text like any other."""
        try:
            value = msgspec.json.decode(text)
        except UNREADABLE:
            return self.text(text)
        return msgspec.json.encode(self.data(value)).decode() if isinstance(value, dict | list) else self.text(text)
