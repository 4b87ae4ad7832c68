"""Measure what the steps of a migration cost on the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.engines.postgresql.copies.hash_rows import size

if TYPE_CHECKING:
    import peewee

_WRITTEN = """
SELECT (pg_catalog.pg_current_wal_insert_lsn() - '0/0')::bigint,
  (SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_catalog.pg_stat_user_tables
   WHERE schemaname = current_schema())
"""


class Meter:
    """Measure what a step costs on a copy that nobody else uses: the server's log grows by what the step writes."""

    def __init__(self, database: peewee.PostgresqlDatabase) -> None:
        self._database = database
        self._size = self._bytes = self._rows = 0

    def start(self) -> None:
        """Start the measurement of a step."""
        self._size = size(self._database)
        self._bytes, self._rows = self._written()

    def read(self) -> tuple[int, int, int]:
        """Return rows written, bytes written to the log, and these bytes plus the schema's growth. Reads only."""
        written, rows = self._written()
        growth = max(0, size(self._database) - self._size)
        return rows - self._rows, written - self._bytes, written - self._bytes + growth

    def _written(self) -> tuple[int, int]:
        self._database.execute_sql("SELECT pg_catalog.pg_stat_force_next_flush()").fetchall()
        written, rows = self._database.execute_sql(_WRITTEN).fetchone()
        return int(written), int(rows)
