"""Write the statements that add a column and give all rows a value, without writing any row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import peewee

from usage_store.engines.interface.models_and_tables import default_value
from usage_store.engines.postgresql.schema.write_values import literal_of, named, sql_of, with_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playhouse.migrate import PostgresqlMigrator


def add_column_statements(
    migrator: PostgresqlMigrator, path: str, field: peewee.Field, *, allow_not_null: bool
) -> Iterator[str]:
    """Yield the statements that add a field's column to a table. `path` is the table in SQL.

    Unless `allow_not_null`, a NOT NULL column gets the field's default in the rows that are there, and no default for
    new rows.
    """
    database = migrator.database
    name = named(field.column_name)
    if field.null or allow_not_null:
        yield f"ALTER TABLE {path} ADD COLUMN {_definition(migrator, field)}"
        return
    value = literal_of(database, default_value(field, database)).replace("%", "%%")
    if _has_default(database, field):  # it is for new rows only
        field.null = True
        yield f"ALTER TABLE {path} ADD COLUMN {_definition(migrator, field)}"
        field.null = False
        yield f"UPDATE {path} SET {name} = {value}"  # noqa: S608
        yield f"ALTER TABLE {path} ALTER COLUMN {name} SET NOT NULL"
        return
    # The server keeps a constant default for the old rows beside the table, so it writes none of them.
    yield f"ALTER TABLE {path} ADD COLUMN {_definition(migrator, field)} DEFAULT {value}"
    yield f"ALTER TABLE {path} ALTER COLUMN {name} DROP DEFAULT"


def _has_default(database: peewee.PostgresqlDatabase, field: peewee.Field) -> bool:
    constraints = [sql_of(database, each) for each in field.constraints or ()]
    return any("default" in text.lower() or "generated" in text.lower() for text in constraints)


def _definition(migrator: PostgresqlMigrator, field: peewee.Field) -> str:
    """Write a field as a column definition, with its foreign key."""
    context = migrator.make_context()
    context.sql(field.ddl(context))
    if isinstance(field, peewee.ForeignKeyField):
        if field.constraint_name:
            context.literal(f" CONSTRAINT {named(field.constraint_name)}")
        migrator.add_inline_fk_sql(context, field)
        if field.deferrable:
            context.literal(f" DEFERRABLE {field.deferrable}")
    return with_values(migrator.database, *context.query())
