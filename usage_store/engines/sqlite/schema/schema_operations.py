"""Provide playhouse's schema operations for SQLite. None of them loses anything that it does not name."""

# ruff: noqa: ARG002, FBT001, FBT002  playhouse's signatures

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, ParamSpec, cast

import peewee
from playhouse import migrate

from usage_store.engines.interface.models_and_tables import default_value
from usage_store.engines.sqlite.file.write_transaction import write_transaction
from usage_store.engines.sqlite.schema import backfill, edit_create_table
from usage_store.engines.sqlite.schema.drop_column import drop_column
from usage_store.engines.sqlite.schema.rebuild_table import rebuild
from usage_store.engines.sqlite.schema.sql_tokens import quoted
from usage_store.engines.sqlite.schema.table_definition import stored_table
from usage_store.engines.sqlite.schema.write_column_sql import default_of, definition_of, needs_rebuild, sql_of
from usage_store.errors import ImpossibleChange

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

P = ParamSpec("P")


def migrator_for(database: peewee.SqliteDatabase) -> LosslessMigrator:
    """Return the migrator that `up` and `down` get."""
    return LosslessMigrator(database)


def _operation(method: Callable[P, object]) -> Callable[P, migrate.Operation]:
    return cast("Callable[P, migrate.Operation]", migrate.operation(method))


