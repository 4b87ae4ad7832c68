"""Read the rows of queries. One row that cannot be read does not make the other rows unreadable.

A compacted text is read by the same connection that returned its row.
"""

from __future__ import annotations

from contextlib import closing, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import peewee
from peewee import Alias, Field, Node

from usage_store.engines.sqlite.connection.driver import driver_errors, is_standard
from usage_store.engines.sqlite.connection.error_messages import raise_of_a_statement
from usage_store.models.fields.column_types import PayloadField, RowIdField
from usage_store.models.fields.unreadable_text import WHY, NotUtf8, damage, text_or_why
from usage_store.models.sqlite.rows.sql_functions import text_by_connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    Rows = list[tuple[Any, ...]]


def fetch(
    database: peewee.Database, sql: str, params: Sequence[Any] = (), read: Callable[[Any], Rows] | None = None
) -> Rows:
    """Return all rows of a query, or the rows that `read` returns for the query's cursor.

    A text that is not UTF-8 is returned as a NotUtf8. By default, sqlite3 would raise an error and return no row.
    Rows are tuples, whatever row factory the application has set on its connection.
    """
    try:
        return _read(database, sql, params, read)
    except driver_errors(peewee.DatabaseError) as error:
        if not _is_not_utf8(error):
            raise_of_a_statement(error, str(database.database))
        with _lenient(database.connection()):
            return _read(database, sql, params, read)


def _read(database: peewee.Database, sql: str, params: Sequence[Any], read: Callable[[Any], Rows] | None) -> Rows:
    cursor = database.execute_sql(sql, params)
    try:
        cursor.row_factory = None
        return cursor.fetchall() if read is None else read(cursor)
    finally:
        cursor.close()  # pysqlite3 cannot run a statement again that an error has left open


def _is_not_utf8(error: Exception) -> bool:
    return "Could not decode to UTF-8" in str(error)


@contextmanager
def _lenient(connection: Any) -> Iterator[None]:
    factory = connection.text_factory
    connection.text_factory = _decode if factory is str else factory
    try:
        yield
    finally:
        connection.text_factory = factory


def _decode(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return NotUtf8(text.decode(errors="surrogateescape"))


def _reads_ahead(connection: Any) -> bool:
    """Return whether a driver converts a row before the row is fetched, as pysqlite3 does.

    After an error, such a driver has already skipped the row. So all its rows are read with `_lenient`.
    """
    return not is_standard(connection)


def while_running(database: peewee.SqliteDatabase) -> AbstractContextManager[None]:
    """Connect a database, and prepare its connection for a query of Peewee that is written and run in the block."""
    if database.is_closed() and database.autoconnect:
        database.connect()  # before peewee writes the SQL, so that this connection has the functions in the SQL
    if database.is_closed() or not _reads_ahead(database.connection()):
        return nullcontext()
    return _lenient(database.connection())


class ReadingCursor:
    """The cursor of a query, with the methods that peewee calls.

    If the rows become models, a model with an unreadable text raises an error only when the text is accessed. Otherwise
    the cursor raises the error.
    """

    def __init__(self, cursor: Any, selected: Sequence[Any], *, for_models: bool) -> None:
        self._cursor, self._selected, self._for_models = cursor, selected, for_models
        self._fetch = self._fetch_ahead if _reads_ahead(cursor.connection) else cursor.fetchone
        self.description = cursor.description or ()
        self._texts = [number for number, (name, *_) in enumerate(self.description) if self._is_text(number, name)]
        self._stored = bool(self._texts) and not selected  # hand-written SQL returns the stored references
        self.close = cursor.close

    def _node(self, number: int) -> Any:
        return self._selected[number] if number < len(self._selected) else None

    def _is_text(self, number: int, name: str) -> bool:
        node = self._node(number)
        if name == "snapshot_data":
            return isinstance(node, PayloadField) or not isinstance(node, Field)
        return isinstance(node, Alias) and isinstance(node.unwrap(), PayloadField)

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        if not self._stored:
            return self._next()
        # sqlite3 ends a statement before it returns the last row, and then others could delete the block of that row.
        # The second statement is still open then, so the connection sees no changes of others.
        with closing(self._cursor.connection.execute("SELECT 1 FROM sqlite_schema")):
            return self._next()

    def _next(self) -> Any:
        try:
            row = self._fetch()
        except self._cursor.connection.OperationalError as error:
            if not _is_not_utf8(error) or _reads_ahead(self._cursor.connection):
                raise
            with _lenient(self._cursor.connection):  # after the error, sqlite3 returns the same row again
                row = self._cursor.fetchone()
        if row is not None:
            for number in self._texts:
                if type(row[number]) is not str:
                    return self._read(list(row))
        return row

    def _fetch_ahead(self) -> Any:
        with _lenient(self._cursor.connection):
            return self._cursor.fetchone()

    def _read(self, row: list[Any]) -> tuple[Any, ...]:
        for number in self._texts:
            value = row[number]
            if isinstance(value, bytes) and not value.startswith(WHY):  # hand-written SQL returns the stored reference
                value = row[number] = text_or_why(partial(text_by_connection, self._cursor.connection, value))
            if not self._for_models and isinstance(value, (bytes, NotUtf8)):
                raise damage(self._id_beside(number, row), value)
        return tuple(row)

    def _id_beside(self, text: int, row: list[Any]) -> int | None:
        nodes = [node.unwrap() if isinstance(node, Node) else None for node in map(self._node, range(len(row)))]
        model = getattr(nodes[text], "model", None)
        for node, (name, *_), value in zip(nodes, self.description, row, strict=True):
            if node.model is model if isinstance(node, RowIdField) else name == "id" and node is None:
                return int(value)
        return None
