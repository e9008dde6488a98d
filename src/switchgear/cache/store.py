"""Kept answers in one file, for one thread: put, get, trim. Several processes share the file. Raises sqlite3.Error as it comes."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from switchgear.cache.model import Entry
from switchgear.cache.schema import open_file
from switchgear.cache.sealing import Keyring, Sealed, Unsealable
from switchgear.core.decoding import UNREADABLE

_decode = msgspec.msgpack.Decoder(Entry).decode
_encode = msgspec.msgpack.Encoder().encode
_PUT = "INSERT OR REPLACE INTO answer (digest, stale_until_s, key_id, sealed) VALUES (?, ?, ?, ?)"
_GET = "SELECT key_id, sealed FROM answer WHERE digest = ?"
_NEW = "SELECT seq, digest FROM answer WHERE seq > ? ORDER BY seq LIMIT 10000"
_OVER = "DELETE FROM answer WHERE seq IN (SELECT seq FROM answer WHERE stale_until_s <= ? LIMIT 1000)"
_OLDEST = "DELETE FROM answer WHERE seq IN (SELECT seq FROM answer ORDER BY seq LIMIT max(1, (SELECT count(*) FROM answer) / 20))"


class Store:
    """An open file."""

    def __init__(self, path: Path, keyring: Keyring, max_bytes: int, random: Callable[[int], bytes]) -> None:
        """Raises BadCacheKey, ForeignCache, CacheFailing."""
        self._connection, self.secret = open_file(path, keyring, random)
        self._keyring = keyring
        self._max_bytes = max_bytes
        self._seen = 0
        self._page_bytes = self._one("PRAGMA page_size")

    def _one(self, sql: str) -> int:
        value: int = self._connection.execute(sql).fetchone()[0]
        return value

    @property
    def used_bytes(self) -> int:
        """Bytes of the file that hold something."""
        return (self._one("PRAGMA page_count") - self._one("PRAGMA freelist_count")) * self._page_bytes

    def put(self, entries: Sequence[tuple[bytes, Entry]]) -> None:
        """Keep entries, in one transaction."""
        rows = []
        for digest, entry in entries:
            sealed = self._keyring.seal(_encode(entry), digest)
            rows.append((digest, entry.stale_until_s, *sealed))
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany(_PUT, rows)
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def get(self, digest: bytes, now_s: float) -> Entry | None:
        """The entry, unless it is not there, its time is over, or it cannot be opened: then it is deleted."""
        row = self._connection.execute(_GET, (digest,)).fetchone()
        if row is None:
            return None
        try:
            entry = _decode(self._keyring.open(Sealed(*row), digest))
        except (Unsealable, *UNREADABLE):
            self.delete(digest)
            return None
        return entry if now_s < entry.stale_until_s else None

    def delete(self, digest: bytes) -> None:
        """Forget an entry."""
        self._connection.execute("DELETE FROM answer WHERE digest = ?", (digest,))

    def news(self) -> list[bytes]:
        """Digests that came since the last time, other processes' too; at most 10,000."""
        rows = self._connection.execute(_NEW, (self._seen,)).fetchall()
        if rows:
            self._seen = rows[-1][0]
        return [digest for _, digest in rows]

    def trim(self, now_s: float) -> bool:
        """Delete what is over, and the oldest twentieth while the file is too large. Returns whether there may be more to do."""
        over = self._connection.execute(_OVER, (now_s,)).rowcount
        if self.used_bytes <= self._max_bytes:
            return over >= 1000
        return self._connection.execute(_OLDEST).rowcount > 0

    def close(self) -> None:
        """Close it; what was put is committed."""
        self._connection.close()