class LosslessMigrator(migrate.SqliteMigrator):  # type: ignore[misc]  # playhouse is not typed
    """Change SQLite tables and keep all that an operation does not name, or raise ChangeRefused and change nothing.

    SQLite's own ADD COLUMN, DROP COLUMN and RENAME are used where they lose nothing. All other changes rebuild the
    table, in the same way on every SQLite from 3.38 on. A rebuild needs foreign keys off, as they are in a migration.
    Operations have playhouse's signatures, and run when `migrate()` runs them. The arguments `legacy` and `cascade`
    have an effect only in `drop_column`.
    """

    dry_run = False  # True on a copy, where `plan`, `rehearse` and `validate --replay` run migrations
    on_progress: Callable[[int, int], None] | None = None  # for `backfill`: rows seen, rows in all

    def backfill(self, table: str, assignments: str, where: str = "1", params: Sequence[Any] = ()) -> int:
        """Run `UPDATE table SET assignments WHERE where` now, in short transactions; return the number of changed rows.

        If `where` selects only rows that are not done yet, a killed run continues where it stopped. `params` are the
        values of the `?`. Raises ChangeRefused inside a transaction (so it needs `atomic = False`), and for a table
        without rowids.
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
        """Give a table another definition under the same name, for changes that no other operation covers.

        `create_sql` is a complete CREATE TABLE. `columns` gives SQL over the old row for new columns that are not
        copied by name. `drop` names the old columns whose values may be lost.
        """
        rebuild(self.database, table, create_sql, columns=columns, drop=drop)

    @_operation
    def add_column(
        self,
        table: str,
        column_name: str,
        field: peewee.Field,
        allow_not_null: bool = False,
    ) -> None:
        """Add a column after the last one, and the field's index.

        A NOT NULL column gets the field's default in all rows. With `allow_not_null`, a DEFAULT among the field's
        constraints is used instead.
        """
        field = field.clone()
        field.name = field.column_name = column_name
        if not field.null and field.default is None and not allow_not_null:
            raise ValueError(f"{column_name} is not null but has no default")
        if isinstance(field, peewee.ForeignKeyField) and not field.rel_field:
            raise ValueError("Foreign keys must specify a `field`.")
        indexed = field.index or field.unique
        with write_transaction(self.database) if indexed else nullcontext():
            self._add_column(table, field, allow_not_null=allow_not_null)
            if indexed:
                self.add_index(table, (column_name,), field.unique, getattr(field, "index_type", None)).run()

    def _add_column(self, table: str, field: peewee.Field, *, allow_not_null: bool) -> None:
        definition = definition_of(self, field)
        if not field.null and not allow_not_null:
            value = peewee.Value(default_value(field, self.database), unpack=False)
            self._edit(table, lambda sql: edit_create_table.add_column(sql, definition), columns={field.name: value})
        elif needs_rebuild(definition):
            self._edit(table, lambda sql: edit_create_table.add_column(sql, definition))
        else:
            hidden = "SELECT 1 FROM sqlite_temp_master WHERE name = ? COLLATE NOCASE"
            if self.database.connection().execute(hidden, (table,)).fetchone():
                stored_table(self.database, table)  # raises ChangeRefused
            self.database.execute_sql(f"ALTER TABLE {quoted(table)} ADD COLUMN {definition}")

    @_operation
    def drop_column(self, table: str, column_name: str, cascade: bool = False, legacy: bool = False) -> None:
        """Drop a column and its values. Refused while an index, trigger, view or another rule uses the column.

        With `cascade` or `legacy`, this also drops the column's own indexes, UNIQUE and foreign key, and indexes over
        this and other columns. UNIQUE indexes over several columns are dropped only with `legacy`, as in playhouse,
        with a warning.
        """
        drop_column(self.database, table, column_name, with_own=cascade or legacy, with_unique=legacy)

    @_operation
    def rename_column(self, table: str, old_name: str, new_name: str, legacy: bool = False) -> None:
        """Rename a column, everywhere in the schema."""
        stored = stored_table(self.database, table)
        edit_create_table.column_part(stored.sql, old_name)
        self.database.execute_sql(
            f"ALTER TABLE {quoted(stored.name)} RENAME COLUMN {quoted(old_name)} TO {quoted(new_name)}"
        )

    @_operation
    def add_not_null(self, table: str, column: str, legacy: bool = False) -> None:
        """Forbid NULL in a column. Refused if a row has NULL there."""
        self._edit(table, lambda sql: edit_create_table.set_not_null(sql, column))

    @_operation
    def drop_not_null(self, table: str, column: str, legacy: bool = False) -> None:
        """Allow NULL in a column. Refused if the primary key forbids it."""
        name = stored_table(self.database, table).name
        implied = self.database.execute_sql(
            "SELECT 1 FROM pragma_table_xinfo(?, 'main') AS c, pragma_table_list AS t WHERE t.schema = 'main' "
            "AND t.name = ? AND c.name = ? COLLATE NOCASE AND c.pk AND (t.wr OR t.strict)",
            (name, name, column),
        ).fetchone()
        if implied:
            raise ImpossibleChange(
                f"{name}: column {column!r} is part of the primary key, which allows no NULL in this table"
            )
        self._edit(table, lambda sql: edit_create_table.drop_not_null(sql, column))

    @_operation
    def add_column_default(self, table: str, column: str, default: Any) -> None:
        """Give a column a default: a value, or SQL as a Node, as a string in quotes or one that ends with `)`."""
        if default is None:
            raise ValueError("`default` must be not None/NULL.")
        value = default_of(self, default() if callable(default) else default)
        self._edit(table, lambda sql: edit_create_table.set_default(sql, column, value))

    @_operation
    def drop_column_default(self, table: str, column: str) -> None:
        """Remove the default of a column."""
        self._edit(table, lambda sql: edit_create_table.drop_default(sql, column))

    @_operation
    def alter_column_type(
        self, table: str, column: str, field: peewee.Field, cast: str | peewee.Node | None = None
    ) -> None:
        """Give a column the type of a field, and keep its constraints. `cast` is SQL for the new values."""
        datatype = field.ddl_datatype(self.make_context())
        text = "" if datatype is None else sql_of(self, datatype)
        columns, drop = ({}, []) if cast is None else ({column: cast}, [column])
        self._edit(table, lambda sql: edit_create_table.set_type(sql, column, text), columns=columns, drop=drop)

    @_operation
    def add_constraint(self, table: str, name: str, constraint: peewee.Node) -> None:
        """Add a named table constraint. Refused if a row breaks it."""
        text = sql_of(self, constraint)
        self._edit(table, lambda sql: edit_create_table.add_constraint(sql, name, text))

    @_operation
    def drop_constraint(self, table: str, name: str) -> None:
        """Drop a named constraint, of the table or of a column."""
        self._edit(table, lambda sql: edit_create_table.drop_constraint(sql, name))

    @_operation
    def add_unique(self, table: str, *column_names: str) -> migrate.Operation:
        """Add a UNIQUE constraint named `uniq_` and the columns. Refused if two rows are equal in these columns."""
        self._require_columns(table, column_names)
        columns = ", ".join(quoted(column) for column in column_names)
        return self.add_constraint(table, f"uniq_{'_'.join(column_names)}", peewee.SQL(f"UNIQUE ({columns})"))

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
    ) -> migrate.Operation:
        """Add a foreign key. The rows are checked before COMMIT, together with all other foreign keys."""
        if rel_schema is not None:
            raise ValueError("SQLite's foreign keys do not reach into another schema; leave rel_schema out")
        self._require_columns(table, (column_name,))
        text = f"FOREIGN KEY ({quoted(column_name)}) REFERENCES {quoted(rel)} ({quoted(rel_column)})"
        text += f" ON DELETE {on_delete}" if on_delete else ""
        text += f" ON UPDATE {on_update}" if on_update else ""
        name = migrate.make_index_name(constraint_name or f"fk_{table}_{column_name}_refs_{rel}", ())
        return self.add_constraint(table, name, peewee.SQL(text))

    @_operation
    def drop_foreign_key_constraint(self, table: str, column_name: str) -> None:
        """Drop the foreign key of one column."""
        self._edit(table, lambda sql: edit_create_table.drop_foreign_key(sql, column_name))

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
    ) -> migrate.Operation:
        """Make an index on columns; with `where`, only for some rows."""
        # SQLite takes a quoted name that is no column for a string, and would index this string.
        self._require_columns(table, columns)
        return super().add_index(table, columns, unique, using, where, nulls_distinct, name)

    def _edit(
        self,
        table: str,
        edit: Callable[[str], str],
        *,
        columns: Mapping[str, str | peewee.Node] | None = None,
        drop: Collection[str] = (),
    ) -> None:
        old = stored_table(self.database, table).sql
        new = edit(old)
        if new != old or columns:
            rebuild(self.database, table, new, columns=columns, drop=drop)

    def _require_columns(self, table: str, columns: Sequence[str]) -> None:
        stored = stored_table(self.database, table)
        for column in columns:
            edit_create_table.column_part(stored.sql, column)
