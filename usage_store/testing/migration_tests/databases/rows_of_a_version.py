"""Fill the database of a version with rows, so that the next migration meets them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from usage_store.engines.interface.schema_objects import quoted
from usage_store.errors import CannotFill
from usage_store.testing.fill_tables import fill
from usage_store.testing.migration_tests.databases.fault import Fault
from usage_store.testing.migration_tests.databases.places import copy_place
from usage_store.testing.migration_tests.databases.versions import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import peewee

    from usage_store.migrate.files.migration import Migration
    from usage_store.testing.migration_tests.databases.versions import Versions


class Filling(NamedTuple):
    """How the tables are filled: the rows per table, values for columns, and rows that the project writes itself.

    `values` is what `fill` takes; here it may also name tables and columns that a version does not have.
    """

    rows: int
    values: Mapping[str, Any]
    own_rows: Callable[[int, peewee.Database], object] | None


def with_rows(versions: Versions, migration: Migration, filling: Filling, path: Path) -> None:
    """Write the version before a migration to a file, with rows in every table.

    A table that cannot be filled is left without rows if the migration before could not be tested with it either, so
    that it is named once. Raises Fault, and NotMade.
    """
    refused = _write(versions, migration, filling, path)
    index = versions.files.index(migration)
    if refused and index:
        earlier = _write(versions, versions.files[index - 1], filling, path.with_suffix(".earlier"))
        named = {error.table for error in earlier}
        refused = [error for error in refused if error.table not in named]
    if refused:
        raise Fault(
            f"{migration.file_name}: a table cannot be filled with rows before it runs",
            refused[:1],
            'Give values of the column in the test class: fill_values = {"table.column": [...]}, or write rows of that '
            "table yourself: def migration_rows(version, database).",
        )


def _write(versions: Versions, migration: Migration, filling: Filling, path: Path) -> list[CannotFill]:
    """Return why tables could not be filled."""
    copy_place(versions.tested, versions.before(migration), path)
    with opened(versions.tested, path) as runner:
        database = runner.database
        if filling.own_rows is not None:
            _write_own(filling.own_rows, versions.version_before(migration), database)
        own = {name.lower() for name in runner.records.tables()}
        tables = [name for name in runner.records.engine.filling.fillable_tables(database) if name.lower() not in own]
        refused = _fill(database, tables, filling)
        runner.records.engine.copies.raise_counters(database)
        return refused


def _write_own(own_rows: Callable[[int, peewee.Database], object], version: int, database: peewee.Database) -> None:
    try:
        with database.atomic():
            own_rows(version, database)
    except Exception as error:
        raise Fault(
            f"migration_rows({version}, database) fails",
            [f"{type(error).__name__}: {error}"],
            f"Write rows into the tables as they are at version {version}.",
        ) from error


def _fill(database: peewee.Database, tables: list[str], filling: Filling) -> list[CannotFill]:
    refused: list[CannotFill] = []
    values = _known(database, filling.values) if filling.values else {}
    while tables:
        try:
            fill(database, filling.rows, values, tables=tables)
            break
        except CannotFill as error:
            left = [name for name in tables if name.lower() != str(error.table).lower()]
            if left == tables:
                raise
            if not _has_rows(database, error.table):
                refused.append(error)
            tables, values = left, {key: value for key, value in values.items() if not _is_of(key, error.table)}
    return refused


def _known(database: peewee.Database, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values for tables and columns that exist."""
    there = {table.lower(): table for table in database.get_tables()}
    columns = {name: {column.name.lower() for column in database.get_columns(table)} for name, table in there.items()}
    split = {key: key.lower().partition(".") for key in values}
    return {key: values[key] for key, (table, _, column) in split.items() if column in columns.get(table, ())}


def _is_of(key: str, table: str) -> bool:
    return key.lower().startswith(f"{table.lower()}.")


def _has_rows(database: peewee.Database, table: str) -> bool:
    return database.execute_sql(f"SELECT 1 FROM {quoted(table)} LIMIT 1").fetchone() is not None  # noqa: S608
