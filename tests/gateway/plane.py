"""A data plane in front of emulated places, all on the test's own event loop, with real sockets between them."""

import asyncio
import functools
import hashlib
import itertools
import json
import random
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
from openai import AsyncOpenAI, OpenAI
from tests.wire.serving import Answer, Caller

from switchgear.core.authorization import Authorization
from switchgear.core.clock import Clock, SystemClock
from switchgear.core.identity import Certificate, OidcProvider
from switchgear.core.limits import FairShare, Limit, LimitSharing
from switchgear.core.record import Record, decode_record
from switchgear.core.screening import Screening
from switchgear.core.snapshot import (
    Backend,
    Capabilities,
    ContinueTurn,
    Endpoint,
    Key,
    Kind,
    Model,
    Prices,
    Target,
    Timeouts,
    make_snapshot,
)
from switchgear.emulator.server import Emulator
from switchgear.gateway.app import Gateway
from switchgear.gateway.call import Desk
from switchgear.gateway.errors import CATALOGUE, error_body
from switchgear.gateway.table import Builder, Plan
from switchgear.policy.external import ExternalScreen
from switchgear.wire.address import bind, bound_address, parse_address
from switchgear.wire.errors import WireError
from switchgear.wire.model import Limits
from switchgear.wire.server import Server

T = TypeVar("T")
KEY = "sk-sg-test"
MODEL = "llama-3.1-8b"
QUICK = Timeouts(connect_s=0.5, first_token_s=0.4, idle_s=0.4, total_s=1.5)
PRICES = Prices(input_usd_per_mtok=1.0, output_usd_per_mtok=2.0)


def checked(answer: Answer, code: str, param: str | None = None) -> dict[str, Any]:
    """The error in an answer, once its shape, code and status are found right."""
    body = json.loads(answer.body)
    assert set(body) == {"error"}
    error: dict[str, Any] = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["code"], error["type"], error["param"]) == (code, CATALOGUE[code].type, param)
    assert answer.status == CATALOGUE[code].status
    assert isinstance(error["message"], str)
    assert error["message"]
    assert answer.headers["content-type"] == "application/json"
    return error


def request(
    body: Any, *, path: str = "chat/completions", method: str = "POST", key: str = KEY, **headers: str
) -> bytes:
    """One request as bytes; an underscore in a header's name stands for a hyphen. Without `key` it shows none."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} /v1/{path} HTTP/1.1", "host: gateway", f"content-length: {len(data)}"]
    if key:
        lines.append(f"authorization: Bearer {key}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


class LaterClock(SystemClock):
    """The machine's time of day, and as much later as the test says."""

    def __init__(self) -> None:
        self.later_s = 0.0

    def now_s(self) -> float:
        return SystemClock.now_s() + self.later_s


class KeptRecords:
    """Keeps records in memory; `fail` makes a strict one fail, as a full disk would."""

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        self.writable = True
        self.kept: list[Record] = []
        self.fail: Exception | None = None
        self.arrived = asyncio.Event()

    def append(self, record: Record) -> None:
        self.kept.append(record)
        self.arrived.set()

    def expect(self, write: Callable[[], None]) -> None:
        write()

    def append_encoded(self, call_id: str, ended_s: float, record: bytes) -> None:
        told = decode_record(record)
        assert (told.call, told.at_s + told.duration_s) == (call_id, ended_s)
        self.append(told)

    def append_strict(self, record: Record, done: Callable[[Exception | None], None]) -> None:
        if self.fail is None:
            self.append(record)
        asyncio.get_running_loop().call_soon(done, self.fail)


def backend(base_url: str, **changes: Any) -> Backend:
    """A backend with quick time-outs."""
    default = Backend(
        kind=Kind.ONPREM,
        base_url=base_url,
        prices=PRICES,
        timeouts=QUICK,
        capabilities=Capabilities(continue_turn=ContinueTurn.PREFILL),
    )
    return msgspec.structs.replace(default, **changes)


