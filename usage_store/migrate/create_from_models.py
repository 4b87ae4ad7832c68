"""Write a migration from the differences between Peewee models and a database.

Peewee creates the tables of the models where nobody sees them, and the two schemas are compared. playhouse.schema_diff
is not used, because it ignores types, NULL, defaults, CHECKs and foreign-key actions, and compares partial and
expression indexes only by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from usage_store.engines import connected, engine_of, inner
from usage_store.errors import ConfigurationError
from usage_store.migrate.files import new_file
from usage_store.migrate.from_models.write_source import source_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    import peewee


@dataclass(frozen=True, slots=True)
class Generated:
    """A migration that is not written to a file yet.

    `source` is the text of the file after its docstring. `todo` has one line for each difference that only a person
    can write. An empty `source` means that there is nothing to run: the database already matches the models, or all
    differences are in `todo`. `differences` has one line for each way in which the database differs from the models.
    """

    source: str = ""
    todo: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether the database already matches the models."""
        return not self.source and not self.todo


def generate(
    database: peewee.Database | peewee.DatabaseProxy,
    models: Sequence[type[peewee.Model]],
    *,
    renames: Mapping[str, str] | None = None,
) -> Generated:
    """Generate the migration that gives the database the tables of the models. Reads only.

    `renames` maps an old table name to the new one, and "table.column" to the new name of that column. Only the tables
    of the models and their indexes are compared; triggers and views are kept. The generated source executes SQL and
    rebuilds tables, up and down, and imports nothing. Raises ConfigurationError for models that the database refuses,
    for models that share a table or refer to a model that was not loaded, and for wrong renames.
    """
    with connected(inner(database)):
        changes = engine_of(database).from_models.model_changes(inner(database), models, renames or {})
    todo = tuple(line for change in changes for line in change.todo)
    differences = tuple(line for change in changes for line in change.differences)
    runs = any(change.up for change in changes)
    return Generated(source_of(changes, todo) if runs else "", todo, differences)


def generate_as_they_are(database: peewee.Database | peewee.DatabaseProxy, tables: Collection[str]) -> Generated:
    """Generate the migration that makes tables as they are in the database, with indexes and triggers. Reads only.

    `tables` are names in lower case. Names that are no tables are passed over. The source is empty if there is no table
    of these names. This is the first migration of a database that has tables and no migrations.
    """
    with connected(inner(database)):
        changes = engine_of(database).from_models.tables_as_they_are(inner(database), tables)
    return Generated(source_of(changes, ()) if changes else "")


def write(directory: Path, title: str, generated: Generated) -> Path:
    """Write a generated migration to a file with the next number, and return the path of the file.

    A missing directory is created. Raises ConfigurationError if there is nothing to run, and as `new_file.create`.
    """
    if not generated.source:
        raise ConfigurationError("nothing was written: the migration would have nothing to run")
    return new_file.create(directory, title, generated.source)
