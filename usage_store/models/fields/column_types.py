"""Field classes for columns whose DDL or values Peewee's own fields cannot express."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from peewee import SQL, AutoField, Entity, ForeignKeyField, IntegerField, Node, NodeList, TextField

from usage_store.models.fields import allowed_values

if TYPE_CHECKING:
    from typing import Self

    class _RowId(AutoField[int]):
        def __new__(cls, *args: Any, **options: Any) -> Self: ...

    class _Integer(IntegerField[int]):
        def __new__(cls, *args: Any, **options: Any) -> Self: ...

    class _Text(TextField[str]):
        def __new__(cls, *args: Any, **options: Any) -> Self: ...

else:  # Peewee's classes take no type at run time. Its stubs let their subclasses make fields of the class above.
    _RowId, _Integer, _Text = AutoField, IntegerField, TextField

M = TypeVar("M")


class TextColumn(_Text):
    """A column of texts."""


class RowIdField(_RowId):
    """An integer primary key. No id is used twice, even after its row was deleted."""

    _coerce = False  # The stored value is an int. In dicts, peewee puts converted columns after the others.

    def ddl(self, ctx: Any) -> Any:  # noqa: ARG002  peewee's signature
        """Return the column's definition. Peewee's own definition has NOT NULL, but the table's column does not."""
        return NodeList((Entity(self.column_name), SQL("INTEGER PRIMARY KEY AUTOINCREMENT")))


class EpochField(_Integer):
    """Seconds since 1970, UTC. By default the database inserts the current time (unixepoch(), SQLite 3.38 or newer)."""

    def __init__(self, **options: Any) -> None:
        constraints = [SQL("DEFAULT (unixepoch())"), *options.pop("constraints", ())]
        super().__init__(constraints=constraints, **options)


class Checked:
    """A field that checks and encodes a value when the value is stored, but not when it is compared with the column.

    `db_value` does this. Peewee would also call `db_value` for a comparison, and `python_value` for each row, if
    `_coerce` were true.
    """

    _coerce = False

    if TYPE_CHECKING:

        def __set__(self, instance: object, value: Any) -> None: ...

    def as_stored(self: Any, value: Any) -> Any:
        """Return the value that will be stored for an assigned value. Raises InvalidValue."""
        return value if isinstance(value, Node) else self.db_value(value)

    def python_value(self, value: Any) -> Any:
        """Return the result of an SQL function of the field unchanged."""
        return value


class NotUtf8(str):
    """A text that is not UTF-8 in the database. `os.fsencode` returns its bytes."""

    __slots__ = ()


class SessionIdField(Checked, TextColumn):
    """The id of a session."""

    def db_value(self, value: Any) -> str:
        """Return the id to store. Raises InvalidValue."""
        return allowed_values.checked_session_id(value)


class SessionField(Checked, ForeignKeyField, Generic[M]):
    """The session of a row. Peewee's `db_value` calls the `db_value` of `SessionIdField`."""

    if TYPE_CHECKING:

        def __new__(cls, model: type[M], **options: Any) -> Self: ...  # noqa: D102  peewee's
        @overload
        def __get__(self, instance: None, owner: Any) -> Self: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> M: ...
        def __get__(self, instance: Any, owner: Any) -> Any: ...


class SnapshotTypeField(Checked, TextColumn):
    """The type of a snapshot."""

    def db_value(self, value: Any) -> str:
        """Return the type to store. Raises InvalidValue."""
        return allowed_values.checked_snapshot_type(value)


class TimestampField(Checked, EpochField):
    """The time of a snapshot: an aware datetime, seconds or milliseconds; None means now. It is stored in seconds."""

    def __init__(self, **options: Any) -> None:
        super().__init__(default=lambda: int(time.time()), **options)

    def db_value(self, value: Any) -> int:
        """Return the seconds to store. Raises InvalidValue."""
        return allowed_values.checked_timestamp(value)
