"""One gateway with its admin address, from start to end: what `gateway` and `up` both run."""

import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from switchgear.gateway.admin import Admin
from switchgear.gateway.config import Config
from switchgear.gateway.observer import Observer
from switchgear.gateway.supervisor import Supervisor
from switchgear.wire.address import Address, bind, bound_address, parse_address, unbind
from switchgear.wire.server import Server


class RunningGateway:
    """What a started gateway tells: where it listens."""

    def __init__(self, supervisor: Supervisor, admin: Address) -> None:
        self.supervisor = supervisor
        self.admin = admin


@asynccontextmanager
async def serving(config: Config, reload: Callable[[], Config] | None = None) -> AsyncIterator[RunningGateway]:
    """A gateway that serves within the block; at its end calls in flight are drained. Raises a SwitchgearError if it cannot start."""
    sock = bind(parse_address(config.gateway.admin))
    supervisor = Supervisor(config, reload)
    observer = Observer(config.gateway.state_dir)
    admin = Admin(supervisor, observer.render)
    server = Server(admin.handle)
    try:
        await observer.start()
        await supervisor.start()
        where = bound_address(sock)
        await server.listen(sock)
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 50, 50)  # batches of records come and go: the collector has nothing to find in them
        yield RunningGateway(supervisor, where)
    finally:
        await supervisor.stop(config.gateway.drain_s)
        unbind(sock)
        await server.close()
        await admin.tasks.close()
        await observer.close()


async def serve_until_stopped(
    config: Config, reload: Callable[[], Config], ready: Callable[[RunningGateway], None]
) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is called once calls are taken."""
    async with serving(config, reload) as gateway:
        ready(gateway)
        await gateway.supervisor.wait_for_signal()
