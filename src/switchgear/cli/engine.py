"""`switchgear engine`: run an inference engine in this process."""

from pathlib import Path

import click

from switchgear.backends import llama_engine
from switchgear.core.errors import SwitchgearError
from switchgear.wire.address import parse_address


@click.group()
def engine() -> None:
    """Run an inference engine in a process of its own."""


@engine.command()
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    default=llama_engine.bundled_model,
    help="GGUF file to serve.  [default: the small model that ships with Switchgear]",
)
@click.option("--listen", default="127.0.0.1:0", show_default=True, help="host:port; port 0 takes a free one.")
@click.option("--alias", help="The model's name in the API.  [default: the file's name without its ending]")
@click.option(
    "--context-window",
    type=click.IntRange(min=16),
    default=llama_engine.CONTEXT_WINDOW,
    show_default=True,
    help="Tokens that one call may take, prompt and answer together.",
)
@click.option(
    "--parallel",
    type=click.IntRange(min=1),
    default=llama_engine.PARALLEL,
    show_default=True,
    help="Calls answered at once; further ones wait.",
)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.  [default: one per physical core]")
def llama(model: Path, listen: str, alias: str | None, context_window: int, parallel: int, threads: int | None) -> None:
    """Serve a GGUF file with llama.cpp over OpenAI's API until SIGTERM or Ctrl-C."""
    try:
        address = parse_address(listen)
        if address.path:
            raise click.UsageError("the llama engine listens on host:port only; for example --listen 127.0.0.1:9105")
        llama_engine.serve(
            model,
            address.host,
            address.port,
            alias=alias,
            context_window=context_window,
            parallel=parallel,
            threads=threads,
            ready=lambda base_url: click.echo(f"llama.cpp serves {alias or model.stem} on {base_url}"),
        )
    except SwitchgearError as error:
        raise click.ClickException(str(error)) from error
