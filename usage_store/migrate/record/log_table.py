"""The log of a history table. It records what ran, when, and from which source. Lines are only added."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from usage_store._version import __version__
from usage_store.engines import engine_of
from usage_store.errors import HistoryError
from usage_store.migrate.record.find_log import find_log, log_name, once_of, rename_to_rule, require_free
from usage_store.migrate.record.source_text import as_text, checksum, deflated, inflated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import peewee

    from usage_store.migrate.files.migration import Migration
    from usage_store.migrate.record.history_table import History

Action = Literal["up", "down", "stamp"]

_COLUMNS = "version, name, action, logged_at, seconds, checksum, source, fingerprint, package_version"
_TYPES: tuple[type | tuple[type, ...], ...] = (int, str, str, int, (int, float), str, (bytes, memoryview), str, str)


class Entry(NamedTuple):
    """One line of the log.

    `logged_at` is in seconds, UTC. `source` is the text of the file that ran, decoded as Python decodes it.
    """

    version: int
    name: str
    action: Action
    logged_at: int
    seconds: float
    checksum: str
    source: str
    fingerprint: str
    package_version: str


class DDL(NamedTuple):
    """The schema change of one line of the log, as `ddl`. If it is None, `source` is the text of the file that ran."""

    row_id: int
    version: int
    action: Action
    ddl: str | None
    source: str


class Log:
    """The log of one history, in a table of its own."""

    def __init__(self, database: peewee.Database, history: History) -> None:
        self.database = database
        self._engine = engine_of(database)
        self._history = history
        self._found: tuple[str, str] = "", ""  # the name of the history table, and the name of its log

    @property
    def table_name(self) -> str:
        """The name of the log table that was found last, or that will be created. Reads only."""
        history = self._history.table_name
        if self._found[0] != history:
            self._found = history, find_log(self.database, history) or log_name(history)
        return self._found[1]

    def names(self) -> tuple[str, ...]:
        """Return the current name of the log and the name that it has after the next run. Equal names are one entry.

        Reads only.
        """
        return tuple(dict.fromkeys((self.table_name, log_name(self._history.table_name))))

    def exists(self) -> bool:
        """Return whether the log table exists. Older databases have no log. Reads only.

        Raises HistoryError if something else has the name of the log.
        """
        history = self._history.table_name
        found = find_log(self.database, history)
        if found is None:
            require_free(self.database, history)
        self._found = history, found or log_name(history)
        return found is not None

    def is_present(self) -> bool:
        """Return whether the table exists with its current name and has a column for DDL. Reads only."""
        return self.exists() and len(self.names()) == 1 and self._has_ddl()

    def create(self) -> None:
        """Create the table if it is missing. An older log is renamed by the current rule and gets a column for DDL."""
        rename_to_rule(self.database, self._history.table_name)
        if self.exists():
            if not self._has_ddl():
                self.database.execute_sql(f'ALTER TABLE "{self.table_name}" ADD COLUMN ddl TEXT')
            return
        types = self._engine.COLUMN_TYPES
        self.database.execute_sql(
            f'CREATE TABLE IF NOT EXISTS "{self.table_name}" (id {types["id"]}, '
            f"version {types['int']} NOT NULL, name TEXT NOT NULL, "
            f"action TEXT NOT NULL CHECK (action IN ('up', 'down', 'stamp')), logged_at {types['int']} NOT NULL, "
            f"seconds {types['float']} NOT NULL, checksum TEXT NOT NULL, source {types['bytes']} NOT NULL, "
            "fingerprint TEXT NOT NULL, package_version TEXT NOT NULL, ddl TEXT)"
        )

    def _has_ddl(self) -> bool:
        once = once_of(self.database)
        if once is not None:
            return self.table_name in once.with_ddl
        return self._engine.has_columns(self.database, self.table_name, {"ddl": "text"})

    def append(
        self,
        migration: Migration,
        action: Action,
        seconds: float,
        source: bytes,
        fingerprint: str,
        ddl: str | None = None,
    ) -> None:
        """Add a line. `fingerprint` is that of the new schema. `ddl` is the schema change as `recorded_ddl` text."""
        row = (
            *(migration.version, migration.name, action, int(time.time()), round(seconds, 6)),
            *(checksum(source), deflated(source), fingerprint, __version__, ddl),
        )
        values = ", ".join([self.database.param] * len(row))
        sql = f'INSERT INTO "{self.table_name}" ({_COLUMNS}, ddl) VALUES ({values})'  # noqa: S608
        self.database.execute_sql(sql, row)

    def note(self, version: int, fingerprint: str, ddl: str) -> bool:
        """Add a stamp of a version with the source that was logged last, the new fingerprint and the schema change.

        Returns whether the log had a line for the version; if not, nothing is added.
        """
        table, param = self.table_name, self.database.param
        last = f"SELECT max(id) FROM \"{table}\" WHERE version = {param} AND action <> 'down'"  # noqa: S608
        given = ", ".join([param] * 3)
        sql = (
            f'INSERT INTO "{table}" ({_COLUMNS}, ddl) '  # noqa: S608
            f"SELECT version, name, 'stamp', {param}, 0.0, checksum, source, {given} "
            f'FROM "{table}" WHERE id = ({last})'
        )
        row = (int(time.time()), fingerprint, __version__, ddl, version)
        return bool(self.database.execute_sql(sql, row).rowcount)

    def ddl(self) -> Iterator[DDL]:
        """Return the schema change of each line, oldest first. Reads only. Raises HistoryError for a damaged line."""
        if not self.exists():
            return
        kept = "ddl" if self._has_ddl() else "NULL"
        sql = (
            f"SELECT id, version, action, {kept}, CASE WHEN {kept} IS NULL THEN source END "  # noqa: S608
            f'FROM "{self.table_name}" ORDER BY id'
        )
        for row_id, version, action, ddl, source in self.database.execute_sql(sql).fetchall():
            try:
                yield DDL(row_id, version, action, ddl, "" if source is None else as_text(inflated(source)))
            except ValueError as error:
                line = f"{self.table_name}: the line with id {row_id}"
                raise HistoryError(f"{line} is damaged: {error}; delete it") from error

    def entries(self, *, latest_only: bool = False) -> tuple[Entry, ...]:
        """List the lines of the log, oldest first. Reads only. Raises HistoryError for a damaged line.

        With `latest_only`, only the last "up" or "stamp" of each version is listed.
        """
        if not self.exists():
            return ()
        sql = f'SELECT id, {_COLUMNS} FROM "{self.table_name}" ORDER BY id'  # noqa: S608
        if latest_only:
            newest = f"SELECT max(id) FROM \"{self.table_name}\" WHERE action <> 'down' GROUP BY version"  # noqa: S608
            sql = f'SELECT id, {_COLUMNS} FROM "{self.table_name}" WHERE id IN ({newest}) ORDER BY id'  # noqa: S608
        return tuple(self._entry(*row) for row in self.database.execute_sql(sql).fetchall())

    def _entry(self, row_id: int, *values: Any) -> Entry:
        damage = ""
        if all(isinstance(value, type_) for value, type_ in zip(values, _TYPES, strict=True)):
            try:
                return Entry(*values)._replace(source=as_text(inflated(values[6])))
            except ValueError as error:
                damage = f": {error}"
        raise HistoryError(
            f"{self.table_name}: the line with id {row_id}, of version {values[0]!r}, is damaged{damage}; delete it"
        )

    def is_current(self, fingerprint: str | None = None) -> bool:
        """Return whether the fingerprint of the schema is that of the last line of the log. Reads only.

        Without `fingerprint`, it is computed.
        """
        if not self.exists():
            return False
        lines = self._read_once()
        if lines is None:
            sql = f'SELECT fingerprint FROM "{self.table_name}" ORDER BY id DESC LIMIT 1'  # noqa: S608
            lines = self.database.execute_sql(sql).fetchall()
        return bool(lines) and lines[-1][-1] == (fingerprint or self._engine.Fingerprint(self.database).read())

    def checksums(self) -> dict[int, str]:
        """Return the checksum of each version that was logged by its last "up" or "stamp". Reads only."""
        if not self.exists():
            return {}
        lines = self._read_once()
        if lines is not None:
            return {version: noted for version, noted, action, _ in lines if action != "down"}
        sql = f"SELECT version, checksum FROM \"{self.table_name}\" WHERE action <> 'down' ORDER BY id"  # noqa: S608
        return dict(self.database.execute_sql(sql).fetchall())

    def _read_once(self) -> Sequence[Any] | None:
        """Return version, checksum, action and fingerprint of all lines in a block of `read_once()`, otherwise None."""
        once = once_of(self.database)
        sql = f'SELECT version, checksum, action, fingerprint FROM "{self.table_name}" ORDER BY id'  # noqa: S608
        return None if once is None else once.ask(sql)
