"""The embedded default: four emulated places and a real engine on this machine, and a gateway in front of them."""

import asyncio
import hashlib
import importlib.util
import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path

import msgspec

from switchgear.cli.children import Child, ChildFailed, Children
from switchgear.cli.key import new_key
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
from switchgear.gateway.supervisor import StateDirUnusable

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

    def __init__(self, name: str, wanted_port: int, arguments: list[str], backend: Backend, model: str) -> None:
        self.name = name
        self.wanted_port = wanted_port
        self.model = model
        self.backend = backend
        """Where it is, is known once it was started."""
        self._arguments = arguments
        self.child: Child | None = None

    async def start(self, children: Children) -> None:
        """Start it on its port, or on a free one where that is taken. Raises ChildFailed."""
        self.child = child = Child(
            self.name, [*self._arguments, "--listen", f"127.0.0.1:{free_or_any(self.wanted_port)}"]
        )
        base_url = await children.start(child, _READY_S)
        address = base_url.removeprefix("http://").removesuffix("/v1")
        child.arguments = [*self._arguments, "--listen", address]  # started again, it is where it was
        self.backend = msgspec.structs.replace(self.backend, base_url=base_url)


def free_or_any(wanted: int) -> int:
    """`wanted`, or 0 (some free one) where it is taken. Whoever else takes it in this moment makes the child fail, and say why."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", wanted))
        except OSError:
            return 0
    return wanted


def reach_places_directly(environment: MutableMapping[str, str]) -> None:
    """The places of the embedded default are on this machine: no proxy that the environment names stands before them."""
    named = environment.get("no_proxy") or environment.get("NO_PROXY")
    environment["no_proxy"] = "127.0.0.1" if not named else f"{named},127.0.0.1"


def has_engine() -> bool:
    """Whether llama.cpp is installed (the extra `llama`)."""
    return importlib.util.find_spec("xllamacpp") is not None


def engine_is_missing(made: list[Place]) -> str:
    """Why there are four places and not five; empty when there are five."""
    if any(place.name == "engine" for place in made):
        return ""
    if has_engine():
        return "The fifth place, a real engine, did not start; its reason stands above."
    return "The fifth place, a real engine, needs llama.cpp: pip install 'switchgear[llama]'"


def places(speed: float, first_port: int = 9101) -> list[Place]:
    """The five places, to be started on the ports from `first_port` on (0: any); without llama.cpp there are four."""
    ports = [first_port + index if first_port else 0 for index in range(5)]
    made = [_emulated(*row, port=port, speed=speed) for row, port in zip(_EMULATED, ports, strict=False)]
    if has_engine():
        made.append(_engine(ports[4]))
    return made


def _emulated(
    name: str, kind: Kind, profile: str, model: str, region: str, usd: tuple[float, float], *, port: int, speed: float
) -> Place:
    return Place(
        name,
        port,
        ["emulate", "--profile", profile, "--model", model, "--speed", str(speed), "--name", name],
        Backend(
            kind=kind,
            base_url="",
            region=region,
            prices=Prices(input_usd_per_mtok=usd[0], output_usd_per_mtok=usd[1]),
            probe=True,
            capabilities=Capabilities(continue_turn=ContinueTurn.PREFILL),
            timeouts=Timeouts(connect_s=1.0, first_token_s=10.0, idle_s=5.0, total_s=120.0),
        ),
        model,
    )


def _engine(port: int) -> Place:
    return Place(
        "engine",
        port,
        # One thread writes thousands of bytes a second with so small a model; several would wait for each other on a busy machine.
        ["engine", "llama", "--alias", _ENGINE, "--threads", "1"],
        Backend(
            kind=Kind.EDGE,
            base_url="",
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
    """A gateway in front of the running places: `chat` prefers the appliance, `cheap` goes by cost, `fast` by latency with a hedge."""
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
    """The key of the embedded default: made once for each state directory, readable by its owner only. Raises StateDirUnusable."""
    path = state_dir / "up-key"
    try:
        if not path.exists():
            state_dir.mkdir(parents=True, exist_ok=True)
            _write_key(path)
        key = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise StateDirUnusable(
            f"cannot keep the key in {path}: {error.strerror or error}; give --state-dir a directory that can be written"
        ) from error
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise StateDirUnusable(f"{path} holds no key; remove it, and a new one is made")
    return key


def _write_key(path: Path) -> None:
    """Never half a key, and never a second one, whoever is killed or does the same at the same time."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(new_key() + "\n")
    with suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()


async def start_places(children: Children, made: list[Place]) -> list[Place]:
    """Start all places and wait until they serve; those that do. The engine may stay away, whose reason it has printed then.

    Raises ChildFailed naming another one that does not serve.
    """

    async def start(place: Place) -> bool:
        try:
            await place.start(children)
        except ChildFailed:
            if place.name != "engine":
                raise
            return False
        return True

    try:
        async with asyncio.TaskGroup() as group:
            started = [(place, group.create_task(start(place))) for place in made]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return [place for place, task in started if task.result()]
