"""Hash the whole schema, and list its objects."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from usage_store.engines.interface.schema_objects import Changes, SchemaObject, changes_between
from usage_store.engines.postgresql.catalogs.read_objects import read_with_relations

if TYPE_CHECKING:
    from collections.abc import Iterable

    import peewee

    from usage_store.engines.postgresql.catalogs.changed_objects import Touched

    Found = list[tuple[int | None, SchemaObject]]
    Kept = dict[int | None, list[SchemaObject]]

_TYPES_OF_A_TABLE = 2  # that of its rows, and that of arrays of them


class Fingerprint:
    """A hash of the DDL of all objects in the schema, and the objects that were hashed.

    It is the sum of the SHA-256 of each object, so the order of the objects does not matter, and an update after a
    change reads only the changed relations.
    """

    def __init__(self, database: peewee.PostgresqlDatabase) -> None:
        self._database = database
        self._kept: Kept = {}  # by relation; under None are functions and types, which belong to none
        self._sum = 0
        self._changes = Changes()
        self._touched: Touched | None = None

    def touched(self, what: Touched | None) -> None:
        """Take what may have changed since the last `read()`; None means everything."""
        self._touched = what

    def read(self, *, partly: bool = False) -> str:
        """Return the fingerprint of the schema as it is now. Reads only.

        `partly` is the caller's promise that since the last call nothing changed but what `touched()` was told.
        """
        touched, self._touched = self._touched, None
        found = self._objects_in(touched) if partly and touched is not None else None
        if found is None or touched is None:
            before, after = self._kept, _by_relation(read_with_relations(self._database))
            self._kept = after
        else:
            after = _by_relation(found)
            before = {key: self._kept.pop(key) for key in {*touched.relations, *after} if key in self._kept}
            self._kept.update(after)
        self._sum += _sum(after) - _sum(before)
        self._changes = changes_between(_by_key(before), _by_key(after))
        return f"{self._sum % 2**256:064x}"

    def _objects_in(self, touched: Touched) -> Found | None:
        """Return the objects that may have changed, or None if all have to be read."""
        if touched.found is None or touched.types or (touched.constraints and self._has_domains()):
            return None
        there = {relation for relation, _ in touched.found}
        gone = [self._kept[each][0] for each in touched.relations - there if each in self._kept]
        types = _TYPES_OF_A_TABLE * sum(each.kind in ("table", "view") for each in gone)
        return touched.found if types == touched.gone else None

    def _has_domains(self) -> bool:
        return any(each.sql.startswith("CREATE DOMAIN ") for each in self._kept.get(None, ()))

    @property
    def objects(self) -> dict[str, SchemaObject]:
        """The objects that the last `read()` found, by their keys."""
        return _by_key(self._kept)

    @property
    def changes(self) -> Changes:
        """The difference of the objects between the last two calls of `read()`."""
        return self._changes


def _by_relation(found: Found) -> Kept:
    kept: Kept = {}
    for relation, each in found:
        kept.setdefault(relation, []).append(each)
    return kept


def _by_key(kept: Kept) -> dict[str, SchemaObject]:
    return {each.key: each for objects in kept.values() for each in objects}


def _sum(kept: Kept) -> int:
    return sum(map(_number_of, _each(kept)))


def _each(kept: Kept) -> Iterable[SchemaObject]:
    return (each for objects in kept.values() for each in objects)


def _number_of(each: SchemaObject) -> int:
    return int.from_bytes(hashlib.sha256(repr(tuple(each)).encode()).digest())
