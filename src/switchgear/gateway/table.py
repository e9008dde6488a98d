"""A snapshot made ready to serve from: connections, adapters and precomputed bytes for each target; keys by their hash."""

import math
import random
import ssl
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from switchgear.backends.model import Adapter
from switchgear.backends.registry import PROTOCOLS
from switchgear.cache.plan import CachePlan
from switchgear.confidence.judge import Judge
from switchgear.core.clock import Clock, SystemClock
from switchgear.core.data_class import DataClass
from switchgear.core.errors import ConfigError, Problem
from switchgear.core.limits import LimitSharing
from switchgear.core.record import LONGEST_REASON, RuledOut
from switchgear.core.screening import Canary, Screening
from switchgear.core.snapshot import Backend, Endpoint, Model, Snapshot
from switchgear.core.snapshot import Target as TargetConfig
from switchgear.gateway.plain_record import PlainRecord, plain_record
from switchgear.gateway.state import BackendState, LiveState, ModelState, TargetState
from switchgear.identity.http_source import http_sources
from switchgear.identity.model import Principal
from switchgear.identity.service import Identities, Identity
from switchgear.limits.limiter import Limiter
from switchgear.limits.shares import Shares
from switchgear.policy.authz_cache import Recent
from switchgear.wire.client import Pool
from switchgear.wire.errors import TlsError
from switchgear.wire.exchange import JSON, header
from switchgear.wire.origin import Origin, parse_url, port_of, proxy_for
from switchgear.wire.tls import client_context

if TYPE_CHECKING:
    from switchgear.policy.authz import Authorizer
    from switchgear.policy.authz_model import Reach, Standing
    from switchgear.policy.external import ExternalScreen
    from switchgear.policy.screen import Screen

_REASONS = 32
"""Reasons to finish that a plan keeps an encoder for: a backend may write anything there."""
_CALLERS = 4096
"""Callers whose plans are kept at least."""


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

    @property
    def token_usd(self) -> tuple[float, float] | None:
        """US dollars of a prompt's token and of a generated one; None where prices are unknown."""
        return None if self._rates is None else (self._rates[0] / 1e6, self._rates[2] / 1e6)

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
        "cache",
        "cared",
        "config",
        "every",
        "judge",
        "metered",
        "name",
        "places",
        "resorts",
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
        self.cache = CachePlan(config.cache, config.last_resort) if config.cache is not None else None
        """Which answers are kept, and for how long."""
        self.places: Recent[tuple[object, ...], Any] = Recent(_CALLERS)
        """Where kept answers may be from, by what policies say; see `gateway.caching`."""
        self.judge = Judge(config.escalate) if config.escalate is not None else None
        """Says whether an answer is unsure, so that `config.escalate.to` is asked."""
        self.resorts = config.last_resort
        in_order = config.hedge is None and (config.strategy == "priority" or len(targets) == 1)
        self.metered = any(target.backend_state.health is not None for target in targets)
        """Whether the hardware of a target is asked how it is, or its energy is counted."""
        self.straight = in_order and self.cache is None and self.judge is None and not self.metered
        """Whether the targets are asked in their order and one at a time, and an answer is the caller's as it comes."""
        self.cared = self.cache is not None or self.judge is not None or bool(self.resorts)
        """Whether something beside asking the targets is done for its calls; see `gateway.care`."""


class Plan:
    """What is known of a plain call by its principal, endpoint, declared class and model alone.

    Made once, when the first such call has gone the long way.
    """

    __slots__ = (
        "answer_suspects",
        "class_word",
        "deadline_s",
        "dearest",
        "delivery",
        "endpoint",
        "first_s",
        "limits",
        "principal",
        "reach",
        "recorded",
        "records",
        "route",
        "ruled_out",
        "screen",
        "targets",
        "told",
    )

    @classmethod
    def of(
        cls, table: "Table", gateway: str, principal: Principal, endpoint: Endpoint, admission: "Admission"
    ) -> "Plan | None":
        """None where each call needs to be looked at: targets in an order of the moment, hedges, limits of cost."""
        route = admission.route
        if not route.straight or endpoint not in route.every or not admission.targets:
            return None
        if admission.reach is not None and not admission.reach.uniform:
            return None
        if table.limiter.by_backend or table.asks_elsewhere is not None:
            return None
        return cls(table, gateway, principal, endpoint, admission)

    def __init__(
        self, table: "Table", gateway: str, principal: Principal, endpoint: Endpoint, admission: "Admission"
    ) -> None:
        route = self.route = admission.route
        self.limits = table.limiter.plan(principal.name, principal.team, route.name) or None
        """The limits that apply; None: none."""
        self.principal = principal
        self.endpoint = endpoint
        self.screen = table.screen
        self.told = admission.data_class
        """The class that was declared; None: none was."""
        self.answer_suspects = table.screen.answer_suspects(self.told) if table.screen is not None else None
        """Whether an answer may hold what the screen has rules for; None: nothing is looked for."""
        self.reach = admission.reach
        self.targets = admission.targets
        self.class_word = admission.class_word
        self.ruled_out = list(admission.ruled_out)
        """Not to be changed."""
        self.deadline_s = route.config.deadline_s
        self.first_s = min(self.deadline_s, self.targets[0].timeouts.total_s)
        """How long the first attempt may take."""
        self.dearest = max(self.targets, key=_price).token_usd
        """US dollars of a prompt's token and of a generated one, by which a reservation is made; None: a target has no prices."""
        self.delivery = route.config.delivery
        caller = (principal.name, principal.team, admission.class_word)
        call = (gateway, table.snapshot.id, endpoint.value, *caller, route.name, "", False)
        self.recorded = (*call, [target.name for target in self.targets], self.ruled_out)
        """Fields of the record, from `gateway` to `ruled_out`. Not to be changed."""
        self.records: dict[str, PlainRecord] = {}
        """By reason to finish: encodes the record of a call that the first target answered well and at once."""

    def record(self, finish_reason: str) -> PlainRecord:
        """What is missing in `records`."""
        if len(self.records) >= _REASONS:
            self.records.clear()
        target = self.targets[0]
        made = self.records[finish_reason] = plain_record(
            self.recorded, target.backend_name, target.model, finish_reason[:LONGEST_REASON]
        )
        return made


