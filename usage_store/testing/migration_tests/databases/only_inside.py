"""Keep tests of migrations away from the databases of the project."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from usage_store.engines.interface.paths_and_urls import redact
from usage_store.errors import ConfigurationError
from usage_store.migrate.files.import_by_name import importable
from usage_store.migrate.files.look_at_databases import before_each

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee


class OutsideTheTest(ConfigurationError):
    """A migration or a module of the project used another database than the one of the test."""


@contextmanager
def only_inside(folder: str, imports_from: str, schemas: str = "") -> Iterator[None]:
    """Refuse in the block every Peewee database that is not a SQLite file in a folder, or in memory.

    With `schemas`, a database that this package opened in a schema whose name begins so is not refused either.
    Such a database is not opened, and a connection that is open already runs nothing. Modules of `imports_from` can be
    imported in the block. Raises OutsideTheTest where such a database is used.
    """
    root = os.path.realpath(folder) + os.sep
    inside = {":memory:", ""}  # the names that were looked at already

    def look(database: peewee.Database) -> None:
        if not (schemas and str(getattr(database, "schema", "")).startswith(schemas)):
            _check(database, root, inside)

    with importable(imports_from), before_each("connect", look), before_each("cursor", look):
        yield


def _check(database: peewee.Database, root: str, inside: set[str]) -> None:
    if database.deferred or str(database.database) in inside:
        return  # peewee refuses a deferred one itself
    name = redact(os.fspath(database.database))
    if not os.path.realpath(_path(name)).startswith(root):
        raise OutsideTheTest(f"{name} is another database than the one of the test, so it was not used")
    inside.add(name)


def _path(name: str) -> str:
    """Return the path of a name that may be a URI."""
    return unquote(urlsplit(name).path) if name.startswith("file:") else name
