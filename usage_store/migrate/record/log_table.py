"""What ran, when, and from which source: the append-only log beside the history table."""

from __future__ import annotations

import time
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from usage_store._version import __version__
from usage_store.engines import engine_of
from usage_store.errors import HistoryError
from usage_store.migrate.record.find_history import log_name
from usage_store.migrate.record.source_text import checksum

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee

    from usage_store.migrate.files.migration import Migration
    from usage_store.migrate.record.history_table import History

Action = Literal["up", "down", "stamp"]

_COLUMNS = "version, name, action, logged_at, seconds, checksum, source, fingerprint, package_version"
_TYPES: tuple[type | tuple[type, ...], ...] = (int, str, str, int, (int, float), str, bytes, str, str)


class Entry(NamedTuple):
    """One line of the log: `logged_at` in seconds UTC, `source` the file's text as it ran."""

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

    @property
    def table_name(self) -> str:
        """The log's table. Reads only."""
        return log_name(self._history.table_name)

    def exists(self) -> bool:
        """Tell whether anything may have been logged; databases from before the log have none. Reads only."""
        return self._engine.kind_of(self.database, self.table_name) == "table"

    def create(self) -> bool:
        """Make the table where it is missing, and the column for DDL where it is older; tell whether it was altered."""
        if self.exists():
            older = not self._has_ddl()
            if older:
                self.database.execute_sql(f'ALTER TABLE "{self.table_name}" ADD COLUMN ddl TEXT')
            return older
        types = self._engine.COLUMN_TYPES
        self.database.execute_sql(
            f'CREATE TABLE IF NOT EXISTS "{self.table_name}" (id {types["id"]}, '
            f"version {types['int']} NOT NULL, name TEXT NOT NULL, "
            f"action TEXT NOT NULL CHECK (action IN ('up', 'down', 'stamp')), logged_at {types['int']} NOT NULL, "
            f"seconds {types['float']} NOT NULL, checksum TEXT NOT NULL, source {types['bytes']} NOT NULL, "
            "fingerprint TEXT NOT NULL, package_version TEXT NOT NULL, ddl TEXT)"
        )
        return False

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
            *(checksum(source), _deflated(source), fingerprint, __version__, ddl),
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
        ddl = "ddl" if self._has_ddl() else "NULL"
        sql = (
            f"SELECT id, version, action, {ddl}, CASE WHEN {ddl} IS NULL THEN source END "  # noqa: S608
            f'FROM "{self.table_name}" ORDER BY id'
        )
        for row_id, version, action, text, source in self.database.execute_sql(sql).fetchall():
            yield DDL(row_id, version, action, text, "" if source is None else self._text(row_id, source))

    def _text(self, row_id: int, source: bytes) -> str:
        try:
            return zlib.decompress(source).decode(errors="replace")
        except (TypeError, ValueError, zlib.error):
            raise HistoryError(f"{self.table_name}: the line with id {row_id} is damaged; delete it") from None

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
        if all(isinstance(value, type_) for value, type_ in zip(values, _TYPES, strict=True)):
            with suppress(zlib.error):
                return Entry(*values)._replace(source=zlib.decompress(values[6]).decode(errors="replace"))
        raise HistoryError(
            f"{self.table_name}: the line with id {row_id}, of version {values[0]!r}, is damaged; delete it"
        )

    def is_current(self) -> bool:
        """Tell whether the schema is to the letter what the last logged run left. Reads only."""
        if not self.exists():
            return False
        sql = f'SELECT fingerprint FROM "{self.table_name}" ORDER BY id DESC LIMIT 1'  # noqa: S608
        row = self.database.execute_sql(sql).fetchone()
        return row is not None and row[0] == self._engine.Fingerprint(self.database).read()

    def checksums(self) -> dict[int, str]:
        """Give the checksum of each version as it was last applied or stamped. Reads only."""
        if not self.exists():
            return {}
        sql = f"SELECT version, checksum FROM \"{self.table_name}\" WHERE action <> 'down' ORDER BY id"  # noqa: S608
        return dict(self.database.execute_sql(sql).fetchall())


def _deflated(source: bytes) -> bytes:
    # With a window no larger than the text: for the usual one, zlib clears a quarter of a megabyte.
    window = min(max(len(source).bit_length(), 9), zlib.MAX_WBITS)
    deflate = zlib.compressobj(1, wbits=window, memLevel=1 if window < zlib.MAX_WBITS else zlib.DEF_MEM_LEVEL)
    return deflate.compress(source) + deflate.flush()
