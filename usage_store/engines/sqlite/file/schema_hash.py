"""A hash of the whole schema, and its objects."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from usage_store.engines.interface.schema_objects import Changes, SchemaObject, changes_between

if TYPE_CHECKING:
    from collections.abc import Iterable

    import peewee

_OBJECTS = "SELECT rowid, type, name, tbl_name, sql FROM sqlite_master WHERE rowid > ? ORDER BY rowid"
_SHADOWS = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'"


class Fingerprint:
    """A hash of the whole schema's DDL, kept up to date at the cost of what was added, and the objects behind it.

    The sum of the objects' SHA-256, so that their order does not matter. `objects` are those with DDL of their own, by
    their keys, SQLite's own and the shadow tables of virtual ones left out; `changes` what became of them between the
    last two calls of `read()`.
    """

    def __init__(self, database: peewee.SqliteDatabase) -> None:
        self._database = database
        self._sum = 0
        self._last = 0
        self.objects: dict[str, SchemaObject] = {}
        self.changes = Changes()

    def read(self, *, only_added: bool = False) -> str:
        """Give the fingerprint; `only_added` promises that since the last call objects were only made. Reads only."""
        if not only_added:
            self._sum = self._last = 0
        found = []
        for rowid, *row in self._database.connection().execute(_OBJECTS, (self._last,)).fetchall():
            self._sum += int.from_bytes(hashlib.sha256(repr(row).encode()).digest())
            self._last = rowid
            found.append(SchemaObject(*row))
        new = self._with_ddl(found)
        if only_added:
            self.changes = Changes(tuple(new.values()))
            self.objects |= new
        else:
            self.changes = changes_between(self.objects, new)
            self.objects = new
        return f"{self._sum % 2**256:064x}"

    def _with_ddl(self, found: Iterable[SchemaObject]) -> dict[str, SchemaObject]:
        own = [each for each in found if each.sql is not None and not each.name.startswith("sqlite_")]
        shadows: set[str] = set()
        if any(each.kind == "table" and each.sql[:14].upper().startswith("CREATE VIRTUAL") for each in own):
            shadows = {name for (name,) in self._database.connection().execute(_SHADOWS).fetchall()}
        return {each.key: each for each in own if each.table not in shadows}
