"""The column `snapshot_data`: the SQL that the models write for it, and the error for a text that cannot be read."""

from __future__ import annotations

from typing import Any

import peewee
from peewee import Alias, Cast, Column, FieldAccessor, FieldAlias, Negated, WrappedNode

from usage_store.models.fields import snapshot_input
from usage_store.models.fields.column_types import PayloadField
from usage_store.models.fields.differs_by_engine import database_of, engine_name
from usage_store.models.fields.unreadable_text import WHY, NotUtf8, damage
from usage_store.models.storage_interface import storage_called


class _TextAccessor(FieldAccessor):
    def __get__(self, instance: Any, instance_type: Any = None) -> Any:
        value = super().__get__(instance, instance_type)  # type: ignore[no-untyped-call]
        if type(value) is str or instance is None:
            return value
        why = isinstance(value, NotUtf8) or (isinstance(value, bytes) and value.startswith(WHY))
        assigned = self.name in instance._dirty or self.name not in instance.__data__
        if why or (not assigned and (value is None or isinstance(value, bytes))):
            raise damage(instance.get_id(), value)
        return value


class SnapshotTextField(PayloadField):
    """A text field whose texts may be stored in blocks. Reading the column always returns the text.

    Where texts may be in blocks, the field is written in SQL as a call of `usage_json()`, so the text can be compared,
    sorted and passed to SQL functions. There, a text that cannot be read is NULL. On a model, reading such a text
    raises DamagedSnapshot.
    """

    accessor_class = _TextAccessor

    def db_value(self, value: Any) -> str:
        """Return the text to store: a JSON text unchanged, any other value as compact JSON. Raises InvalidValue."""
        if isinstance(value, bytes) and value.startswith(WHY):
            raise damage(None, value)
        text = snapshot_input.encode(value)
        if text is value:
            snapshot_input.prove(text)
        return text

    def as_stored(self, value: Any) -> Any:
        """Return the text that will be stored. A str is only checked when it is stored. Raises InvalidValue."""
        return value if isinstance(value, (str, peewee.Node)) else snapshot_input.encode(value)

    def alias(self, alias: Any = None) -> Any:
        """Return the text under another name, for a list of selected columns."""
        return Alias(_Spelled(self, "usage_text"), alias) if alias else self

    def cast(self, as_type: Any) -> Any:
        """Return the text converted to another type in SQL."""
        return Cast(_Spelled(self, "usage_json"), as_type)

    def __invert__(self) -> Any:
        return Negated(_Spelled(self, "usage_json"))

    def stored(self) -> Any:
        """Return the column itself, without the function that reads the text."""
        return self.column

    def __sql__(self, ctx: Any) -> Any:
        state = ctx.state
        inside = state.in_expr or state.in_function
        if state.scope == peewee.SCOPE_VALUES and not inside:
            return ctx.sql(self.stored())  # the column is assigned to, or a union is sorted by it
        if inside or not _is_selected(ctx):
            return self.spell(ctx, "usage_json")
        # The expression gets the name of the column, so that an outer query can select it.
        return self.spell(ctx, "usage_text").literal(f' AS "{self.column_name}"')

    def spell(self, ctx: Any, function: str) -> Any:
        """Write the SQL expression for the text. Plain texts are returned unchanged."""
        database = database_of(ctx)
        storage = storage_called(engine_name(database))
        if database is not None:
            storage.prepare(database)
        return storage.write_text(ctx, self.stored(), function, self.model._meta.schema)


class TextAlias(FieldAlias):
    """The `SnapshotTextField` of a model alias."""

    def stored(self) -> Any:
        """Return the column itself, without the function that reads the text."""
        return Column(self.source, self.field.column_name)

    def __sql__(self, ctx: Any) -> Any:
        return SnapshotTextField.__sql__(self, ctx)  # type: ignore[arg-type]  # create() makes it one


class _Spelled(WrappedNode):
    """The text, read by a chosen SQL function and without a name of its own."""

    def __init__(self, field: SnapshotTextField, function: str) -> None:
        super().__init__(field)
        self._function = function

    def __sql__(self, ctx: Any) -> Any:
        return self.node.spell(ctx, self._function)


def _is_selected(ctx: Any) -> bool:
    """Return whether the node is itself an item of a SELECT or RETURNING list, and not a part of another expression.

    Peewee enters one scope for the list and another one for its nodes.
    """
    source, stack = peewee.SCOPE_SOURCE, ctx.stack
    return bool(ctx.state.scope == source and len(stack) > 1 and stack[-2].scope != source)
