"""What can go wrong while a backend is measured.

::

    ProfilingError
    ├── BadSweep          a sweep that cannot be made: no lengths, no bounds that leave room for a run
    ├── NoAnswer          the backend cannot be reached, refuses the calls, or answers none of them whole
    └── TooFewRuns        the bounds ended the sweep before there was enough to fit and to hold out
"""

from switchgear.core.errors import SwitchgearError


class ProfilingError(SwitchgearError):
    """A measurement that did not come about. The message ends with what to do about it."""

    code = "profiling_failed"


class BadSweep(ProfilingError):
    code = "invalid_sweep"


class NoAnswer(ProfilingError):
    code = "backend_gave_no_answer"


class TooFewRuns(ProfilingError):
    code = "too_few_runs"
