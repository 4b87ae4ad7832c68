"""Run a block in a transaction that the server can only roll back."""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from usage_store.engines.postgresql.connection.driver import driver_errors
from usage_store.engines.postgresql.connection.open_server import refuse_standby
from usage_store.engines.postgresql.migrating.guarded_transaction import NEVER_COMMITTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import peewee

# A deferred rule is checked at COMMIT. These two rows break it, so that a COMMIT fails and undoes everything.
_GUARD = (
    f"CREATE TEMPORARY TABLE {NEVER_COMMITTED} (n int UNIQUE DEFERRABLE INITIALLY DEFERRED) "  # noqa: S608
    f"ON COMMIT DROP; INSERT INTO {NEVER_COMMITTED} VALUES (1), (1)"
)
_STATEMENT = "usage_store_statement"
_SAVEPOINT = "usage_store_own_transaction"
# Each comment matches in one way only: the time to find that a long text does not match must not explode.
BLANK = r"(?:\s|--[^\n]*(?:\n|$)|/\*(?:[^*]|\*(?!/))*\*/)*"
_CONCURRENT = re.compile(
    rf"(?is)\A(?:({BLANK}(?:CREATE\s+(?:UNIQUE\s+)?INDEX|DROP\s+INDEX|REINDEX\s+(?:\([^)]*\)\s*)?(?:INDEX|TABLE)))"
    rf"\s+CONCURRENTLY\b|({BLANK}ALTER\s+TABLE\b[^;]*\bDETACH\s+PARTITION\s+\S+)\s+CONCURRENTLY\b)"
)
_ALONE = re.compile(
    rf"(?is){BLANK}(?:VACUUM|ALTER\s+SYSTEM|(?:CREATE|DROP)\s+(?:DATABASE|TABLESPACE|SUBSCRIPTION)"
    r"|REINDEX\s+(?:\([^)]*\)\s*)?(?:SCHEMA|DATABASE|SYSTEM))\b"
)
_ENDS = (
    (re.compile(rf"(?is){BLANK}(?:BEGIN|START\s+TRANSACTION)\b[^;]*;?\s*$"), f"SAVEPOINT {_SAVEPOINT}"),
    (re.compile(rf"(?is){BLANK}(?:COMMIT|END)\b[^;]*;?\s*$"), f"RELEASE SAVEPOINT {_SAVEPOINT}"),
    (
        re.compile(rf"(?is){BLANK}(?:ROLLBACK|ABORT)(?!\s+TO\b)\b[^;]*;?\s*$"),
        f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}",
    ),
)
_OF_PEEWEE = re.compile(r'(SAVEPOINT|RELEASE SAVEPOINT|ROLLBACK TO SAVEPOINT) "(s[0-9a-f]{32})"')
_OF_A_TRANSACTION = re.compile(rf"(?is){BLANK}(?:BEGIN|START|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE|SET|SHOW)\b")
_NOTHING = "SELECT WHERE false"


class _Undo(Exception):
    """Makes peewee roll back a transaction whose block has succeeded."""


@contextmanager
def nothing_lasts(database: peewee.PostgresqlDatabase) -> Iterator[None]:
    """Run the block in a transaction that is rolled back at the end.

    A COMMIT in the block fails and undoes everything, and nothing can be written after a ROLLBACK. Outside of
    `atomic()`, statements that cannot run in a transaction are run in another way: indexes are made without
    CONCURRENTLY, BEGIN and COMMIT become savepoints, and VACUUM and the like are left out.

    Raises ReadOnlyDatabase on a standby.
    """
    refuse_standby(database)
    database.execute_sql("SET default_transaction_read_only = on")
    with suppress(_Undo), database.transaction():
        database.execute_sql("SET TRANSACTION READ WRITE")
        connection: Any = database.connection()
        connection.cursor().execute(_GUARD)
        with cursors_of(connection, _outside_of_atomic):
            yield
        raise _Undo


@contextmanager
def cursors_of(connection: Any, make: Callable[[Any], Any]) -> Iterator[None]:
    """Let a connection of either driver make cursors of another class, which `make` returns for the present class."""
    as_it_was = connection.cursor_factory
    connection.cursor_factory = make(as_it_was or type(connection.cursor()))
    try:
        yield
    finally:
        connection.cursor_factory = as_it_was


def _outside_of_atomic(kind: Any) -> Any:
    """Return the cursor class whose statements, outside of an `atomic()` block, need no transaction."""
    blocks: list[str] = []

    class Inside(kind):  # type: ignore[misc]  # the cursor class of a driver
        def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
            if not isinstance(query, str):
                return super().execute(query, params, **options)
            _follow(blocks, query)
            if blocks or _OF_A_TRANSACTION.match(query):
                return super().execute(query if blocks else _in_a_transaction(query), params, **options)
            with _savepoint(kind(self.connection)):
                return super().execute(_in_a_transaction(query), params, **options)

    return Inside


@contextmanager
def _savepoint(cursor: Any) -> Iterator[None]:
    """Undo a statement that fails, as the server does where no transaction is open."""
    cursor.execute(f"SAVEPOINT {_STATEMENT}")
    try:
        yield
    except BaseException:
        with suppress(*driver_errors()):  # the first error is raised, also if it has ended the transaction
            cursor.execute(f"ROLLBACK TO SAVEPOINT {_STATEMENT}")
        raise
    cursor.execute(f"RELEASE SAVEPOINT {_STATEMENT}")


def _follow(blocks: list[str], sql: str) -> None:
    """Keep the list of the savepoints that stand for open `atomic()` blocks."""
    found = _OF_PEEWEE.match(sql)
    if found is None:
        return
    if found[1] == "SAVEPOINT":
        blocks.append(found[2])
    elif found[2] in blocks:
        del blocks[blocks.index(found[2]) :]


def _in_a_transaction(sql: str) -> str:
    for pattern, instead in _ENDS:
        if pattern.match(sql):
            return instead
    if _ALONE.match(sql):
        return _NOTHING
    found = _CONCURRENT.match(sql)
    return sql if found is None else f"{found[1] or found[2]}{sql[found.end() :]}"
