"""A snapshot made ready to serve from: connections, adapters and precomputed bytes for each target; keys by their hash."""

import binascii
import hmac
import math
import ssl
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

import msgspec

from switchgear.backends.model import Adapter
from switchgear.backends.registry import PROTOCOLS
from switchgear.core.errors import ConfigError, Problem
from switchgear.core.snapshot import Backend, Endpoint, Key, Model, Snapshot
from switchgear.core.snapshot import Target as TargetConfig
from switchgear.gateway.state import BackendState, LiveState, ModelState, TargetState
from switchgear.wire.client import Pool
from switchgear.wire.exchange import JSON, header
from switchgear.wire.origin import Origin, parse_url, port_of, proxy_for
from switchgear.wire.tls import client_context


class Target:
    """A backend together with the model's name there, ready to be asked."""

    __slots__ = (
        "_rates",
        "adapter",
        "backend",
        "backend_name",
        "backend_state",
        "context_window",
        "heads",
        "model",
        "model_raw",
        "name",
        "pool",
        "prices",
        "reply_head",
        "reply_json",
        "state",
        "timeouts",
        "weight",
    )

    def __init__(
        self,
        config: TargetConfig,
        backend: Backend,
        adapter: Adapter,
        pool: Pool,
        state: TargetState,
        backend_state: BackendState,
        probed_window: int | None = None,
    ) -> None:
        self.backend_name = config.backend
        self.model = config.model
        self.name = (config.backend, config.model)
        self.model_raw = msgspec.Raw(msgspec.json.encode(config.model))
        self.backend = backend
        self.adapter = adapter
        self.pool = pool
        self.state = state
        self.backend_state = backend_state
        self.prices = prices = config.prices or backend.prices
        self._rates: tuple[float, float, float] | None = None
        """US dollars for a million tokens: of the prompt, of the prompt where cached, of the completion."""
        if prices is not None:
            cached = prices.cached_input_usd_per_mtok
            fresh = prices.input_usd_per_mtok
            self._rates = (fresh, fresh if cached is None else cached, prices.output_usd_per_mtok)
        self.context_window = config.context_window or backend.capabilities.context_window or probed_window
        self.weight = config.weight
        self.timeouts = backend.timeouts
        self.heads = {endpoint: adapter.head(endpoint) + pool.origin.proxy_headers for endpoint in Endpoint}
        self.reply_head = header("x-switchgear-backend", config.backend)
        self.reply_json = JSON + self.reply_head

    def cost_usd(self, prompt_tokens: int, cached_tokens: int, completion_tokens: int) -> float | None:
        """US dollars for so many tokens here; None where prices are unknown."""
        rates = self._rates
        if rates is None:
            return None
        fresh, cached, completion = rates
        return ((prompt_tokens - cached_tokens) * fresh + cached_tokens * cached + completion_tokens * completion) / 1e6


class Route:
    """A model, ready to be called."""

    __slots__ = (
        "bytes_per_token",
        "config",
        "every",
        "name",
        "short_bytes",
        "smallest_window",
        "state",
        "straight",
        "targets",
    )

    def __init__(self, name: str, config: Model, targets: tuple[Target, ...], state: ModelState) -> None:
        self.name = name
        self.config = config
        self.targets = targets
        self.state = state
        self.every = frozenset(
            endpoint
            for endpoint in Endpoint
            if config.max_cost_usd is None
            and all(endpoint in target.backend.capabilities.endpoints for target in targets)
        )
        """Endpoints at which no target is ruled out for a plain call that is short enough."""
        self.smallest_window = min(
            (t.context_window for t in targets if t.context_window is not None), default=math.inf
        )
        self.bytes_per_token = min(target.backend.capabilities.bytes_per_token for target in targets)
        self.short_bytes = self.smallest_window * self.bytes_per_token
        """A body of at most so many bytes fits every target's window for certain, where it sets no limit of its own."""
        self.straight = config.hedge is None and (config.strategy == "priority" or len(targets) == 1)
        """Whether the targets are asked in their order and one at a time."""


class Plan:
    """What is known of a plain call by its key, endpoint and model alone: made once, when the first such call has gone the long way."""

    __slots__ = ("deadline_s", "delivery", "endpoint", "key", "recorded", "route")

    @classmethod
    def of(cls, snapshot: Snapshot, gateway: str, key: Key, endpoint: Endpoint, route: Route) -> "Plan | None":
        """None where each call needs to be looked at: targets in an order of the moment, hedges, limits of cost."""
        return cls(snapshot, gateway, key, endpoint, route) if route.straight and endpoint in route.every else None

    def __init__(self, snapshot: Snapshot, gateway: str, key: Key, endpoint: Endpoint, route: Route) -> None:
        self.key = key
        self.endpoint = endpoint
        self.route = route
        self.deadline_s = route.config.deadline_s
        self.delivery = route.config.delivery
        call = (gateway, snapshot.id, endpoint.value, key.name, key.team, "", route.name, "", False)
        self.recorded = (*call, [target.name for target in route.targets])
        """Fields of the record, from `gateway` to `candidates`. Not to be changed."""


