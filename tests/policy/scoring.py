"""Recall and precision for each type over the labelled set, for any detector that says type and place."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from tests.policy.labelled import Sample

Found = tuple[str, int, int]
"""Type, first character, character after the last."""


class Score(NamedTuple):
    """One type. `named`: a word beside the value says what it is; `bare`: none does."""

    named: int
    named_found: int
    bare: int
    bare_found: int
    wrong: int
    """Findings of this type where none was labelled."""

    @property
    def recall_named(self) -> float:
        return self.named_found / self.named if self.named else 1.0

    @property
    def recall(self) -> float:
        return (self.named_found + self.bare_found) / max(1, self.named + self.bare)

    @property
    def precision(self) -> float:
        right = self.named_found + self.bare_found
        return right / (right + self.wrong) if right + self.wrong else 1.0


def score(
    find: Callable[[str], Iterable[Found]], samples: Sequence[Sample], negatives: Sequence[str]
) -> dict[str, Score]:
    """A label is found where a finding of its type covers at least half of it and is at most half something else."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for sample in samples:
        kind = "named" if sample.named else "bare"
        counts[sample.type][kind] += 1
        hit = False
        for name, start, end in find(sample.text):
            common = min(end, sample.end) - max(start, sample.start)
            right = name == sample.type and common * 2 >= max(sample.end - sample.start, end - start)
            hit = hit or right
            counts[name]["wrong"] += not right
        counts[sample.type][f"{kind}_found"] += hit
    for text in negatives:
        for name, _, _ in find(text):
            counts[name]["wrong"] += 1
    fields = Score._fields
    return {name: Score(*(counted[field] for field in fields)) for name, counted in sorted(counts.items())}
