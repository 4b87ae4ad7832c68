"""Hash the whole schema, and list its objects."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import peewee

    from usage_store.engines.interface.schema_objects import Changes, SchemaObject

    _Row = tuple[str, str, str, str | None]

_OBJECTS = "SELECT rowid, type, name, tbl_name, sql FROM sqlite_master WHERE rowid > ? ORDER BY rowid"
_SHADOWS = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'"


class Fingerprint:
    """A hash of the DDL of the whole schema, and the objects that were hashed.

    It is the sum of the SHA-256 of each object, so the order of the objects does not matter. An update after new
    objects reads only those.
    """

    def __init__(self, database: peewee.SqliteDatabase) -> None:
        self._database = database
        self._sum = 0
        self._last = 0
        self._rows: dict[_Row, None] = {}
        self._made: list[_Row] = []
        self._gone: list[_Row] = []
        self._added: list[_Row] | None = None
        self._newest = 0

    def read(self, *, partly: bool = False) -> str:
        """Return the fingerprint of the schema as it is now. Reads only.

        `partly` is the caller's promise that objects were only added since the last call; then only those are read.
        """
        if not partly:
            self._sum = self._last = 0
            self._added = None
        rows = self.added()
        for row in rows:
            self._sum += int.from_bytes(hashlib.sha256(repr(list(row)).encode()).digest())
        self._last, self._added = self._newest, None
        if partly:
            self._made, self._gone = rows, []
            self._rows.update(dict.fromkeys(rows))
        else:
            before, self._rows = self._rows, dict.fromkeys(rows)
            self._made = [row for row in rows if row not in before]
            self._gone = [row for row in before if row not in self._rows]
        return f"{self._sum % 2**256:064x}"

    def added(self) -> list[_Row]:
        """Return type, name, table and DDL of each object that was added since `read()`. Reads only.

        The result is right only if nothing else was changed. A following `read(partly=True)` uses this result, and
        misses objects that were added after it.
        """
        if self._added is None:
            found = self._database.connection().execute(_OBJECTS, (self._last,)).fetchall()
            self._newest = found[-1][0] if found else self._last
            self._added = [row[1:] for row in found]
        return self._added

    def names(self) -> set[str]:
        """Return the names of all objects that the last `read()` found."""
        return {name for _, name, _, _ in self._rows}

    @property
    def objects(self) -> dict[str, SchemaObject]:
        """Return the objects that the last `read()` found, by their keys. Reads only.

        Left out are SQLite's own objects, and the internal (shadow) tables of virtual tables.
        """
        return {each.key: each for each in self._objects_of(self._rows)}

    @property
    def changes(self) -> Changes:
        """Return the difference of these objects between the last two calls of `read()`. Reads only."""
        from usage_store.engines.interface.schema_objects import Changes  # noqa: PLC0415  `check` does not need it

        made = self._objects_of(self._made)
        if not self._gone:
            return Changes(tuple(made))
        gone = dict.fromkeys(each.key for each in self._objects_of(self._gone))
        changed = [each.key for each in made if each.key in gone]
        return Changes(tuple(made), tuple(changed), tuple(key for key in gone if key not in changed))

    def _objects_of(self, rows: Iterable[_Row]) -> list[SchemaObject]:
        from usage_store.engines.interface.schema_objects import SchemaObject  # noqa: PLC0415  as above

        found = [SchemaObject(kind, name, table, sql) for kind, name, table, sql in rows if sql is not None]
        shadows: set[str] = set()
        if any(each.sql.startswith("CREATE VIRTUAL") for each in found):
            shadows = {name for (name,) in self._database.connection().execute(_SHADOWS).fetchall()}
        return [each for each in found if not each.name.startswith("sqlite_") and each.table not in shadows]
