"""Read the schema of a live PostgreSQL database, or some objects of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.engines.postgresql.catalogs.catalog_of_objects import catalog_of, unquoted
from usage_store.engines.postgresql.catalogs.read_objects import read_objects

if TYPE_CHECKING:
    from collections.abc import Collection

    import peewee

    from usage_store.engines.interface.schema_differences import Catalog


def read_catalog(database: peewee.PostgresqlDatabase, only: Collection[str] | None = None) -> Catalog:
    """Read the whole schema in one query, with the names of the server in their case of letters. Reads only.

    With `only`, keep only the objects with these names, and the indexes and triggers on these tables.
    """
    objects = read_objects(database)
    if only is not None:
        objects = [each for each in objects if each.table in only or unquoted(each.name) in only]
    return catalog_of(objects)
