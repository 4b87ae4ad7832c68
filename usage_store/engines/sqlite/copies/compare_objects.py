"""Compare a live schema with recorded objects.

Only objects whose DDL text differs are parsed and compared in detail.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import peewee

from usage_store.engines.interface.schema_differences import Catalog, Table, differences
from usage_store.engines.sqlite.connection.second_connection import scratch_like
from usage_store.engines.sqlite.schema.read_whole_schema import is_ordinary, normal_object, read_catalog
from usage_store.engines.sqlite.schema.sql_tokens import tokens

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from usage_store.engines.interface.schema_objects import SchemaObject

_NOTHING = Table({}, (), (), (), ())
_ORDER = ("table", "index", "view", "trigger")


def compare(
    database: peewee.SqliteDatabase,
    expected: Mapping[str, SchemaObject],
    live: Mapping[str, SchemaObject],
    found: Collection[str] = (),
) -> tuple[list[str], list[str]]:
    """Return each difference of the live schema from the expected one, and what could not be compared. Reads only.

    `found` are the keys of expected tables that may have any further objects.
    """
    tables = {each.name.lower() for key, each in expected.items() if each.kind == "table" and key not in found}
    different = [each for key, each in expected.items() if key not in live or live[key].sql != each.sql]
    added = [
        each
        for key, each in live.items()
        if key not in expected and each.kind != "table" and each.table.lower() in tables
    ]
    if not different and not added:
        return [], []
    names = {name.lower() for each in (*different, *added) for name in (each.name, each.table)}
    wanted = [each for each in expected.values() if {each.name.lower(), each.table.lower()} & names]
    catalog, unknown = _catalog_of(database, wanted, live)
    there = read_catalog(database, names)
    tables_left = {name: table for name, table in there.tables.items() if name not in unknown}
    others_left = {
        name: other
        for name, other in there.others.items()
        if name not in unknown and (name in catalog.others or other[1] in tables)
    }
    lines = differences(catalog, Catalog(tables_left, others_left, there.strings))
    return lines, [f"{name} was not compared: {reason}" for name, reason in unknown.items()]


def _catalog_of(
    database: peewee.SqliteDatabase, objects: Sequence[SchemaObject], live: Mapping[str, SchemaObject]
) -> tuple[Catalog, dict[str, str]]:
    tables: dict[str, Table] = {}
    others: dict[str, tuple[str, str, str]] = {}
    unknown: dict[str, str] = {}
    named = {each.name.lower() for each in objects}
    hosts = {
        each.table.lower() for each in objects
    } - named  # tables that were not recorded, but have recorded triggers
    with scratch_like(database) as scratch:
        for each in live.values():
            if each.name.lower() in hosts and is_ordinary(each.kind, each.sql):
                with suppress(peewee.DatabaseError):
                    _make(scratch, each)
        for each in sorted(objects, key=lambda each: _ORDER.index(each.kind)):
            name, ordinary = each.name.lower(), is_ordinary(each.kind, each.sql)
            if each.key not in live and ordinary:
                tables[name] = _NOTHING
            elif each.key not in live or (each.kind == "table" and not ordinary):
                others[name] = each.kind, each.table.lower(), normal_object(each.kind, tokens(each.sql))
            else:
                try:
                    _make(scratch, each)
                except Exception as error:  # noqa: BLE001  drivers raise different errors for a text that is no statement
                    unknown[name] = str(error)
        made = read_catalog(scratch, named)
    tables.update(made.tables)
    others.update(made.others)
    names = list(dict.fromkeys(each.name.lower() for each in objects))  # in the order of the objects
    return Catalog(
        {name: tables[name] for name in names if name in tables},
        {name: others[name] for name in names if name in others},
        made.strings,
    ), unknown


def _make(scratch: peewee.SqliteDatabase, each: SchemaObject) -> None:
    # A record may hold any text. Only plain CREATE statements are run, because these evaluate nothing.
    words = tokens(each.sql)[:4]
    kind = words[2 if len(words) > 2 and words[1].says("unique") else 1] if len(words) == 4 else None  # noqa: PLR2004
    if kind is None or not (words[0].says("create") and kind.says(each.kind)):
        raise ValueError(f"its recorded DDL is no CREATE {each.kind.upper()}")
    if each.kind == "table" and not words[3].says("("):
        raise ValueError("its recorded DDL is no CREATE TABLE with a list of columns")
    scratch.execute_sql(each.sql)
