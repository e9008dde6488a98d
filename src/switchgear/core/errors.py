"""The root of every error that Switchgear raises on purpose.

::

    SwitchgearError                 core.errors
    ├── ConfigError                 core.errors    a configuration that cannot be served from
    ├── CallError                   gateway.errors a call that ends in an error body
    ├── WireError                   wire.errors    HTTP, TLS and sockets
    ├── JournalError                journal.errors records could not be kept or read
    ├── IdentityError               identity.errors who calls cannot be told
    ├── PolicyError                 policy.errors  policies and screens that cannot be used
    ├── BackendError                backends.errors an answer that a backend should not have given
    ├── LimitsError                 limits.errors  limits that cannot be kept or shared
    ├── CacheError                  cache.errors   kept answers that cannot be opened or read
    ├── ConfidenceError             confidence.errors a rule or an answer that cannot be judged
    ├── SketchError                 sketches.errors sketches that cannot be made, kept or read
    ├── SealingError                core.sealing   what is encrypted cannot be opened
    ├── ProfilingError              profiling.errors a live backend that cannot be measured
    ├── PlannerError                planner.errors a plan, a trace or a fleet that makes no sense
    ├── RehearsalError              rehearsal.errors a rehearsal that cannot be run
    ├── HardwareError               hardware       figures that make no sense
    └── EmulatorError               emulator       a fault or a profile that cannot be emulated

Each class has a stable ``code``. The HTTP status is chosen at the edge (`switchgear.gateway.errors`), never here.
"""

from typing import ClassVar


class SwitchgearError(Exception):
    """Something went wrong that we know by name. `code` is stable: programs may depend on it; `str(error)` is for people."""

    code: ClassVar[str] = "internal_error"


class ConfigError(SwitchgearError):
    """A configuration that cannot be served from. Every problem found is listed, not only the first."""

    code = "invalid_configuration"

    def __init__(self, problems: list["Problem"]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class Problem:
    """One thing wrong in a configuration: where (`file:line` where known), what, and what to do about it."""

    __slots__ = ("line", "message", "path", "remedy")

    def __init__(self, path: str, message: str, remedy: str, line: int | None = None) -> None:
        self.path = path
        self.message = message
        self.remedy = remedy
        self.line = line

    def __str__(self) -> str:
        where = f"line {self.line}, {self.path}" if self.line else self.path
        return f"{where}: {self.message}. {self.remedy}"
