"""Keep tests of migrations away from the databases of the project."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn
from unittest.mock import patch
from urllib.parse import unquote, urlsplit

import peewee

from usage_store.errors import ConfigurationError
from usage_store.migrate.files.import_by_name import importable

if TYPE_CHECKING:
    from collections.abc import Iterator


class OutsideTheTest(ConfigurationError):
    """A migration or a module of the project used another database than the one of the test."""


@contextmanager
def only_inside(folder: str, imports_from: str) -> Iterator[None]:
    """Refuse in the block every Peewee database that is not a SQLite file in a folder, or in memory.

    Such a database is not opened, and a connection that is open already runs nothing. Modules of `imports_from` can be
    imported in the block. Raises OutsideTheTest where such a database is used.
    """
    root = os.path.realpath(folder) + os.sep
    inside = {":memory:", ""}  # the names that were looked at already
    connect: Any = peewee.Database.connect
    cursor: Any = peewee.Database.cursor

    def guarded_connect(database: peewee.Database, *arguments: Any, **options: Any) -> Any:
        _check(database, root, inside)
        return connect(database, *arguments, **options)

    def guarded_cursor(database: peewee.Database, *arguments: Any, **options: Any) -> Any:
        _check(database, root, inside)
        return cursor(database, *arguments, **options)

    with (
        importable(imports_from),
        patch.object(peewee.Database, "connect", guarded_connect),
        patch.object(peewee.Database, "cursor", guarded_cursor),
    ):
        yield


@contextmanager
def not_ending_the_run() -> Iterator[None]:
    """Let `os._exit` raise SystemExit in the block. Otherwise a migration could end pytest without a word."""

    def refuse(code: int) -> NoReturn:
        raise SystemExit(code)

    with patch.object(os, "_exit", refuse):
        yield


def _check(database: peewee.Database, root: str, inside: set[str]) -> None:
    if database.deferred or str(database.database) in inside:
        return  # peewee refuses a deferred one itself
    name = os.fspath(database.database)
    if not os.path.realpath(_path(name)).startswith(root):
        raise OutsideTheTest(f"{name} is another database than the one of the test, so it was not used")
    inside.add(name)


def _path(name: str) -> str:
    """Return the path of a name that may be a URI."""
    return unquote(urlsplit(name).path) if name.startswith("file:") else name
