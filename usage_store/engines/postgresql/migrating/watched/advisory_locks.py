"""Notice that a migration gave up a lock of the session, such as the one that keeps other runs away."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    import peewee

HELD = "format('%%s %%s %%s', classid, objid, objsubid)"  # names an advisory lock by its columns of pg_locks
_READ = f"""
SELECT ARRAY(SELECT {HELD} FROM pg_catalog.pg_locks
  WHERE locktype = 'advisory' AND pid = pg_backend_pid())
"""  # noqa: S608  constants
_GAVE_UP = (
    "the migration gave up an advisory lock that it has not taken: without the lock of the runner, another run could "
    "start meanwhile; give up only your own, by pg_advisory_unlock(KEY)"
)


def read_locks(database: peewee.PostgresqlDatabase) -> list[str]:
    """Return the names of the advisory locks that the session holds. Reads only."""
    names: list[str] = database.execute_sql(_READ).fetchone()[0]
    return names


def gave_up(before: Collection[str], after: Collection[str]) -> str | None:
    """Return the reason to refuse a migration that gave up one of the locks of before, or None."""
    return None if set(before) <= set(after) else _GAVE_UP
