"""What can be wrong with kept answers. A call never fails of it: without the cache it is asked anew.

::

    CacheError
    ├── BadCacheKey      the keys that seal the file are missing, malformed, or not those it was sealed with
    ├── ForeignCache     the file is something else, or a newer version made it
    └── CacheFailing     the file cannot be opened or written now
"""

from switchgear.core.errors import SwitchgearError


class CacheError(SwitchgearError):
    code = "cache_error"


class BadCacheKey(CacheError):
    code = "bad_cache_key"


class ForeignCache(CacheError):
    code = "foreign_cache"


class CacheFailing(CacheError):
    code = "cache_failing"
