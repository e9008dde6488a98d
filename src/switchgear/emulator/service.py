"""The endpoints of an emulated place: reads a request, meets its faults, decides its answer, runs it through the engine and sends it."""

import asyncio
import functools
import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import msgspec

from switchgear.core.decoding import UNREADABLE
from switchgear.core.tasks import TaskOwner
from switchgear.emulator.answer import Origin
from switchgear.emulator.behaviour import Behaviour, behave, wrong_key
from switchgear.emulator.calls import Call
from switchgear.emulator.delivery import Delivery, reset
from switchgear.emulator.errors import ApiError, EmulatorError
from switchgear.emulator.faults import Fault
from switchgear.emulator.health import HEALTH, TEXT, Publishes, Told, dcgm_text, nvml_json
from switchgear.emulator.jobs import ENDPOINTS, prepare
from switchgear.emulator.place import Place, Served, request_faults
from switchgear.emulator.presence import Presence
from switchgear.emulator.requests import Body, read
from switchgear.emulator.rules import parse_rules
from switchgear.wire.exchange import JSON, Exchange, header

FAULT_HEADER = b"x-emulator-fault"
_OWNER = "switchgear-emulator"


class Service:
    """Answers the requests of one place. `handle` is a `switchgear.wire.server.Handler`."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._tasks = TaskOwner(f"emulated place {place.name}")
        self._control: dict[tuple[bytes, str], Callable[[Exchange], None]] = {
            (b"GET", "/health"): lambda exchange: exchange.reply(200, b"{}"),
            (b"GET", "/emulator/state"): lambda exchange: exchange.reply(200, msgspec.json.encode(self.state())),
            (b"GET", "/emulator/faults"): self._get_faults,
            (b"PUT", "/emulator/faults"): self._put_faults,
            (b"DELETE", "/emulator/faults"): self._delete_faults,
        }

    async def close(self) -> None:
        """End what is being answered."""
        await self._tasks.close()
        self.place.close()

    def handle(self, exchange: Exchange) -> None:
        """Begin to answer."""
        self.answer(exchange, exchange.target.partition(b"?")[0].decode("latin-1"))

    def answer(self, exchange: Exchange, path: str) -> None:
        """Begin to answer a request for a path, which is not the request's own where several places share an address."""
        if path in HEALTH and self.place.presence is not None:
            task = self._tasks.start(self._tell_health(exchange, HEALTH[path], self.place.presence))
            exchange.on_gone = functools.partial(_cancel, task)
            return
        control = self._control.get((exchange.method, path))
        if control is not None:
            control(exchange)
            return
        call = self.place.calls.begin(path.removeprefix("/v1/"), self.place.clock.monotonic_s())
        task = self._tasks.start(self._answer(exchange, path, call))
        task.add_done_callback(lambda _: self._end(call, "closed" if call.hung_up_s is None else "cancelled"))

        def gone() -> None:
            call.hung_up_s = self.place.clock.monotonic_s()
            task.cancel()

        exchange.on_gone = gone

    # -- control --

    def state(self) -> dict[str, Any]:
        """What `GET /emulator/state` says. Times are monotonic seconds of this machine."""
        place = self.place
        return {
            "name": place.name,
            "profile": place.profile.name,
            "now_s": place.clock.monotonic_s(),
            "started_s": place.started_s,
            "speed": place.settings.speed,
            "models": {
                name: {"window_tokens": served.window_tokens, **served.driver.load()._asdict()}
                for name, served in place.models.items()
            },
            "counts": dict(place.calls.counts),
            "calls": [msgspec.to_builtins(call) for call in place.calls.latest],
        }

    def set_faults(self, raw: Any) -> None:
        """Replace the rules by what `PUT /emulator/faults` takes. Raises EmulatorError."""
        self.place.book.set(parse_rules(raw), self.place.clock.monotonic_s())

    def _get_faults(self, exchange: Exchange) -> None:
        book = self.place.book
        rules = [
            {**msgspec.to_builtins(rule), "fired": book.fired.get(index, 0)} for index, rule in enumerate(book.rules)
        ]
        exchange.reply(200, msgspec.json.encode({"rules": rules}))

    def _put_faults(self, exchange: Exchange) -> None:
        try:
            raw = msgspec.json.decode(exchange.body)
            self.set_faults(raw["rules"] if isinstance(raw, dict) and "rules" in raw else raw)
        except (*UNREADABLE, EmulatorError) as error:
            exchange.reply(400, ApiError(400, str(error), param="rules", error_code="invalid_fault").body())
        else:
            self._get_faults(exchange)

    def _delete_faults(self, exchange: Exchange) -> None:
        self.set_faults(None)
        self._get_faults(exchange)

    # -- calls --

    async def _answer(self, exchange: Exchange, path: str, call: Call) -> None:
        try:
            if not await self._reached(exchange, call):
                return
            self._check_key(exchange)
            if exchange.method == b"GET" and (path == "/v1/models" or path.startswith("/v1/models/")):
                await self._list(exchange, path.removeprefix("/v1/models").removeprefix("/"), call)
            else:
                await self._run(exchange, path, call)
        except ApiError as error:
            call.status, call.code = error.status, error.error_code
            retry = b"" if error.retry_after is None else header("retry-after", error.retry_after)
            self._end(call, "refused")
            exchange.reply(error.status, error.body(), JSON + retry)
        except Exception:
            self._end(call, "failed")
            exchange.reply(500, ApiError(500, "The emulator has a defect; see its log.", kind="server_error").body())
            raise  # the task's owner logs it

    async def _run(self, exchange: Exchange, path: str, call: Call) -> None:
        if path not in ENDPOINTS:
            raise ApiError(404, f"Unknown request URL: {exchange.method.decode()} {path}.", error_code="unknown_url")
        if exchange.method != b"POST":
            raise ApiError(405, f"{exchange.method.decode()} is not allowed here.", error_code="method_not_allowed")
        prefix, kind = ENDPOINTS[path]
        head = read(exchange.body, Body)
        call.model = head.model
        served, faults = self.place.find(head.model)
        own = (*self._header_faults(exchange), *request_faults(head.emulator_fault), *faults)
        behaviour = self._meet(call, own, exchange.body, served.name)
        if await self._unanswered(exchange, call, behaviour):
            return
        presence = self.place.presence
        if presence is not None:
            if (refusal := presence.refusal()) is not None:
                raise refusal
            behaviour = presence.behaviour(behaviour)
        origin = Origin(self._id(prefix, call), int(self.place.clock.now_s()), served.name, served.window_tokens)
        job = prepare(
            read(exchange.body, kind),
            origin,
            behaviour,
            continues=self.place.settings.continues,
            dimensions=served.spec.embedding_dimensions,
        )
        call.stream, call.status, call.prompt_tokens = job.streamed is not None, 200, job.prompt_tokens
        delivery = Delivery(exchange, behaviour, call, self.place.calls, self.place.clock, self.place.presence)
        progress = served.driver.submit(job.sequences)
        try:
            if job.streamed is None:
                await delivery.whole(progress, job.writer)
            else:
                await delivery.stream(progress, job.streamed)
        finally:
            served.driver.cancel(progress)

    async def _list(self, exchange: Exchange, name: str, call: Call) -> None:
        if await self._unanswered(exchange, call, self._meet(call, self._header_faults(exchange), b"")):
            return
        if name:
            body = msgspec.json.encode(self._model(self.place.find(name)[0]))
        else:
            data = [self._model(served) for served in self.place.models.values()]
            body = msgspec.json.encode({"object": "list", "data": data})
        call.status = 200
        self._end(call, "finished")
        exchange.reply(200, body)

    def _model(self, served: Served) -> dict[str, Any]:
        """OpenAI's `Model`, and vLLM's `max_model_len` in it."""
        return {
            "id": served.name,
            "object": "model",
            "created": self.place.created_s,
            "owned_by": _OWNER,
            "max_model_len": served.window_tokens,
        }

    def _meet(self, call: Call, own: tuple[Fault, ...], body: bytes, model: str = "") -> Behaviour:
        place = self.place
        now_s = place.clock.monotonic_s()
        met = place.book.meet(call.endpoint, model, own, now_s, body)
        behaviour = behave(met, now_s=place.clock.now_s(), elapsed_s=now_s - place.started_s)
        call.faults = behaviour.names
        return behaviour

    async def _unanswered(self, exchange: Exchange, call: Call, behaviour: Behaviour) -> bool:
        """Play the faults that leave no answer; the others are the delivery's. Raises ApiError for an error body."""
        if behaviour.reset:
            self._end(call, "broken")
            reset(exchange)
            return True
        if behaviour.silent:
            await asyncio.get_running_loop().create_future()  # until the caller hangs up
        if behaviour.refusal is not None:
            raise behaviour.refusal
        return False

    async def _reached(self, exchange: Exchange, call: Call) -> bool:
        """Whether a device is there to answer; else the connection is reset."""
        presence = self.place.presence
        if presence is None or (await presence.reached() and not presence.off()):
            return True
        self._end(call, "broken")
        reset(exchange)
        return False

    async def _tell_health(self, exchange: Exchange, words: Publishes, presence: Presence) -> None:
        if not await presence.reached() or presence.off():
            reset(exchange)
            return
        told = self._told(presence)
        if told is None or self.place.world is None or self.place.world.publishes is not words:
            exchange.reply(404, ApiError(404, "Health is not published here.", error_code="no_health").body())
        elif words is Publishes.DCGM:
            exchange.reply(200, dcgm_text(told), TEXT)
        else:
            exchange.reply(200, nvml_json(told))

    def _told(self, presence: Presence) -> Told | None:
        """What a device publishes now; None where its telemetry is lost."""
        place, device, now_s = self.place, presence.device, presence.now_s()
        conditions = device.conditions(now_s)
        if not conditions.published:
            return None
        reading, load = device.read(now_s), device.load()
        if conditions.frozen and device.body.frozen is not None:
            reading = device.body.frozen
        memory, offset_s = place.memory, conditions.clock_offset_s
        time_of_day_s, speed = place.clock.now_s() + offset_s, place.settings.speed
        outage: tuple[float, float] | None = None
        if conditions.outage is not None:
            begins_s, ends_s = conditions.outage
            outage = (time_of_day_s + (begins_s - now_s) / speed, time_of_day_s + (ends_s - now_s) / speed)
        return Told(
            place.name,
            place.profile.title,
            next(iter(place.models)),
            place.settings.devices,
            device.body.figures,
            conditions,
            reading,
            memory.total,
            memory.weights + load.kv_used_tokens * memory.cached_token,
            device.prompt_tokens,
            device.generated_tokens,
            load.running,
            load.waiting,
            time_of_day_s,
            outage,
        )

    def _header_faults(self, exchange: Exchange) -> tuple[Fault, ...]:
        return request_faults(exchange.headers.get(FAULT_HEADER, b"").decode("latin-1"))

    def _check_key(self, exchange: Exchange) -> None:
        expected = self.place.settings.api_key
        if expected:
            given = exchange.headers.get(b"authorization", b"").removeprefix(b"Bearer ")
            if not hmac.compare_digest(given, expected.encode()):
                raise wrong_key()

    def _id(self, prefix: str, call: Call) -> str:
        """Unique among all places that run at once, and the same in a run repeated."""
        key = f"{self.place.name}/{self.place.settings.seed}/{self.place.created_s}/{call.number}"
        return prefix + hashlib.blake2b(key.encode(), digest_size=14).hexdigest()

    def _end(self, call: Call, outcome: str) -> None:
        self.place.calls.end(call, outcome, self.place.clock.monotonic_s())


def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
