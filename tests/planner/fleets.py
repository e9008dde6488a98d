"""Fleets and workloads for the planner's tests."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from switchgear.core.snapshot import Kind, Prices
from switchgear.planner.fleet import Fleet, Place
from switchgear.planner.simulate_arrays import Table
from switchgear.planner.workload import Workload, workload_of

SHARED = Path(__file__).parents[3] / "shared" / "data"


def shared(name: str) -> Path:
    """A file of the shared data; the test is skipped where it is absent."""
    file = SHARED / name
    if not file.exists():
        pytest.skip(f"{file} is absent: the data of ../shared/data is not shipped")
    return file


def calls(
    number: int,
    rate_per_s: float,
    *,
    seed: int = 1,
    prompt: tuple[int, int] = (50, 2000),
    output: tuple[int, int] = (1, 300),
    classes: bool = False,
) -> Workload:
    """Poisson arrivals, lengths evenly distributed between two."""
    rng = np.random.default_rng(seed)
    return workload_of(
        at_s=np.cumsum(rng.exponential(1 / rate_per_s, number)),
        prompt_tokens=rng.integers(*prompt, number),
        output_tokens=rng.integers(*output, number),
        data_class=rng.integers(0, 4, number) if classes else None,
        source=f"test, seed {seed}",
    )


def onprem(name: str = "floor", **settings: Any) -> Place:
    """H100s."""
    return Place(name=name, **{"kind": Kind.ONPREM, "profile": "h100-sxm", **settings})


def cloud(name: str = "cloud", **settings: Any) -> Place:
    """Seen from outside."""
    return Place(name=name, **{"kind": Kind.CLOUD, "profile": "cloud-api", **settings})


def fleet(*places: Place, **settings: Any) -> Fleet:
    """A fleet that serves Llama 3.1 8B."""
    return Fleet(places=places, **{"model": "llama-8b", **settings})


def usd(per_mtok: float) -> Prices:
    """One price for all tokens, US dollars a million."""
    return Prices(input_usd_per_mtok=per_mtok, output_usd_per_mtok=per_mtok)


class Kept:
    """A sink that keeps every call."""

    def __init__(self) -> None:
        self._pieces: list[Table] = []

    def __call__(self, ended: Table) -> None:
        self._pieces.append(ended.copy())

    @property
    def rows(self) -> Table:
        """All calls, in order of arrival."""
        rows = np.concatenate(self._pieces)
        return rows[np.argsort(rows["id"])]
