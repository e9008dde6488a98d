"""Lists that stand both in the prose and in the code say the same."""

import re

import pytest
from tests.docs.pages import ROOT, first_cells, section

from switchgear.core.record import Attempt, AttemptKind, AttemptOutcome, Outcome, Record, RuledOut
from switchgear.emulator.faults import KINDS
from switchgear.gateway import recorder
from switchgear.gateway.entrance import FORWARDED
from switchgear.gateway.errors import CATALOGUE
from switchgear.gateway.live_metrics import Live, LiveCache, LivePool, LiveTarget, LiveWorker
from switchgear.gateway.metrics import Metrics
from switchgear.hardware.catalogue import model_spec, models, profiles

DOCS = ROOT / "docs"


def metrics_in_the_code() -> dict[str, str]:
    """Every metric and its type, by writing all there are. Two calls where there is room for one series make the last appear."""
    metrics = Metrics(max_series=1)
    for model in ("a", "b"):
        attempt = Attempt("place", model, AttemptKind.FIRST, 0.0, usage="reported", outcome=AttemptOutcome.OK)
        attempt.prompt_tokens = attempt.completion_tokens = 4
        attempt.cost_usd = 0.5
        record = Record(1, "call", 0.0, "host/0", "snapshot", "chat/completions", model=model, streamed=True)
        record.attempts, record.ttft_s, record.completion_tokens, record.cost_usd = [attempt], 0.1, 4, None
        record.candidates = [("place", model)]
        record.ruled_out = [RuledOut("other", model, "full")]
        record.reuse, record.degraded = "cache", "message"
        metrics.add(record)
    live = Live(
        refused_requests={"malformed_request": 1},
        targets=[LiveTarget("place", "a")],
        pools={"place": LivePool(1, 1)},
        workers=[LiveWorker(0, cache=LiveCache(collapsed=1, disk_dropped=1))],
        workers_wanted=1,
    )
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", metrics.render(live), re.MULTILINE))


def test_the_metrics_are_those_of_the_code() -> None:
    text = section(DOCS / "operation.md", "Health, metrics, live state")
    rows = re.findall(r"^\| `([a-z_]+)` \| (counter|gauge|histogram) \|", text, re.MULTILINE)
    assert dict(rows) == metrics_in_the_code()


def test_the_outcomes_are_those_of_the_code() -> None:
    assert list(first_cells(section(DOCS / "operation.md", "Records"))) == [outcome.value for outcome in Outcome]


@pytest.mark.parametrize("page", ["failure.md", "operation.md"])
def test_the_errors_that_are_named_have_that_status(page: str) -> None:
    named = re.findall(r"\b([45]\d\d) `([a-z_]+)`", (DOCS / page).read_text(encoding="utf-8"))
    assert named
    assert [(int(status), code) for status, code in named] == [(CATALOGUE[code].status, code) for _, code in named]


def test_the_headers_that_reach_a_backend_are_those_of_the_code() -> None:
    (promise,) = re.findall(
        r"do not reach a backend, but for ([^.]+)\.", (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    )
    assert re.findall(r"`([a-z-]+)`", promise) == [name.decode() for name in FORWARDED]


def test_how_long_records_are_gathered_is_told_right() -> None:
    told = [
        re.findall(r"gather(?:ed|s| records) for (\d+) ms", (DOCS / page).read_text(encoding="utf-8"))
        for page in ("failure.md", "architecture.md", "adr/0005-a-journal-for-each-worker.md")
    ]
    assert told == [[f"{recorder._GATHER_S * 1000:g}"]] * 3


def test_the_faults_are_those_of_the_code() -> None:
    table = section(DOCS / "emulator.md", "Faults").partition("Where to put one")[0]
    assert tuple(first_cells(table)) == KINDS


def test_the_profiles_and_models_are_those_of_the_code() -> None:
    text = section(DOCS / "emulator.md", "Profiles")
    assert sorted(first_cells(text)) == sorted(profiles())
    listed = re.findall(r"`([^`]+)`", text.partition("Models:")[2])
    assert set(models()) <= set(listed)
    for name in set(listed) - {"cloud-api"}:
        model_spec(name)  # raises where there is none


@pytest.mark.parametrize(
    "page", ["architecture.md", "adr/0001-event-driven-calls.md", "adr/0004-metrics-from-the-journal.md"]
)
def test_the_files_that_are_named_exist(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    named = re.findall(r"`((?:core|wire|hardware|journal|backends|gateway|emulator|cli)/[a-z_]+\.py)`", text)
    assert named
    assert not [name for name in named if not (ROOT / "src/switchgear" / name).exists()]


def test_the_rooms_are_those_of_the_package() -> None:
    rooms = {path.parent.name for path in (ROOT / "src/switchgear").glob("*/__init__.py")}
    text = section(DOCS / "architecture.md", "Rooms")
    assert set(re.findall(r"^\| \d \| `([a-z]+)` \|", text, re.MULTILINE)) == rooms
