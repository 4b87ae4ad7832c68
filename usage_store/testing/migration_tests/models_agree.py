"""Compare the models of a project with the tables that its migrations make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.migrate.from_models.load_models import load_models
from usage_store.testing.migration_tests.advice import used_another_database
from usage_store.testing.migration_tests.databases.fault import Fault, fault_if_it_fails
from usage_store.testing.migration_tests.databases.places import copy_place
from usage_store.testing.migration_tests.databases.versions import opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from usage_store.engines.interface.table_changes import Change
    from usage_store.testing.migration_tests.databases.versions import Versions


def compare_with_models(versions: Versions, spec: str, folder: Path) -> None:
    """Compare the newest version with the models of `module` or `module:name`.

    Raises Fault, with the SQL that is missing, and NotMade.
    """
    path = folder / "test.db"
    copy_place(versions.tested, versions.after(versions.files[-1]), path)
    with (
        opened(versions.tested, path) as runner,
        fault_if_it_fails(f"{spec}: the models cannot be compared with the tables", _why_not),
    ):
        engine, database = runner.records.engine, runner.database
        found = load_models(spec)
        catalog = engine.schema.read_catalog(database)
        models, _ = found.in_use({*catalog.tables, *catalog.others})
        changes = engine.from_models.model_changes(database, models, {})
    lines = [line for change in changes for line in _lines(change)]
    if lines:
        raise Fault(
            f"{spec}: the models do not agree with the tables after {versions.files[-1].file_name}; this is missing:",
            lines,
            f"Write it as a migration: usage-store migrate create NAME --from {spec}, on a database with all "
            "migrations. Or change the models.",
        )


def _lines(change: Change) -> Iterator[str]:
    for step in change.up:
        text = step if isinstance(step, str) else f"-- rebuild {step.table} as\n{step.sql}"
        yield from f"{text};".splitlines()
    yield from (f"-- TODO {line}" for line in change.todo)


def _why_not(error: BaseException) -> str:
    if used_another_database(error):
        return "Do not connect to a database while the module is imported. Connect in a function."
    return 'Name the models that have tables: models = "package.module" or "package.module:NAME".'
