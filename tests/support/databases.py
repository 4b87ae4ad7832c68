"""Open databases as this package does and as other programs do; fill, read and damage them.

A target is the path of an SQLite file or the URL of a schema on a PostgreSQL server.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, overload

import peewee

from tests.support.driver import sqlite3
from tests.support.postgresql_servers import for_drivers, schema_of
from tests.support.programs import TIMEOUT
from usage_store.engines import open_database

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    Target = Path | str


@overload
def opened(target: Path) -> AbstractContextManager[peewee.SqliteDatabase]: ...
@overload
def opened(target: Target) -> AbstractContextManager[Any]: ...  # the server's or the file's kind
@contextmanager
def opened(target: Target) -> Iterator[Any]:
    """Open a database as this package does: an SQLite file with foreign keys on, in WAL mode."""
    database = open_database(target)
    try:
        yield database
    finally:
        if not database.is_closed():
            database.close()


def own(target: Target, **options: Any) -> Any:
    """Make a database object as an application makes its own: not open, without settings of this package."""
    if isinstance(target, str):
        return peewee.PostgresqlDatabase(for_drivers(target), prefer_psycopg3=True, **options)
    return peewee.SqliteDatabase(str(target), **options)


def written(target: Target) -> str:
    """Give the Python of a module of an application that makes its own database, after `from peewee import *`."""
    if isinstance(target, str):
        return f"PostgresqlDatabase({for_drivers(target)!r}, prefer_psycopg3=True)"
    return f"SqliteDatabase({str(target)!r})"


def close_for_good(database: Any) -> None:
    """Close a database, also the connections that a pool keeps open."""
    getattr(database, "close_all", database.close)()


@overload
def raw(target: Path) -> AbstractContextManager[sqlite3.Connection]: ...
@overload
def raw(target: Target) -> AbstractContextManager[Any]: ...
@contextmanager
def raw(target: Target) -> Iterator[Any]:
    """Open a database as any other program would: no settings, autocommit."""
    connection = _connected(target)
    try:
        yield connection
    finally:
        connection.close()


def _connected(target: Target) -> Any:
    if not isinstance(target, str):
        return sqlite3.connect(target, isolation_level=None, timeout=TIMEOUT)
    import psycopg

    class Cursor(psycopg.Cursor[Any]):
        """A cursor that takes the `?` of SQLite for a value, so that a test says its SQL once."""

        def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
            return super().execute(query.replace("?", "%s") if params else query, params, **options)

    return psycopg.connect(for_drivers(target), autocommit=True, cursor_factory=Cursor)


def refusals() -> tuple[type[Exception], ...]:
    """Return the errors of the drivers for a row that a rule of the database refuses."""
    import psycopg

    return (sqlite3.IntegrityError, psycopg.IntegrityError)


def ignore_checks(connection: Any) -> None:
    """Let a connection of another program store what the CHECKs of the tables forbid."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA ignore_check_constraints = ON")
        return
    found = connection.execute(
        "SELECT conrelid::regclass::text, conname FROM pg_constraint "
        "WHERE contype = 'c' AND connamespace = quote_ident(current_schema())::regnamespace"
    ).fetchall()
    for table, name in found:
        connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")


def has_open_transaction(database: peewee.Database) -> bool:
    """Tell whether the connection of this thread is in a transaction, whoever began it."""
    connection = database.connection()
    if isinstance(connection, sqlite3.Connection):
        return connection.in_transaction
    return bool(connection.info.transaction_status)


def script(target: Target, statements: str) -> None:
    """Run SQL as another program."""
    with raw(target) as connection:
        getattr(connection, "executescript", connection.execute)(statements)


def rows(target: Target, query: str) -> list[Any]:
    """Query as another program."""
    with raw(target) as connection:
        return list(connection.execute(query).fetchall())


def selected(database: peewee.Database, query: str) -> list[Any]:
    """Query through a connected database."""
    return list(database.execute_sql(query).fetchall())


def is_there(target: Target) -> bool:
    """Tell whether anything has made the database: the file, or an object in the schema."""
    return bool(names(target)) if isinstance(target, str) else target.exists()


def names(target: Target) -> set[str]:
    """List the tables, indexes, triggers and views that users created."""
    return {name for (name,) in rows(target, _NAMES if isinstance(target, str) else _NAMES_IN_A_FILE)}


