"""What ran, when, and from which source: the append-only log beside the history table."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from usage_store._version import __version__
from usage_store.engines import engine_of
from usage_store.errors import HistoryError
from usage_store.migrate.record.find_log import find_log, log_name, rename_to_rule, require_free
from usage_store.migrate.record.source_text import as_text, checksum, deflated, inflated

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee

    from usage_store.migrate.files.migration import Migration
    from usage_store.migrate.record.history_table import History

Action = Literal["up", "down", "stamp"]

_COLUMNS = "version, name, action, logged_at, seconds, checksum, source, fingerprint, package_version"
_TYPES: tuple[type | tuple[type, ...], ...] = (int, str, str, int, (int, float), str, bytes, str, str)


class Entry(NamedTuple):
    """One line of the log: `logged_at` in seconds UTC, `source` the file's text as it ran, decoded as Python does."""

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
    """What a line of the log holds of the schema, as `ddl`; without, `source` is the file's text as it ran."""

    row_id: int
    version: int
    action: Action
    ddl: str | None
    source: str


class Log:
    """The log of one history, in a table beside the history's."""

    def __init__(self, database: peewee.Database, history: History) -> None:
        self.database = database
        self._engine = engine_of(database)
        self._history = history
        self._found: tuple[str, str] = "", ""  # for which history, and under which name

    @property
    def table_name(self) -> str:
        """The log's table, as it was found last, or as it is to be made. Reads only."""
        history = self._history.table_name
        if self._found[0] != history:
            self._found = history, find_log(self.database, history) or log_name(history)
        return self._found[1]

    def names(self) -> tuple[str, ...]:
        """Give the name that the log has and the one that the next run gives it: mostly the same. Reads only."""
        return tuple(dict.fromkeys((self.table_name, log_name(self._history.table_name))))

    def exists(self) -> bool:
        """Tell whether anything may have been logged; databases from before the log have none. Reads only.

        Raises HistoryError if the log's name is taken by something else.
        """
        history = self._history.table_name
        found = find_log(self.database, history)
        if found is None:
            require_free(self.database, history)
        self._found = history, found or log_name(history)
        return found is not None

    def is_present(self) -> bool:
        """Tell whether the table is there, with a column for DDL and under the name that it is to have. Reads only."""
        return self.exists() and len(self.names()) == 1 and self._has_ddl()

    def create(self) -> None:
        """Make the table where it is missing, and the column for DDL where it is older.

        One that has its name by an older rule is renamed.
        """
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
        return any(column.name.lower() == "ddl" for column in self.database.get_columns(self.table_name))

    def append(
        self,
        migration: Migration,
        action: Action,
        seconds: float,
        source: bytes,
        fingerprint: str,
        ddl: str | None = None,
    ) -> None:
        """Add a line; `fingerprint` is the schema's after it, `ddl` what `recorded_ddl` makes of what was changed."""
        row = (
            *(migration.version, migration.name, action, int(time.time()), round(seconds, 6)),
            *(checksum(source), deflated(source), fingerprint, __version__, ddl),
        )
        values = ", ".join([self.database.param] * len(row))
        sql = f'INSERT INTO "{self.table_name}" ({_COLUMNS}, ddl) VALUES ({values})'  # noqa: S608
        self.database.execute_sql(sql, row)

    def note(self, version: int, fingerprint: str, ddl: str) -> bool:
        """Add a stamp of a version as it was logged last, with what became of the schema; tell whether it was."""
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
        """Give each line's DDL, oldest first. Reads only."""
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
        """List the log, oldest first; `latest_only` gives the last up or stamp of each version. Reads only.

        Raises HistoryError for a line that no runner wrote.
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
        """Tell whether the schema, of which this is the fingerprint, is what the last logged run left. Reads only."""
        if not self.exists():
            return False
        sql = f'SELECT fingerprint FROM "{self.table_name}" ORDER BY id DESC LIMIT 1'  # noqa: S608
        row = self.database.execute_sql(sql).fetchone()
        return row is not None and row[0] == (fingerprint or self._engine.Fingerprint(self.database).read())

    def checksums(self) -> dict[int, str]:
        """Give the checksum of each version as it was last applied or stamped. Reads only."""
        if not self.exists():
            return {}
        sql = f"SELECT version, checksum FROM \"{self.table_name}\" WHERE action <> 'down' ORDER BY id"  # noqa: S608
        return dict(self.database.execute_sql(sql).fetchall())
