"""List the objects of the schema that a connection works in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from usage_store.engines.interface.schema_objects import SchemaObject, quoted, text_literal
from usage_store.engines.postgresql.catalogs.object_queries import OBJECTS, SETTINGS
from usage_store.engines.postgresql.catalogs.view_texts import without_prefixes
from usage_store.engines.postgresql.connection.write_transaction import in_transaction

if TYPE_CHECKING:
    from collections.abc import Sequence

    import peewee

_PREFIXES_END = 160_000  # from version 16 on, a view of one table names its columns without the table
_PATH = re.compile(r"(?m)^ SET search_path TO .*$")
SCHEMA = "@schema@"  # stands in the DDL of a function for the name of its schema


def read_objects(database: peewee.PostgresqlDatabase) -> list[SchemaObject]:
    """List the objects of the first schema of the search path, in an order in which they can be made. Reads only.

    Left out are temporary objects, objects of extensions, indexes that are not valid, and what belongs to something
    else in the list: indexes of constraints, sequences of columns, indexes and triggers that partitions have from their
    table. Aggregates, operators and other rare kinds are left out, too.
    """
    return [each for _, each in read_with_relations(database)]


def read_with_relations(database: peewee.PostgresqlDatabase) -> list[tuple[int | None, SchemaObject]]:
    """List the same objects, each with the number of the relation that it is or belongs to, if any. Reads only."""
    return objects_of(_rows(database))


def objects_of(rows: Sequence[Sequence[Any]]) -> list[tuple[int | None, SchemaObject]]:
    """Return the objects that rows of the query describe, each with the number of its relation."""
    return [(relation, _object(*row)) for _, _, relation, *row in rows if row[-1] is not None]


def spelled(name: str) -> str:
    """Return a name as an object's name spells it: in double quotes if it has capital letters."""
    return name if name == name.lower() else quoted(name)


def _rows(database: peewee.PostgresqlDatabase) -> Sequence[Sequence[Any]]:
    if not in_transaction(database):
        return _last_result(database.execute_sql(f"{SETTINGS};{OBJECTS}"))
    database.execute_sql("SAVEPOINT usage_store_reads")
    found = _last_result(database.execute_sql(f"{SETTINGS};{OBJECTS}"))
    database.execute_sql("ROLLBACK TO SAVEPOINT usage_store_reads; RELEASE SAVEPOINT usage_store_reads")
    return found


def _last_result(cursor: Any) -> Sequence[Sequence[Any]]:
    while cursor.description[0][0] == "set_config":  # psycopg 3 begins with the first result, psycopg2 with the last
        cursor.nextset()
    return cursor.fetchall()  # type: ignore[no-any-return]


def _object(kind: str, name: str, ending: str, table: str, beside: str, sql: str) -> SchemaObject:
    if kind == "trigger":
        return SchemaObject(kind, f"{spelled(name)}{ending}{spelled(table)}", table, sql)
    if kind in ("function", "procedure"):
        name = f"{spelled(name)}{ending}"
        return SchemaObject(kind, name, name, _without_schema(sql, beside))
    if kind == "view" and int(beside) < _PREFIXES_END:
        sql = without_prefixes(sql)
    return SchemaObject(kind, spelled(name), table, sql)


def _without_schema(sql: str, schema: str) -> str:
    """Put `SCHEMA` in the place of a schema in its function: in a fixed search path, and before names in the body."""
    literal = text_literal(schema)
    sql = _PATH.sub(lambda found: found[0].replace(literal, f"'{SCHEMA}'"), sql, count=1)
    names = {schema, quoted(schema)} if schema.isidentifier() else {quoted(schema)}
    names |= {name.replace("'", "''") for name in names}  # in a string
    before_a_name = "|".join(map(re.escape, sorted(names, reverse=True)))
    return re.sub(rf'(?<![\w".])(?:{before_a_name})\.(?=[\w"])', f"{SCHEMA}.", sql)
