"""Peewee queries of the usage models. The storage of a database reads their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import peewee
from peewee import ModelAlias, ModelCompoundSelectQuery, ModelRaw, ModelSelect

from usage_store.engines import inner
from usage_store.models.snapshot_text_column import SnapshotTextField, TextAlias
from usage_store.models.storage_interface import storage_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from usage_store.models.storage_interface import Storage


class _Reading:
    """A query that reads its rows through the cursor of the storage."""

    _storage: Storage[Any]

    def _execute(self: Any, database: Any) -> Any:
        self._storage = storage_of(inner(database))
        with self._storage.while_running(inner(database)):
            return super()._execute(database)  # type: ignore[misc]  # of peewee's query

    def _get_cursor_wrapper(self: Any, cursor: Any) -> Any:
        made = self._constructor if self._row_type == peewee.ROW.CONSTRUCTOR else None
        row_type = self._row_type or self.default_row_type
        for_models = row_type == peewee.ROW.MODEL or (isinstance(made, type) and issubclass(made, peewee.Model))
        reading = self._storage.ReadingCursor(cursor, self._returning or (), for_models=for_models)
        return super()._get_cursor_wrapper(reading)  # type: ignore[misc]  # of peewee's query


def _compound(operation: str) -> Callable[[Any, Any], UsageCompound]:
    def combine(self: Any, other: Any) -> UsageCompound:
        return UsageCompound(self.model, self, operation, other)

    return combine


class _Combining(_Reading):
    union_all = __add__ = _compound("UNION ALL")
    union = __or__ = _compound("UNION")
    intersect = __and__ = _compound("INTERSECT")
    except_ = __sub__ = _compound("EXCEPT")


class UsageCompound(_Combining, ModelCompoundSelectQuery):  # type: ignore[misc]  # as in peewee's stubs
    """Peewee's UNION, INTERSECT or EXCEPT of queries."""


class UsageSelect(_Combining, ModelSelect):
    """Peewee's query of models."""


class UsageRaw(_Reading, ModelRaw):
    """Peewee's query of models by hand-written SQL."""


class UsageAlias(ModelAlias):
    """Peewee's alias of a model."""

    def __getattr__(self, name: str) -> Any:
        field = getattr(self.model, name)
        if not isinstance(field, SnapshotTextField):
            return super().__getattr__(name)
        self.__dict__[name] = TextAlias.create(self, field)  # type: ignore[no-untyped-call]
        return self.__dict__[name]

    def select(self, *selection: Any) -> UsageSelect:
        """Query the model under this name."""
        return UsageSelect(self, selection or self.get_field_aliases())
