"""The data plane's HTTP face: OpenAI's API in, calls dispatched, models listed."""

import logging
import os
import random
import time
from collections.abc import Mapping
from time import monotonic
from urllib.parse import unquote_to_bytes

import msgspec

from switchgear.core.decoding import UNREADABLE
from switchgear.core.snapshot import Endpoint
from switchgear.gateway.call import Call, Desk
from switchgear.gateway.caller import Caller, plans_for, refused, who
from switchgear.gateway.entrance import READ, Entrance
from switchgear.gateway.errors import CATALOGUE, Refused, challenge, error_body
from switchgear.gateway.state import BackendState
from switchgear.gateway.straight import StraightWay
from switchgear.gateway.table import Route, Table
from switchgear.identity.model import Pending, Principal
from switchgear.identity.refusals import Refusal
from switchgear.wire.errors import RefusedRequest
from switchgear.wire.exchange import JSON, Exchange

log = logging.getLogger(__name__)
_ENDPOINTS = {f"/v1/{endpoint.value}".encode(): endpoint for endpoint in Endpoint}
_MODELS = b"/v1/models"
_LOOKED_AT = frozenset((*READ, b"content-encoding"))
"""Headers for which each call is looked at."""


class Gateway:
    """Serves one table; `serve` swaps in another at once, calls under way keep theirs."""

    def __init__(self, table: Table, desk: Desk, *, rng: random.Random | None = None) -> None:
        self.table = table
        self.desk = desk
        self._random = rng or random.Random()  # noqa: S311  spreads load and waits; no secret depends on it
        self._created = int(time.time())  # noqa: TID251  shown as the age of each model, decides nothing
        self._id_head = os.urandom(4).hex()
        self._id_count = 0
        self._entrance = Entrance(desk, self._random)
        self._straight = StraightWay(desk, self._call_id, self._entrance.drive)

    def serve(self, table: Table) -> None:
        self.table = table

    def _call_id(self, at_s: float) -> str:
        """Unique, and in the order of time when sorted: milliseconds, this process, a count."""
        self._id_count = count = self._id_count + 1
        return f"call_{int(at_s * 1000):011x}{self._id_head}{count & 0xFFFFF:05x}"

    # -- wire.Server --

    def check_head(self, exchange: Exchange) -> RefusedRequest | None:
        """Who calls is known before the body is read. The refusal itself is left to `handle`, which leaves a record."""
        answer = self._recognize(exchange)
        if exchange.method == b"POST" and not isinstance(answer, Principal | Pending) and _large(exchange.headers):
            error = refused(answer, exchange.headers)
            if error is not None:
                return RefusedRequest(error.status, error.code, str(error))
        return None

    def _recognize(self, exchange: Exchange) -> "Principal | Refusal | Pending | None":
        """Who sends a request; what is known of it is kept for those that follow with the same head."""
        table, headers = self.table, exchange.headers
        answer, credential = who(exchange, table, self.desk.now_s())
        caller = exchange.context
        if not isinstance(caller, Caller):
            exchange.context = caller = Caller()
        caller.table, caller.credential, caller.plans = table, credential, None
        if isinstance(answer, Principal) and exchange.method == b"POST" and _LOOKED_AT.isdisjoint(headers):
            caller.plans = plans_for(table, answer, _ENDPOINTS.get(exchange.target), headers)
        return answer

    def _who(self, exchange: Exchange) -> "Principal | Refusal | Pending | None":
        """Whose call this is now, by the table that is served: a connection may have shown a key to another, or in its time."""
        caller = exchange.context
        if isinstance(caller, Caller) and caller.table is self.table and caller.credential is not None:
            answer = caller.credential.answer(self.desk.now_s())
            if answer is not None:
                return answer
        return self._recognize(exchange)

    def handle(self, exchange: Exchange) -> None:
        """One request. POST to an endpoint is a call; all else is answered at once."""
        caller = exchange.context
        if isinstance(caller, Caller) and caller.plans and caller.table is self.table:
            try:
                if self._straight.take(exchange, caller):
                    return
            except (*UNREADABLE, Refused):
                pass  # the long way says what is wrong with it
        endpoint = _ENDPOINTS.get(exchange.target)
        if endpoint is None:
            target = exchange.target.partition(b"?")[0]
            endpoint = _ENDPOINTS.get(target)
            if endpoint is None:
                self._browse(exchange, target)
                return
        if exchange.method != b"POST":
            _error(exchange, "method_not_allowed", "Calls are sent with POST.", b"allow: POST\r\n")
            return
        started_s, body = exchange.received_s, exchange.body
        at_s = self.desk.now_s() - (monotonic() - started_s)
        call = Call(self.desk, self.table, exchange, self._call_id(at_s), endpoint, started_s, at_s, len(body))
        answer = self._who(exchange)
        if isinstance(answer, Pending):
            self._wait(call, answer)
        else:
            self._entrance.begin(call, answer)

    def _wait(self, call: Call, pending: Pending) -> None:
        """Who calls is known once a provider's keys are read."""

        def gone() -> None:
            pending.cancel()
            call.gone()

        def settled(answer: "Principal | Refusal") -> None:
            try:
                self._entrance.begin(call, answer)
            except Exception as error:
                log.exception("call %s met a defect", call.id)
                call.defect(error)

        call.exchange.on_gone = gone
        pending.then(settled)

    # -- models --

    def _browse(self, exchange: Exchange, target: bytes) -> None:
        if target != _MODELS and not target.startswith(_MODELS + b"/"):
            _error(exchange, "not_found", f"No such path: {target.decode('latin-1')[:200]!r}. The API is below /v1/.")
            return
        if exchange.method not in (b"GET", b"HEAD"):
            _error(exchange, "method_not_allowed", "Models are read with GET.", b"allow: GET\r\n")
            return
        answer = self._who(exchange)
        if isinstance(answer, Pending):
            exchange.on_gone = answer.cancel
            answer.then(lambda settled: self._list(exchange, target, settled))
        else:
            self._list(exchange, target, answer)

    def _list(self, exchange: Exchange, target: bytes, key: "Principal | Refusal | None") -> None:
        error = refused(key, exchange.headers)
        if error is not None or not isinstance(key, Principal):
            if error is not None:
                exchange.reply(error.status, error.body(), JSON + challenge(error.code))
            return
        routes = {name: route for name, route in self.table.routes.items() if key.models is None or name in key.models}
        if target == _MODELS:
            data = [self._model(route) for route in routes.values()]
            exchange.reply(200, msgspec.json.encode({"object": "list", "data": data}))
            return
        name = unquote_to_bytes(target[len(_MODELS) + 1 :]).decode("utf-8", "replace")  # clients escape the / of a name
        route = routes.get(name)
        if route is None:
            _error(exchange, "model_not_found", f"No model {name!r} that this key may call.", param="model")
        else:
            exchange.reply(200, msgspec.json.encode(self._model(route)))

    def _model(self, route: Route) -> dict[str, object]:
        """OpenAI's model object, and beside it where the model's calls may go."""
        return {
            "id": route.name,
            "object": "model",
            "created": self._created,
            "owned_by": "switchgear",
            "switchgear": {
                "strategy": route.config.strategy,
                "targets": [{"backend": target.backend_name, "model": target.model} for target in route.targets],
            },
        }

    # -- for those who look on --

    def live(self) -> dict[str, object]:
        """What this process knows of its targets at the moment; times in seconds."""
        self.desk.books.write()
        now_s = monotonic()
        return {
            "snapshot": self.table.snapshot.id,
            "calls_in_flight": self.desk.calls,
            "targets": [
                {
                    "backend": target.backend_name,
                    "model": target.model,
                    "breaker": target.state.breaker.state(now_s).value,
                    "breaker_opened": target.state.breaker.opened,
                    "in_flight": target.state.in_flight,
                    "latency_ewma_s": target.state.latency.peak_ewma_s(now_s),
                    "latency_p50_s": target.state.latency.percentile_s(50, at_least=1),
                    "latency_p99_s": target.state.latency.percentile_s(99, at_least=1),
                    "last_error": target.state.last_error,
                }
                for target in self.table.targets()
            ],
            "health": {
                name: state.health.view(now_s)
                for name, state in self.backend_states().items()
                if state.health is not None
            },
            "pools": {name: {"open": pool.open, "opened": pool.opened} for name, pool in self.table.pools.items()},
        }

    def backend_states(self) -> dict[str, BackendState]:
        """Live state of the backends that are served."""
        return {target.backend_name: target.backend_state for target in self.table.targets()}

    def ready(self) -> bool:
        """Whether some target may be asked."""
        now_s = monotonic()
        return any(target.state.breaker.allows(now_s) for target in self.table.targets())


def _large(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a body is too large to be read from somebody unknown."""
    return b"transfer-encoding" in headers or int(headers.get(b"content-length", b"0")) > 64 * 1024


def _error(exchange: Exchange, code: str, message: str, head: bytes = b"", param: str | None = None) -> None:
    exchange.reply(CATALOGUE[code].status, error_body(code, message, param), JSON + head)
