"""What a schema holds at one moment: its objects by name, and which of its tables hold rows to lose."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from usage_store.engines.sqlite.connection.driver import driver_errors
from usage_store.engines.sqlite.schema.sql_tokens import fold, quoted

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Mapping

_VIRTUAL = "CREATE VIRTUAL TABLE "  # SQLite writes these words itself
_FULL_TEXT = re.compile(r"\bUSING\s+[\"'`\[]?fts", re.IGNORECASE)


class Object(NamedTuple):
    """An object as sqlite_master has it; `row` is its rowid there, which a renaming keeps."""

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
    """Every object by its folded name, but for SQLite's own.

    `tables` are those that may hold rows to lose, `rowless` those that do not: shadow tables, whose rows are a virtual
    table's to arrange, and full-text indexes that keep no text: what counts there as rows is another table's.
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
    """Count the rows of a table; None for a virtual one whose module cannot tell. Reads only."""
    try:
        count: int = connection.execute(f"SELECT count(*) FROM main.{quoted(table.name)}").fetchone()[0]  # noqa: S608
    except driver_errors():
        if table.is_virtual:
            return None
        raise
    return count
