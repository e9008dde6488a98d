"""Which bursts to send, in which order, and which of them are held out. Pure."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random

from switchgear.profiling.errors import BadSweep
from switchgear.profiling.model import Shape

HELD_OUT = 0.3
"""Of the shapes, those kept from the fit."""


@dataclass(frozen=True, slots=True)
class Design:
    """A sweep: the shapes fitted and the shapes held out, chosen before anything is measured."""

    fitted: tuple[Shape, ...]
    held_out: tuple[Shape, ...]
    rounds: int
    seed: int

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """All of them."""
        return tuple(sorted((*self.fitted, *self.held_out)))

    def order(self) -> Iterator[tuple[int, Shape]]:
        """Every shape once a round, in another order each round: what else the machine does falls on all shapes alike."""
        random = Random(self.seed)  # noqa: S311  an order, not a secret
        for number in range(self.rounds):
            shuffled = list(self.shapes)
            random.shuffle(shuffled)
            yield from ((number, shape) for shape in shuffled)


def design(
    prompt_tokens: Iterable[int], output_tokens: Iterable[int], concurrency: Iterable[int], *, rounds: int, seed: int
) -> Design:
    """Every combination of the three, three of ten held out by chance; never a corner, so that predictions lie within what was fitted.

    Raises BadSweep where that leaves nothing to fit or nothing to hold out.
    """
    axes = [sorted(set(axis)) for axis in (prompt_tokens, output_tokens, concurrency)]
    if rounds < 1:
        raise BadSweep(f"the number of rounds is {rounds}; give at least 1")
    shapes = [Shape(*combination) for combination in itertools.product(*axes)]
    corners = (
        {Shape(*corner) for corner in itertools.product(*({axis[0], axis[-1]} for axis in axes if axis))}
        if all(axes)
        else set()
    )
    inner = [shape for shape in shapes if shape not in corners]
    if not inner:
        raise BadSweep(
            "the sweep has no shape that could be held out; give at least three different lengths of one kind"
        )
    Random(seed).shuffle(inner)  # noqa: S311  a split, not a secret
    held_out = set(inner[: max(1, round(len(shapes) * HELD_OUT))])
    return Design(
        tuple(shape for shape in shapes if shape not in held_out),
        tuple(shape for shape in shapes if shape in held_out),
        rounds,
        seed,
    )
