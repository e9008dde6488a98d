"""What goes in and what comes out."""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import msgspec

Entry: TypeAlias = tuple[str, float, bytes | bytearray]
"""A record on its way to the disk: id of the call, Unix time, encoded record. Ids are compared as text; ids that grow with time make
`Reader.find` fast, any others make it slow."""


class Row(NamedTuple):
    """A record as it was kept. (`journal`, `seq`) never means another record: a consumer that applies rows keeps it with their effect."""

    journal: str
    """Random id of the file; a new file has a new one."""
    seq: int
    """Place in that journal, from 1, in the order of writing."""
    id: str
    at_s: float
    body: bytes


Position = Mapping[str, int]
"""By journal, the `seq` of the last row that was read."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How a writer is doing. Small and plain, so that a worker can send it to the process that answers for all of them."""

    journal: str
    """Random id of the file; empty before it could be opened."""
    healthy: bool
    failing: str
    """Why nothing can be written now; empty when it can."""
    pending: int
    """Records that are not on the disk yet."""
    lag_s: float
    """Age of the oldest of them; 0 when there is none."""
    written: int
    """Records committed since the start."""
    lost: int
    """Records that will never be written; each loss is logged as an error."""
    moved_aside: int
    """Damaged files that were moved aside since the start."""
    expired: int
    """Rows deleted because of their age since the start."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a writer works; the defaults keep the promise of `durability = "batched"`."""

    interval_s: float = 0.0045
    """A batch is begun at most this long after its first record. The promise is 5 ms; the rest is for the thread to be scheduled."""
    max_batch: int = 512
    """Rows of one transaction. Encoding them keeps the event loop waiting: 512 take about half a millisecond."""
    max_pending: int = 50_000
    """Records kept in memory while the journal cannot be written."""
    max_pending_bytes: int = 64 * 1024 * 1024
    """The same in bytes of encoded records."""
    busy_s: float = 0.25
    """How long a lock of another process is waited for before the journal counts as failing."""
    stall_s: float = 1.0
    """A record that waits longer than this makes the journal unhealthy, even if no error has come back (a disk that hangs)."""
    retry_s: float = 0.05
    """Wait before a failed write is tried again; doubled each time."""
    max_retry_s: float = 2.0
    """Where the doubling ends."""
    keep_days: float | None = None
    """Rows older than this are deleted; without it none is."""
    drop_unacknowledged: bool = False
    """Whether age deletes also what a registered consumer has not acknowledged."""
    expire_every_s: float = 600.0
    """How often old rows are looked for."""
