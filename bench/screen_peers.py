"""Presidio's pattern recognizers and DataFog beside our screen, on the labelled set: `python -m bench.screen_peers` (`make bench-peers`).

Each runs in an environment of its own, on the same texts. Recall and precision are counted for the types that it has; a finding of a
type that it has in a text of another counts as wrong, for all alike. What cannot be installed here is reported as such.
"""

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from tests.policy.labelled import samples
from tests.policy.labelled_negatives import negatives
from tests.policy.scoring import Found, Score, score

from bench.installing import environment, say
from bench.report import machine
from bench.sides import PEERS
from bench.traffic import Void
from switchgear.core.screening import Detector
from switchgear.policy.detect import Detectors

_PEERS = {"presidio": "presidio-analyzer>=2.2,<3", "datafog": "datafog>=4.1,<5"}
_RUNNER = Path(__file__).with_name("screen_peer.py")


class _Side(NamedTuple):
    name: str
    version: str
    scores: dict[str, Score]
    us_per_kb: float


def _scored(find: Callable[[str], Sequence[Found]]) -> dict[str, Score]:
    return score(find, samples(), negatives())


def _ours(timed: Sequence[str]) -> _Side:
    detectors = Detectors(frozenset(Detector))

    def find(text: str) -> list[Found]:
        return [(one.type, one.start, one.end) for one in detectors.find(text)]

    scores = _scored(find)
    costs = []
    for _ in range(3):
        began = time.process_time_ns()
        for text in timed:
            find(text)
        costs.append((time.process_time_ns() - began) / 1_000 / sum(len(text.encode()) / 1024 for text in timed))
    return _Side("switchgear", "", scores, min(costs))


def _peer(name: str, texts: Sequence[str], timed: Sequence[str]) -> _Side:
    """Raises Void where it cannot be installed or fails."""
    python = environment(PEERS / name, _PEERS[name]) / "python"
    say(f"running {name}")
    given = json.dumps({"texts": texts, "timed": timed})
    done = subprocess.run(
        [str(python), str(_RUNNER), name], input=given, capture_output=True, text=True, timeout=900, check=False
    )
    if done.returncode:
        raise Void(f"{name} failed: {done.stderr.strip()[-400:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    by_text = {
        text: [(kind, start, end) for kind, start, end in spans]
        for text, spans in zip(texts, found["findings"], strict=True)
    }
    return _Side(name, found["version"], _scored(lambda text: by_text[text]), found["us_per_kb"])


def _table(sides: Sequence[_Side]) -> Table:
    table = Table(
        "type",
        title="recall with a word beside it / recall of all / precision; - : found none",
        title_justify="left",
    )
    for side in sides:
        table.add_column(f"{side.name} {side.version}", justify="right")
    for kind in sorted({name for side in sides for name, one in side.scores.items() if one.named + one.bare}):
        row = []
        for side in sides:
            one = side.scores[kind]
            has = one.named_found + one.bare_found + one.wrong > 0
            row.append(f"{one.recall_named:.2f} / {one.recall:.2f} / {one.precision:.2f}" if has else "-")
        table.add_row(kind, *row)
    table.add_row("CPU us per KB", *(f"{side.us_per_kb:,.0f}" for side in sides))
    return table


def main() -> int:
    """Print one table. Exit code 0: a comparison has no bar."""
    console = Console(width=130)
    texts = [*dict.fromkeys([*(sample.text for sample in samples()), *negatives()])]
    timed = negatives()
    sides = [_ours(timed)]
    for name in _PEERS:
        try:
            sides.append(_peer(name, texts, timed))
        except (Void, OSError, subprocess.SubprocessError) as failure:
            console.print(f"note: {name} could not be measured here: {failure}", highlight=False)
    console.print(_table(sides))
    console.print("our detectors were written with an eye on this set, the others' were not", highlight=False)
    console.print("CPU: whole decision, over the texts with nothing to find, not only the automaton", highlight=False)
    console.print(", ".join(f"{name} {value}" for name, value in machine().items()), highlight=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
