"""Find damage, constraints that were never validated, and indexes that are not valid."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

import peewee

from usage_store.engines.interface.schema_objects import quoted
from usage_store.engines.postgresql.catalogs.read_objects import spelled
from usage_store.engines.postgresql.connection.error_messages import sqlstate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger("usage_store.migrate")

_CORRUPT = ("XX001", "XX002")  # data_corrupted, index_corrupted
_AMCHECK = """
SELECT n.nspname FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
WHERE e.extname = 'amcheck'
"""
_RELATIONS = """
SELECT c.oid::bigint, c.relname, c.relkind::text FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid LEFT JOIN pg_catalog.pg_am AS m ON m.oid = c.relam
WHERE n.nspname = current_schema() AND c.relpersistence <> 't'
  AND (c.relkind IN ('r', 'm') OR (c.relkind = 'i' AND i.indisvalid AND m.amname = 'btree'))
ORDER BY c.relname
"""
_NOT_VALIDATED = """
SELECT c.relname, k.conname FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema() AND NOT k.convalidated AND k.conparentid = 0
  AND coalesce(to_jsonb(k) ->> 'conenforced', 'true') = 'true'
ORDER BY c.relname, k.conname
"""
_NOT_VALID = """
SELECT c.relname, x.relname FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indrelid
JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema() AND NOT i.indisvalid AND NOT EXISTS (
  SELECT 1 FROM pg_catalog.pg_stat_progress_create_index AS p WHERE p.index_relid = i.indexrelid)
ORDER BY c.relname, x.relname
"""


def damage(
    database: peewee.PostgresqlDatabase,
    *,
    full: bool = False,
    most: int = 1,
    on_unchecked: Callable[[str], object] = logger.warning,
) -> list[str]:
    """Check tables and indexes with the extension amcheck if `full`, and return at most `most` lines. Reads only.

    Without `full`, nothing is checked: the server itself reports a damaged page when it reads it. `on_unchecked` gets
    one line for what cannot be checked: the extension is missing, or the role may not use it.
    """
    if not full:
        return []
    row = database.execute_sql(_AMCHECK).fetchone()
    if row is None:
        on_unchecked("tables and indexes were not checked for damage: that needs CREATE EXTENSION amcheck")
        return []
    found: list[str] = []
    unchecked: list[str] = []
    for relation, name, kind in database.execute_sql(_RELATIONS).fetchall():
        try:
            with database.atomic():  # after an error, an open transaction goes on
                found += _damage_of(database, quoted(row[0]), relation, spelled(name), kind)
        except peewee.DatabaseError as error:
            if sqlstate(error) in _CORRUPT:
                found.append(" ".join(str(error).split()))
            elif sqlstate(error) == "42501":
                unchecked.append(spelled(name))
            else:
                raise
    if unchecked:
        on_unchecked(f"{len(unchecked)} tables and indexes were not checked: the role may not run amcheck")
    return found[:most]


def _damage_of(
    database: peewee.PostgresqlDatabase, extension: str, relation: int, name: str, kind: str
) -> Iterator[str]:
    if kind == "i":  # raises what it finds
        database.execute_sql(f"SELECT {extension}.bt_index_check(%s::oid::regclass, true)", (relation,))
        return
    sql = f"SELECT blkno, msg FROM {extension}.verify_heapam(%s::oid::regclass)"  # noqa: S608
    for block, message in database.execute_sql(sql, (relation,)).fetchall():
        yield f"{name}, block {block}: {message}"


def violations(
    database: peewee.PostgresqlDatabase,
    *,
    on_unchecked: Callable[[str], object] | None = None,  # noqa: ARG001  everything is checked
) -> Counter[str]:
    """Count the constraints that were never validated, and the indexes that are not valid, one line each. Reads only.

    The server keeps all other constraints and indexes right by itself. An index that is being built now is passed over.
    """
    lines = [f"constraint {_on(name, table)} is NOT VALID" for table, name in _all(database, _NOT_VALIDATED)]
    lines += [f"index {_on(name, table)} is not valid" for table, name in _all(database, _NOT_VALID)]
    return Counter(lines)


def _all(database: peewee.PostgresqlDatabase, sql: str) -> list[Any]:
    return database.execute_sql(sql).fetchall()  # type: ignore[no-any-return]


def _on(name: str, table: str) -> str:
    return f"{spelled(name)} on {spelled(table)}"
