"""Names and notes that are deleted or changed leave SQLite's files at once."""

from django.db import connection

_PATIENCE_MS = 1000


def empty_log() -> None:
    """Move the log of changes (WAL) into the database and truncate it: it keeps what rows held before.

    Pages of the database itself are overwritten by `PRAGMA secure_delete`. Where a reader is in the way for longer, the
    queue's worker does it later. PostgreSQL has its own housekeeping. Not within a transaction.
    """
    if connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        (usual,) = cursor.fetchone()
        # With the usual ten seconds a page would wait for another one's long read.
        cursor.execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
        try:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {usual}")
