"""Copy a schema without rows, so that migrations can run on the copy and damage nothing."""

from __future__ import annotations

import logging
import re
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from usage_store.engines.interface.schema_objects import SchemaObject, quoted
from usage_store.engines.postgresql.catalogs.read_objects import SCHEMA, read_objects
from usage_store.engines.postgresql.connection.driver import driver_errors
from usage_store.engines.postgresql.connection.error_messages import sqlstate
from usage_store.engines.postgresql.copies.nothing_lasts import nothing_lasts
from usage_store.engines.postgresql.copies.second_connection import second_connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import peewee

logger = logging.getLogger("usage_store.migrate")

FOREIGN_KEY = "foreign key"  # the kind of what a table gets after all tables are made
_NO_TABLE = "42P01"  # undefined_table
_FOREIGN_KEY = re.compile(r",?\n  (CONSTRAINT (?:\"(?:[^\"]|\"\")*\"|\S+) FOREIGN KEY .*?)(?=,?\n)")
# The schemas of the search path but the first, and that one if types of extensions are in it.
_PATH = """
SELECT array(SELECT name FROM unnest(current_schemas(false)) WITH ORDINALITY AS s (name, place)
  WHERE name <> current_schema()
    OR quote_ident(name)::regnamespace IN (SELECT extnamespace FROM pg_catalog.pg_extension)
  ORDER BY name = current_schema(), place)::text[]
"""


@contextmanager
def empty_copy(
    database: peewee.PostgresqlDatabase, wanted: Callable[[str, str], bool] = lambda _kind, _name: True
) -> Iterator[peewee.PostgresqlDatabase]:
    """Provide a second connection for the block, in a schema with the objects of a database but without rows.

    `wanted` chooses the objects by kind and name. The schema is made in a transaction that is rolled back at the end,
    so nobody else sees it. The user needs the right CREATE on the database. An object that cannot be made is left out,
    and a warning names it.
    """
    (path,) = database.execute_sql(_PATH).fetchone()
    objects = [each for each in read_objects(database) if wanted(each.kind, each.name)]
    with second_connection(database) as scratch, nothing_lasts(scratch):
        schema = f"usage_store_{uuid.uuid4().hex[:12]}"
        _run(scratch, f"CREATE SCHEMA {schema}")
        _run(scratch, f"SET LOCAL search_path = {', '.join([schema, *map(quoted, path)])}")
        _run(scratch, "SET LOCAL check_function_bodies = off")  # a function may use tables that are made after it
        _make(scratch, [each._replace(sql=each.sql.replace(SCHEMA, schema)) for each in objects])
        yield scratch


def _make(scratch: peewee.PostgresqlDatabase, objects: Sequence[SchemaObject]) -> None:
    _, failed = made_in_order(scratch, objects)
    for each, error in failed:
        if each.kind == FOREIGN_KEY and sqlstate(error) == _NO_TABLE:
            continue  # of a table, or to a table, that is not in the copy
        logger.warning("left out of the empty copy: %s %s (%s)", each.kind, each.name, str(error).splitlines()[0])


def made_in_order(
    scratch: peewee.PostgresqlDatabase, objects: Sequence[SchemaObject]
) -> tuple[list[SchemaObject], list[tuple[SchemaObject, Exception]]]:
    """Make objects, foreign keys last. Returns those that were made, in the order that worked, and the others.

    An object that fails is tried again after the others, which it may need. Call it in `nothing_lasts()`.
    """
    left = [each for object_ in objects for each in _without_keys(object_)]
    left.sort(key=lambda each: each.kind == FOREIGN_KEY)
    made: list[SchemaObject] = []
    while left:
        tried = [(each, _error(scratch, each.sql)) for each in left]
        failed = [(each, error) for each, error in tried if error is not None]
        made += [each for each, error in tried if error is None]
        if len(failed) == len(left):
            return made, failed
        left = [each for each, _ in failed]
    return made, []


def _without_keys(each: SchemaObject) -> Iterator[SchemaObject]:
    """Yield a table without its foreign keys, and then these: two tables may refer to each other."""
    if each.kind != "table":
        yield each
        return
    yield each._replace(sql=_FOREIGN_KEY.sub("", each.sql).replace("(,\n", "(\n", 1))
    for key in _FOREIGN_KEY.findall(each.sql):
        yield SchemaObject(FOREIGN_KEY, f"of {each.name}", each.table, f"ALTER TABLE {each.name} ADD {key}")


def _error(scratch: peewee.PostgresqlDatabase, sql: str) -> Exception | None:
    try:
        _run(scratch, sql)
    except driver_errors() as error:
        return error  # the statement is undone: see `nothing_lasts()`
    return None


def _run(scratch: peewee.PostgresqlDatabase, sql: str) -> None:
    cursor: Any = scratch.connection().cursor()
    cursor.execute(sql)  # without parameters, so that several statements may be in it, and a % means itself
