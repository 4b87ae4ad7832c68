"""Tell whoever watches the connection what a rebuild is about to do, by the names of savepoints.

Outside a transaction, a migration's DROP TABLE is refused where it is not declared; that of a rebuild loses nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from usage_store.engines.sqlite.schema.sql_tokens import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import peewee

REBUILDING = "usage_store rebuilds "
LEAVING_OUT = "usage_store leaves out "


@contextmanager
def rebuilding(database: peewee.SqliteDatabase, table: str, without: Iterable[str]) -> Iterator[None]:
    """Tell that within the block a table is replaced by one with its rows, and which columns it has no more."""
    for column in without:
        _told(database, f"{LEAVING_OUT}{table}.{column}")
        _end(database, f"{LEAVING_OUT}{table}.{column}")
    _told(database, f"{REBUILDING}{table}")
    yield
    _end(database, f"{REBUILDING}{table}")


def _told(database: peewee.SqliteDatabase, name: str) -> None:
    database.execute_sql(f"SAVEPOINT {quoted(name)}")


def _end(database: peewee.SqliteDatabase, name: str) -> None:
    database.execute_sql(f"RELEASE {quoted(name)}")
