"""The admin address: alive, ready, metrics and live state, for all workers of this gateway together."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from switchgear.core.tasks import TaskOwner
from switchgear.gateway.errors import CATALOGUE, error_body
from switchgear.gateway.supervisor import Supervisor
from switchgear.wire.exchange import JSON, Exchange

log = logging.getLogger(__name__)
_TEXT = b"content-type: text/plain; version=0.0.4; charset=utf-8\r\n"
_WORST_FIRST = ("open", "half_open", "closed")


class Admin:
    """Handles the admin server's requests. `render_metrics` gets the merged live state."""

    def __init__(self, supervisor: Supervisor, render_metrics: Callable[[dict[str, Any]], Awaitable[str]]) -> None:
        self._supervisor = supervisor
        self._render_metrics = render_metrics
        self.tasks = TaskOwner("admin")

    def handle(self, exchange: Exchange) -> None:
        target = exchange.target.partition(b"?")[0]
        if exchange.method not in (b"GET", b"HEAD"):
            body = error_body("method_not_allowed", "The admin address is read with GET.")
            exchange.reply(CATALOGUE["method_not_allowed"].status, body, JSON + b"allow: GET, HEAD\r\n")
        elif target == b"/healthz":
            exchange.reply(200, b'{"status":"alive"}')
        elif target in (b"/readyz", b"/metrics", b"/live"):
            self.tasks.start(self._answer(exchange, target))
        else:
            exchange.reply(
                CATALOGUE["not_found"].status,
                error_body("not_found", "No such path; there are /healthz, /readyz, /metrics and /live."),
            )

    async def _answer(self, exchange: Exchange, target: bytes) -> None:
        try:
            status, body, head = await self._told(target)
        except Exception:
            log.exception("%s met a defect", target.decode("latin-1"))
            status, body, head = 500, error_body("internal_error", "The state cannot be told; the log says why."), JSON
        exchange.reply(status, body, head)

    async def _told(self, target: bytes) -> tuple[int, bytes, bytes]:
        live = await self.live()
        if target == b"/live":
            return 200, msgspec.json.encode(live), JSON
        if target == b"/metrics":
            return 200, (await self._render_metrics(live)).encode(), _TEXT
        ready = not live["not_ready"]
        told = {"ready": ready, "not_ready": live["not_ready"], "alarms": live["alarms"]}
        return 200 if ready else 503, msgspec.json.encode(told), JSON

    async def live(self) -> dict[str, Any]:
        """One state out of all workers': counts added, targets united, each with every worker's view where they differ."""
        supervisor = self._supervisor
        workers: list[dict[str, Any]] = await supervisor.live()
        merged = merge(workers)
        merged["snapshot"] = supervisor.snapshot.id
        merged["workers_wanted"] = len(supervisor.workers)
        merged["restarts"] = sum(worker.restarts for worker in supervisor.workers)
        merged["not_ready"], merged["alarms"] = self._judge(merged, supervisor)
        return merged

    def _judge(self, live: dict[str, Any], supervisor: Supervisor) -> tuple[list[str], list[str]]:
        """Why this gateway is not ready, and what should worry somebody although it is."""
        not_ready: list[str] = []
        alarms: list[str] = []
        if supervisor.stopping:
            not_ready.append("the gateway is shutting down")
        if not live["workers"]:
            not_ready.append("no worker is serving")
        elif not any(worker["ready"] for worker in live["workers"]):
            not_ready.append("every target's breaker is open")
        for worker in live["workers"]:
            journal = worker["journal"]
            if not journal["healthy"]:
                text = f"worker {worker['worker']} cannot write its journal: {journal['failing'] or 'it is late'}"
                refuses = supervisor.gateway_config.on_journal_failure == "refuse"
                (not_ready if refuses else alarms).append(text)
            if journal["lost"]:
                alarms.append(f"worker {worker['worker']} lost {journal['lost']} records")
            cache = worker["cache"]
            if cache and cache["disk_failing"]:
                alarms.append(f"worker {worker['worker']} cannot keep answers on disk: {cache['disk_failing']}")
            external = worker["external_screen"]
            if external and not external["ready"]:
                alarms.append(
                    f"worker {worker['worker']} has no external screen: it does not run, and the log says why"
                )
            for name, provider in worker["identity"].items():
                if provider["last_error"]:
                    alarms.append(f"worker {worker['worker']} cannot read the keys of {name}: {provider['last_error']}")
        if len(live["workers"]) < live["workers_wanted"]:
            alarms.append(f"{live['workers_wanted'] - len(live['workers'])} workers are not serving")
        if supervisor.reload_error:
            alarms.append(f"the last reload was refused: {supervisor.reload_error}")
        if supervisor.keep_error:
            alarms.append(f"the last good snapshot is not kept: {supervisor.keep_error}")
        return not_ready, alarms


def merge(workers: list[dict[str, Any]]) -> dict[str, Any]:
    """Sums and unions over workers. A target's breaker is shown at its worst; `breakers` has it by worker."""
    targets: dict[tuple[str, str], dict[str, Any]] = {}
    pools: dict[str, dict[str, int]] = {}
    for worker in workers:
        for target in worker["targets"]:
            name = (target["backend"], target["model"])
            one = targets.setdefault(
                name,
                {
                    "backend": name[0],
                    "model": name[1],
                    "breaker": "closed",
                    "breakers": {},
                    "breaker_opened": 0,
                    "in_flight": 0,
                    "latency_ewma_s": 0.0,
                    "latency_p50_s": None,
                    "latency_p99_s": None,
                    "last_error": "",
                },
            )
            one["breakers"][str(worker["worker"])] = target["breaker"]
            one["breaker"] = min(one["breakers"].values(), key=_WORST_FIRST.index)
            one["breaker_opened"] += target["breaker_opened"]
            one["in_flight"] += target["in_flight"]
            for figure in ("latency_ewma_s", "latency_p50_s", "latency_p99_s"):
                if target[figure] is not None:
                    one[figure] = max(one[figure] or 0.0, target[figure])
            one["last_error"] = target["last_error"] or one["last_error"]
        for name, pool in worker["pools"].items():
            total = pools.setdefault(name, {"open": 0, "opened": 0})
            total["open"] += pool["open"]
            total["opened"] += pool["opened"]
    refused: dict[str, int] = {}
    for worker in workers:
        for code, count in worker["refused"].items():
            refused[code] = refused.get(code, 0) + count
    return {
        "calls_in_flight": sum(worker["calls_in_flight"] for worker in workers),
        "connections": sum(worker["connections"] for worker in workers),
        "refused_requests": refused,
        "targets": list(targets.values()),
        "health": {name: view for worker in workers for name, view in worker.get("health", {}).items()},
        "pools": pools,
        "journal": {
            "healthy": all(worker["journal"]["healthy"] for worker in workers),
            "pending": sum(worker["journal"]["pending"] for worker in workers),
            "lag_s": max((worker["journal"]["lag_s"] for worker in workers), default=0.0),
            "written": sum(worker["journal"]["written"] for worker in workers),
            "lost": sum(worker["journal"]["lost"] for worker in workers),
        },
        "workers": [
            {
                key: worker[key]
                for key in ("worker", "pid", "ready", "connections", "calls_in_flight", "snapshot", "journal")
            }
            | {
                "cache": worker.get("cache"),
                "external_screen": worker.get("external_screen"),
                "identity": worker.get("identity", {}),
            }
            for worker in workers
        ],
    }
