"""What the room asks others to fill: a place where workers keep their counters' books together."""

from collections.abc import Sequence
from typing import Protocol

from switchgear.limits.book import Ask, Grant


class Store(Protocol):
    """Used by one thread at a time, and not by the event loop's: its methods may wait for a disk or a network, but not for long."""

    def settle(self, worker: str, asks: Sequence[Ask], lease_s: float) -> list[Grant]:
        """Settle all asks of a worker, each in its counter's book: all of them or, when it raises, none.

        Grants come in the order of the asks. Raises SharingFailing when the place cannot be used at the moment; whether the asks were
        written is then not known, and sending them again is safe.
        """
        ...

    def close(self) -> None:
        """Let go of it. Raises nothing."""
        ...
