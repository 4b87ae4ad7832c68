"""The column types whose DDL peewee has no spelling for, or that differs per engine."""

from __future__ import annotations

from typing import Any

from peewee import SQL, AutoField, Entity, IntegerField, NodeList

__all__ = ["EpochField", "RowIdField"]


class RowIdField(AutoField):
    """An integer primary key that is never given twice, not even after its row was deleted."""

    def ddl(self, ctx: Any) -> Any:  # noqa: ARG002  peewee's signature
        """Give the column definition; a plain INTEGER PRIMARY KEY would take NOT NULL as one more constraint."""
        return NodeList((Entity(self.column_name), SQL("INTEGER PRIMARY KEY AUTOINCREMENT")))


class EpochField(IntegerField):
    """Seconds since 1970, UTC; the database fills in the current time (SQLite 3.38 has unixepoch())."""

    def __init__(self, **options: Any) -> None:
        constraints = [SQL("DEFAULT (unixepoch())"), *options.pop("constraints", ())]
        super().__init__(constraints=constraints, **options)
