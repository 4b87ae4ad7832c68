"""Run a statement of the store, and read its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from usage_store.engines.postgresql.connection.driver import database_errors
from usage_store.engines.postgresql.connection.error_messages import raise_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    import peewee


def fetch(database: peewee.PostgresqlDatabase, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Return all rows of a query. Rows are tuples, whatever rows the application has asked its driver for."""
    try:
        rows: list[Any] = database.execute_sql(sql, params).fetchall()
    except database_errors() as error:
        raise_for(error, database)
    if rows and not isinstance(rows[0], tuple):
        return [tuple(row.values()) if isinstance(row, dict) else tuple(row) for row in rows]
    return rows
