"""An empty copy of a schema, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import peewee

if TYPE_CHECKING:
    from collections.abc import Callable


def empty_copy(
    database: peewee.SqliteDatabase, wanted: Callable[[str, str], bool] = lambda _kind, _name: True
) -> peewee.SqliteDatabase:
    """Make a database in memory with the wanted objects, by kind and name, and no rows."""
    rows = database.execute_sql(
        "SELECT m.type, m.name, m.sql FROM sqlite_master AS m LEFT JOIN pragma_table_list AS l "
        "ON l.schema = 'main' AND l.name = m.name WHERE m.sql IS NOT NULL AND m.name NOT LIKE 'sqlite^_%' ESCAPE '^' "
        "AND coalesce(l.type, '') <> 'shadow' "
        "ORDER BY CASE m.type WHEN 'table' THEN 0 WHEN 'view' THEN 2 WHEN 'trigger' THEN 3 ELSE 1 END, m.rowid"
    ).fetchall()
    scratch = peewee.SqliteDatabase(":memory:")
    scratch.connect()
    for kind, name, sql in rows:
        if wanted(kind, name):
            scratch.execute_sql(sql)
    return scratch
