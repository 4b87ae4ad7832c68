"""Switch off what an application has set on its connection, while this package uses the connection."""

from __future__ import annotations

import gc
import logging
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from usage_store.engines.sqlite.connection.driver import is_standard

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

    import peewee

logger = logging.getLogger("usage_store.migrate")


@contextmanager
def plain_connection(database: peewee.SqliteDatabase) -> Iterator[None]:
    """Read rows as tuples and texts as str in the block, without an authorizer or implicit BEGIN; restore all settings.

    The authorizer stays if the driver cannot report it, because nobody could restore it.
    """
    with plain(database.connection()) as had_an_authorizer:
        if had_an_authorizer:
            logger.info("the connection's authorizer is off while this package works with it")
        yield


@contextmanager
def plain(connection: sqlite3.Connection) -> Iterator[bool]:
    """Do the same with a driver's connection, and return whether an authorizer was removed."""
    rows, texts, isolation = connection.row_factory, connection.text_factory, connection.isolation_level
    connection.row_factory, connection.text_factory = None, str
    implicit = isolation is not None and not connection.in_transaction  # setting it inside a transaction would commit
    if implicit:
        connection.isolation_level = None
    authorizer = _take_authorizer(connection) if is_standard(connection) else None
    try:
        yield authorizer is not None
    finally:
        with suppress(connection.ProgrammingError):  # the connection is closed
            connection.row_factory, connection.text_factory = rows, texts
            if implicit:
                connection.isolation_level = isolation
            if authorizer is not None:
                connection.set_authorizer(authorizer)


def _take_authorizer(connection: sqlite3.Connection) -> Callable[..., Any] | None:
    """Remove the authorizer and return it.

    The connection referred to it before the removal, but not after it; this difference finds it.
    """
    before = gc.get_referents(connection)
    connection.set_authorizer(None)
    for kept in gc.get_referents(connection):
        before = _without(before, kept)
    return next((each for each in before if callable(each)), None)


def _without(things: list[Any], thing: object) -> list[Any]:
    # Compare by identity, and remove one: the same function may also be the trace callback.
    index = next((index for index, each in enumerate(things) if each is thing), len(things))
    return things[:index] + things[index + 1 :]
