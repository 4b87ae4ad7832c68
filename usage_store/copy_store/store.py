"""One side of a copy: a database with the functions of its storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from usage_store.engines import name_of, unwrap
from usage_store.models.fields.allowed_values import CONFIG_RULES
from usage_store.models.fields.snapshot_hash import snapshot_hash
from usage_store.models.storage_interface import storage_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import peewee

CONFIGURATION = ("id", *CONFIG_RULES, "created_at", "updated_at", "is_active")
_TABLES = ("usage_config", "usage_snapshots")  # those with ids of their own
ID_BITS = 2**31 - 1  # of an id, so that no sum of them is too large for a column
_IDS = f"SELECT session_id, count(*), sum(id & {ID_BITS}) FROM usage_snapshots GROUP BY session_id"  # noqa: S608
BEFORE_ALL, LAST = -(2**63), 2**63 - 1  # below every id, and the highest


class Store:
    """A database with the usage tables. `ours` says that this package has opened it by a path or a URL."""

    def __init__(self, database: peewee.Database | peewee.DatabaseProxy, *, ours: bool = False) -> None:
        self.database: Any = unwrap(database)
        self.rows = storage_of(self.database).copy_rows
        # The threads that write. An application's own database may have no second connection, or be in memory.
        self.threads = self.rows.WRITERS if ours and self.database.database != ":memory:" else 0
        self.name = name_of(self.database)
        storage_of(self.database).prepare(self.database)

    def exists(self) -> bool:
        """Return whether the usage tables are there. Reads only."""
        return {"usage_config", "usage_sessions", "usage_snapshots"}.issubset(self.database.get_tables())

    def configurations(self) -> list[tuple[Any, ...]]:
        """Return all configurations by their ids, with the columns of `CONFIGURATION`. Reads only."""
        sql = f"SELECT {', '.join(CONFIGURATION)} FROM usage_config ORDER BY id"  # noqa: S608
        return [tuple(row) for row in self.database.execute_sql(sql).fetchall()]

    def sessions(self) -> dict[str, int]:
        """Return the sessions with the times of their registration (seconds, UTC). Reads only."""
        return self.rows.sessions(self.database)

    def snapshots(self, after: int = BEFORE_ALL, last: int = LAST) -> Iterator[tuple[Any, ...]]:
        """Yield the snapshots with ids above `after`, up to `last`, by their ids. Reads only."""
        for page in self.rows.pages(self.database, after, last):
            yield from page

    def hashes(self) -> Iterator[tuple[int, str, int]]:
        """Yield id, session id and hash of every snapshot by their ids. Reads only."""
        return hashes_of(self.snapshots())

    def count(self, after: int = BEFORE_ALL) -> tuple[int, int]:
        """Return how many snapshots have ids above `after`, and the highest id. Reads only."""
        sql = f"SELECT count(*), max(id) FROM usage_snapshots WHERE id > {after:d}"  # noqa: S608
        number, last = self.database.execute_sql(sql).fetchone()
        return int(number), after if last is None else int(last)

    def last_ids(self) -> dict[str, int]:
        """Return the highest id that each table has, or has given to a row that is gone. Reads only.

        Without the right to see what it has given, it is the highest id of the rows.
        """
        given = self.rows.last_ids(self.database, _TABLES)
        return {table: max(given.get(table, 0), self._highest(table)) for table in _TABLES}

    def _highest(self, table: str) -> int:
        (found,) = self.database.execute_sql(f"SELECT max(id) FROM {table}").fetchone()  # noqa: S608
        return int(found or 0)

    def ids_by_session(self) -> dict[str, tuple[int, int]]:
        """Return number and sum of ids (their lowest 31 bits) of each session that has a snapshot. Reads only."""
        found = self.database.execute_sql(_IDS).fetchall()
        return {session_id: (count, int(ids)) for session_id, count, ids in found}


def hashes_of(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[int, str, int]]:
    """Yield id, session id and hash of snapshots."""
    for row in rows:
        yield row[0], row[1], snapshot_hash(row)
