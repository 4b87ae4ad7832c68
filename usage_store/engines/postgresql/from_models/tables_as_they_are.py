"""Write the statements that make PostgreSQL's tables as they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from usage_store.engines.interface.table_changes import Change
from usage_store.engines.postgresql.catalogs.read_objects import SCHEMA, read_objects
from usage_store.engines.postgresql.from_models.read_tables import read_schema
from usage_store.engines.postgresql.from_models.write_changes import added_constraint, alter
from usage_store.engines.postgresql.schema.write_values import named

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import peewee

    from usage_store.engines.interface.schema_objects import SchemaObject
    from usage_store.engines.postgresql.from_models.read_tables import Constraint

_NEEDED = ("type", "sequence", "function")
_RULE = ",\n  CONSTRAINT {} {}"  # how a constraint stands in the DDL of a table


def tables_as_they_are(database: peewee.PostgresqlDatabase, tables: Collection[str]) -> tuple[Change, ...]:
    """Return the changes that make tables as they are, and the types, sequences and functions that they name.

    `tables` are names in lower case; those that are no tables are passed over. Indexes and triggers are made, too.
    Foreign keys are added last, so that the order of the tables does not matter. Reads only.
    """
    ((schema,),) = database.execute_sql("SELECT quote_ident(current_schema())").fetchall()
    every = [each._replace(sql=each.sql.replace(SCHEMA, schema)) for each in read_objects(database)]
    found = [each for each in every if each.table.lower() in tables and each.kind in ("table", "index", "trigger")]
    made = {kind: [each for each in found if each.kind == kind] for kind in ("table", "index", "trigger")}
    if not made["table"]:
        return ()
    references = list(_references(database, [each.table for each in made["table"]]))
    return (
        *map(_made, _named_in(found, [each for each in every if each.kind in _NEEDED])),
        *(_made(each._replace(sql=_without(each, references))) for each in made["table"]),
        *(
            Change((added_constraint(table, name, rule),), (alter(table, f"DROP CONSTRAINT {named(name)}"),))
            for table, name, rule in references
        ),
        *(Change((_sql(each.sql),)) for each in (*made["index"], *made["trigger"])),  # they go with their table
    )


def _references(database: peewee.PostgresqlDatabase, tables: Sequence[str]) -> Iterator[tuple[str, str, Constraint]]:
    """Yield the foreign keys of some tables: table, name and rule, which new tables need not keep NOT VALID."""
    for table in read_schema(database, tables).tables.values():
        for name, rule in table.constraints.items():
            if rule.kind == "f":
                yield table.name, name, rule._replace(sql=rule.sql.removesuffix(" NOT VALID"))


def _without(table: SchemaObject, references: Sequence[tuple[str, str, Constraint]]) -> str:
    """Return the DDL of a table without its foreign keys."""
    sql = table.sql
    for owner, name, rule in references:
        if owner == table.table:
            for spelled in (name, f'"{name}"'):
                sql = sql.replace(_RULE.format(spelled, rule.sql), "")
    return sql


def _named_in(objects: Sequence[SchemaObject], others: Sequence[SchemaObject]) -> list[SchemaObject]:
    """Return those of `others` whose names stand in the DDL of some objects, or of each other."""
    texts = [each.sql for each in objects]
    needed: list[SchemaObject] = []
    while found := [each for each in others if each not in needed and any(_names(each, text) for text in texts)]:
        needed += found
        texts = [each.sql for each in found]
    return [each for each in others if each in needed]


def _names(each: SchemaObject, text: str) -> bool:
    name = each.table.partition("(")[0].strip('"')
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


def _made(each: SchemaObject) -> Change:
    name = each.name if each.kind != "table" else named(each.table)
    return Change((_sql(each.sql),), (f"DROP {each.kind.upper()} {name}",))


def _sql(text: str) -> str:
    return text.replace("%", "%%")
