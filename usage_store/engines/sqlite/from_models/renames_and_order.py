"""Compare Peewee models with a live SQLite database: first the renames, then each table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import peewee

from usage_store.engines.interface.models_and_tables import (
    check_known,
    check_rename,
    rename_column,
    rename_table,
    stored_models,
)
from usage_store.engines.interface.table_changes import Change
from usage_store.engines.sqlite.connection.lacking_functions import HINT
from usage_store.engines.sqlite.connection.second_connection import scratch_like
from usage_store.engines.sqlite.copies.copy_schema_only import empty_copy
from usage_store.engines.sqlite.file.list_tables import kind_of
from usage_store.engines.sqlite.from_models.table_from_model import Schema, TableDiff, read_schema, text_of
from usage_store.engines.sqlite.schema import sql_tokens
from usage_store.engines.sqlite.schema.read_whole_schema import read_catalog
from usage_store.engines.sqlite.schema.sql_tokens import quoted
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


def model_changes(
    database: peewee.SqliteDatabase, models: Sequence[type[peewee.Model]], renames: Mapping[str, str]
) -> tuple[Change, ...]:
    """Return the changes that turn the database's tables into the models' tables, parents before children. Reads only.

    Both sets of tables are made in memory: those of the models by peewee, those of the database from its own SQL. The
    models are bound to the memory database meanwhile. Tables without a model are left alone. Raises ConfigurationError
    if SQLite refuses the table of a model, and for a rename whose names do not match.
    """
    fields, wanted, mismatches = _wanted(database, models)
    with empty_copy(database) as scratch:
        for table in fields:
            if kind_of(database, table) != kind_of(scratch, table):
                raise ConfigurationError(
                    f"{table}: this table cannot be made in memory to compare it with its model; {HINT}"
                )
        changes = list(_renamed(scratch, wanted, renames))
        live = read_schema(scratch)
        for table in fields:
            compared = TableDiff(table, live, wanted, scratch, fields[table])
            found = tuple(compared.changes())
            changes += found
            if any(change != Change() for change in found):
                changes.append(Change(differences=compared.differences()))
            if table in mismatches and any(change.up for change in found):
                changes.append(Change(todo=(mismatches[table],)))
    return tuple(change for change in changes if change != Change())


def _wanted(
    database: peewee.SqliteDatabase, models: Sequence[type[peewee.Model]]
) -> tuple[dict[str, dict[str, Any]], Schema, dict[str, str]]:
    """Make the models' tables in memory.

    Give their fields by table and column, their schema, and SQLite's objections.
    """
    fields: dict[str, dict[str, Any]] = {}
    with scratch_like(database) as scratch:
        with scratch.bind_ctx(models, bind_refs=False, bind_backrefs=False):
            for model in _stored(models):
                meta = model._meta
                fields[meta.table_name.lower()] = {field.column_name.lower(): field for field in meta.sorted_fields}
                _create(model)
        schema = read_schema(scratch)
        mismatches = dict(_mismatches(scratch, fields))
    objects = {key: (name, _laid_out(sql)) for key, (name, sql) in schema.objects.items()}
    return fields, Schema(schema.catalog, objects), mismatches


def _mismatches(scratch: peewee.SqliteDatabase, tables: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Report each table whose reference has no valid target.

    A valid target is a PRIMARY KEY or UNIQUE columns; the columns of a virtual table are neither.
    """
    for table in tables:
        try:
            scratch.execute_sql(f"PRAGMA foreign_key_check({quoted(table)})").fetchall()
        except peewee.OperationalError as error:
            yield (
                table,
                f"{table}: {error}: a reference must point to a PRIMARY KEY or to UNIQUE columns of an ordinary table",
            )


def _stored(models: Sequence[type[peewee.Model]]) -> list[type[peewee.Model]]:
    """Return the models that have a permanent table: parents before children, virtual tables last.

    Virtual tables come last because they may keep their rows in another table. Raises ConfigurationError.
    """
    found = stored_models(models, "main", str.lower)
    return sorted(found, key=lambda model: hasattr(model._meta, "extension_module"))


def _create(model: type[peewee.Model]) -> None:
    try:
        model.create_table()
    except peewee.DatabaseError as error:
        raise ConfigurationError(f"{model.__name__}: SQLite refuses its table: {error}") from error


def _laid_out(sql: str) -> str:
    """Put each column and constraint of a CREATE TABLE on its own line; leave any other statement as it is."""
    if not sql.startswith("CREATE TABLE"):
        return sql
    parsed = sql_tokens.parse_table(sql)
    parts = (*parsed.columns, *parsed.constraints)
    body = ",\n  ".join(text_of(sql, part) for part in parts)
    options = f" {text_of(sql, parsed.options)}" if parsed.options else ""
    return f"{sql[: parts[0][0].start].rstrip()}\n  {body}\n){options}"


def _renamed(scratch: peewee.SqliteDatabase, wanted: Schema, renames: Mapping[str, str]) -> Iterator[Change]:
    """Do the renames in the memory copy, and return them as changes.

    The rest is then compared under the new names, in the DDL that SQLite writes.
    """
    tables = read_catalog(scratch).tables
    columns = {old: new for old, new in renames.items() if "." in old and old.lower() not in tables}
    for old, new in renames.items():
        if old not in columns:
            check_rename(f"{old}:{new}", "table", (old.lower(), tables), (new.lower(), wanted.catalog.tables))
            yield _tried(scratch, Change((rename_table(old, new),), (rename_table(new, old),), drops=(old,)))
    tables = read_catalog(scratch).tables
    for path, new in columns.items():
        table, _, old = path.rpartition(".")
        table = renames.get(table, table)
        check_known(f"{path}:{new}", "table", (table.lower(), tables), (table.lower(), wanted.catalog.tables))
        there, needed = tables[table.lower()].columns, wanted.catalog.tables[table.lower()].columns
        check_rename(f"{path}:{new}", "column", (old.lower(), there), (new.lower(), needed))
        yield _tried(scratch, Change((rename_column(table, old, new),), (rename_column(table, new, old),)))


def _tried(scratch: peewee.SqliteDatabase, change: Change) -> Change:
    for statement in change.up:
        try:
            scratch.execute_sql(statement)
        except peewee.DatabaseError as error:
            raise ConfigurationError(f"{statement}: SQLite refuses it: {error}") from error
    return change
