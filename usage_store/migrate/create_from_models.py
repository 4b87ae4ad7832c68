"""Write migrations from the difference between Peewee models and a live SQLite database.

playhouse.schema_diff does not look at types, NULL, defaults, CHECKs and foreign-key actions, and knows partial and
expression indexes by name alone; so peewee makes the models' tables in memory, and the two catalogs are compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from usage_store.engines import connected, engine_of, inner
from usage_store.errors import ConfigurationError
from usage_store.migrate.files import new_file
from usage_store.migrate.from_models.write_source import source_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import peewee


@dataclass(frozen=True, slots=True)
class Generated:
    """A migration that is not in a file yet.

    `source` is what follows the docstring in its file, `todo` what it could not write, a line each. Without a source
    there is nothing to run: the database has what the models say, or only a person can write what differs.
    """

    source: str = ""
    todo: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether the database has what the models say."""
        return not self.source and not self.todo


def generate(
    database: peewee.Database | peewee.DatabaseProxy,
    models: Sequence[type[peewee.Model]],
    *,
    renames: Mapping[str, str] | None = None,
) -> Generated:
    """Write the migration that gives a connected database the tables of the models. Reads only.

    `renames` maps an old table to its new name, and "table.old" to a column's new name. Only the models' tables are
    looked at, with their indexes; triggers and views stay. The source runs SQL and rebuilds tables, up and down, and
    imports nothing. Raises ConfigurationError for models that SQLite refuses, that share a table or refer to a model
    that was not loaded, and for renames that do not fit.
    """
    with connected(inner(database)):
        changes = engine_of(database).from_models.model_changes(inner(database), models, renames or {})
    todo = tuple(line for change in changes for line in change.todo)
    runs = any(change.up for change in changes)
    return Generated(source_of(changes, todo) if runs else "", todo)


def write(directory: Path, title: str, generated: Generated) -> Path:
    """Write a generated migration under the next number and return its path; make the directory if need be.

    Raises as `new_file.create`, and ConfigurationError where there is nothing to run.
    """
    if not generated.source:
        raise ConfigurationError("nothing was written: there is nothing that a migration could run")
    return new_file.create(directory, title, generated.source)
