"""What the content screen costs and finds: `python -m bench.screen`.

CPU per KB of clean text as a call has it, of texts that it has not seen, of hostile texts from 1 KB to 1 MB, of an answer's piece;
recall and precision for each type on the labelled set of tests/policy, made from published values.
"""

import argparse
import gc
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from tests.policy.labelled import samples
from tests.policy.labelled_negatives import negatives
from tests.policy.scoring import score

from bench.report import Bar, machine
from switchgear.core.screening import Detector, Screening
from switchgear.policy import detect_automaton
from switchgear.policy.detect import Detectors
from switchgear.policy.model import CLEAN, Fields
from switchgear.policy.patterns import words
from switchgear.policy.screen import Screen

LIMIT_US_PER_KB = 6.0
_RULES: dict[str, Any] = {
    "rules": [{"name": "personal", "find": ["personal"], "action": "redact"}],
    "answer_rules": [{"name": "leak", "find": ["secret", "canary", "personal"], "action": "redact"}],
}
_HOSTILE = {
    "digits": "4",
    "digits in groups": "4111 1111 1111 1112 ",
    "one digit, one space": "1 ",
    "half an e-mail": "a@b.c",
    "password=": "password=",
    "openings of keys": "-----BEGIN PRIVATE KEY-----",
    "numbers and capitals": "12 The Big Bad ",
    "backslashes": "\\",
    "findings only": "a@example.com ",
}


def _fields(content: str) -> Fields:
    body = json.dumps({"model": "chat", "messages": [{"role": "user", "content": content}]}, ensure_ascii=False)
    return msgspec.json.decode(body, type=dict[str, msgspec.Raw])


