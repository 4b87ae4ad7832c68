"""Compare Peewee models with a live PostgreSQL schema: first the renames, then each table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.engines.interface.table_changes import Change
from usage_store.engines.postgresql.from_models.read_tables import read_schema
from usage_store.engines.postgresql.from_models.renames import renamed
from usage_store.engines.postgresql.from_models.table_from_model import TableDiff
from usage_store.engines.postgresql.from_models.tables_of_models import wanted_tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import peewee


def model_changes(
    database: peewee.PostgresqlDatabase, models: Sequence[type[peewee.Model]], renames: Mapping[str, str]
) -> tuple[Change, ...]:
    """Return the changes that turn the database's tables into the models' tables, parents before children.

    Only the current schema is compared, and tables without a model are left alone. The tables of the models are made as
    temporary tables in a transaction that is rolled back, so nothing is changed. Raises ConfigurationError if the
    server refuses the table of a model, and for a rename whose names do not match.
    """
    wanted = wanted_tables(database, models)
    live, changes = renamed(database, read_schema(database), wanted.schema, renames)
    for name in wanted.fields:
        compared = TableDiff(name, live, wanted, database)
        found = tuple(compared.changes())
        changes += found
        if any(change != Change() for change in found):
            changes.append(Change(differences=compared.differences()))
    return tuple(change for change in changes if change != Change())
