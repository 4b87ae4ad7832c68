"""Compare models with views and virtual tables.

A migration that is written from models cannot change these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import peewee

from usage_store.engines.sqlite.schema import sql_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROWID = {"rowid", "oid", "_rowid_", "docid"}  # names of the rowid, which no table lists; docid is for full-text tables


def not_as_wanted(scratch: peewee.SqliteDatabase, live: tuple[str, str], wanted: tuple[str, str]) -> Iterator[str]:
    """Say why a model does not match the object that has its table's name. Reads only.

    `live` is the name and the SQL of the object in the database, `wanted` that of the model's table. At least one of
    them is no ordinary table. A model of a virtual table must match it completely. Of any other model, the columns must
    exist in the view or virtual table, since the model only reads and writes them. `scratch` has the schema of the
    database.
    """
    name, sql = live
    if _is_virtual(wanted[1]):
        if _is_virtual(sql) and _arguments(sql) == _arguments(wanted[1]):
            return
        yield f"{name}: is not the virtual table of its model and cannot be changed; write this migration by hand"
        return
    what = "a virtual table" if _is_virtual(sql) else "a view" if _is_view(sql) else "an index"
    there = _columns(scratch, name)
    missing = [column for column in _defined(wanted[1]) if column.lower() not in there]
    if missing:
        yield f"{name}: is {what} without {', '.join(missing)}, which its model has; write this migration by hand"


def _is_virtual(sql: str) -> bool:
    return sql_tokens.tokens(sql)[1].says("virtual")


def _is_view(sql: str) -> bool:
    return sql_tokens.tokens(sql)[1].says("view")


def _arguments(sql: str) -> list[str]:
    """Return the module of a virtual table and its arguments, each in one normal spelling.

    Only the order of the columns matters.
    """
    parts = sql_tokens.tokens(sql)
    using = next(place for place, part in enumerate(parts) if part.says("using"))
    arguments = sql_tokens.split(parts[using + 3 : -1])
    spelled = [[sql_tokens.name_of(part).lower() for part in each] for each in arguments]
    columns = [" ".join(each) for each in spelled if "=" not in each]
    return [parts[using + 1].text.lower(), *columns, *sorted("".join(each) for each in spelled if "=" in each)]


def _columns(scratch: peewee.SqliteDatabase, name: str) -> set[str]:
    try:
        found = scratch.execute_sql("SELECT lower(name) FROM pragma_table_xinfo(?)", (name,)).fetchall()
    except peewee.OperationalError:  # a view of a table or column that does not exist
        return set()
    return {column for (column,) in found} | _ROWID


def _defined(sql: str) -> list[str]:
    return [sql_tokens.name_of(part[0]) for part in sql_tokens.parse_table(sql).columns]
