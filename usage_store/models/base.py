"""What the usage models have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import peewee

from usage_store.engines import inner
from usage_store.errors import ConfigurationError
from usage_store.models.sqlite.rows.peewee_queries import UsageAlias, UsageRaw, UsageSelect

if TYPE_CHECKING:
    from collections.abc import Mapping
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
    def _stored(cls, values: Mapping[str, Any]) -> Self:
        """Make the model of a row that is stored, from all its fields, in a third of the time that peewee takes."""
        model = cls(__no_default__=True)
        model.__data__.update(values)
        return model
