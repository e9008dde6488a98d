"""What a data plane knows of its targets while it runs. It outlives a snapshot: a reload forgets no open breaker."""

from switchgear.core.limits import FairShare
from switchgear.core.snapshot import Backend, Hedge, Model
from switchgear.gateway.breaker import CircuitBreaker
from switchgear.gateway.budget import RatioBudget
from switchgear.gateway.health import BackendHealth
from switchgear.gateway.latency import Latency
from switchgear.limits.fair import FairQueue


class BackendState:
    """Live state of one backend."""

    __slots__ = ("health", "in_flight", "max_in_flight", "waiting")

    def __init__(self) -> None:
        self.health: BackendHealth | None = None
        """What its hardware tells of itself; None where nobody asks it, which is unknown and not well."""
        self.in_flight = 0
        self.max_in_flight = 0
        self.waiting: FairQueue | None = None
        """Calls that wait for their turn there; None until one had to."""

    def queue(self, share: FairShare) -> FairQueue:
        """The line of those who wait, by the weights that hold now."""
        queue = self.waiting
        if queue is None:
            queue = self.waiting = FairQueue(self.max_in_flight)
        queue.capacity, queue.weights, queue.max_waiting = self.max_in_flight, share.weights, share.max_waiting
        queue.running = self.in_flight
        return queue

    def left(self, now_s: float) -> None:
        """An attempt there has ended: whoever is next is called up."""
        queue = self.waiting
        if queue is not None and queue.waiting:
            queue.running = self.in_flight  # those who came while nobody waited did not stand in line
            queue.fill(now_s)


class TargetState:
    """Live state of one target."""

    __slots__ = ("breaker", "in_flight", "last_error", "latency", "rest_until_s")

    def __init__(self, backend: Backend) -> None:
        self.breaker = CircuitBreaker(backend.breaker)
        self.in_flight = 0
        self.latency = Latency()
        self.rest_until_s = 0.0
        """Until then it asked to be left alone (429 with Retry-After); event loop's time."""
        self.last_error = ""


class ModelState:
    """The budgets of one model."""

    __slots__ = ("hedges", "retries")

    def __init__(self, model: Model) -> None:
        retry = model.retry
        self.retries = RatioBudget(retry.budget_ratio, retry.budget_floor, retry.window_s)
        hedge = model.hedge or Hedge(after_s=1.0)
        self.hedges = RatioBudget(hedge.max_ratio, 1, retry.window_s)


class LiveState:
    """All of it, by name."""

    def __init__(self) -> None:
        self.backends: dict[str, BackendState] = {}
        self.targets: dict[tuple[str, str], TargetState] = {}
        self.models: dict[str, ModelState] = {}
        self.windows: dict[str, dict[str, int]] = {}
        """Context windows that places told of, in tokens by model: by base URL, since what another place told says nothing of this one."""

    def backend(self, name: str, backend: Backend) -> BackendState:
        """The state of a backend, with the bound that its present settings give."""
        state = self.backends.setdefault(name, BackendState())
        state.max_in_flight = backend.max_in_flight
        if backend.health is None and backend.energy is None:
            state.health = None
        elif state.health is None or (state.health.source, state.health.energy) != (backend.health, backend.energy):
            state.health = BackendHealth(backend.health, backend.energy)
        return state

    def target(self, backend_name: str, model: str, backend: Backend) -> TargetState:
        """The state of a target; a breaker whose settings changed starts anew."""
        state = self.targets.get((backend_name, model))
        if state is None:
            state = self.targets[(backend_name, model)] = TargetState(backend)
        elif state.breaker.settings != backend.breaker:
            state.breaker = CircuitBreaker(backend.breaker)
        return state

    def model(self, name: str, model: Model) -> ModelState:
        """The budgets of a model; new settings bring new budgets."""
        state = self.models.get(name)
        fresh = ModelState(model)
        if (
            state is None
            or (state.retries.ratio, state.retries.floor, state.retries.window_s)
            != (fresh.retries.ratio, fresh.retries.floor, fresh.retries.window_s)
            or state.hedges.ratio != fresh.hedges.ratio
        ):
            state = self.models[name] = fresh
        return state

    def window(self, model: str, backend: Backend) -> int | None:
        """What the backend told of its model's context window, tokens; None where it did not, or is not to be asked."""
        return self.windows.get(backend.base_url, {}).get(model) if backend.probe else None

    def forget_all_but(self, targets: set[tuple[str, str]], models: set[str], base_urls: set[str]) -> None:
        """Drop what the present snapshot does not name."""
        for target in self.targets.keys() - targets:
            del self.targets[target]
        for model in self.models.keys() - models:
            del self.models[model]
        for base_url in self.windows.keys() - base_urls:
            del self.windows[base_url]
