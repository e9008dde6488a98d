"""What can go wrong with limits, besides a call being refused (`model.Refusal`, which is an answer and no error).

::

    LimitsError
    ├── SharingFailing    the database that workers share cannot be used now; it is tried again by itself
    └── SharingUnusable   it can never be used as configured: not a known kind of address, or its driver is missing
"""

from switchgear.core.errors import SwitchgearError


class LimitsError(SwitchgearError):
    code = "limits_error"


class SharingFailing(LimitsError):
    code = "limit_sharing_failing"


class SharingUnusable(LimitsError):
    code = "limit_sharing_unusable"
