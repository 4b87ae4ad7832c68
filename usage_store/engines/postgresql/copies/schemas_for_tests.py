"""Make schemas for tests on a server, with the objects and rows of a schema that was made once."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from usage_store.engines.interface.schema_objects import quoted
from usage_store.engines.postgresql.catalogs.read_objects import SCHEMA, read_objects
from usage_store.engines.postgresql.connection.driver import driver_errors, required_driver
from usage_store.engines.postgresql.connection.error_messages import is_locked, raise_of_connecting, readable_errors
from usage_store.engines.postgresql.connection.names import name_of
from usage_store.engines.postgresql.connection.open_server import open_database
from usage_store.engines.postgresql.connection.read_url import read_url, with_defaults, with_schema
from usage_store.engines.postgresql.copies.copy_schema_only import FOREIGN_KEY, made_in_order
from usage_store.engines.postgresql.copies.nothing_lasts import nothing_lasts
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee

    from usage_store.engines.postgresql.connection.our_connections import OurServer

_FIRST = ("type", "sequence", "function", "procedure", "table")  # what is there before the rows
_LATER_BODIES = "SET check_function_bodies = off"  # a function may use tables that are made after it
_BATCH = 500  # rows in a statement
_WAIT = 2  # seconds that a schema's end waits for a lock of its test
_BEGINNING = "usage_store_test_"
_MARK = "made by a test run of usage-store, which drops it"
_KEY = "hashtextextended(%s, 0)"
_LEFT = f"""
SELECT DISTINCT left(nspname::text, {len(_BEGINNING) + 12}) FROM pg_catalog.pg_namespace
WHERE nspname ~ '^{_BEGINNING}[0-9a-f]{{12}}(_[0-9a-f]{{16}})?$' AND pg_has_role(nspowner, 'USAGE')
  AND obj_description(oid, 'pg_namespace') = '{_MARK}'
"""  # noqa: S608
_SCHEMAS = "SELECT nspname::text FROM pg_catalog.pg_namespace WHERE starts_with(nspname, %s)"
_END_HOLDERS = """
SELECT pg_terminate_backend(pid) FROM (
  SELECT DISTINCT l.pid FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE n.nspname = %s AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    AND l.pid <> pg_backend_pid()
) AS holders
"""
# Ordinary tables with the columns that can be written.
_TABLES = """
SELECT c.relname::text, array(
  SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum)
FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relkind = 'r' ORDER BY c.oid
"""
# Sequences that gave values: of a column by its table and name, because a sequence may have another name in a copy.
_COUNTERS = """
SELECT CASE WHEN a.attname IS NULL THEN quote_literal(quote_ident(s.relname)) ELSE format(
    'pg_get_serial_sequence(%%L, %%L)', quote_ident(t.relname), a.attname) END,
  pg_catalog.pg_sequence_last_value(s.oid::regclass)
FROM pg_catalog.pg_class AS s
LEFT JOIN pg_catalog.pg_depend AS d ON d.objid = s.oid AND d.classid = 'pg_class'::regclass
  AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
LEFT JOIN pg_catalog.pg_class AS t ON t.oid = d.refobjid
LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
WHERE s.relkind = 'S' AND s.relnamespace = quote_ident(current_schema())::regnamespace
  AND CASE s.relkind WHEN 'S' THEN pg_catalog.pg_sequence_last_value(s.oid::regclass) END IS NOT NULL
"""
# What the list of objects leaves out, so that a copy would not have it.
_NOT_COPIED = """
SELECT found.kind || ' ' || found.name FROM (
  SELECT 'aggregate', p.proname, p.oid, 'pg_proc'::regclass, p.pronamespace FROM pg_catalog.pg_proc AS p
    WHERE p.prokind IN ('a', 'w')
  UNION ALL SELECT 'foreign table', relname, oid, 'pg_class'::regclass, relnamespace FROM pg_catalog.pg_class
    WHERE relkind = 'f'
  UNION ALL SELECT 'operator', oprname, oid, 'pg_operator'::regclass, oprnamespace FROM pg_catalog.pg_operator
  UNION ALL SELECT 'collation', collname, oid, 'pg_collation'::regclass, collnamespace FROM pg_catalog.pg_collation
  UNION ALL SELECT 'text search configuration', cfgname, oid, 'pg_ts_config'::regclass, cfgnamespace
    FROM pg_catalog.pg_ts_config
) AS found (kind, name, id, class, namespace)
WHERE namespace = quote_ident(current_schema())::regnamespace AND NOT EXISTS (
  SELECT 1 FROM pg_catalog.pg_depend AS d WHERE d.classid = class AND d.objid = id AND d.deptype = 'e')