_NAMES_IN_A_FILE = "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite%'"
# The index of a primary key or a unique column has no name of the user's, as in an SQLite file.
_NAMES = """
SELECT relname FROM pg_class WHERE relnamespace = quote_ident(current_schema())::regnamespace
  AND relkind IN ('r', 'p', 'v', 'm')
UNION SELECT relname FROM pg_class JOIN pg_index ON indexrelid = pg_class.oid
WHERE relnamespace = quote_ident(current_schema())::regnamespace
AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
UNION SELECT tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
WHERE relnamespace = quote_ident(current_schema())::regnamespace AND NOT tgisinternal
"""


TIMES = ("applied_at", "logged_at", "seconds")


def dump(target: Target) -> dict[str, list[Any]]:
    """Give everything in a database: the schema as written, and the rows of every table without times."""
    with raw(target) as connection:
        return contents(connection)


def _contents_of_a_schema(connection: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {"schema": connection.execute(_SCHEMA).fetchall()}
    for (name,) in connection.execute(_TABLES).fetchall():
        table = connection.execute(f'SELECT * FROM "{name}"')
        kept = [number for number, column in enumerate(table.description) if column.name not in TIMES]
        found[name] = sorted((tuple(row[number] for number in kept) for row in table.fetchall()), key=repr)
    return found


_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1"
_SCHEMA = """
SELECT 'column' AS kind, attrelid::regclass::text || '.' || attname AS name,
  format_type(atttypid, atttypmod) || ' ' || attnotnull || ' ' || coalesce(pg_get_expr(adbin, adrelid), '')
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind IN ('r', 'v')
  AND attnum > 0 AND NOT attisdropped
UNION ALL SELECT 'rule', conrelid::regclass::text || '.' || conname, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = quote_ident(current_schema())::regnamespace AND contype <> 'n'
UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()
UNION ALL SELECT 'trigger', tgname, pg_get_triggerdef(pg_trigger.oid)
FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
WHERE relnamespace = quote_ident(current_schema())::regnamespace AND NOT tgisinternal
UNION ALL SELECT 'function', proname, pg_get_functiondef(oid) FROM pg_proc
WHERE pronamespace = quote_ident(current_schema())::regnamespace AND prokind = 'f'
ORDER BY 1, 2
"""


def dump_without(target: Target, tables: Collection[str]) -> dict[str, list[Any]]:
    """Give everything except some tables with their columns, rules and indexes; the name of a schema is left out."""
    of_them = re.compile(rf"(idx_)?({'|'.join(tables)})(_|\.|$)")
    found = dump(target)
    schema = [row for row in found.pop("schema") if row[2] not in tables and not of_them.match(row[1])]
    if isinstance(target, str):
        schema = [tuple(text.replace(f"{schema_of(target)}.", "") for text in row) for row in schema]
    return {"schema": schema, **{name: rest for name, rest in found.items() if name not in tables}}


def dump_without_log(path: Path) -> dict[str, list[Any]]:
    """Give everything except the log, letter by letter."""
    found = dump(path)
    del found["schema_migration_log"]
    found["schema"] = [row for row in found["schema"] if row[1] != "schema_migration_log"]
    found["sqlite_sequence"] = [row for row in found["sqlite_sequence"] if row[0] != "schema_migration_log"]
    return found


def contents(connection: Any) -> dict[str, list[Any]]:
    """Give the same as a connection sees it."""
    if not isinstance(connection, sqlite3.Connection):
        return _contents_of_a_schema(connection)
    schema = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name").fetchall()
    found = {"schema": schema}
    for kind, name, *_ in schema:
        if kind == "table":
            columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{name}")')]
            kept = ", ".join(f'"{column}"' for column in columns if column not in TIMES)
            found[name] = sorted(connection.execute(f'SELECT {kept} FROM "{name}"').fetchall(), key=repr)
    return found


def files_of(directory: Path) -> dict[str, bytes]:
    """Give every file below a directory, byte by byte, without Python's caches."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


PAGE = 4096


def fill(path: Path, count: int = 3000, *, mode: str = "wal", page: int = PAGE) -> Path:
    """Make a database of about 250 pages with a table and its index."""
    with raw(path) as connection:
        connection.execute(f"PRAGMA page_size = {page}")
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, body TEXT NOT NULL)")
        connection.execute("CREATE INDEX item_body ON item (body)")
        add(connection, count)
        connection.execute("COMMIT")
    return path


def add(connection: sqlite3.Connection, count: int) -> None:
    """Add rows of 150 bytes, in one statement."""
    connection.execute(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?) "
        "INSERT INTO item (body) SELECT printf('%06d', n) || replace(hex(zeroblob(72)), '0', 'x') FROM n WHERE ?",
        (count, count),
    )


def overwrite(path: Path, start: int, data: bytes) -> None:
    """Damage a file in place."""
    with path.open("r+b") as file:
        file.seek(start)
        file.write(data)
