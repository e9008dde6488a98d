"""What cannot be rehearsed.

::

    RehearsalError         rehearsal that cannot be done as asked
"""

from switchgear.core.errors import SwitchgearError


class RehearsalError(SwitchgearError):
    """Something that cannot be rehearsed. The message ends with what to do about it."""

    code = "invalid_rehearsal"
