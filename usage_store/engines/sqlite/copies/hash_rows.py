"""Read the whole content of a database, schema and rows, so that two states can be compared."""

from __future__ import annotations

import hashlib
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import peewee

from usage_store.engines.interface.schema_differences import Catalog, State
from usage_store.engines.sqlite.connection.lacking_functions import HINT, is_lacking
from usage_store.engines.sqlite.migrating.objects_of_a_schema import read_schema
from usage_store.engines.sqlite.schema.read_whole_schema import read_catalog
from usage_store.engines.sqlite.schema.sql_tokens import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

logger = logging.getLogger("usage_store.migrate")


def read_state(database: peewee.SqliteDatabase, ignore: Collection[str], *, only_rows: bool = False) -> State:
    """Read the schema and the hashed rows of a database, without the tables in `ignore` (lower case). Reads only.

    With `only_rows`, the schema is left out, because reading it takes most of the time where there are few rows. It
    takes about five seconds per million rows. Rows are compared by their values. The order of rows and of columns
    does not matter, and neither do rowids that no column names. Left out are the internal (shadow) tables of virtual
    tables, and full-text indexes that store no text of their own: what they store depends on their history.
    """
    with _any_text(database):
        return _read(database, ignore, only_rows=only_rows)


def read_rows(database: peewee.SqliteDatabase, table: str) -> list[dict[str, Any]]:
    """Return all rows of a table by the names of their columns, without virtual columns. Reads only.

    In a text that is not UTF-8, each invalid byte is a lone surrogate.
    """
    with _any_text(database):
        names, rows = _stored(database, table)
        return [dict(zip(names, row, strict=True)) for row in rows]


@contextmanager
def _any_text(database: peewee.SqliteDatabase) -> Iterator[None]:
    """Read texts that are not UTF-8 too, in the block. Their invalid bytes become lone surrogates, as in repr()."""
    connection = database.connection()
    as_it_was = connection.text_factory
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    try:
        yield
    finally:
        connection.text_factory = as_it_was


def _read(database: peewee.SqliteDatabase, ignore: Collection[str], *, only_rows: bool) -> State:
    tables = [each for each in read_schema(database.connection()).tables.values() if each.name.lower() not in ignore]
    rows = {}
    for table in tables:
        try:
            rows[table.name] = _hash_rows(database, table.name)
        except peewee.DatabaseError as error:
            if not is_lacking(error) and not table.is_virtual:
                raise
            hint = f"; {HINT}" if is_lacking(error) else ""
            logger.warning("the rows of %s were not compared: %s%s", table.name, error, hint)
    catalog = Catalog({}, {}) if only_rows else _without(ignore, read_catalog(database))
    return State(catalog, rows, _counters(database, rows))


def _without(ignore: Collection[str], catalog: Catalog) -> Catalog:
    return Catalog(
        {name: table for name, table in catalog.tables.items() if name not in ignore},
        {name: other for name, other in catalog.others.items() if other[1] not in ignore},
        catalog.strings,
    )


def _stored(database: peewee.SqliteDatabase, table: str) -> tuple[list[str], Any]:
    """Return the names of the columns that are stored, and the rows."""
    # A virtual column (2) is computed from others, perhaps by a function that this connection lacks. A hidden column
    # (1) is an argument of a virtual table.
    sql = "SELECT name FROM pragma_table_xinfo(?) WHERE hidden NOT IN (1, 2) ORDER BY lower(name)"
    names = [name for (name,) in database.execute_sql(sql, (table,)).fetchall()]
    listed = ", ".join(quoted(name) for name in names)
    return names, database.execute_sql(f"SELECT {listed} FROM {quoted(table)}")  # noqa: S608


def _hash_rows(database: peewee.SqliteDatabase, table: str) -> tuple[int, int]:
    count = total = 0
    for row in _stored(database, table)[1]:
        count += 1
        total += int.from_bytes(hashlib.blake2b(repr(row).encode(), digest_size=16).digest(), "big")
    return count, total


def _counters(database: peewee.SqliteDatabase, tables: Collection[str]) -> dict[str, int]:
    if not database.execute_sql("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchone():
        return {}
    # A statement of somebody else may have left NULL there, which is like no row.
    rows = database.execute_sql("SELECT name, seq FROM sqlite_sequence WHERE seq IS NOT NULL").fetchall()
    return {name: seq for name, seq in rows if name in tables}
