"""What is true of a gateway at this moment, as Prometheus text: breakers, calls in flight, journals, workers."""

import msgspec

from switchgear.gateway.exposition import Labels, Text

BREAKER_STATES = ("closed", "half_open", "open")


class LiveTarget(msgspec.Struct, frozen=True):
    """One target over all workers."""

    backend: str
    model: str
    breaker: str = "closed"
    """The worst of the workers' states."""
    breaker_opened: int = 0
    in_flight: int = 0
    latency_ewma_s: float = 0.0


class LiveJournal(msgspec.Struct, frozen=True):
    """One worker's journal; see `switchgear.journal.model.Status`."""

    healthy: bool = True
    pending: int = 0
    lag_s: float = 0.0
    written: int = 0
    lost: int = 0
    moved_aside: int = 0


class LiveCache(msgspec.Struct, frozen=True):
    """One worker's kept answers; see `switchgear.cache.service.Status`."""

    entries: int = 0
    bytes: int = 0
    capacity_bytes: int = 0
    hits: int = 0
    misses: int = 0
    evicted: int = 0
    collapsed: int = 0
    disk_dropped: int = 0
    disk_failing: str = ""


class LiveWorker(msgspec.Struct, frozen=True):
    """One worker that answers."""

    worker: int
    ready: bool = True
    snapshot: str = ""
    journal: LiveJournal = LiveJournal()
    cache: LiveCache | None = None


class LivePool(msgspec.Struct, frozen=True):
    """Connections to one backend over all workers."""

    open: int = 0
    opened: int = 0


class Live(msgspec.Struct, frozen=True):
    """The live state of a gateway, as its admin address tells it: `msgspec.convert(state, Live)` takes what is needed here."""

    calls_in_flight: int = 0
    connections: int = 0
    refused_requests: dict[str, int] = {}
    targets: list[LiveTarget] = []
    pools: dict[str, LivePool] = {}
    workers: list[LiveWorker] = []
    workers_wanted: int = 0
    restarts: int = 0
    snapshot: str = ""


def write_live(text: Text, live: Live) -> None:
    """Write all of it."""
    _write_traffic(text, live)
    _write_targets(text, live.targets)
    _write_workers(text, live)
    _write_journals(text, live.workers)
    _write_caches(text, live.workers)


def _write_traffic(text: Text, live: Live) -> None:
    text.gauge("switchgear_num_requests_running", "Calls in flight.", [((), live.calls_in_flight)])
    text.gauge("switchgear_connections", "Open connections of callers.", [((), live.connections)])
    text.counter(
        "switchgear_refused_requests_total",
        "Requests that were refused before they were calls.",
        (((("code", code),), count) for code, count in live.refused_requests.items()),
    )
    text.gauge(
        "switchgear_pool_connections",
        "Open connections to a backend.",
        (((("backend", name),), pool.open) for name, pool in live.pools.items()),
    )
    text.counter(
        "switchgear_pool_connections_opened_total",
        "Connections to a backend that were opened.",
        (((("backend", name),), pool.opened) for name, pool in live.pools.items()),
    )


def _write_targets(text: Text, targets: list[LiveTarget]) -> None:
    named = [((("backend", target.backend), ("model", target.model)), target) for target in targets]
    text.gauge(
        "switchgear_target_num_requests_running",
        "Attempts in flight at a target.",
        ((labels, target.in_flight) for labels, target in named),
    )
    text.gauge(
        "switchgear_breaker_state",
        "1 for the state that a target's circuit breaker is in (the worst of all workers), 0 for the others.",
        (
            ((*labels, ("state", state)), int(target.breaker == state))
            for labels, target in named
            for state in BREAKER_STATES
        ),
    )
    text.counter(
        "switchgear_breaker_opened_total",
        "How often a target's circuit breaker opened.",
        ((labels, target.breaker_opened) for labels, target in named),
    )
    text.gauge(
        "switchgear_target_latency_ewma_seconds",
        "Moving average that strategy `latency` compares.",
        ((labels, target.latency_ewma_s) for labels, target in named),
    )


def _write_workers(text: Text, live: Live) -> None:
    serving = {worker.worker for worker in live.workers}
    wanted = sorted(serving | set(range(live.workers_wanted)))
    text.gauge(
        "switchgear_worker_up",
        "Whether a worker serves calls.",
        (((("worker", str(number)),), int(number in serving)) for number in wanted),
    )
    text.counter(
        "switchgear_worker_restarts_total", "Workers that ended and were started again.", [((), live.restarts)]
    )
    text.gauge(
        "switchgear_snapshot_info",
        "1; the label names the snapshot that a worker serves from.",
        (((("worker", str(w.worker)), ("snapshot", w.snapshot or live.snapshot)), 1) for w in live.workers),
    )


def _write_journals(text: Text, workers: list[LiveWorker]) -> None:
    named: list[tuple[Labels, LiveJournal]] = [
        ((("worker", str(worker.worker)),), worker.journal) for worker in workers
    ]
    text.gauge(
        "switchgear_journal_failing",
        "1 while records cannot be written.",
        ((labels, int(not journal.healthy)) for labels, journal in named),
    )
    text.gauge(
        "switchgear_journal_pending_records",
        "Records that are not on the disk yet.",
        ((labels, journal.pending) for labels, journal in named),
    )
    text.gauge(
        "switchgear_journal_lag_seconds",
        "Age of the oldest record that is not on the disk yet.",
        ((labels, journal.lag_s) for labels, journal in named),
    )
    text.counter(
        "switchgear_journal_written_records_total",
        "Records committed.",
        ((labels, journal.written) for labels, journal in named),
    )
    text.counter(
        "switchgear_journal_lost_records_total",
        "Records that will never be written.",
        ((labels, journal.lost) for labels, journal in named),
    )
    text.counter(
        "switchgear_journal_moved_aside_total",
        "Damaged journal files that were moved aside.",
        ((labels, journal.moved_aside) for labels, journal in named),
    )


def _write_caches(text: Text, workers: list[LiveWorker]) -> None:
    named: list[tuple[Labels, LiveCache]] = [
        ((("worker", str(worker.worker)),), worker.cache) for worker in workers if worker.cache is not None
    ]
    text.gauge("switchgear_cache_entries", "Answers kept in memory.", ((labels, one.entries) for labels, one in named))
    text.gauge("switchgear_cache_bytes", "Memory that they take.", ((labels, one.bytes) for labels, one in named))
    text.gauge(
        "switchgear_cache_capacity_bytes",
        "Memory that they may take.",
        ((labels, one.capacity_bytes) for labels, one in named),
    )
    text.counter("switchgear_cache_hits_total", "Answers found.", ((labels, one.hits) for labels, one in named))
    text.counter("switchgear_cache_misses_total", "Answers not found.", ((labels, one.misses) for labels, one in named))
    text.counter(
        "switchgear_cache_evicted_total",
        "Answers that made room for others while they could still have been used.",
        ((labels, one.evicted) for labels, one in named),
    )
    text.counter(
        "switchgear_cache_collapsed_total",
        "Calls that waited for the answer to another that says the same.",
        ((labels, one.collapsed) for labels, one in named),
    )
    text.counter(
        "switchgear_cache_disk_dropped_total",
        "Answers that were to be kept on disk and were not.",
        ((labels, one.disk_dropped) for labels, one in named),
    )
    text.gauge(
        "switchgear_cache_disk_failing",
        "1 while answers cannot be kept on disk.",
        ((labels, int(bool(one.disk_failing))) for labels, one in named),
    )
