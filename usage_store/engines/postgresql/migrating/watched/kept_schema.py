"""Keep the tables of the schema from one migration to the next, and read only again what was changed since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.engines.postgresql.migrating.watched.objects_of_a_schema import Schema, read_schema

if TYPE_CHECKING:
    from collections.abc import Collection

    import peewee


class KeptSchema:
    """The tables of the schema and their parts, as they are before a statement that may lose something."""

    def __init__(self, database: peewee.PostgresqlDatabase) -> None:
        self._database = database
        self._schema: Schema | None = None
        self._stale: set[int] = set()

    def forget(self) -> None:
        """Read everything again when it is needed next: others may have changed it, or a change was rolled back."""
        self._schema = None
        self._stale.clear()

    def touched(self, relations: Collection[int] | None) -> None:
        """Take the numbers of tables and indexes that were changed; None means that any may be."""
        if relations is None:
            self.forget()
        elif self._schema is not None:
            self._stale.update(relations)

    def read(self) -> Schema:
        """Return the schema. Reads only, and no more than what was not read since it was changed."""
        if self._schema is None:
            self._schema = read_schema(self._database)
        elif self._stale:
            tables, parts = self._schema
            again = read_schema(self._database, self._stale)
            self._schema = Schema(
                {**{oid: each for oid, each in tables.items() if oid not in self._stale}, **again.tables},
                {
                    **{key: each for key, each in parts.items() if self._stale.isdisjoint((each.table, key[1]))},
                    **again.parts,
                },
            )
        self._stale.clear()
        return self._schema
