"""Prometheus text, version 0.0.4 (Prometheus documentation, "Exposition formats")."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

Labels = tuple[tuple[str, str], ...]


class Histogram:
    """Counts by upper bound, their sum, and how many there are."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count one value; one that equals a bound lies below it."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def add_many(self, values: Sequence[float]) -> None:
        """Count each of many values."""
        ordered = sorted(values)
        counted = 0
        for place, bound in enumerate(self.bounds):
            within = bisect_right(ordered, bound)
            self.counts[place] += within - counted
            counted = within
        self.counts[-1] += len(ordered) - counted
        self.sum += math.fsum(ordered)

    def merge(self, other: "Histogram") -> None:
        """Count all that another histogram of the same bounds has counted."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum


class Text:
    """Writes families one after the other. Families without a sample are left out."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def __str__(self) -> str:
        return "\n".join(self._lines) + "\n" if self._lines else ""

    def counter(self, name: str, help_text: str, samples: Iterable[tuple[Labels, float]]) -> None:
        """A family that only grows; `name` ends in `_total`."""
        self._plain(name, "counter", help_text, samples)

    def gauge(self, name: str, help_text: str, samples: Iterable[tuple[Labels, float]]) -> None:
        """A family that goes up and down."""
        self._plain(name, "gauge", help_text, samples)

    def histogram(self, name: str, help_text: str, samples: Iterable[tuple[Labels, Histogram]]) -> None:
        """A family of histograms; those that have counted nothing are left out."""
        filled = [(labels, histogram) for labels, histogram in samples if any(histogram.counts)]
        if not filled:
            return
        self._head(name, "histogram", help_text)
        for labels, histogram in filled:
            count = 0
            for bound, within in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
                count += within
                self._sample(f"{name}_bucket", (*labels, ("le", number(bound))), count)
            self._sample(f"{name}_sum", labels, histogram.sum)
            self._sample(f"{name}_count", labels, count)

    def _plain(self, name: str, kind: str, help_text: str, samples: Iterable[tuple[Labels, float]]) -> None:
        found = list(samples)
        if found:
            self._head(name, kind, help_text)
            for labels, value in found:
                self._sample(name, labels, value)

    def _head(self, name: str, kind: str, help_text: str) -> None:
        escaped = help_text.replace("\\", r"\\").replace("\n", r"\n")
        self._lines += (f"# HELP {name} {escaped}", f"# TYPE {name} {kind}")

    def _sample(self, name: str, labels: Labels, value: float) -> None:
        inside = ",".join(f'{label}="{escape(text)}"' for label, text in labels)
        self._lines.append(f"{name}{{{inside}}} {number(value)}" if inside else f"{name} {number(value)}")


def escape(text: str) -> str:
    """A label's value as it stands between quotes."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def number(value: float) -> str:
    """A value as the format writes it: shortest form that reads back the same."""
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