def _kilobyte(text: str) -> str:
    return (text * (1024 // len(text.encode()) + 1)).encode()[:1024].decode(errors="ignore")


def _clean_texts() -> dict[str, str]:
    prose = "The quick brown fox jumps over the lazy dog and goes home to write its report about the year in which nothing happened. "
    return {
        "prose": _kilobyte(prose),
        "prose with lines and quotes": _kilobyte(
            'She said "no".\nThen the fox went home, as it does on most days of the week.\n\n'
        ),
        "German": _kilobyte(
            "Der größte Fuchs springt über den faulen Hund und schläft danach für drei Stunden am Ufer. "
        ),
        "with numbers": _kilobyte(
            "In 2024 the 3 plants made 4,500 units at 12.5 % less cost; see pages 120-135 and chart 7. "
        ),
        "code": _kilobyte("def total(rows):\n    return sum(row.price * row.count for row in rows if row.open)\n\n"),
    }


def _cost_us(call: Callable[[], object], seconds: float = 0.6) -> tuple[float, float]:
    """Median and least CPU time of one call, microseconds, over batches of about a millisecond."""
    call()
    began = time.process_time_ns()
    call()
    batch = max(1, 1_000_000 // max(1, time.process_time_ns() - began))
    costs = []
    gc.disable()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.process_time_ns()
        for _ in range(batch):
            call()
        costs.append((time.process_time_ns() - began) / batch / 1_000)
    gc.enable()
    return statistics.median(costs), min(costs)


def _clean(screen: Screen) -> Iterator[tuple[str, float, float]]:
    for name, text in _clean_texts().items():
        fields = _fields(text)
        assert screen.request(fields) is CLEAN, name
        yield (name, *_cost_us(partial(screen.request, fields)))


def _unseen(screen: Screen, folder: Path) -> tuple[int, float, float]:
    """Kilobytes of real files, each looked at once: microseconds each, and what share held a candidate."""
    chunks = [
        data[at : at + 1024]
        for file in sorted(folder.rglob("*.py"))
        for data in [file.read_bytes()]
        for at in range(0, len(data) - 1024, 1024)
    ]
    random.Random(9).shuffle(chunks)
    chunks = chunks[:4_000]
    matches = screen._detectors.matches
    began = time.process_time_ns()
    hits = sum(map(matches, chunks))
    return len(chunks), (time.process_time_ns() - began) / 1_000 / len(chunks), hits / len(chunks)


def _hostile(screen: Screen) -> Iterator[tuple[str, list[float]]]:
    for name, unit in _HOSTILE.items():
        costs = []
        for size in (1, 16, 256, 1024):
            fields = _fields((unit * (size * 1024 // len(unit) + 1))[: size * 1024])
            began = time.process_time_ns()
            rounds = max(1, 64 // size)
            for _ in range(rounds):
                screen.request(fields)
            costs.append((time.process_time_ns() - began) / rounds / 1_000 / size)
        yield name, costs


def _piece(screen: Screen) -> tuple[float, float]:
    pieces = [
        f" {word}"
        for word in words("the quick brown fox goes home and writes its report about what has not happened this week")
    ]

    def answer() -> None:
        watch = screen.watch(CLEAN)
        assert watch is not None
        for piece in pieces:
            watch.feed(piece)
        watch.finish()

    median, least = _cost_us(answer)
    return median / len(pieces), least / len(pieces)


def _costs(screen: Screen, console: Console, unseen: Path) -> list[Bar]:
    table = Table("clean text, 1 KB", "median us", "least us", title="CPU per call", title_justify="left")
    worst = 0.0
    for name, median, least in _clean(screen):
        worst = max(worst, least)
        table.add_row(name, f"{median:.2f}", f"{least:.2f}")
    console.print(table)
    count, cost, share = _unseen(screen, unseen)
    console.print(
        f"{count} KB of files, each seen once: {cost:.2f} us/KB; {share:.1%} of them hold a candidate", highlight=False
    )
    console.print(
        "an answer's piece, watched: median {:.2f} us, least {:.2f} us".format(*_piece(screen)), highlight=False
    )
    table = Table("hostile text, us per KB", "1 KB", "16 KB", "256 KB", "1 MB", title="Linear", title_justify="left")
    for name, costs in _hostile(screen):
        table.add_row(name, *(f"{cost:,.1f}" for cost in costs))
    console.print(table)
    return [Bar("us per KB of clean text, the dearest of the kinds", worst, LIMIT_US_PER_KB)]


def _quality(console: Console) -> dict[str, Any]:
    detectors = Detectors(frozenset(Detector))
    scores = score(
        lambda text: [(one.type, one.start, one.end) for one in detectors.find(text)], samples(), negatives()
    )
    table = Table(
        "type",
        "named: found/all",
        "bare: found/all",
        "wrong",
        "recall",
        "precision",
        title="Labelled set",
        title_justify="left",
    )
    for name, one in scores.items():
        table.add_row(
            name,
            f"{one.named_found}/{one.named}",
            f"{one.bare_found}/{one.bare}",
            str(one.wrong),
            f"{one.recall:.2f}",
            f"{one.precision:.2f}",
        )
    console.print(table)
    return {name: one._asdict() for name, one in scores.items()}


def main() -> int:
    """Print all figures. Exit code 1 where the bar does not hold."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--engine", choices=("vectorscan", "re2"), help="take this automaton instead of the best there is"
    )
    options.add_argument(
        "--unseen", type=Path, default=Path(json.__file__).parent.parent, help="folder of texts for `seen once`"
    )
    chosen = options.parse_args()
    if chosen.engine == "re2":
        detect_automaton.hyperscan = None
    console = Console(width=120)
    began = time.process_time()
    screen = Screen(msgspec.convert(_RULES, Screening))
    engine = type(screen._detectors._automaton).__name__
    console.print(f"{engine}, compiled in {time.process_time() - began:.2f} s of CPU", highlight=False)
    bars = _costs(screen, console, chosen.unseen)
    _quality(console)
    console.print(", ".join(f"{name} {value}" for name, value in machine().items()), highlight=False, soft_wrap=True)
    for bar in bars:
        verdict = "holds" if bar.holds else "does not hold"
        console.print(f"{bar.what}: {bar.measured:.2f}, at most {bar.limit:g}: {verdict}", highlight=False)
    return 0 if all(bar.holds for bar in bars) else 1


if __name__ == "__main__":
    raise SystemExit(main())