def _price(target: Target) -> float:
    """Of a million tokens; one that nobody knows is the highest: it is not zero."""
    prices = target.prices
    return math.inf if prices is None else max(prices.input_usd_per_mtok, prices.output_usd_per_mtok)


class Admission(NamedTuple):
    """Where a principal's calls of a model may go, whatever the moment."""

    route: Route
    data_class: DataClass | None
    """The strictest that was declared; None: nobody did."""
    class_word: str
    """What the record says."""
    reach: "Reach[Target] | None"
    """What policies say; None: there are none."""
    targets: tuple[Target, ...]
    ruled_out: tuple[RuledOut, ...]


class Table:
    """What the hot path looks things up in. Never changed once made."""

    def __init__(
        self,
        snapshot: Snapshot,
        routes: dict[str, Route],
        pools: dict[str, Pool],
        identity: Identity,
        limiter: Limiter,
        screen: "Screen | None",
        authorizer: "Authorizer[Target] | None" = None,
        external: "ExternalScreen | None" = None,
    ) -> None:
        self.snapshot = snapshot
        self.routes = routes
        self.pools = pools
        self.identity = identity
        self.limiter = limiter
        self.screen = screen
        self.authorizer = authorizer
        self.asks_elsewhere = snapshot.screen.external if snapshot.screen is not None else None
        """How calls are looked at beside the screen, elsewhere; None: they are not."""
        self.external = external
        """Who looks at them there; None where nobody does, or can."""
        self._plans: Recent[tuple[Principal, Endpoint, DataClass | None], dict[bytes, Plan]] = Recent(_CALLERS)
        self._standings: Recent[Principal, Standing] = Recent(_CALLERS)

    def plans(self, principal: Principal, endpoint: Endpoint, declared: DataClass | None) -> dict[bytes, Plan]:
        """Plans made so far for a caller's calls of an endpoint, by the model as it stands in the body. Add to it what is missing."""
        key = (principal, endpoint, declared)
        found = self._plans.find(key)
        return found if found is not None else self._plans.keep(key, {})

    def admission(self, principal: Principal, route: Route, declared: Iterable[DataClass | None]) -> Admission:
        """Which targets a principal may use for a call that carries what was declared: the strictest counts."""
        authorization = self.snapshot.authorization
        team = authorization.teams.get(principal.team)
        told = (principal.data_class, team.data_class if team is not None else None, route.config.data_class, *declared)
        given = [one for one in told if one is not None]
        data_class = max(given) if given else None
        authorizer = self.authorizer
        if authorizer is None:
            return Admission(
                route, data_class, data_class.value if data_class is not None else "", None, route.targets, ()
            )
        reach = authorizer.reach[self.standing(principal), route.name, data_class]
        return Admission(route, data_class, reach.data_class.value, reach, reach.targets, reach.ruled_out)

    def standing(self, principal: Principal) -> "Standing":
        """What policies can tell of a principal. Only where there are policies."""
        found = self._standings.find(principal)
        if found is None:
            assert self.authorizer is not None  # noqa: S101  as said above
            made = self.authorizer.standing(principal.name, principal.team, principal.roles)
            found = self._standings.keep(principal, made)
        return found

    def targets(self) -> list[Target]:
        """All targets of all models, each once."""
        return list({target.name: target for route in self.routes.values() for target in route.targets}.values())


