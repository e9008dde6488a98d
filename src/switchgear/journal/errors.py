"""What can go wrong with a journal.

::

    JournalError
    ├── JournalFailing    it cannot be written now: disk full, read-only, locked, removed; it is tried again by itself
    ├── RecordLost        a record that will never be written: it cannot be encoded, or too many were waiting
    ├── DamagedJournal    a file that is no database, or whose pages contradict each other
    ├── ForeignJournal    a database that is not a journal, or one made by a newer version
    └── StaleBatch        a batch was acknowledged whose journal is no longer there
"""

from switchgear.core.errors import SwitchgearError


class JournalError(SwitchgearError):
    code = "journal_error"


class JournalFailing(JournalError):
    code = "journal_failing"


class RecordLost(JournalError):
    code = "record_lost"


class DamagedJournal(JournalError):
    code = "damaged_journal"


class ForeignJournal(JournalError):
    code = "foreign_journal"


class StaleBatch(JournalError):
    code = "stale_batch"
