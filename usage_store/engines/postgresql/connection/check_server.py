"""Check the server of an open database: its version, its encoding, and what its role may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from usage_store.engines.postgresql.connection.names import name_of
from usage_store.errors import ConfigurationError, DatabaseUnreadable

if TYPE_CHECKING:
    import peewee

MINIMUM_SERVER = 15
_MAJOR = 10_000
_PID = "SELECT pg_backend_pid()"
_RIGHTS = """
SELECT current_user, current_schema(), current_setting('search_path'),
    current_schema() IS NOT NULL AND has_schema_privilege(current_schema(), 'CREATE')
"""


def check_version(database: peewee.PostgresqlDatabase) -> None:
    """Raise ConfigurationError for a server before PostgreSQL 15, and a database or connection that is not in UTF8.

    Asks the server nothing: it tells all of this when a connection begins. Raises peewee's error if that is lost.
    """
    connection: Any = database.connection()
    if connection.closed:
        database.execute_sql(_PID)  # raises: a lost connection of an application tells no version any more
    info = connection.info
    check_server(info.server_version, info.parameter_status("server_encoding"))
    encoding = info.parameter_status("client_encoding")
    if encoding not in (None, "UTF8"):
        raise ConfigurationError(
            f"{name_of(database)}: the client_encoding of the connection is {encoding}, which cannot carry every text; "
            "the usage tables need UTF8: leave out client_encoding, $PGCLIENTENCODING and peewee's `encoding`"
        )


def check_server(version: int, encoding: str | None) -> None:
    """Raise ConfigurationError for a version number of a server before 15, or an encoding that is not UTF8."""
    if version < MINIMUM_SERVER * _MAJOR:
        shown = f"{version // _MAJOR}.{version % _MAJOR}" if version >= _MAJOR * 10 else str(version // _MAJOR)
        raise ConfigurationError(f"PostgreSQL {shown} is too old: {MINIMUM_SERVER} or newer is needed")
    if encoding not in (None, "UTF8"):
        raise ConfigurationError(
            f"the encoding of the database is {encoding}, which cannot hold every text; "
            "`createdb --encoding=UTF8 --template=template0 NAME` creates one that can"
        )


def check_may_create(database: peewee.PostgresqlDatabase, name: str) -> None:
    """Raise DatabaseUnreadable if the role may not create tables in the first schema of the search path. Reads only."""
    role, schema, path, may = database.execute_sql(_RIGHTS).fetchone()
    if schema is None:
        raise DatabaseUnreadable(f"{name}: {no_schema(role, path)}")
    if not may:
        raise DatabaseUnreadable(
            f"{name}: the role {role} has no right CREATE in the schema {schema}; its owner gives it: "
            f'GRANT USAGE, CREATE ON SCHEMA "{schema}" TO "{role}" (sqlstate 42501)'
        )


def no_schema(role: str, path: str) -> str:
    """Return the message for a search path without any schema that the role may use."""
    return (
        f"no schema of the search path ({path}) exists and may be used by the role {role}; create one with "
        f'CREATE SCHEMA, or give the right: GRANT USAGE ON SCHEMA NAME TO "{role}" (sqlstate 42501)'
    )


def is_pooled(database: peewee.PostgresqlDatabase) -> bool:
    """Return whether a pooler stands between, so that statements may run in another backend than the last one.

    A pooler tells another process number at the beginning of a connection than the backend tells by SQL. Reads only.
    """
    told: int = database.connection().info.backend_pid
    (found,) = database.execute_sql(_PID).fetchone()
    return bool(told != found)


def is_in_memory(database: peewee.PostgresqlDatabase) -> bool:  # noqa: ARG001  the interface's signature
    """Return False: a server keeps its databases."""
    return False
