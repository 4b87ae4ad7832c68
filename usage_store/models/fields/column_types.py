"""The column types whose DDL or whose values peewee has no spelling for."""

from __future__ import annotations

import time
from typing import Any

from peewee import SQL, AutoField, Entity, ForeignKeyField, IntegerField, Node, NodeList, TextField

from usage_store.models.fields import allowed_values


class RowIdField(AutoField):
    """An integer primary key that is never given twice, not even after its row was deleted."""

    _coerce = False  # what is stored is an int, and peewee's dicts have columns that it converts after the others

    def ddl(self, ctx: Any) -> Any:  # noqa: ARG002  peewee's signature
        """Give the column definition; a plain INTEGER PRIMARY KEY would take NOT NULL as one more constraint."""
        return NodeList((Entity(self.column_name), SQL("INTEGER PRIMARY KEY AUTOINCREMENT")))


class EpochField(IntegerField):
    """Seconds since 1970, UTC; the database fills in the current time (SQLite 3.38 has unixepoch())."""

    def __init__(self, **options: Any) -> None:
        constraints = [SQL("DEFAULT (unixepoch())"), *options.pop("constraints", ())]
        super().__init__(constraints=constraints, **options)


class Checked:
    """A field whose `db_value` checks what is assigned as the functions do; comparisons bind what they are given.

    Peewee calls `db_value` for both, but for comparisons, and `python_value` for rows, only where `_coerce` is true.
    """

    _coerce = False

    def as_stored(self: Any, value: Any) -> Any:
        """Give what an assigned value will be in the database. Raises InvalidValue."""
        return value if isinstance(value, Node) else self.db_value(value)

    def python_value(self, value: Any) -> Any:
        """Give what an SQL function made of the field, as it is."""
        return value


class NotUtf8(str):
    """A text that is not UTF-8 in the database: as `os.fsdecode` gives bytes, which `os.fsencode` gives back."""

    __slots__ = ()


class SessionIdField(Checked, TextField):
    """The id of a session."""

    def db_value(self, value: Any) -> str:
        """Give an id to store. Raises InvalidValue."""
        return allowed_values.checked_session_id(value)


class SessionField(Checked, ForeignKeyField):
    """The session of a row: `db_value` is peewee's, which asks the `SessionIdField`."""


class SnapshotTypeField(Checked, TextField):
    """The type of a snapshot."""

    def db_value(self, value: Any) -> str:
        """Give a type to store. Raises InvalidValue."""
        return allowed_values.checked_snapshot_type(value)


class TimestampField(Checked, EpochField):
    """When a snapshot was taken: an aware datetime, seconds or milliseconds; None is now."""

    def __init__(self, **options: Any) -> None:
        super().__init__(default=lambda: int(time.time()), **options)

    def db_value(self, value: Any) -> int:
        """Give seconds to store. Raises InvalidValue."""
        return allowed_values.checked_timestamp(value)
