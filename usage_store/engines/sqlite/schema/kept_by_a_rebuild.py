"""Save what DROP TABLE deletes together with a table, and put it back on the new table.

DROP TABLE also deletes indexes, triggers, the AUTOINCREMENT counter and ANALYZE's statistics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from usage_store.engines.sqlite.schema import sql_tokens
from usage_store.engines.sqlite.schema.table_definition import stored_table
from usage_store.errors import ChangeRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    import peewee


@dataclass(frozen=True, slots=True)
class Belongings:
    """What belongs to a table, and the rest of the schema.

    `objects` has the SQL of every other object, by schema, type and name. `counter` is the AUTOINCREMENT counter.
    `statistics` are the rows of ANALYZE, each with the name of its statistics table. `own_indexes` gives the columns of
    each index that SQLite made itself for a PRIMARY KEY or UNIQUE; such an index has no SQL.
    """

    objects: Mapping[tuple[str, str, str], str]
    counter: int | None
    statistics: tuple[tuple[str, tuple[Any, ...]], ...]
    own_indexes: Mapping[str, str]


def read_belongings(database: peewee.SqliteDatabase, table: str) -> Belongings:
    """Read what belongs to a table, and the rest of the schema, which must not change. Reads only."""
    return Belongings(
        _objects(database, table),
        _counter(database, table),
        _statistics(database, table),
        _own_indexes(database, table),
    )


def put_back(database: peewee.SqliteDatabase, table: str, before: Belongings) -> None:
    """Make again what DROP TABLE deleted.

    Raises ChangeRefused if the schema would differ from the one before. Raises peewee's errors where an index or a
    trigger does not fit the new table or its rows.
    """
    left = _objects(database, table)
    for (schema, kind, name), sql in before.objects.items():
        if (schema, kind, name) not in left:
            # The stored text of a temporary trigger says CREATE TRIGGER, like that of any other trigger.
            database.execute_sql(sql if schema == "main" else sql.replace("CREATE", "CREATE TEMP", 1))
    if _objects(database, table) != before.objects:
        raise ChangeRefused(f"{table}: the rebuild would change another object of the schema")
    if before.counter is not None and _counts(database, table):
        database.execute_sql("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
        database.execute_sql("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, before.counter))
    numbered_anew = {columns: name for name, columns in _own_indexes(database, table).items()}
    for figures, (name, index, *rest) in before.statistics:
        own = before.own_indexes.get(index)
        if own is None or own in numbered_anew:
            places = ", ".join("?" * (2 + len(rest)))
            row = (name, index if own is None else numbered_anew[own], *rest)
            database.execute_sql(f"INSERT INTO {figures} VALUES ({places})", row)  # noqa: S608
    if before.statistics:
        database.execute_sql("ANALYZE sqlite_master")  # makes SQLite read the statistics again; it computes none


def _objects(database: peewee.SqliteDatabase, table: str) -> dict[tuple[str, str, str], str]:
    rows = database.execute_sql(
        "SELECT 'main', type, name, sql, rowid FROM sqlite_master "
        "WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite^_%' ESCAPE '^' AND (type <> 'table' OR name <> ?) "
        "UNION ALL SELECT 'temp', type, name, sql, rowid FROM sqlite_temp_master WHERE sql IS NOT NULL ORDER BY 1, 5",
        (table,),
    ).fetchall()
    return {(schema, kind, name): sql for schema, kind, name, sql, _ in rows}


def _counts(database: peewee.SqliteDatabase, table: str) -> bool:
    return any(token.says("autoincrement") for token in sql_tokens.tokens(stored_table(database, table).sql))


def _counter(database: peewee.SqliteDatabase, table: str) -> int | None:
    if not _counts(database, table):
        return None
    row = database.execute_sql("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return row[0] if row else None


def _statistics(database: peewee.SqliteDatabase, table: str) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    there = database.execute_sql(
        "SELECT name FROM sqlite_master WHERE name IN ('sqlite_stat1', 'sqlite_stat4') AND type = 'table'"
    ).fetchall()
    return tuple(
        (name, row)
        for (name,) in there
        for row in database.execute_sql(f"SELECT * FROM {name} WHERE tbl = ?", (table,)).fetchall()  # noqa: S608
    )


def _own_indexes(database: peewee.SqliteDatabase, table: str) -> dict[str, str]:
    rows = database.execute_sql(
        "SELECT i.name, group_concat(coalesce(k.name, '')) FROM pragma_index_list(?, 'main') AS i, "
        "pragma_index_info(i.name, 'main') AS k WHERE i.origin <> 'c' GROUP BY i.name",
        (table,),
    ).fetchall()
    return dict(rows)
