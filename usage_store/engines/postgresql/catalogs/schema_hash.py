"""Hash the whole schema, and list its objects."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from usage_store.engines.interface.schema_objects import Changes, SchemaObject, changes_between
from usage_store.engines.postgresql.catalogs.read_objects import read_objects

if TYPE_CHECKING:
    import peewee


class Fingerprint:
    """A hash of the DDL of all objects in the schema, and the objects that were hashed."""

    def __init__(self, database: peewee.PostgresqlDatabase) -> None:
        self._database = database
        self._objects: dict[str, SchemaObject] = {}
        self._changes = Changes()

    def read(self, *, only_added: bool = False) -> str:  # noqa: ARG002  one query reads everything
        """Return the fingerprint of the schema as it is now. Reads only."""
        before, self._objects = self._objects, {each.key: each for each in read_objects(self._database)}
        self._changes = changes_between(before, self._objects)
        return hashlib.sha256(repr(sorted(map(tuple, self._objects.values()))).encode()).hexdigest()

    @property
    def objects(self) -> dict[str, SchemaObject]:
        """The objects that the last `read()` found, by their keys."""
        return self._objects

    @property
    def changes(self) -> Changes:
        """The difference of the objects between the last two calls of `read()`."""
        return self._changes
