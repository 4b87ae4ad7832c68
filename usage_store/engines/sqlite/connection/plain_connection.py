"""A connection without what an application has set on it, for as long as this package uses it."""

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
    """Let rows be tuples and texts str for the block, with no authorizer and no implicit BEGIN; put back what was set.

    The authorizer of a driver that does not tell it stays, since nobody could put it back.
    """
    with plain(database.connection()) as had_an_authorizer:
        if had_an_authorizer:
            logger.info("the connection's authorizer is off while this package works with it")
        yield


@contextmanager
def plain(connection: sqlite3.Connection) -> Iterator[bool]:
    """Do so with a driver's connection, and tell whether an authorizer was taken off."""
    rows, texts, isolation = connection.row_factory, connection.text_factory, connection.isolation_level
    connection.row_factory, connection.text_factory = None, str
    implicit = isolation is not None and not connection.in_transaction  # to set it inside of one would commit
    if implicit:
        connection.isolation_level = None
    authorizer = _take_authorizer(connection) if is_standard(connection) else None
    try:
        yield authorizer is not None
    finally:
        with suppress(connection.ProgrammingError):  # it is closed
            connection.row_factory, connection.text_factory = rows, texts
            if implicit:
                connection.isolation_level = isolation
            if authorizer is not None:
                connection.set_authorizer(authorizer)


def _take_authorizer(connection: sqlite3.Connection) -> Callable[..., Any] | None:
    """Take the authorizer off and give it: what a connection no longer refers to when it is off."""
    before = gc.get_referents(connection)
    connection.set_authorizer(None)
    for kept in gc.get_referents(connection):
        before = _without(before, kept)
    return next((each for each in before if callable(each)), None)


def _without(things: list[Any], thing: object) -> list[Any]:
    # By identity, and once: one function may be the trace callback, too.
    index = next((index for index, each in enumerate(things) if each is thing), len(things))
    return things[:index] + things[index + 1 :]
