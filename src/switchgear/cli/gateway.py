"""`switchgear gateway`: a data plane from a configuration file."""

import logging
import signal
from pathlib import Path

import click
import uvloop

from switchgear.cli.serve import RunningGateway, serve_until_stopped
from switchgear.core.errors import SwitchgearError
from switchgear.gateway.config import Loaded, load_file


@click.command()
@click.option(
    "--config", "path", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="TOML file."
)
def gateway(path: Path) -> None:
    """Serve calls until SIGTERM or Ctrl-C. SIGHUP reads the file again."""
    run_file(path)


def run_file(path: Path) -> None:
    """Serve what a file says. Raises click.ClickException when it cannot be served from."""
    set_up_logging()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # a reload asked for meanwhile waits until it can be done
    try:
        loaded = load_file(path)
        _warn(loaded)
        uvloop.run(serve_until_stopped(loaded.config, lambda: load_file(path).config, _announce))
    except SwitchgearError as error:
        raise click.ClickException(str(error)) from error
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


def set_up_logging() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")


def _warn(loaded: Loaded) -> None:
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)


def _announce(gateway: RunningGateway) -> None:
    calls = ", ".join(str(address) for address in gateway.supervisor.listening)
    click.echo(f"serving calls on {calls}; admin on {gateway.admin}; snapshot {gateway.supervisor.snapshot.id}")
