"""Collect the statements that migrations send, with their values."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import peewee

from usage_store.engines.postgresql.copies.nothing_lasts import BLANK, cursors_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_WORD = re.compile(rf"(?s){BLANK}([a-zA-Z]*)")
_MORE = re.compile(r";\s*\S")  # a second statement, or a text with a semicolon
_NO_CHANGE = frozenset(
    ("begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release", "select", "table", "values")
) | frozenset(("show", "explain", "set", "reset", "lock", "declare", "fetch", "close", ""))


@contextmanager
def statements_of(scratch: peewee.PostgresqlDatabase) -> Iterator[list[str]]:
    """Collect the statements of the block that changed something, with their values. The list is complete afterwards.

    Statements that failed, or were rolled back to a savepoint, are left out.
    """
    sent: list[str] = []
    lasting: list[str] = []
    connection: Any = scratch.connection()
    try:
        with cursors_of(connection, _noting(connection, sent)):
            yield lasting
    finally:
        lasting += (sql.strip() for sql in _lasting(sent) if _changes(sql))


def _noting(connection: Any, sent: list[str]) -> Callable[[Any], Any]:
    def make(kind: Any) -> Any:
        class Noting(kind):  # type: ignore[misc]  # the cursor class of a driver
            def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
                result = super().execute(query, params, **options)
                sent.append(_filled(connection, query, params))
                return result

            def executemany(self, query: Any, params_seq: Iterable[Any], **options: Any) -> None:
                for params in params_seq:
                    self.execute(query, params, **options)

        return Noting

    return make


def _filled(connection: Any, query: Any, params: Any) -> str:
    """Return the SQL with the values filled in, as the driver writes them."""
    if hasattr(connection, "pgconn"):
        return str(sys.modules["psycopg"].ClientCursor(connection).mogrify(query, params))
    return bytes(sys.modules["psycopg2"].extensions.cursor(connection).mogrify(query, params)).decode()


def _lasting(statements: Iterable[str]) -> list[str]:
    lasting: list[str] = []
    savepoints: list[int] = []
    for sql in statements:
        words = sql.upper().split()
        if words[:1] == ["SAVEPOINT"]:
            savepoints.append(len(lasting))
        elif words[:2] == ["ROLLBACK", "TO"] and savepoints:
            del lasting[savepoints[-1] :]
        elif words[:1] == ["RELEASE"] and savepoints:
            savepoints.pop()
        else:
            lasting.append(sql)
    return lasting


def _changes(sql: str) -> bool:
    found = _WORD.match(sql)
    word = found[1].lower() if found else ""
    return word not in _NO_CHANGE or _MORE.search(sql) is not None


class _NoRows:
    """A cursor that runs nothing and has no rows."""

    description = ()
    rowcount = 0

    def execute(self, *_: Any) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def fetchone(self) -> None:
        """Return no row."""

    def fetchall(self) -> list[Any]:
        """Return no rows."""
        return []

    def fetchmany(self, size: int = 1) -> list[Any]:  # noqa: ARG002  the drivers' signature
        """Return no rows."""
        return []

    def __iter__(self) -> Iterator[Any]:
        return iter(())


class _Silent(peewee.PostgresqlDatabase):
    def cursor(self, named_cursor: object = None) -> _NoRows:  # noqa: ARG002  peewee's signature
        return _NoRows()

    def is_closed(self) -> bool:
        return False

    def connect(self, reuse_if_open: bool = False) -> bool:  # noqa: ARG002, FBT001, FBT002  peewee's signature
        return False

    def close(self) -> bool:
        return False


@contextmanager
def silent_database() -> Iterator[peewee.PostgresqlDatabase]:
    """Provide a database for the block that runs nothing, connects to nothing and answers every query with no rows."""
    yield _Silent("nothing")
