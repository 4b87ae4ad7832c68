"""Provide playhouse's schema operations for PostgreSQL. None of them loses anything that it does not name."""

# ruff: noqa: ARG002, FBT001, FBT002  playhouse's signatures

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, cast

import peewee
from playhouse import migrate

from usage_store.engines.postgresql.schema import backfill
from usage_store.engines.postgresql.schema.add_column import add_column_statements
from usage_store.engines.postgresql.schema.drop_column import drop_column
from usage_store.engines.postgresql.schema.find_table import FoundTable, table_of
from usage_store.engines.postgresql.schema.refusals import refusals
from usage_store.engines.postgresql.schema.write_values import default_of, named, sql_of
from usage_store.errors import ImpossibleChange

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

P = ParamSpec("P")
_FOREIGN_KEY = (
    "SELECT k.conname FROM pg_constraint AS k WHERE k.conrelid = %s AND k.contype = 'f' "
    "AND k.conkey = ARRAY[%s]::int2[] AND k.conparentid = 0 ORDER BY 1"
)


def migrator_for(database: peewee.PostgresqlDatabase) -> LosslessMigrator:
    """Return the migrator that `up` and `down` get."""
    return LosslessMigrator(database)


def _operation(method: Callable[P, object]) -> Callable[P, migrate.Operation]:
    return cast("Callable[P, migrate.Operation]", migrate.operation(method))


