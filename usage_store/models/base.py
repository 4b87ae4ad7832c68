"""What the usage models have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import peewee

from usage_store.engines import inner
from usage_store.errors import ConfigurationError
from usage_store.models.sqlite.rows.peewee_queries import UsageAlias, UsageRaw, UsageSelect

if TYPE_CHECKING:
    from typing import Self


class UsageModel(peewee.Model):
    """A model of this package, bound by init_database()."""

    class Meta:
        only_save_dirty = True  # save() would write every column back over what others changed
        legacy_table_names = False

    @classmethod
    def select(cls, *fields: Any) -> peewee.ModelSelect[Self]:
        """Query the model."""
        query: Any = UsageSelect(cls, fields or cls._meta.sorted_fields, is_default=not fields)
        return query  # type: ignore[no-any-return]

    @classmethod
    def raw(cls, sql: str, *params: Any) -> peewee.ModelRaw:
        """Query the model by SQL of your own."""
        return UsageRaw(cls, sql, params)

    @classmethod
    def alias(cls, alias: str | None = None) -> peewee.ModelAlias[Self]:
        """Give the model another name within a query."""
        named: Any = UsageAlias(cls, alias)
        return named  # type: ignore[no-any-return]

    @classmethod
    def _db(cls) -> peewee.Database:
        database: peewee.Database | peewee.DatabaseProxy | None = cls._meta.database
        if database is None:
            raise ConfigurationError("the usage models have no database yet; call init_database() first")
        return inner(database)

    @classmethod
    def _stored(cls, values: dict[str, Any]) -> Self:
        """Make the model of a stored row from the values of all its fields. The dict is the model's own from now on.

        Peewee's `__init__` would take four times as long.
        """
        model: Any = cls.__new__(cls)
        model.__data__, model._dirty, model.__rel__ = values, set(), {}
        return model  # type: ignore[no-any-return]
