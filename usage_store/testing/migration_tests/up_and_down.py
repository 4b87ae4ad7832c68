"""Run one migration up, down and up again on tables that have rows, and find what it does not keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from usage_store.engines.interface.schema_differences import changed_tables
from usage_store.testing.migration_tests.advice import why_it_fails
from usage_store.testing.migration_tests.databases.fault import Fault, fault_if_it_fails
from usage_store.testing.migration_tests.databases.forgotten_operations import forgotten_operations
from usage_store.testing.migration_tests.databases.places import copy_place
from usage_store.testing.migration_tests.databases.rows_of_a_version import with_rows
from usage_store.testing.migration_tests.databases.states import left_by_down, numbers_of_rows, snapshot, states
from usage_store.testing.migration_tests.databases.unusable_objects import unusable_objects
from usage_store.testing.migration_tests.databases.versions import opened
from usage_store.testing.migration_tests.databases.what_differs import different_rows, other_columns_differ
from usage_store.testing.migration_tests.databases.what_is_tested import said_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from usage_store.engines.interface.schema_differences import State
    from usage_store.migrate import MigrationRunner
    from usage_store.migrate.files.migration import Direction, Migration
    from usage_store.testing.migration_tests.databases.rows_of_a_version import Filling
    from usage_store.testing.migration_tests.databases.states import Snapshot
    from usage_store.testing.migration_tests.databases.versions import Versions
    from usage_store.testing.migration_tests.databases.what_is_tested import Said, Tested

_LOSSY = 'If it is meant, say why in the file: lossy = "the reason".'


class _Case(NamedTuple):
    """A migration that is tested, the version before it, and a file with rows in the tables of that version."""

    tested: Tested
    migration: Migration
    said: Said
    version_before: int
    before: Path


def up_and_down(versions: Versions, migration: Migration, filling: Filling, folder: Path) -> None:
    """Test a migration with rows in every table. Raises Fault, and NotMade if the version before cannot be made."""
    name = migration.file_name
    with fault_if_it_fails(f"{name}: cannot be used", lambda _: "Correct the file."):
        said = said_by(migration)
    if said.irreversible is not None and said.has_down:
        raise Fault(f"{name}: says that it is irreversible, and has a down", (), "Delete one of the two.")
    before, path = folder / "before.db", folder / "test.db"
    with_rows(versions, migration, filling, before)
    copy_place(versions.tested, before, path)
    with opened(versions.tested, path) as runner:
        _run(_Case(versions.tested, migration, said, versions.version_before(migration), before), runner)


def _run(case: _Case, runner: MigrationRunner) -> None:
    migration, name = case.migration, case.migration.file_name
    first = snapshot(runner)
    _go(case, runner, "up")
    up = snapshot(runner)
    _see_that_all_can_be_used(case, runner, first, up)
    if not case.said.has_down:
        if case.said.irreversible is None:
            helps = 'Write down(migrator, db). If that is impossible, say why in the file: irreversible = "why".'
            raise Fault(f"{name}: has no down, so nobody can undo it", (), helps)
        return
    _go(case, runner, "down")
    _compare_with_first(case, runner, first)
    with fault_if_it_fails(
        f"{name}: up fails the second time, after down", lambda _: "Make `down` remove all that `up` made."
    ):
        runner.migrate(migration.version)
    _compare_with_up(case, runner, up)


def _go(case: _Case, runner: MigrationRunner, direction: Direction) -> None:
    """Run `up` or `down`. Raises Fault if it fails, and if it makes operations of the migrator that it does not run."""
    name = case.migration.file_name
    with (
        fault_if_it_fails(
            f"{name}: {direction} fails on tables that have rows",
            lambda error: why_it_fails(error, case.migration, direction),
        ),
        forgotten_operations(name) as forgotten,
    ):
        if direction == "up":
            runner.migrate(case.migration.version)
        else:
            runner.rollback(case.version_before)
    if forgotten:
        raise Fault(
            f"{name}: {direction} makes operations and does not run them, so they change nothing",
            forgotten,
            f"Give them to migrate(): migrator.migrate(migrator.{forgotten[0]}(...)).",
        )


def _see_that_all_can_be_used(case: _Case, runner: MigrationRunner, first: Snapshot, up: Snapshot) -> None:
    """Raise Fault if a table or view could be used before `up` and cannot be used now, or is new and cannot be used."""
    broken = unusable_objects(runner.database, up.objects) if up.objects != first.objects else []
    if broken:
        with opened(case.tested, case.before) as earlier:
            known = unusable_objects(earlier.database, first.objects)
        broken = [line for line in broken if line not in known]
    if broken:
        raise Fault(
            f"{case.migration.file_name}: after up, a table or view cannot be used",
            broken,
            "Views, triggers and foreign keys must name tables and columns that are there. Change or drop in `up` "
            "those that do not.",
        )


def _compare_with_first(case: _Case, runner: MigrationRunner, first: Snapshot) -> None:
    """Raise Fault if `down` did not bring back the state before `up`, with some of the rows that differ."""
    now = snapshot(runner)
    if now == first:
        return
    with opened(case.tested, case.before) as earlier:
        lines = [*left_by_down(*states(first, earlier, now, runner), case.said), *_beside(case.said, earlier, runner)]
        rows = list(_rows(earlier, runner, lines, first.rows, now.rows))
    if lines:
        wrong = f"{case.migration.file_name}: down does not bring back what was there before up"
        raise Fault(wrong, [*lines, *rows], _what_to_write(lines))


def _beside(said: Said, earlier: MigrationRunner, runner: MigrationRunner) -> Iterator[str]:
    """Yield a line for each table that differs in other columns than those that the file declares as lost."""
    if said.lossy is not None:
        return
    lost = {name.lower() for name in said.deletes}
    for table in sorted({name.rpartition(".")[0] for name in lost} - lost - {""}):
        columns = {name.rpartition(".")[2] for name in lost if name.startswith(f"{table}.")}
        if other_columns_differ(earlier.database, runner.database, table, columns):
            yield f"{table}: its rows differ from those before in columns that `deletes` does not name"


def _compare_with_up(case: _Case, runner: MigrationRunner, up: Snapshot) -> None:
    """Raise Fault if `up` after `down` made another schema than the first `up`, or other numbers of rows."""
    now = snapshot(runner)
    old, new = up.rows, now.rows
    if now.objects != up.objects:
        with opened(case.tested, case.before) as once:
            once.migrate(case.migration.version)
            old, new = states(up, once, now, runner)
    lines = left_by_down(numbers_of_rows(old), numbers_of_rows(new), case.said)
    if lines:
        wrong = f"{case.migration.file_name}: up makes something else the second time, after down"
        raise Fault(wrong, lines, "Make `down` undo all that `up` does.")


def _rows(
    earlier: MigrationRunner, runner: MigrationRunner, lines: Iterable[str], before: State, after: State
) -> Iterator[str]:
    """Show some of the rows that differ, of the tables that the lines name."""
    for change in changed_tables(before, after):
        if change.after is not None and any(line.startswith(f"{change.table}: ") for line in lines):
            rows = different_rows(earlier.database, runner.database, change.table)
            yield from (f"{change.table}: {line}" for line in rows)


def _what_to_write(lines: Sequence[str]) -> str:
    if all("left behind" in line for line in lines):
        return "Remove in `down` what `up` makes."
    if all(line.endswith(" is missing") for line in lines):
        return "Make in `down` again what `up` dropped, exactly as it was."
    if any(" rows" in line for line in lines):
        return f"Keep in `up` what `down` needs to write the rows as they were, for example in another table. {_LOSSY}"
    return (
        "Make `down` write back exactly what `up` changed: migrator.migrate(migrator.rebuild_table(...)) keeps all the "
        "rest of a table."
    )
