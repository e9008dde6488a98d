"""Which store an address means."""

from pathlib import Path

from switchgear.core.clock import Clock
from switchgear.limits.errors import SharingUnusable
from switchgear.limits.ports import Store
from switchgear.limits.sqlite_store import SqliteStore


def open_store(database: str, clock: Clock) -> Store:
    """The store at `sqlite:///path` or `postgresql://…`; it connects when it is first used.

    Raises SharingUnusable for any other address, and where PostgreSQL's driver is not installed.
    """
    if database.startswith("sqlite:///"):
        return SqliteStore(Path(database.removeprefix("sqlite:///")), clock)
    if database.startswith(("postgresql://", "postgres://")):
        try:
            from switchgear.limits.postgres_store import PostgresStore  # an extra: most run without it
        except ImportError as error:
            raise SharingUnusable("PostgreSQL needs its driver: install switchgear[postgres].") from error
        return PostgresStore(database)
    raise SharingUnusable(f"{database!r} is no database that limits can share: use sqlite:///PATH or postgresql://….")
