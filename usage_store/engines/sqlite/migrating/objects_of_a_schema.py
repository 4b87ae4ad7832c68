"""Read the objects of a schema by name, and find the tables that can lose rows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from usage_store.engines.sqlite.connection.driver import driver_errors
from usage_store.engines.sqlite.schema.sql_tokens import fold, quoted

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Mapping

_VIRTUAL = "CREATE VIRTUAL TABLE "  # SQLite stores the statement with exactly these words
_FULL_TEXT = re.compile(r"\bUSING\s+[\"'`\[]?fts", re.IGNORECASE)


class Object(NamedTuple):
    """A row of sqlite_master. `row` is its rowid there, which stays the same if the object is renamed."""

    name: str
    kind: str
    table: str
    sql: str | None
    row: int

    @property
    def is_virtual(self) -> bool:
        """Whether it is a virtual table."""
        return self.sql is not None and self.sql.startswith(_VIRTUAL)


@dataclass(frozen=True, slots=True)
class Schema:
    """All objects by their folded names, without SQLite's own.

    `tables` are the tables that can lose rows. `rowless` are the others: the internal (shadow) tables of virtual
    tables, and full-text indexes that store no text of their own, because their rows belong to another table.
    """

    objects: Mapping[str, Object]
    tables: Mapping[str, Object]
    rowless: Collection[str]


def read_schema(connection: sqlite3.Connection) -> Schema:
    """Read the schema of the main database. Reads only."""
    rows = connection.execute(
        "SELECT name, type, tbl_name, sql, rowid FROM main.sqlite_master WHERE name NOT LIKE 'sqlite^_%' ESCAPE '^'"
    ).fetchall()
    objects: dict[str, Object] = {}
    for row in rows:
        name = fold(row[0])
        objects[name] = Object(row[0], row[1], name if row[2] == row[0] else fold(row[2]), row[3], row[4])
    rowless: set[str] = set()
    virtual = [(name, each) for name, each in objects.items() if each.kind == "table" and each.is_virtual]
    if virtual:
        shadows = connection.execute("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'")
        rowless.update(fold(row[0]) for row in shadows.fetchall())
        for name, each in virtual:
            if _FULL_TEXT.search(each.sql or "") and f"{name}_content" not in objects:
                rowless.add(name)
    tables = {name: each for name, each in objects.items() if each.kind == "table" and name not in rowless}
    return Schema(objects, tables, rowless)


def count_rows(connection: sqlite3.Connection, table: Object) -> int | None:
    """Count the rows of a table; None for a virtual table whose module cannot count them. Reads only."""
    try:
        count: int = connection.execute(f"SELECT count(*) FROM main.{quoted(table.name)}").fetchone()[0]  # noqa: S608
    except driver_errors():
        if table.is_virtual:
            return None
        raise
    return count
