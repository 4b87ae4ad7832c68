"""Say in plain words what is wrong with a migration, and what helps."""

from __future__ import annotations

import ast
import re
import sys
from typing import TYPE_CHECKING

import peewee

from usage_store.testing.migration_tests.databases.only_inside import OutsideTheTest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from usage_store.migrate.files.migration import Direction, Migration

# What helps, by words of the error.
_HELPS = {
    r"Cannot add a NOT NULL column|NOT NULL constraint failed|is not null but has no default": (
        "Rows that exist have no value for a NOT NULL column. Give the column a DEFAULT, or add it without NOT NULL, "
        "fill it with UPDATE, and make it NOT NULL after that."
    ),
    r"UNIQUE constraint failed": (
        "Rows that exist may have the same value twice. Change or delete all but one of them before the UNIQUE rule is "
        "made, or write default rows with INSERT OR IGNORE."
    ),
    r"CHECK constraint failed": (
        "Rows that exist may break the CHECK. Change these rows with UPDATE before the rule is made."
    ),
    r"error in (view|trigger)": (
        "A view or trigger uses the table. Drop it before the table is changed, and create it again after that."
    ),
    r"foreign key mismatch": (
        "The columns that a foreign key refers to must be the primary key of their table, or UNIQUE together."
    ),
    r"(?i)foreign key|refers? to": (
        "Rows refer to rows that are not there afterwards. Change or delete these rows in the same migration, or keep "
        "the rows that they refer to. Foreign keys are off while a migration runs, so no ON UPDATE and no ON DELETE "
        "changes other tables."
    ),
    r"if that is meant|was lost": "Keep it, or declare the loss as the message says.",
}
_OWN_MODELS = (
    "Write the SQL in the migration, or define the models that it needs in its own file, and use only the database "
    "that `up` is given."
)


def why_it_fails(error: BaseException, migration: Migration, direction: Direction) -> str:
    """Return sentences about what helps if `up` or `down` failed with an error."""
    found = [helps for pattern, helps in _HELPS.items() if re.search(pattern, str(error))][:1]
    found += _about_models(error, migration)
    undoes = " undo what `up` does, and" * (direction == "down")
    usual = f"Correct `{direction}`. It must{undoes} work on tables that have any rows."
    return " ".join(found) or usual


def _about_models(error: BaseException, migration: Migration) -> list[str]:
    modules = sorted(set(_modules_of_models(migration)))
    if not modules and not used_another_database(error):
        return []
    what = f"imports the models ({', '.join(modules)})" if modules else "uses another database"
    return [f"The migration {what}. Models change later, and a migration must not. {_OWN_MODELS}"]


def used_another_database(error: BaseException | None) -> bool:
    """Return whether an error was raised because a database of the project was used."""
    while error is not None and not isinstance(error, OutsideTheTest):
        error = error.__cause__ or error.__context__
    return error is not None


def _modules_of_models(migration: Migration) -> Iterator[str]:
    """Yield the modules that the migration imports and that define models of the application."""
    try:
        tree = ast.parse(migration.read())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        yield from (name for name in names if _defines_models(name))


def _defines_models(name: str) -> bool:
    values = list(vars(sys.modules[name]).values()) if name in sys.modules and name != "peewee" else []
    models = [value for value in values if isinstance(value, type) and issubclass(value, peewee.Model)]
    return any(model.__module__ == name for model in models)
