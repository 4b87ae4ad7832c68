"""Find views, triggers and foreign keys that name what is not there. SQLite says so only when somebody uses them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import peewee

from usage_store.engines import engine_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from usage_store.engines.interface.schema_objects import SchemaObject

_OF_THE_CONNECTION = re.compile(r"no such (function|collation sequence|module|tokenizer)|unknown (function|tokenizer)")


def unusable_objects(database: peewee.Database, objects: Mapping[str, SchemaObject]) -> list[str]:
    """Return one line for each view and table that cannot be read or written any more. Reads only.

    Left out is what needs functions that only the application registers. A server keeps track of what an object needs,
    so there is nothing to find on it.
    """
    if engine_of(database).ON_A_SERVER:
        return []
    lines: dict[str, None] = {}
    for what, statement in _statements(database, objects):
        try:
            database.execute_sql(statement).fetchone()
        except peewee.DatabaseError as error:
            if not _OF_THE_CONNECTION.search(str(error)):
                lines.setdefault(f"{what}: {error}")
    return list(lines)


def _statements(database: peewee.Database, objects: Mapping[str, SchemaObject]) -> Iterator[tuple[str, str]]:
    """Yield what cannot be done if a statement fails, and the statement.

    EXPLAIN compiles a statement and its triggers. Only a virtual table is really read, because a full-text index looks
    for the columns of its table only then.
    """
    for each in objects.values():
        quoted = '"' + each.name.replace('"', '""') + '"'
        if each.kind == "view":
            yield f"{each.name} cannot be read", f"EXPLAIN SELECT * FROM {quoted}"  # noqa: S608
        elif each.kind == "table" and each.sql.startswith("CREATE VIRTUAL"):
            yield f"{each.name} cannot be read", f"SELECT * FROM {quoted} LIMIT 1"  # noqa: S608
        elif each.kind == "table":
            columns = [column.name.replace('"', '""') for column in database.get_columns(each.name)]
            nothing = ", ".join(f'"{name}" = NULL' for name in columns)
            insert = f"EXPLAIN INSERT INTO {quoted} DEFAULT VALUES"
            update = f"EXPLAIN UPDATE {quoted} SET {nothing}"  # noqa: S608
            delete = f"EXPLAIN DELETE FROM {quoted}"  # noqa: S608
            for statement in (insert, update, delete):
                yield f"a row of {each.name} cannot be written", statement