class Table:
    """What the hot path looks things up in. Never changed once made."""

    def __init__(self, snapshot: Snapshot, routes: dict[str, Route], pools: dict[str, Pool]) -> None:
        self.snapshot = snapshot
        self.routes = routes
        self.pools = pools
        self._plans: dict[tuple[str, Endpoint], dict[bytes, Plan]] = {}
        self._keys: dict[bytes, tuple[bytes, Key]] = {}
        for key in snapshot.keys:
            digest = binascii.unhexlify(key.sha256)
            self._keys[digest] = (digest, key)

    def identify(self, token: bytes) -> Key | None:
        """The key that a caller showed, if it is known.

        Only hashes are compared: the lookup goes by the hash's own hash, and the final comparison takes constant time.
        """
        digest = sha256(token).digest()
        found = self._keys.get(digest)
        return found[1] if found is not None and hmac.compare_digest(found[0], digest) else None

    def plans(self, key: Key, endpoint: Endpoint) -> dict[bytes, Plan]:
        """Plans made so far for a caller's calls of an endpoint, by the model as it stands in the body. Add to it what is missing."""
        return self._plans.setdefault((key.name, endpoint), {})

    def targets(self) -> list[Target]:
        """All targets of all models, each once."""
        return list({target.name: target for route in self.routes.values() for target in route.targets}.values())


class Builder:
    """Makes tables; keeps what stays the same between two of them (live state, connections)."""

    def __init__(self, environment: Mapping[str, str], read_file: Callable[[str], str] | None = None) -> None:
        self.live = LiveState()
        self._environment = environment
        self._read_file = read_file or (lambda path: Path(path).read_text(encoding="utf-8"))
        self._pools: dict[str, tuple[object, Pool]] = {}

    def build(self, snapshot: Snapshot) -> Table:
        """Raises ConfigError when a secret, a certificate or an address cannot be used; then everything stays as it was."""
        problems: list[Problem] = []
        made: dict[str, tuple[object, Pool, Adapter]] = {}
        for name, backend in snapshot.backends.items():
            try:
                made[name] = self._connect(name, backend)
            except Exception as error:  # noqa: BLE001  each is reported as a problem of this backend, with its text
                problems.append(Problem(f"backends.{name}", str(error), "Correct it and load again."))
        if problems:
            raise ConfigError(problems)
        routes = {
            name: Route(
                name,
                model,
                tuple(
                    Target(
                        target,
                        snapshot.backends[target.backend],
                        made[target.backend][2],
                        made[target.backend][1],
                        self.live.target(target.backend, target.model, snapshot.backends[target.backend]),
                        self.live.backend(target.backend, snapshot.backends[target.backend]),
                        self.live.windows.get((target.backend, target.model)),
                    )
                    for target in model.targets
                ),
                self.live.model(name, model),
            )
            for name, model in snapshot.models.items()
        }
        for name, (_, pool) in self._pools.items():
            if name not in made or made[name][1] is not pool:
                pool.close_idle()
        self._pools = {name: (identity, pool) for name, (identity, pool, _) in made.items()}
        self.live.forget_all_but({t.name for route in routes.values() for t in route.targets}, set(routes))
        return Table(snapshot, routes, {name: pool for name, (_, pool, _) in made.items()})

    def _connect(self, name: str, backend: Backend) -> tuple[object, Pool, Adapter]:
        identity = (backend.base_url, backend.tls, backend.max_in_flight)
        kept = self._pools.get(name)
        if kept is not None and kept[0] == identity and backend.tls.ca is None and backend.tls.cert is None:
            pool = kept[1]
        else:
            pool = Pool(self._origin(backend), size=backend.max_in_flight)
        origin = pool.origin
        path = "/v1" if backend.base_url.startswith("unix:") else parse_url(backend.base_url).path
        adapter = PROTOCOLS[backend.protocol](
            path,
            origin.authority,
            origin.prefix,
            self._api_key(backend),
            backend.headers,
            backend.capabilities.continue_turn,
        )
        return identity, pool, adapter

    def _origin(self, backend: Backend) -> Origin:
        if backend.base_url.startswith("unix:"):
            return Origin("localhost", 80, path=backend.base_url.removeprefix("unix:"))
        url = parse_url(backend.base_url)
        tls: ssl.SSLContext | None = None
        if url.scheme == "https":
            settings = backend.tls
            tls = client_context(
                ca=Path(settings.ca) if settings.ca else None,
                verify=settings.verify,
                cert=Path(settings.cert) if settings.cert else None,
                key=Path(settings.key) if settings.key else None,
            )
        return Origin(url.hostname or "", port_of(url), tls, proxy=proxy_for(url, self._environment))

    def _api_key(self, backend: Backend) -> str | None:
        if backend.api_key_env is not None:
            value = self._environment.get(backend.api_key_env)
            if not value:
                raise LookupError(f"the environment variable {backend.api_key_env} (api_key_env) is not set")
            return _one_line(value, backend.api_key_env)
        if backend.api_key_file is not None:
            try:
                return _one_line(self._read_file(backend.api_key_file).strip(), backend.api_key_file)
            except OSError as error:
                raise LookupError(f"cannot read api_key_file {backend.api_key_file}: {error.strerror}") from error
        return None


def _one_line(secret: str, where: str) -> str:
    if not secret.isprintable() or not secret.isascii():
        raise LookupError(f"the key in {where} holds a line break or a character that no header may hold")
    return secret
