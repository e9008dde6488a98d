"""Data classes: what a call carries, from public to restricted. Ordered, so that the strictest of several can be taken."""

from collections.abc import Iterable
from enum import StrEnum


class DataClass(StrEnum):
    """What a call carries. `DataClass.PUBLIC < DataClass.RESTRICTED`: they compare by strictness, not by their letters.

    Comparing with anything but a data class is an error, a plain string included: its order would be the alphabet's.
    """

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"
    RESTRICTED = "restricted"

    def __init__(self, word: str) -> None:
        self.rank = len(type(self).__members__)
        """0 for public, one more for each stricter class."""

    def __lt__(self, other: str) -> bool:
        return self.rank < _rank(other)

    def __le__(self, other: str) -> bool:
        return self.rank <= _rank(other)

    def __gt__(self, other: str) -> bool:
        return self.rank > _rank(other)

    def __ge__(self, other: str) -> bool:
        return self.rank >= _rank(other)


def _rank(other: str) -> int:
    if not isinstance(other, DataClass):
        raise TypeError(
            f"a data class cannot be compared with {type(other).__name__}; make it one with DataClass(word)"
        )
    return other.rank


def strictest(classes: Iterable[DataClass | None], default: DataClass) -> DataClass:
    """The strictest of those that are given; `default` where none is. None says nothing, it does not mean public."""
    given = [one for one in classes if one is not None]
    return max(given) if given else default
