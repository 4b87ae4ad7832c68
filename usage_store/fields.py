"""The column types whose DDL or whose form on disk peewee has no spelling for."""

from __future__ import annotations

from typing import Any

from peewee import SQL, AutoField, Entity, FieldAccessor, IntegerField, NodeList, TextField

from usage_store import blocks
from usage_store.errors import DamagedSnapshot

__all__ = ["EpochField", "RowIdField", "SnapshotTextField"]


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


class _TextAccessor(FieldAccessor):
    def __get__(self, instance: Any, instance_type: Any = None) -> Any:
        value = super().__get__(instance, instance_type)  # type: ignore[no-untyped-call]
        if not isinstance(value, DamagedSnapshot):
            return value
        if instance.get_id() is None:  # it was not selected
            raise value
        return instance.text_now()


class SnapshotTextField(TextField):
    """A text that may be stored in a block; whoever reads the column gets the text.

    Where it cannot be read, the value is a DamagedSnapshot, and the models look again when it is asked for: one row is
    broken, those that were read with it are not. Or the row was deleted just after it was read, and its block with it.
    In a transaction around the query, that cannot be.
    """

    accessor_class = _TextAccessor

    def python_value(self, value: Any) -> Any:
        """Give the text that a stored value stands for, or a DamagedSnapshot. Reads only."""
        try:
            return blocks.text(self.model._meta.database.connection(), value)
        except DamagedSnapshot as error:
            return error
