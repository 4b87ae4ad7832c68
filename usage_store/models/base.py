"""The base class of the usage models."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

import peewee

from usage_store.engines import inner
from usage_store.errors import ConfigurationError, InvalidValue
from usage_store.models.fields.column_types import Checked, SessionField, SessionIdField
from usage_store.models.queries import UsageAlias, UsageRaw, UsageSelect
from usage_store.models.storage_interface import storage_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self


class UsageModel(peewee.Model):
    """A model of this package. init_database() binds it to a database."""

    class Meta:
        only_save_dirty = True  # otherwise save() writes every column, and overwrites changes of other programs
        legacy_table_names = False

    # The blocks of opened() in which the models are bound, outermost first, each with the id of its process.
    blocks: ClassVar[list[tuple[int, object]]] = []

    @classmethod
    def select(cls, *fields: Any) -> peewee.ModelSelect[Self]:
        """Query the model."""
        query: Any = UsageSelect(cls, fields or cls._meta.sorted_fields, is_default=not fields)
        return query  # type: ignore[no-any-return]

    @classmethod
    def raw(cls, sql: str, *params: Any) -> peewee.ModelRaw:
        """Query the model by hand-written SQL."""
        return UsageRaw(cls, sql, params)

    @classmethod
    def alias(cls, alias: str | None = None) -> peewee.ModelAlias[Self]:
        """Give the model another name within a query."""
        named: Any = UsageAlias(cls, alias)
        return named  # type: ignore[no-any-return]

    def save(self, force_insert: bool = False, only: Any = None) -> Any:  # noqa: FBT001, FBT002  peewee's signature
        """Store the assigned values, after the same checks as in `insert_usage_snapshot()`. Raises InvalidValue."""
        self._settle()
        return super().save(force_insert=force_insert, only=only)

    @classmethod
    def bulk_create(cls, model_list: Iterable[Self], batch_size: int | None = None) -> Any:
        """Store many models, after the same checks as in `insert_usage_snapshot()`. Raises InvalidValue."""
        models = list(model_list)
        for model in models:
            model._settle()  # noqa: SLF001  it is of this class
        return super().bulk_create(models, batch_size)

    def _settle(self) -> None:
        """Replace each assigned value by the value that will be stored."""
        fields = [field for field in self.dirty_fields if isinstance(field, Checked)]
        for field in fields:
            self.__data__[field.name] = field.as_stored(self.__data__.get(field.name))
        for field in fields:
            stored = self.__data__[field.name]
            if isinstance(field, SessionIdField | SessionField) and isinstance(stored, str):
                database = self._db()
                storage_of(database).check_session_id(stored)

    def as_dict(self) -> dict[str, Any]:
        """Return the columns by their names, ready for `json.dumps`. Reads only.

        A column that was not selected is left out. A text that is not UTF-8 in the database is decoded as by
        `os.fsdecode`.
        """
        loaded = (field for field in self._meta.sorted_fields if field.name in self.__data__)
        return {field.name: self._as_json(field) for field in loaded}

    def _as_json(self, field: peewee.Field[Any]) -> Any:
        value = self.__data__[field.name]
        if isinstance(field, Checked) and field.name in self.dirty_field_names:
            return field.as_stored(value)
        return value.decode(errors="surrogateescape") if isinstance(value, bytes) else value

    def _utc(self, name: str) -> datetime | None:
        """Return a column of seconds as an aware datetime."""
        seconds = self.__data__.get(name)
        try:
            return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
        except (OSError, OverflowError, TypeError, ValueError):
            raise InvalidValue(name, seconds, "seconds since 1970, up to the year 9999") from None

    @classmethod
    def _db(cls) -> peewee.Database:
        database: peewee.Database | peewee.DatabaseProxy | None = cls._meta.database
        if database is None:
            raise ConfigurationError("the usage models have no database yet; call init_database() first")
        return inner(database)

    @classmethod
    def _stored(cls, values: dict[str, Any]) -> Self:
        """Create the model of a stored row from the values of all its fields. The model keeps the dict.

        Peewee's `__init__` would take four times as long.
        """
        model: Any = cls.__new__(cls)
        model.__data__, model._dirty, model.__rel__ = values, set(), {}
        return model  # type: ignore[no-any-return]
