"""Measure what the steps of a migration cost on the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from usage_store.engines.postgresql.connection.write_transaction import in_transaction

if TYPE_CHECKING:
    import peewee

_LOG = "SELECT (pg_catalog.pg_current_wal_insert_lsn() - '0/0')::bigint"
_FLUSH = "SELECT pg_catalog.pg_stat_force_next_flush()"
# The first counts the rows of the open transaction, the second those of the transactions that ended.
_ROWS = """
SELECT relid::bigint, n_tup_ins + n_tup_upd + n_tup_del FROM pg_catalog.pg_stat_{}_tables
WHERE schemaname = current_schema()
"""
_FILES = """
SELECT c.oid::bigint, c.relname::text, c.relkind IN ('r', 'm'), pg_catalog.pg_relation_filenode(c.oid)::bigint,
  pg_catalog.pg_table_size(c.oid)
FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relkind IN ('r', 'm', 'i')
"""


class _File(NamedTuple):
    """The file of a table or index; the server makes a new one if it writes the table anew."""

    name: str
    is_table: bool
    node: int
    bytes: int


class Meter:
    """Measure what a step costs. What other users write to the log of the server meanwhile is counted too."""

    def __init__(self, database: peewee.PostgresqlDatabase) -> None:
        self._database = database
        self._files: dict[int, _File] = {}
        self._rows: dict[int, int] = {}
        self._log = 0
        self._rewrites: dict[str, int] = {}

    def start(self) -> None:
        """Start the measurement of a step."""
        self._files, self._rows, self._log = self._read_files(), self._read_rows(), self._read_log()

    def read(self) -> tuple[int, int, int]:
        """Return rows written, bytes written to the log, and these bytes plus all new files and growth. Reads only."""
        written = self._read_log() - self._log
        rows = sum(max(0, count - self._rows.get(table, 0)) for table, count in self._read_rows().items())
        grown, self._rewrites = 0, {}
        for oid, file in self._read_files().items():
            before = self._files.get(oid)
            is_new = before is None or before.node != file.node
            grown += file.bytes if before is None or is_new else max(0, file.bytes - before.bytes)
            if before is not None and is_new and file.is_table and file.bytes:
                self._rewrites[file.name] = file.bytes
        return rows, written, written + grown

    def rewrites(self) -> dict[str, int]:
        """Return the tables that had a new file at the last `read()`, with its bytes. Reads only."""
        return self._rewrites

    def _read_log(self) -> int:
        return int(self._database.execute_sql(_LOG).fetchone()[0])

    def _read_rows(self) -> dict[int, int]:
        if in_transaction(self._database):
            return dict(self._database.execute_sql(_ROWS.format("xact_user")).fetchall())
        self._database.execute_sql(_FLUSH).fetchall()
        return dict(self._database.execute_sql(_ROWS.format("user")).fetchall())

    def _read_files(self) -> dict[int, _File]:
        return {oid: _File(*rest) for oid, *rest in self._database.execute_sql(_FILES).fetchall()}
