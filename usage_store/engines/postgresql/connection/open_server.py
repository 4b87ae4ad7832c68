"""Open a database by its URL, or use an application's own database."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import peewee

from usage_store.engines.postgresql.connection.error_messages import readable_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from usage_store.engines.interface.engine import Missing


def open_database(
    target: str | os.PathLike[str],
    *,
    readonly: bool = False,  # noqa: ARG001
    missing: Missing = "create",  # noqa: ARG001
    timeout: float = 5,
    mode: int | None = None,  # noqa: ARG001
) -> peewee.PostgresqlDatabase:
    """Open a database by its URL, connected on this thread."""
    parts = urlsplit(os.fspath(target))
    given = dict(parse_qsl(parts.query))
    schema = given.pop("schema", None)
    url = urlunsplit(parts._replace(query=urlencode(given)))
    options = f"-c lock_timeout={int(timeout * 1000)}"
    if schema:
        options += f" -c search_path={schema}"
    database = peewee.PostgresqlDatabase(url, prefer_psycopg3=True, options=options, application_name="usage-store")
    with readable_errors(url, reading=True):
        database.connect()
    return database


@contextmanager
def lent(
    database: peewee.PostgresqlDatabase,
    *,
    readonly: bool = False,  # noqa: ARG001
    missing: Missing = "create",  # noqa: ARG001
    mode: int | None = None,  # noqa: ARG001
) -> Iterator[peewee.PostgresqlDatabase]:
    """Connect an application's own database for the block."""
    opened = database.connect(reuse_if_open=True)
    try:
        yield database
    finally:
        if opened and not database.is_closed():
            database.close()


@contextmanager
def plain_connection(database: peewee.PostgresqlDatabase) -> Iterator[None]:  # noqa: ARG001
    """Switch off for the block what an application has set on its connection."""
    yield


def hear_signals(database: peewee.PostgresqlDatabase) -> None:
    """Do nothing: Python handles signals while it waits for the server."""


def close_all(database: peewee.PostgresqlDatabase) -> None:
    """Close the connection of this thread, and the idle ones of a pool."""
    database.close()
    getattr(database, "close_idle", lambda: None)()


def refuse_readonly(database: peewee.PostgresqlDatabase) -> None:
    """Raise ReadOnlyDatabase if the connection was opened for reading only. Reads only."""


def file_of(database: str | os.PathLike[str] | peewee.PostgresqlDatabase) -> str:  # noqa: ARG001
    """Return an empty text: a server has no file that belongs to the caller."""
    return ""
