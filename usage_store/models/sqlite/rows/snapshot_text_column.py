"""The column `snapshot_data`: what the models say in SQL for it, and what they make of a text that cannot be read."""

from __future__ import annotations

from typing import Any

import peewee
from peewee import Alias, Cast, Column, FieldAccessor, FieldAlias, Negated, WrappedNode

from usage_store.errors import DamagedSnapshot
from usage_store.models.fields import snapshot_input
from usage_store.models.fields.column_types import Checked, NotUtf8, TextColumn
from usage_store.models.sqlite.rows.sql_functions import WHY, prepare

# A text, given the column, the function and the schema. The statement reads the block itself: it is the row's own.
_TEXT = (
    "CASE typeof({0}) WHEN 'blob' THEN {1}({0}, "
    "(SELECT data FROM {2}usage_snapshot_blocks WHERE id = CAST({0} AS INTEGER))) ELSE {0} END"
)


def damage(row: int | None, value: Any) -> DamagedSnapshot:
    """Say what is wrong with a text, and whose it is: the row's with this id, if that is known."""
    if isinstance(value, bytes) and value.startswith(WHY):
        why = value.removeprefix(WHY).decode(errors="backslashreplace")
    elif isinstance(value, bytes):
        why = f"{value[:20]!r} was read without its block"
    else:
        why = "its text is not UTF-8" if isinstance(value, NotUtf8) else "its text cannot be read"
    whose = "a snapshot (select its id to know which)" if row is None else f"snapshot {row}"
    return DamagedSnapshot(f"{whose}: {why}")


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


class SnapshotTextField(Checked, TextColumn):
    """A text that may be stored in a block; whoever reads the column gets the text.

    In SQL it is what `usage_json()` gives, so that it may be compared, sorted or given to json_extract(): NULL where it
    cannot be read. A model raises DamagedSnapshot when it is asked for such a text.
    """

    accessor_class = _TextAccessor

    def db_value(self, value: Any) -> str:
        """Give the text to store: one that is JSON as it is, anything else made compact. Raises InvalidValue."""
        if isinstance(value, bytes) and value.startswith(WHY):
            raise damage(None, value)
        text = snapshot_input.encode(value)
        if text is value:
            snapshot_input.prove(text)
        return text

    def as_stored(self, value: Any) -> Any:
        """Give the text that will be stored, if it proves to be JSON then. Raises InvalidValue."""
        return value if isinstance(value, (str, peewee.Node)) else snapshot_input.encode(value)

    def alias(self, alias: Any = None) -> Any:
        """Give it another name in the result."""
        return Alias(_Spelled(self, "usage_text"), alias) if alias else self

    def cast(self, as_type: Any) -> Any:
        """Convert the text in SQL."""
        return Cast(_Spelled(self, "usage_json"), as_type)

    def __invert__(self) -> Any:
        return Negated(_Spelled(self, "usage_json"))

    def stored(self) -> Any:
        """Give the column as it is in the table."""
        return self.column

    def __sql__(self, ctx: Any) -> Any:
        state = ctx.state
        inside = state.in_expr or state.in_function
        if state.scope == peewee.SCOPE_VALUES and not inside:
            return ctx.sql(self.stored())  # what is assigned to, or sorted by in a union
        if inside or not _is_selected(ctx):
            return self.spell(ctx, "usage_json")
        # An expression has no name by which a query around this one could ask for it.
        return self.spell(ctx, "usage_text").literal(f' AS "{self.column_name}"')

    def spell(self, ctx: Any, function: str) -> Any:
        """Write the expression that gives the text. Plain texts are not touched."""
        # A bound method is the only trace in there of the database on which the query runs.
        database = getattr(ctx.state.conflict_statement, "__self__", None)
        if isinstance(database, peewee.SqliteDatabase):
            prepare(database)
        sql = ctx._sql  # noqa: SLF001  what peewee has written: it is asked for the column once, since that takes long
        begun = len(sql)
        ctx.sql(self.stored())
        schema = self.model._meta.schema
        sql[begun:] = [_TEXT.format("".join(sql[begun:]), function, f'"{schema}".' if schema else "")]
        return ctx


class TextAlias(FieldAlias):
    """A `SnapshotTextField` of a model's alias."""

    def stored(self) -> Any:
        """Give the column as it is in the table."""
        return Column(self.source, self.field.column_name)

    def __sql__(self, ctx: Any) -> Any:
        return SnapshotTextField.__sql__(self, ctx)  # type: ignore[arg-type]  # create() makes it one


class _Spelled(WrappedNode):
    """A text within what gives it another name, or none."""

    def __init__(self, field: SnapshotTextField, function: str) -> None:
        super().__init__(field)
        self._function = function

    def __sql__(self, ctx: Any) -> Any:
        return self.node.spell(ctx, self._function)


def _is_selected(ctx: Any) -> bool:
    """Tell whether a node stands in a list of columns itself, in SELECT or RETURNING, and not within something there.

    Peewee enters a scope for the list, and once more for its nodes.
    """
    source, stack = peewee.SCOPE_SOURCE, ctx.stack
    return bool(ctx.state.scope == source and len(stack) > 1 and stack[-2].scope != source)