ORDER BY 1 LIMIT 1
"""


class Script(NamedTuple):
    """SQL that makes the content of a schema. Where it names the schema, it says `schema`, which is then replaced."""

    schema: str
    sql: str


@contextmanager
def new_schema(server: str) -> Iterator[str]:
    """Make a new schema on the server of a URL for the block, give its URL, and drop the schema with all in it.

    A connection that still holds a lock in the schema after the block is ended. Raises what `open_database()` raises,
    and DatabaseUnreadable if the role may not create a schema.
    """
    with names_for_schemas(server) as name:
        yield make_schema(server, name)


@contextmanager
def names_for_schemas(server: str) -> Iterator[str]:
    """Give the beginning of names for schemas in the block, and drop the schemas with such names after it.

    First, the schemas of test runs that were killed are dropped. A run that is alive is known by a connection of its
    own, which holds a lock.
    """
    name = f"{_BEGINNING}{uuid.uuid4().hex[:12]}"
    with _connected(server) as living:
        living.execute("SET idle_session_timeout = 0")  # the server must not take it for one that is over
        living.execute(f"SELECT pg_advisory_lock({_KEY})", (name,))
        for (left,) in living.execute(_LEFT).fetchall():
            if living.execute(f"SELECT pg_try_advisory_lock({_KEY})", (left,)).fetchone() == (True,):
                _drop(living, left)
                living.execute(f"SELECT pg_advisory_unlock({_KEY})", (left,))
        try:
            yield name
        finally:
            drop_schemas(server, name)


def make_schema(server: str, name: str) -> str:
    """Make a schema on the server of a URL if it is not there, and return its URL."""
    with _connected(server) as connection:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {name}; COMMENT ON SCHEMA {name} IS '{_MARK}'")
    return with_schema(server, name)


def drop_schemas(server: str, beginning: str) -> None:
    """Drop the schemas whose names begin so, with all that is in them.

    A connection that still holds a lock in such a schema is ended.
    """
    with _connected(server) as connection:
        _drop(connection, beginning)


def _drop(connection: Any, beginning: str) -> None:
    connection.execute(f"SET client_min_messages = error; SET lock_timeout = '{_WAIT}s'")
    for (name,) in connection.execute(_SCHEMAS, (beginning,)).fetchall():
        try:
            connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
        except driver_errors() as error:
            if not is_locked(error):
                raise
            connection.execute(_END_HOLDERS, (name,))
            connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")


@contextmanager
def _connected(server: str) -> Iterator[Any]:
    """Connect without peewee, because tests of migrations refuse all databases but their own."""
    try:
        connection = required_driver().connect(**with_defaults(read_url(server).parameters), autocommit=True)
    except driver_errors() as error:
        raise_of_connecting(error, name_of(server))
    try:
        with readable_errors(name_of(server)):
            yield connection
    finally:
        connection.close()


def script_of(url: str) -> Script:
    """Return SQL that makes the objects and rows of the schema of a URL in another schema. Reads only.

    Rights, comments and storage settings are left out. Raises ConfigurationError if an object cannot be copied.
    """
    with _opened(url) as database:
        found = database.execute_sql(_NOT_COPIED).fetchone()
        if found:
            raise ConfigurationError(f"{found[0]}: an object of this kind cannot be copied into the schema of a test")
        objects = read_objects(database)
        rows = [*_rows(database), *_counters(database)]
        name = f"{_BEGINNING}{uuid.uuid4().hex[:12]}"
        objects = [each._replace(sql=each.sql.replace(SCHEMA, name)) for each in objects]
        with nothing_lasts(database):
            _run(database, f"CREATE SCHEMA {name}; SET LOCAL search_path = {name}; {_LATER_BODIES}")
            tables, later = made_in_order(database, [each for each in objects if each.kind in _FIRST])
            keys = [each for each in tables if each.kind == FOREIGN_KEY]
            others, failed = made_in_order(
                database, [*(each for each, _ in later), *(each for each in objects if each.kind not in _FIRST)]
            )
        if failed:
            each, error = failed[0]
            reason = str(error).splitlines()[0]
            raise ConfigurationError(f"{each.kind} {each.name}: cannot be copied into the schema of a test ({reason})")
    statements = [each.sql for each in tables if each.kind != FOREIGN_KEY]
    return Script(name, ";\n".join([_LATER_BODIES, *statements, *rows, *(each.sql for each in [*keys, *others])]))


def content_of(url: str) -> tuple[str, ...]:
    """Return the definitions and the rows of the schema of a URL as texts, to compare them. Reads only."""
    with _opened(url) as database:
        return (*map(repr, read_objects(database)), *_rows(database), *_counters(database))


def run_script(url: str, script: Script) -> None:
    """Run a script in the empty schema of a URL, in one transaction."""
    with _opened(url) as database:
        _run(database, script.sql.replace(script.schema, str(database.schema)))


def schema_of(database: peewee.PostgresqlDatabase) -> str:
    """Return the name of the schema that a connected database works in. Reads only."""
    return str(database.execute_sql("SELECT current_schema()").fetchone()[0])


@contextmanager
def _opened(url: str) -> Iterator[OurServer]:
    database = open_database(url, timeout=_WAIT)
    try:
        yield database
    finally:
        database.close()


def _rows(database: OurServer) -> Iterator[str]:
    """Yield statements that insert the rows of each table."""
    for table, columns in database.execute_sql(_TABLES).fetchall():
        if not columns:
            continue
        written = " || ', ' || ".join(f"quote_nullable({quoted(column)})" for column in columns)
        found = _run(database, f"SELECT {written} FROM ONLY {quoted(table)}").fetchall()  # noqa: S608
        listed = ", ".join(map(quoted, columns))
        for start in range(0, len(found), _BATCH):
            values = "),\n(".join(row for (row,) in found[start : start + _BATCH])
            yield f"INSERT INTO {quoted(table)} ({listed}) OVERRIDING SYSTEM VALUE VALUES\n({values})"


def _counters(database: OurServer) -> Iterator[str]:
    """Yield statements that set the sequences to the last value that they gave."""
    for sequence, value in database.execute_sql(_COUNTERS).fetchall():
        yield f"SELECT setval({sequence}, {value})"


def _run(database: OurServer, sql: str) -> Any:
    cursor: Any = database.connection().cursor()
    return cursor.execute(sql)  # without parameters, so that several statements may be in it, and a % means itself
