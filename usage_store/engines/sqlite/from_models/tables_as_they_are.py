"""Write the statements that make SQLite tables as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.engines.interface.schema_objects import quoted
from usage_store.engines.interface.table_changes import Change
from usage_store.engines.sqlite.file.schema_hash import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Collection

    import peewee


def tables_as_they_are(database: peewee.SqliteDatabase, tables: Collection[str]) -> tuple[Change, ...]:
    """Return the changes that make tables as they are, with their indexes and triggers. Reads only.

    `tables` are names in lower case; those that are no tables are passed over.
    """
    fingerprint = Fingerprint(database)
    fingerprint.read()
    found = [each for each in fingerprint.objects.values() if each.table.lower() in tables]
    made = {kind: [each for each in found if each.kind == kind] for kind in ("table", "index", "trigger")}
    up = [each.sql for each in (*made["table"], *made["index"], *made["trigger"])]
    down = [f"DROP TABLE {quoted(each.name)}" for each in made["table"]]
    return (Change(tuple(up), tuple(down)),) if made["table"] else ()
