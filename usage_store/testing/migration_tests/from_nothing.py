"""Run all migrations on an empty database, up to the newest and back to nothing."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from usage_store.errors import UsageStoreError
from usage_store.testing.migration_tests.advice import why_it_fails
from usage_store.testing.migration_tests.databases.fault import Fault, fault_if_it_fails
from usage_store.testing.migration_tests.databases.places import copy_place
from usage_store.testing.migration_tests.databases.states import left_by_down, snapshot, states
from usage_store.testing.migration_tests.databases.versions import NotMade, opened
from usage_store.testing.migration_tests.databases.what_is_tested import said_by

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from usage_store.migrate import MigrationRunner
    from usage_store.migrate.files.migration import Migration
    from usage_store.testing.migration_tests.databases.versions import Versions

_MEMORY = "A migration must not depend on what an earlier one left in memory."


def from_nothing_and_back(versions: Versions, works: Callable[[Migration], bool], folder: Path) -> None:
    """Test all migrations without rows of an application.

    `works` tells whether a migration passes its test with rows. A fault of one that does not is left to that test.
    Raises Fault, and NotMade for a migration that fails without rows and with rows.
    """
    try:
        newest = versions.after(versions.files[-1])
    except NotMade as error:
        if not works(error.migration):
            raise
        wrong = f"{error.migration.file_name}: up fails on tables without rows, so nobody can make a new database"
        raise Fault(wrong, [error.error], why_it_fails(error.error, error.migration, "up")) from error
    _at_once(versions, folder / "at_once.db", newest)
    _back(versions, works, folder / "test.db", newest)


def _at_once(versions: Versions, path: Path, newest: Path) -> None:
    """Run all migrations in one run, as in a new installation."""
    with opened(versions.tested, newest) as one_by_one, opened(versions.tested, path) as runner:
        with fault_if_it_fails("all migrations in one run: they fail, and one by one they do not", lambda _: _MEMORY):
            runner.migrate()
        expected, found = states(snapshot(one_by_one), one_by_one, snapshot(runner), runner)
    if expected.catalog != found.catalog:
        raise Fault("all migrations in one run: they make another schema than one by one", (), _MEMORY)


def _back(versions: Versions, works: Callable[[Migration], bool], path: Path, newest: Path) -> None:
    """Undo one migration after the other. Where one cannot be undone, go on with the version before it."""
    copy_place(versions.tested, newest, path)
    told: set[str] = set()
    with ExitStack() as stack:
        runner = stack.enter_context(opened(versions.tested, path))
        for migration in reversed(versions.files):
            try:
                if _is_undone(versions, runner, migration, told):
                    continue
            except Fault:
                if works(migration):
                    raise
            stack.close()
            copy_place(versions.tested, versions.before(migration), path)
            runner = stack.enter_context(opened(versions.tested, path))


def _is_undone(versions: Versions, runner: MigrationRunner, migration: Migration, told: set[str]) -> bool:
    """Undo one migration. Returns False if it has no `down` that can be run. Raises Fault."""
    try:
        said = said_by(migration)
    except UsageStoreError:
        return False
    if not said.has_down:
        return False
    with fault_if_it_fails(
        f"{migration.file_name}: down fails on the way back from the newest version, on tables without rows",
        lambda _: "Make `down` work on tables without rows, too.",
    ):
        runner.rollback(versions.version_before(migration))
    with opened(versions.tested, versions.before(migration)) as earlier:
        left = left_by_down(*states(snapshot(earlier), earlier, snapshot(runner), runner), said)
    lines = [line for line in left if line not in told]
    told.update(lines)
    if lines:
        raise Fault(
            f"{migration.file_name}: down does not bring back what was there before up",
            lines,
            "Make `down` undo all that `up` does, also after newer migrations have run and were undone.",
        )
    return True
