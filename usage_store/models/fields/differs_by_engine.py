"""The parts of the models' tables that are written differently for each engine."""

from __future__ import annotations

from typing import Any

import peewee

from usage_store.engines import engine_of_kind


def database_of(ctx: Any) -> peewee.Database | None:
    """Return the database that a Peewee context writes SQL for, or None for a query that belongs to no database."""
    # This bound method is the only way to find the database in the context.
    database: peewee.Database | None = getattr(ctx.state.conflict_statement, "__self__", None)
    return database


def engine_name(database: peewee.Database | None) -> str:
    """Return the name of the engine of a database, or that of the default engine for None."""
    return "sqlite" if database is None else engine_of_kind(type(database)).NAME


class ByEngine(peewee.Node):
    """SQL that is written differently for each engine."""

    def __init__(self, *, sqlite: peewee.Node, postgresql: peewee.Node) -> None:
        self._sqlite, self._postgresql = sqlite, postgresql

    def __sql__(self, ctx: Any) -> Any:
        return ctx.sql(self._sqlite if engine_name(database_of(ctx)) == "sqlite" else self._postgresql)


class IndexOn(peewee.ModelIndex):
    """An index that only one engine has."""

    def __init__(self, engine: str, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.engine = engine


class UsageSchema(peewee.SchemaManager):
    """Create the tables of the models. `sqlite_options` in a model's Meta are options of the table on SQLite."""

    def _create_table(self, safe: bool = True, **options: Any) -> Any:  # noqa: FBT001, FBT002  peewee's signature
        ctx = super()._create_table(safe=safe, **options)  # type: ignore[misc]  # not in the stubs
        written = getattr(self.model._meta, "sqlite_options", None)
        return ctx.literal(f" {written}") if written and engine_name(database_of(ctx)) == "sqlite" else ctx

    def _create_indexes(self, safe: bool = True) -> list[Any]:  # noqa: FBT001, FBT002  peewee's signature
        manager: Any = self
        engine = engine_name(database_of(manager._create_context()))  # noqa: SLF001  peewee's own
        indexes = manager.model._meta.fields_to_index()
        ours = [index for index in indexes if getattr(index, "engine", engine) == engine]
        return [manager._create_index(index, safe) for index in ours]  # noqa: SLF001  peewee's own
