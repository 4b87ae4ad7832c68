"""Compare a live schema with objects that were recorded, of which only those with another text are taken apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import peewee

from usage_store.engines.interface.schema_differences import Catalog, Table, differences
from usage_store.engines.sqlite.copies.copy_schema_only import empty_copy
from usage_store.engines.sqlite.schema.read_whole_schema import is_ordinary, normal_object, read_catalog
from usage_store.engines.sqlite.schema.sql_tokens import tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from usage_store.engines.interface.schema_objects import SchemaObject

_NOTHING = Table({}, (), (), (), ())


def compare(
    database: peewee.SqliteDatabase, expected: Mapping[str, SchemaObject], live: Mapping[str, SchemaObject]
) -> tuple[list[str], list[str]]:
    """Name each way in which the live schema is not the expected one, and what could not be compared. Reads only."""
    tables = {each.name.lower() for each in expected.values() if each.kind == "table"}
    different = [each for key, each in expected.items() if live.get(key) is None or live[key].sql != each.sql]
    added = [
        each
        for key, each in live.items()
        if key not in expected and each.kind != "table" and each.table.lower() in tables
    ]
    if not different and not added:
        return [], []
    names = {each.name.lower() for each in (*different, *added)} | {each.table.lower() for each in added}
    wanted = [each for each in expected.values() if {each.name.lower(), each.table.lower()} & names]
    there = {each.name.lower() for each in live.values()}
    catalog, unknown = _catalog_of(database, wanted, there)
    names -= unknown.keys()
    found = read_catalog(database, names)
    return differences(catalog, found), [f"{name} was not compared: {reason}" for name, reason in unknown.items()]


def _catalog_of(
    database: peewee.SqliteDatabase, objects: list[SchemaObject], there: set[str]
) -> tuple[Catalog, dict[str, str]]:
    tables: dict[str, Table] = {}
    unknown: dict[str, str] = {}
    with empty_copy(database, lambda _kind, _name: False) as scratch:
        for each in objects:
            if is_ordinary(each.kind, each.sql):
                tables[each.name.lower()] = _NOTHING
                try:
                    _make(scratch, each)
                except (peewee.DatabaseError, ValueError) as error:
                    if each.name.lower() in there:
                        unknown[each.name.lower()] = str(error)
        tables |= read_catalog(scratch).tables
    others = {
        each.name.lower(): (each.kind, each.table.lower(), normal_object(each.sql))
        for each in objects
        if not is_ordinary(each.kind, each.sql)
    }
    return Catalog({name: tables[name] for name in tables if name not in unknown}, others), unknown


def _make(scratch: peewee.SqliteDatabase, table: SchemaObject) -> None:
    # Nothing that a record may hold is run but the plain form, which evaluates nothing.
    words = tokens(table.sql)[:4]
    if len(words) < 4 or not (words[0].says("create") and words[1].says("table") and words[3].says("(")):  # noqa: PLR2004
        raise ValueError("its recorded DDL is no CREATE TABLE of columns")
    scratch.execute_sql(table.sql)
