"""Make database files with a schema, and look at the rows that were made up for them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import peewee

from usage_store.testing import fill

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def with_schema(path: Path, schema: str, *, foreign_keys: bool = True) -> Iterator[peewee.SqliteDatabase]:
    """Open a new database with the tables of a script."""
    database = peewee.SqliteDatabase(str(path), pragmas={"foreign_keys": int(foreign_keys), "synchronous": 0})
    database.register_collation(_unicase, "unicase")
    with database.connection_context():
        database.connection().executescript(f"BEGIN; {schema}\n; COMMIT")
        yield database


def _unicase(one: str, other: str) -> int:
    """Compare without the case of letters, as the collation of an application."""
    return (one.lower() > other.lower()) - (one.lower() < other.lower())


def filled_rows(path: Path, schema: str, table: str, count: int = 3, **options: Any) -> list[tuple[Any, ...]]:
    """Fill a new database, check it, and return the rows of one table in the order in which they were added."""
    with with_schema(path, schema) as database:
        fill(database, count, **options)
        return checked(database, table)


def checked(database: peewee.SqliteDatabase, table: str) -> list[tuple[Any, ...]]:
    """Return the rows of a table, after SQLite's own check of all rules and foreign keys."""
    assert database.execute_sql("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert database.execute_sql("PRAGMA foreign_key_check").fetchall() == []
    rows: list[tuple[Any, ...]] = database.execute_sql(f"SELECT * FROM {table}").fetchall()
    return rows
