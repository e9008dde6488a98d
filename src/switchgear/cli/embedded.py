"""The embedded default: four emulated places and a real engine on this machine, and a gateway in front of them."""

import asyncio
import hashlib
import importlib.util
import os
import secrets
import socket
from pathlib import Path

from switchgear.cli.children import Children
from switchgear.core.errors import SwitchgearError
from switchgear.core.snapshot import (
    Backend,
    Capabilities,
    ContinueTurn,
    Hedge,
    Key,
    Kind,
    Model,
    Prices,
    Retry,
    Target,
    Timeouts,
)
from switchgear.gateway.config import Config, GatewayConfig
from switchgear.wire.client import Pool
from switchgear.wire.errors import ExchangeError
from switchgear.wire.fetch import fetch
from switchgear.wire.origin import Origin

_READY_S = 30.0
_SHARED = "llama-3.1-8b"
_SMALL = "llama-3.2-1b"
_CLOUD = "gpt-x"
_ENGINE = "pydoc-tiny"


_EMULATED = (  # name, kind, hardware profile, model, region, USD per million tokens in and out (set for the demonstration)
    ("appliance", Kind.APPLIANCE, "appliance", _SHARED, "eu-central", (0.02, 0.08)),
    ("onprem", Kind.ONPREM, "l4", _SHARED, "eu-central", (0.05, 0.20)),
    ("cloud", Kind.CLOUD, "cloud-api", _CLOUD, "us-east", (0.60, 2.40)),
    ("edge", Kind.EDGE, "jetson-agx-orin", _SMALL, "eu-central", (0.01, 0.04)),
)


class Place:
    """One place of the embedded default: how its process is started, and how the gateway sees it."""

    def __init__(self, name: str, port: int, arguments: list[str], backend: Backend, model: str) -> None:
        self.name = name
        self.port = port
        self.arguments = arguments
        self.backend = backend
        self.model = model


def free_port(wanted: int) -> int:
    """`wanted` where it is free, else some free port."""
    for port in (wanted, 0):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(sock.getsockname()[1])
    raise SwitchgearError("no free port on 127.0.0.1")


def has_engine() -> bool:
    """Whether llama.cpp is installed (the extra `llama`)."""
    return importlib.util.find_spec("xllamacpp") is not None


def places(speed: float, first_port: int = 9101) -> list[Place]:
    """The five places, each on a port of its own from `first_port` on; without llama.cpp there are four."""
    made = [_emulated(*row, port=first_port + index, speed=speed) for index, row in enumerate(_EMULATED)]
    if has_engine():
        made.append(_engine(first_port + 4))
    return made


def _emulated(
    name: str, kind: Kind, profile: str, model: str, region: str, usd: tuple[float, float], *, port: int, speed: float
) -> Place:
    port = free_port(port)
    listen = f"127.0.0.1:{port}"
    return Place(
        name,
        port,
        ["emulate", "--profile", profile, "--model", model, "--listen", listen, "--speed", str(speed), "--name", name],
        Backend(
            kind=kind,
            base_url=f"http://{listen}/v1",
            region=region,
            prices=Prices(input_usd_per_mtok=usd[0], output_usd_per_mtok=usd[1]),
            probe=True,
            capabilities=Capabilities(continue_turn=ContinueTurn.PREFILL),
            timeouts=Timeouts(connect_s=1.0, first_token_s=10.0, idle_s=5.0, total_s=120.0),
        ),
        model,
    )


def _engine(wanted: int) -> Place:
    port = free_port(wanted)
    return Place(
        "engine",
        port,
        ["engine", "llama", "--listen", f"127.0.0.1:{port}", "--alias", _ENGINE],
        Backend(
            kind=Kind.EDGE,
            base_url=f"http://127.0.0.1:{port}/v1",
            region="eu-central",
            prices=Prices(input_usd_per_mtok=0.0, output_usd_per_mtok=0.0),
            probe=True,
            capabilities=Capabilities(
                tools=False, images=False, continue_turn=ContinueTurn.PREFILL, bytes_per_token=1.0
            ),
            timeouts=Timeouts(connect_s=1.0, first_token_s=20.0, idle_s=10.0, total_s=120.0),
        ),
        _ENGINE,
    )


def configuration(
    made: list[Place],
    key: str,
    *,
    listen: str = "127.0.0.1:8080",
    admin: str = "127.0.0.1:8081",
    state_dir: str = "state",
) -> Config:
    """A gateway in front of the places: `chat` prefers the appliance, `cheap` goes by cost, `fast` by latency with a hedge."""
    every = tuple(Target(backend=place.name, model=place.model) for place in made)
    retry = Retry(attempts=len(made))
    models = {
        "chat": Model(targets=every, retry=retry),
        "cheap": Model(targets=every, strategy="cost", retry=retry),
        "fast": Model(targets=every, strategy="latency", retry=retry, hedge=Hedge(after_s=2.0)),
    }
    for place in made:
        models[place.model] = Model(
            targets=tuple(target for target in every if target.model == place.model), retry=Retry(attempts=3)
        )
    return Config(
        gateway=GatewayConfig(listen=(listen,), admin=admin, state_dir=state_dir),
        keys=(Key(name="demo", sha256=hashlib.sha256(key.encode()).hexdigest(), team="platform", pin=True),),
        backends={place.name: place.backend for place in made},
        models=models,
    )


def stored_key(state_dir: Path) -> str:
    """The key of the embedded default: made once for each state directory, readable by its owner only."""
    path = state_dir / "up-key"
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        state_dir.mkdir(parents=True, exist_ok=True)
        key = f"sk-sg-{secrets.token_urlsafe(24)}"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(key + "\n")
        return key


async def start_places(children: Children, made: list[Place]) -> None:
    """Start each place's process and wait until all answer. Raises SwitchgearError naming the one that does not."""
    for place in made:
        await children.start(place.name, place.arguments)
    async with asyncio.TaskGroup() as group:
        for place in made:
            group.create_task(_answers(place))


async def _answers(place: Place) -> None:
    pool = Pool(Origin("127.0.0.1", place.port))
    try:
        async with asyncio.timeout(_READY_S):
            while True:
                try:
                    if (await fetch(pool, "GET", "/v1/models", total_s=2.0)).status == 200:
                        return
                except ExchangeError:
                    await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise SwitchgearError(
            f"the place {place.name} does not answer on port {place.port} within {_READY_S:g} s"
        ) from error
    finally:
        await pool.close()