class Plane:
    """Places by name, each serving `MODEL` unless told otherwise; `model` are the settings of the alias `chat`.

    Plain calls go the short way from the first on, unless `straight` is False. A place in `dead` listens
    nowhere; one in `urls` is somebody else's. `aliases` are further models, with the same targets. `clock` is whose time of
    day keys and tokens expire by.
    """

    def __init__(
        self,
        *names: str,
        model: Mapping[str, Any] | None = None,
        backends: Mapping[str, Mapping[str, Any]] | None = None,
        served: Mapping[str, str] | None = None,
        dead: tuple[str, ...] = (),
        urls: Mapping[str, str] | None = None,
        aliases: Mapping[str, Mapping[str, Any]] | None = None,
        keys: tuple[Key, ...] = (),
        limits: Limits | None = None,
        strict: bool = False,
        records: KeptRecords | None = None,
        refuse_unrecorded: bool = False,
        speed: float = 1000.0,
        max_retries: int = 0,
        straight: bool = True,
        screen: Screening | None = None,
        limits_on: tuple[Limit, ...] = (),
        fair_share: FairShare | None = None,
        sharing: LimitSharing | None = None,
        environment: Mapping[str, str] | None = None,
        authorization: Authorization | None = None,
        oidc: Mapping[str, OidcProvider] | None = None,
        certificates: tuple[Certificate, ...] = (),
        tls: ssl.SSLContext | None = None,
        clock: Clock | None = None,
        external: ExternalScreen | None = None,
    ) -> None:
        self.names = names or ("a", "b")
        self.places: dict[str, Emulator] = {}
        self._model = dict(model or {})
        self._backends = dict(backends or {})
        self._served = dict(served or {})
        self._dead = dead
        self._urls = dict(urls or {})
        self._aliases = dict(aliases or {})
        self._keys = keys
        self._limits = limits
        self._speed = speed
        self._max_retries = max_retries
        self.records = records or KeptRecords(strict=strict)
        self._refuse = refuse_unrecorded
        self._straight = straight
        self._screen = screen
        self._limits_on = limits_on
        self._fair_share = fair_share
        self._sharing = sharing
        self._environment = environment or {}
        self._authorization = authorization
        self._oidc = dict(oidc or {})
        self._certificates = certificates
        self._tls = tls
        self._clock = clock or SystemClock()
        self._external = external

    async def __aenter__(self) -> Self:
        backends, targets = {}, []
        for name in self.names:
            model = self._served.get(name, MODEL)
            if name in self._dead:
                sock = bind(parse_address("127.0.0.1:0"))
                base_url = f"http://{bound_address(sock)}/v1"
                sock.close()  # nothing listens there now
            elif name in self._urls:
                base_url = self._urls[name]
            else:
                profile = "cloud-api" if model == "gpt-x" else "h100-sxm"
                place = Emulator(profile=profile, models=[model], name=name, speed=self._speed)
                await place.start()
                self.places[name] = place
                base_url = place.base_url
            backends[name] = backend(base_url, **self._backends.get(name, {}))
            targets.append(Target(backend=name, model=model))
        self._model.setdefault("targets", tuple(targets))
        models = {"chat": Model(**self._model)}
        models.update((name, Model(**{"targets": tuple(targets), **own})) for name, own in self._aliases.items())
        demo = Key(name="demo", sha256=hashlib.sha256(KEY.encode()).hexdigest(), team="platform", pin=True)
        self.builder = Builder(self._environment, clock=self._clock, sharing=self._sharing)
        self.builder.external = self._external
        self.snapshot = make_snapshot(
            backends,
            models,
            (demo, *self._keys),
            oidc=self._oidc,
            certificates=self._certificates,
            authorization=self._authorization,
            screen=self._screen,
            limits=self._limits_on,
            fair_share=self._fair_share,
        )
        table = self.builder.build(self.snapshot)
        loop = asyncio.get_running_loop()
        desk = Desk(loop, "test/0", self._clock.now_s, self.records, refuse_unrecorded=self._refuse)
        self.gateway = Gateway(table, desk, rng=random.Random(7))
        self.server = Server(
            self.gateway.handle, check_head=self.gateway.check_head, error_body=error_body, limits=self._limits
        )
        if self._straight:
            self._learn_plans()
            await self._connect()
        sock = bind(parse_address("127.0.0.1:0"))
        self.address = bound_address(sock)
        await self.server.listen(sock, tls=self._tls)
        self.base_url = f"http{'s' if self._tls is not None else ''}://{self.address}/v1"
        return self

    async def _connect(self) -> None:
        """Have connections open: a call that has to open one goes the long way from there on."""
        for pool in self.gateway.table.pools.values():
            with suppress(WireError):
                pool.released(await pool.acquire(1.0))

    def _learn_plans(self) -> None:
        """Have the first call of a kind, which is all that most tests send, go the way of all that follow it."""
        table = self.gateway.table
        for key in self.snapshot.keys:
            credential = next(one for one in table.identity.credentials if one.principal.name == key.name)
            principal = credential.principal
            for endpoint, route in itertools.product(Endpoint, table.routes.values()):
                if principal.models is not None and route.name not in principal.models:
                    continue
                if principal.max_data_class is not None:  # such a call may be refused for what it carries
                    continue
                admission = table.admission(principal, route, ())
                plan = Plan.of(table, "test/0", principal, endpoint, admission)
                if plan is not None:
                    table.plans(principal, endpoint, None)[json.dumps(route.name).encode()] = plan

    @functools.cached_property
    def client(self) -> AsyncOpenAI:
        """The official client."""
        return AsyncOpenAI(base_url=self.base_url, api_key=KEY, max_retries=self._max_retries, timeout=20.0)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if "client" in self.__dict__:
            await self.client.close()
        await self.server.close()
        await self.gateway.desk.tasks.close()
        for pool in self.gateway.table.pools.values():
            await pool.close()
        await self.builder.identities.close()
        for place in self.places.values():
            await place.close()

    async def send(
        self, body: Any, *, path: str = "chat/completions", method: str = "POST", key: str = KEY, **headers: str
    ) -> Answer:
        """One request as bytes, outside any client, on a connection of its own; see `request`."""
        async with Caller(self.address) as caller:
            await caller.send(request(body, path=path, method=method, key=key, **headers))
            return await caller.answer(head_only=method == "HEAD")

    def sync(self, use: Callable[[OpenAI], T], key: str = KEY) -> Awaitable[T]:
        """Use the blocking client, in a thread."""

        def call() -> T:
            with OpenAI(base_url=self.base_url, api_key=key, max_retries=0, timeout=20.0) as client:
                return use(client)

        return asyncio.to_thread(call)

    async def record(self, count: int = 1) -> Record:
        """The record of the `count`th call, once it is settled."""
        async with asyncio.timeout(5.0):
            while len(self.records.kept) < count:
                self.records.arrived.clear()
                await self.records.arrived.wait()
        return self.records.kept[count - 1]

    async def ask(self, text: str = "Tell me about rivers.", **fields: Any) -> str:
        """One unstreamed chat call; its text."""
        fields.setdefault("max_tokens", 24)
        answer = await self.client.chat.completions.create(
            model=fields.pop("model", "chat"), messages=[{"role": "user", "content": text}], **fields
        )
        return answer.choices[0].message.content or ""

    async def stream(self, text: str = "Tell me about rivers.", **fields: Any) -> str:
        """One streamed chat call, read to its end; its text."""
        fields.setdefault("max_tokens", 24)
        parts = []
        stream = await self.client.chat.completions.create(
            model=fields.pop("model", "chat"), messages=[{"role": "user", "content": text}], stream=True, **fields
        )
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                parts.append(chunk.choices[0].delta.content)
        return "".join(parts)
