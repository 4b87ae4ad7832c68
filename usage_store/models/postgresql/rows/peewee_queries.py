"""Peewee's queries of the usage models. On this engine they need no help, since every text is in its row."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from usage_store.engines.postgresql.connection.forks import watch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    import peewee


def prepare(database: peewee.PostgresqlDatabase) -> None:
    """Have the connections of a database left alone in each forked child of this process."""
    watch(database)


def while_running(database: peewee.PostgresqlDatabase) -> AbstractContextManager[None]:  # noqa: ARG001
    """Return a block that does nothing."""
    return nullcontext()


def ReadingCursor(cursor: Any, selected: Sequence[Any], *, for_models: bool) -> Any:  # noqa: ARG001, N802
    """Return the cursor itself."""
    return cursor


def write_text(ctx: Any, column: peewee.Node, function: str, schema: str | None) -> Any:  # noqa: ARG001
    """Write the column, and return the context."""
    return ctx.sql(column)
