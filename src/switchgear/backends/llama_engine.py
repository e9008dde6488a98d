"""llama.cpp as a server of its own: OpenAI's API over HTTP for one GGUF file, in a process that holds nothing else.

Connection: the HTTP server inside `xllamacpp` (llama.cpp's own) listens on the address; nothing of a call passes through Python.
Wire mapping: none here, the adapter `switchgear.backends.openai` speaks to it like to any other backend.
Facts, found out with xllamacpp 2026.10.11549 and pinned by `tests/backends/test_llama_engine.py`:

- One server does text and embeddings together when `embedding` is set and the file names a pooling type.
- A call that is too long is answered 400 with `type` "exceed_context_size_error"; `code` is the status as a number.
- A trailing assistant message is continued. Streamed, only what is new comes; whole, the answer repeats the given text first.
- A caller that hangs up frees its slot within milliseconds when streaming; a whole answer is generated to its end all the same.
- With `n` above 1 the reported usage counts one choice; `n` may not exceed `parallel`. The window is at most the model's own.
- Idle connections are closed after 5 s, any connection after 100 requests.

The process belongs to the engine: llama.cpp aborts on an internal error, which ends the process by SIGABRT for its parent to see.
"""

import os
import signal
import socket
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from switchgear.core.errors import SwitchgearError
from switchgear.wire.address import Address, bind

if TYPE_CHECKING:
    import xllamacpp

CONTEXT_WINDOW = 2048
PARALLEL = 4
_MAGIC = b"GGUF"
_LARGEST_BATCH = 2048
_ERRORS_ONLY = 1


class EngineError(SwitchgearError):
    """The engine cannot start; the message ends with what to do about it.

    ::

        EngineError
        ├── EngineMissing      xllamacpp is not installed
        └── ModelUnusable      no such file, not a GGUF file, or llama.cpp refuses it
    """

    code = "engine_error"


class EngineMissing(EngineError):
    code = "engine_missing"


class ModelUnusable(EngineError):
    code = "model_unusable"


def bundled_model() -> Path:
    """The small model that ships with Switchgear; its card is `README.md` beside it."""
    return Path(str(resources.files("switchgear") / "models" / "pydoc-tiny.gguf"))


def serve(
    model: Path,
    host: str,
    port: int,
    *,
    alias: str | None = None,
    context_window: int = CONTEXT_WINDOW,
    parallel: int = PARALLEL,
    threads: int | None = None,
    ready: Callable[[str], None] | None = None,
) -> NoReturn:
    """Serve `model` on `host`:`port` until SIGTERM or SIGINT, then end the process with status 0. Main thread only.

    `alias` is the model's name in the API (default: the file's name without its ending), `context_window` the tokens that one call may
    take, `parallel` how many calls are answered at once (further ones wait), `threads` the CPU threads (default: llama.cpp's
    choice, one per physical core). With a port of 0 the kernel chooses; `ready` is told the base URL once calls are answered.

    Calls still running when the signal comes are cut: their callers see a broken connection, never a clean end.
    Raises EngineMissing, ModelUnusable, and AddressError where the address is taken.
    """
    _check_file(model)
    if port:
        bind(Address(host=host, port=port)).close()  # llama.cpp would say only that something failed
    # Python's own handler would raise within what starts the server, and the server's destructor then never ends.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    server = _start(_parameters(model, host, port, alias or model.stem, context_window, parallel, threads), model)
    signalled, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    signal.set_wakeup_fd(wakeup.fileno())  # a signal may be delivered to any of llama.cpp's threads; this wakes ours
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    if ready is not None:
        ready(f"{server.listening_address}/v1")
    signalled.recv(1)
    # The server's destructor waits for running answers, 30 s measured, and holds the interpreter's lock meanwhile. There is nothing
    # to save, so leave without it.
    os._exit(0)


def _check_file(model: Path) -> None:
    remedy = "give the path of a GGUF file"
    try:
        with model.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise ModelUnusable(f"cannot read the model {model}: {error.strerror}; {remedy}") from error
    if magic != _MAGIC:
        raise ModelUnusable(f"the model {model} is not a GGUF file; {remedy}")


def _parameters(
    model: Path, host: str, port: int, alias: str, context_window: int, parallel: int, threads: int | None
) -> "xllamacpp.CommonParams":
    try:
        import xllamacpp
    except ImportError as error:
        raise EngineMissing(
            f"the llama engine needs the package xllamacpp ({error}); pip install 'switchgear[llama]'"
        ) from error
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model)
    parameters.model_alias = {alias}
    parameters.hostnames = [host]
    parameters.port = port
    parameters.n_ctx = context_window * parallel  # llama.cpp divides it among its slots
    parameters.n_parallel = parallel
    parameters.fit_params = False  # keep to the window that was asked for, or fail
    parameters.embedding = True
    # An input to embed must fit into one physical batch.
    parameters.n_batch = parameters.n_ubatch = min(context_window, _LARGEST_BATCH)
    if threads is not None:
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    parameters.cache_ram_mib = 0  # by default it keeps up to 8 GiB of past prompts
    parameters.cache_idle_slots = False
    parameters.cors_origins = "localhost"  # by default any web page may call it
    parameters.endpoint_metrics = True
    parameters.endpoint_slots = False  # they show what others' calls hold
    parameters.ui = False
    parameters.verbosity = _ERRORS_ONLY
    return parameters


def _start(parameters: "xllamacpp.CommonParams", model: Path) -> "xllamacpp.Server":
    import xllamacpp

    try:
        return xllamacpp.Server(parameters)
    except RuntimeError as error:
        raise ModelUnusable(
            f"llama.cpp cannot serve {model}; its reason stands above. Use a whole GGUF file of a model that it supports"
        ) from error