class LosslessMigrator(migrate.PostgresqlMigrator):  # type: ignore[misc]  # playhouse is not typed
    """Change PostgreSQL's tables and keep all that an operation does not name, or raise ChangeRefused.

    A refused operation changes nothing, and an open transaction can go on. Operations have playhouse's signatures, and
    run when `migrate()` runs them. The arguments `legacy` and `cascade` have an effect only in `drop_column`. Names
    count with the case of their letters.
    """

    dry_run = False  # True where `plan`, `rehearse` and `validate --replay` run migrations
    on_progress: Callable[[int, int], None] | None = None  # for `backfill`: rows seen, rows in all

    def backfill(self, table: str, assignments: str, where: str = "true", params: Sequence[Any] = ()) -> int:
        """Run `UPDATE table SET assignments WHERE where` now, in short transactions; return the number of changed rows.

        If `where` selects only rows that are not done yet, a killed run continues where it stopped. `params` are the
        values of the `%s`. Raises ChangeRefused inside a transaction (so it needs `atomic = False`), and for a table
        without a primary key.
        """
        on_progress = self.on_progress or (lambda _seen, _total: None)
        return backfill.backfill(self.database, table, assignments, where, params, on_progress)

    @_operation
    def rebuild_table(
        self,
        table: str,
        create_sql: str,
        columns: Mapping[str, str | peewee.Node] | None = None,
        drop: Collection[str] = (),
    ) -> None:
        """Raise ImpossibleChange: PostgreSQL changes a table in place, and no table has to be rebuilt."""
        raise ImpossibleChange(
            f"{table}: rebuild_table is for SQLite only; PostgreSQL changes a table in place, so use the other "
            "operations or ALTER TABLE, in a file NNN_name.postgresql.py if the migration is for both"
        )

    @_operation
    def add_column(
        self,
        table: str,
        column_name: str,
        field: peewee.Field,
        allow_not_null: bool = False,
    ) -> None:
        """Add a column after the last one, and the field's index.

        A NOT NULL column gets the field's default in all rows, and no row is written for that. With `allow_not_null`, a
        DEFAULT among the field's constraints is used instead.
        """
        field = field.clone()
        field.name = field.column_name = column_name
        if not field.null and field.default is None and not allow_not_null:
            raise ValueError(f"{column_name} is not null but has no default")
        if isinstance(field, peewee.ForeignKeyField) and not field.rel_field:
            raise ValueError("Foreign keys must specify a `field`.")
        with self._changing(table):
            for statement in add_column_statements(self, self._path(table), field, allow_not_null=allow_not_null):
                self.database.execute_sql(statement)
            if field.index or field.unique:
                self.add_index(table, (column_name,), field.unique, getattr(field, "index_type", None)).run()

    @_operation
    def drop_column(self, table: str, column_name: str, cascade: bool = False, legacy: bool = False) -> None:
        """Drop a column and its values. Refused while an index, trigger, view or another rule uses the column.

        With `cascade` or `legacy`, this also drops the column's own indexes, UNIQUE and foreign key, and indexes over
        this and other columns. UNIQUE rules over several columns are dropped only with `legacy`, with a warning. Views,
        triggers and foreign keys of other tables are never dropped.
        """
        with self._changing(table) as found:
            drop_column(
                self.database,
                found,
                self._path(table),
                column_name,
                with_own=cascade or legacy,
                with_unique=legacy,
            )

    @_operation
    def rename_column(self, table: str, old_name: str, new_name: str, legacy: bool = False) -> None:
        """Rename a column, everywhere in the schema."""
        self._alter(table, f"RENAME COLUMN {named(old_name)} TO {named(new_name)}", old_name)

    @_operation
    def add_not_null(self, table: str, column: str, legacy: bool = False) -> None:
        """Forbid NULL in a column. Refused if a row has NULL there."""
        self._alter(table, f"ALTER COLUMN {named(column)} SET NOT NULL", column)

    @_operation
    def drop_not_null(self, table: str, column: str, legacy: bool = False) -> None:
        """Allow NULL in a column. Refused if the primary key forbids it."""
        self._alter(table, f"ALTER COLUMN {named(column)} DROP NOT NULL", column)

    @_operation
    def add_column_default(self, table: str, column: str, default: Any) -> None:
        """Give a column a default: a value, or SQL as a Node, as a string in quotes or one that ends with `)`."""
        if default is None:
            raise ValueError("`default` must be not None/NULL.")
        with self._changing(table):
            value = default_of(self.database, default() if callable(default) else default)
            self._alter(table, f"ALTER COLUMN {named(column)} SET DEFAULT {value}", column)

    @_operation
    def drop_column_default(self, table: str, column: str) -> None:
        """Remove the default of a column."""
        self._alter(table, f"ALTER COLUMN {named(column)} DROP DEFAULT", column)

    @_operation
    def alter_column_type(
        self, table: str, column: str, field: peewee.Field, cast: str | peewee.Node | None = None
    ) -> None:
        """Give a column the type of a field, and keep its constraints. `cast` is SQL for the new values.

        Without `cast`, refused if the server has no conversion that it makes by itself.
        """
        datatype = field.ddl_datatype(self.make_context())
        text = "" if datatype is None else sql_of(self.database, datatype)
        using = f" USING {cast if isinstance(cast, str) else sql_of(self.database, cast)}" if cast is not None else ""
        self._alter(table, f"ALTER COLUMN {named(column)} TYPE {text}{using}", column)

    @_operation
    def rename_table(self, old_name: str, new_name: str) -> None:
        """Rename a table, everywhere in the schema, together with the sequence of its key."""
        with self._changing(old_name):
            for operation in migrate.PostgresqlMigrator.rename_table.__wrapped__(self, old_name, new_name):
                operation.run()

    @_operation
    def drop_table(self, table: str, safe: bool = False, cascade: bool = False, schema: str | None = None) -> None:
        """Drop a table. Refused while a view or another table uses it, unless `cascade`."""
        words = f"DROP TABLE {'IF EXISTS ' if safe else ''}{named(schema or self.schema, table)}"
        with refusals(self.database, table):
            self.database.execute_sql(words + " CASCADE" * cascade)

    @_operation
    def add_constraint(self, table: str, name: str, constraint: peewee.Node) -> None:
        """Add a named table constraint. Refused if a row breaks it."""
        with self._changing(table):
            self._alter(table, f"ADD CONSTRAINT {named(name)} {sql_of(self.database, constraint)}")

    @_operation
    def drop_constraint(self, table: str, name: str) -> None:
        """Drop a named constraint, of the table or of a column."""
        self._alter(table, f"DROP CONSTRAINT {named(name)}")

    @_operation
    def add_unique(self, table: str, *column_names: str) -> None:
        """Add a UNIQUE constraint named `uniq_` and the columns. Refused if two rows are equal in these columns."""
        columns = ", ".join(map(named, column_names))
        name = f"uniq_{'_'.join(column_names)}"
        self._alter(table, f"ADD CONSTRAINT {named(name)} UNIQUE ({columns})", *column_names)

    @_operation
    def add_foreign_key_constraint(
        self,
        table: str,
        column_name: str,
        rel: str,
        rel_column: str,
        on_delete: str | None = None,
        on_update: str | None = None,
        constraint_name: str | None = None,
        rel_schema: str | None = None,
    ) -> None:
        """Add a foreign key. Refused if a row refers to none."""
        name = migrate.make_index_name(constraint_name or f"fk_{table}_{column_name}_refs_{rel}", ())
        text = f"ADD CONSTRAINT {named(name)} FOREIGN KEY ({named(column_name)}) "
        text += f"REFERENCES {named(rel_schema or self.schema, rel)} ({named(rel_column)})"
        text += f" ON DELETE {on_delete}" if on_delete else ""
        text += f" ON UPDATE {on_update}" if on_update else ""
        self._alter(table, text, column_name)

    @_operation
    def drop_foreign_key_constraint(self, table: str, column_name: str) -> None:
        """Drop the foreign key of one column."""
        with self._changing(table, column_name) as found:
            names = self.database.execute_sql(_FOREIGN_KEY, (found.oid, found.columns[column_name])).fetchall()
            if not names:
                raise ImpossibleChange(f"{found.name}: column {column_name!r} has no foreign key of its own")
            for (name,) in names:
                self._alter(table, f"DROP CONSTRAINT {named(name)}")

    @_operation
    def add_index(
        self,
        table: str,
        columns: Sequence[str],
        unique: bool = False,
        using: str | None = None,
        where: peewee.Node | None = None,
        nulls_distinct: bool | None = None,
        name: str | None = None,
    ) -> None:
        """Make an index on columns; with `where`, only for some rows."""
        with self._changing(table, *columns):
            made = peewee.Index(
                name or migrate.make_index_name(table, columns),
                peewee.Table(table, schema=self.schema),
                [peewee.Entity(column) for column in columns],
                unique=unique,
                using=using,
                where=where,
                nulls_distinct=nulls_distinct,
            )
            self.database.execute_sql(sql_of(self.database, made))

    @_operation
    def drop_index(self, table: str, index_name: str) -> None:
        """Drop an index."""
        with self._changing(table):
            self.database.execute_sql(f"DROP INDEX {named(self.schema, index_name)}")

    def _path(self, table: str) -> str:
        return named(self.schema, table)

    @contextmanager
    def _changing(self, table: str, *columns: str) -> Iterator[FoundTable]:
        found = table_of(self.database, table, self.schema)
        found.require(columns)
        with refusals(self.database, found.name):
            yield found

    def _alter(self, table: str, change: str, *columns: str) -> None:
        with self._changing(table, *columns):
            self.database.execute_sql(f"ALTER TABLE {self._path(table)} {change}")