class Builder:
    """Makes tables; keeps what stays the same between two of them (live state, connections)."""

    def __init__(
        self,
        environment: Mapping[str, str],
        read_file: Callable[[str], str] | None = None,
        *,
        clock: Clock | None = None,
        state_dir: Path | None = None,
        sharing: LimitSharing | None = None,
    ) -> None:
        """`state_dir` keeps what the providers' keys were, for a start while one cannot be reached; `sharing`: how limits are shared."""
        clock = clock or SystemClock()
        sharing = sharing or LimitSharing()
        self.shares = Shares(clock, leased=bool(sharing.database), on_failure=sharing.on_failure)
        folder = state_dir / "identity" if state_dir is not None else None
        sources = http_sources(clock, random.Random(), environment, folder)  # noqa: S311  spreads readings over time
        self.identities = Identities(sources, clock.now_s)
        self._screen: tuple[Screening, Screen] | None = None
        self.external: ExternalScreen | None = None
        """What looks at calls beside the screen of the snapshot that is built next."""
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
        identity = self._identity(snapshot)
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
                        self.live.window(target.model, snapshot.backends[target.backend]),
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
        names = {target.name for route in routes.values() for target in route.targets}
        self.live.forget_all_but(names, set(routes), {backend.base_url for backend in snapshot.backends.values()})
        pools = {name: pool for name, (_, pool, _) in made.items()}
        limiter = Limiter(snapshot.limits, self.shares)
        callers = [(key.name, key.team) for key in snapshot.keys]
        limiter.prepare(callers, list(snapshot.models), list(snapshot.backends))
        screen, authorizer = self.screen(snapshot), _authorizer(snapshot, routes)
        external = self.external if snapshot.screen is not None and snapshot.screen.external is not None else None
        return Table(snapshot, routes, pools, identity, limiter, screen, authorizer, external)

    def screen(self, snapshot: Snapshot) -> "Screen | None":
        """The content screen of a snapshot; one that is the same is compiled once. Takes a second: call it in a thread beforehand."""
        screening = snapshot.screen
        if screening is None:
            return None
        kept = self._screen
        if kept is None or kept[0] != screening:
            from switchgear.policy.screen import Screen

            self._screen = kept = (screening, Screen(self._with_tokens(screening)))
        return kept[1]

    def _with_tokens(self, screening: Screening) -> Screening:
        """Canaries are secrets: a snapshot says where they are, and only here they are read. Raises ConfigError."""
        canaries: list[Canary] = []
        for canary in screening.canaries:
            token = canary.token
            try:
                if canary.token_env is not None:
                    token = self._environment.get(canary.token_env, "")
                elif canary.token_file is not None:
                    token = self._read_file(canary.token_file).strip()
            except (OSError, UnicodeDecodeError) as error:
                said = error.strerror if isinstance(error, OSError) else "it is not text"
                problem = Problem(
                    f"screen.canaries.{canary.name}", f"its file cannot be read: {said}", "Name one that can."
                )
                raise ConfigError([problem]) from error
            if not token:
                where = f"the environment variable {canary.token_env}" if canary.token_env else "its file"
                raise ConfigError(
                    [Problem(f"screen.canaries.{canary.name}", f"{where} holds no token", "Set it, and load again.")]
                )
            canaries.append(msgspec.structs.replace(canary, token=token, token_env=None, token_file=None))
        return msgspec.structs.replace(screening, canaries=tuple(canaries))

    def _identity(self, snapshot: Snapshot) -> Identity:
        try:
            return self.identities.build(snapshot.keys, snapshot.oidc, snapshot.certificates)
        except TlsError as error:
            raise ConfigError([Problem("oidc", str(error), "Correct it and load again.")]) from error

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
            except UnicodeDecodeError as error:
                raise LookupError(f"api_key_file {backend.api_key_file} is not text") from error
        return None


def _authorizer(snapshot: Snapshot, routes: dict[str, Route]) -> "Authorizer[Target] | None":
    """None where there are no policies. Raises ConfigError where they cannot be used."""
    authorization = snapshot.authorization
    if not authorization.texts:
        return None
    # Cedar's engine takes 40 ms and some MB to load, which who has no policies need not pay.
    from switchgear.policy.authz import Authorizer
    from switchgear.policy.authz_world import places
    from switchgear.policy.cedar import PolicySet
    from switchgear.policy.cedar_schema import World

    external = snapshot.screen.external if snapshot.screen is not None else None
    models = {name: model.labels for name, model in snapshot.models.items()}
    world = World(places(snapshot.backends, external), models, authorization.teams)
    policies = PolicySet.of_checked(authorization.texts, world)  # checked where the configuration was read
    targets = {name: route.targets for name, route in routes.items()}
    return Authorizer(policies, targets, unknown_class=authorization.unknown_class)


def _one_line(secret: str, where: str) -> str:
    if not secret.strip():
        raise LookupError(f"the key in {where} is empty")
    if not secret.isprintable() or not secret.isascii():
        raise LookupError(f"the key in {where} holds a line break or a character that no header may hold")
    return secret
