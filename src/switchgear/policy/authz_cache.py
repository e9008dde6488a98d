"""Bounded mappings: what was asked for lately is kept."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(dict[K, V], Generic[K, V]):
    """Keeps at least the `size` keys that came last, and at most twice as many. Values are never None.

    Two generations instead of an order of use: what is asked for often costs no bookkeeping, and a flood of keys that nobody asks for
    again pushes out at most what nobody asked for since the flood began.
    """

    __slots__ = ("_older", "_size")

    def __init__(self, size: int) -> None:
        super().__init__()
        self._older: dict[K, V] = {}
        self._size = size

    def find(self, key: K) -> V | None:
        """The value, from either generation."""
        value = self.get(key)
        if value is None:
            value = self._older.get(key)
            if value is not None:
                self.keep(key, value)
        return value

    def keep(self, key: K, value: V) -> V:
        """Take a value in, and let go of the older generation where this one is full."""
        if len(self) >= self._size and key not in self:
            self._older = dict(self)
            self.clear()
        self[key] = value
        return value

    @property
    def held(self) -> int:
        """How many keys are kept."""
        return len(self) + len(self._older.keys() - self.keys())


class Made(Recent[K, V], Generic[K, V]):
    """`made[key]` makes what it lacks, and is one lookup where the key is known."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[K], V], size: int) -> None:
        super().__init__(size)
        self._make = make

    def __missing__(self, key: K) -> V:
        value = self._older.get(key)
        return self.keep(key, self._make(key) if value is None else value)
