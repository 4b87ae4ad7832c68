"""Open a server's database by a URL, or use an application's own."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import peewee
import pytest
from playhouse.pool import PooledPostgresqlDatabase
from playhouse.postgres_ext import PooledPsycopg3Database, Psycopg3Database

from tests.support.postgresql_servers import for_drivers, schema_of
from usage_store import init_database
from usage_store.engines import connected, engine_of, lent, name_of, open_database
from usage_store.errors import ConfigurationError, DatabaseUnreadable, ReadOnlyDatabase
from usage_store.migrate import MigrationRunner

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.postgresql_servers import Kept

OWN: dict[str, Callable[[str], peewee.PostgresqlDatabase]] = {
    "psycopg2": peewee.PostgresqlDatabase,
    "psycopg": lambda url: peewee.PostgresqlDatabase(url, prefer_psycopg3=True),
    "Psycopg3Database": Psycopg3Database,
    "pool of psycopg2": lambda url: PooledPostgresqlDatabase(url, max_connections=2),
    "pool of psycopg": lambda url: PooledPsycopg3Database(url, max_connections=2),
}


def setting(database: peewee.Database, name: str) -> Any:
    return database.execute_sql("SELECT current_setting(%s)", (name,)).fetchone()[0]


def test_a_connection_of_ours_has_its_settings_from_the_first_statement_on(postgresql_url: str) -> None:
    with closing(open_database(postgresql_url, timeout=1.5)) as database:
        assert setting(database, "application_name") == "usage-store"
        assert setting(database, "lock_timeout") == "1500ms"
        assert setting(database, "search_path") == schema_of(postgresql_url)
        assert setting(database, "client_encoding") == "UTF8"
        assert setting(database, "default_transaction_read_only") == "off"
        assert "postgresql://" in repr(database)


def test_no_waiting_does_not_mean_to_wait_for_ever(postgresql_url: str) -> None:
    with closing(open_database(postgresql_url, timeout=0)) as database:
        assert setting(database, "lock_timeout") == "1ms"


def test_a_parameter_in_the_url_wins(postgresql_url: str) -> None:
    with closing(open_database(f"{postgresql_url}&application_name=mine")) as database:
        assert setting(database, "application_name") == "mine"


def test_a_database_opened_for_reading_refuses_to_write(postgresql_url: str) -> None:
    with closing(open_database(postgresql_url, readonly=True)) as database:
        with pytest.raises(ReadOnlyDatabase, match=r"was opened for reading only, .*sqlstate 25006"):
            database.execute_sql("CREATE TABLE items (id bigint)")
        with pytest.raises(ReadOnlyDatabase, match="was opened for reading only"):
            engine_of(database).refuse_readonly(database)
    with closing(open_database(postgresql_url)) as database:
        engine_of(database).refuse_readonly(database)


def test_a_schema_that_does_not_exist_is_named_with_what_creates_it(postgresql_url: str) -> None:
    with pytest.raises(
        DatabaseUnreadable, match=r'^postgresql://[^ ]*: no such schema; CREATE SCHEMA "a b" creates it'
    ):
        open_database(postgresql_url.replace(schema_of(postgresql_url), "a%20b"))


def test_a_schema_that_the_role_may_not_use_is_named_with_the_role(server: Kept) -> None:
    url = server.url.replace("postgres@", "stranger@")
    with pytest.raises(DatabaseUnreadable, match=r"\(shut\) .* by the role stranger; .*GRANT USAGE .*sqlstate 42501"):
        open_database(f"{url}&schema=shut")


def test_a_database_in_another_encoding_is_refused(server: Kept) -> None:
    with pytest.raises(ConfigurationError, match=r"encoding of the database is SQL_ASCII, .*createdb --encoding=UTF8"):
        open_database(server.url.replace("/postgres?", "/bytes?"))
    own = OWN["psycopg2"](for_drivers(server.url.replace("/postgres?", "/bytes?")))
    with pytest.raises(ConfigurationError, match="SQL_ASCII"), connected(own):
        pass


def test_a_search_path_that_leads_to_the_servers_own_tables_is_refused(server: Kept) -> None:
    with pytest.raises(ConfigurationError, match="the schema pg_catalog belongs to the server itself"):
        open_database(f"{server.url}&options=-csearch_path%3Dpg_catalog")


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
@pytest.mark.parametrize("newer", [False, True])
def test_an_own_connection_in_another_encoding_is_refused(postgresql_url: str, encoding: str, *, newer: bool) -> None:
    own = peewee.PostgresqlDatabase(for_drivers(postgresql_url), prefer_psycopg3=newer, encoding=encoding)
    message = rf"^postgresql://.*: the client_encoding of the connection is {encoding}, .* the usage tables need UTF8"
    for call in (init_database, lambda found: MigrationRunner(found, "migrations").migrate()):
        with pytest.raises(ConfigurationError, match=message):
            call(own)
        assert own.is_closed()


@pytest.mark.parametrize(("number", "shown"), [(140011, "14.11"), (90624, "9")])
def test_an_old_server_is_refused_by_its_version(number: int, shown: str) -> None:
    from usage_store.engines.postgresql.connection.check_server import check_server

    check_server(150000, "UTF8")
    with pytest.raises(ConfigurationError, match=f"PostgreSQL {shown} is too old: 15 or newer is needed"):
        check_server(number, "UTF8")


def test_there_is_no_mode_for_a_server(postgresql_url: str) -> None:
    with pytest.raises(ConfigurationError, match="a database on a server has no file of yours"):
        open_database(postgresql_url, mode=0o600)


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize("is_open", [False, True])
def test_an_own_database_is_lent_and_left_as_it_was(postgresql_url: str, kind: str, *, is_open: bool) -> None:
    own = OWN[kind](for_drivers(postgresql_url))
    proxy = peewee.DatabaseProxy()
    proxy.initialize(own)
    if is_open:
        own.connect()
    with lent(proxy, readonly=True) as database:
        assert setting(database, "search_path") == schema_of(postgresql_url)
        engine_of(database).check_version(database)
        with pytest.raises(peewee.DatabaseError):
            database.execute_sql("CREATE TABLE items (id bigint)")
    assert own.is_closed() is not is_open
    own.connect(reuse_if_open=True)
    assert setting(own, "default_transaction_read_only") == "off"
    assert "host=" in name_of(own)
    engine_of(own).close_all(own)


@pytest.mark.parametrize("kind", ["psycopg2", "psycopg"])
def test_rows_are_tuples_while_an_applications_connection_is_used(postgresql_url: str, kind: str) -> None:
    own = OWN[kind](for_drivers(postgresql_url))
    own.connect()
    connection: Any = own.connection()
    if kind == "psycopg":
        from psycopg.rows import dict_row

        connection.row_factory = dict_row
    else:
        from psycopg2.extras import RealDictCursor  # type: ignore[import-untyped]

        connection.cursor_factory = RealDictCursor
    with connected(own):
        assert own.execute_sql("SELECT 1 AS one").fetchone() == (1,)
    with lent(own, readonly=True), pytest.raises(peewee.DatabaseError):
        own.execute_sql("CREATE TABLE items (id bigint)")
    assert dict(own.execute_sql("SELECT 1 AS one").fetchone()) == {"one": 1}
    own.close()


def test_a_deferred_database_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="the database is deferred"), lent(peewee.PostgresqlDatabase(None)):
        pass


@pytest.mark.parametrize(
    ("options", "schema"),
    [
        ("-csearch_path=Mine", "?schema=mine"),
        ("-c search_path=other -c search_path=mine,public", "?schema=mine"),
        ('--search_path="A\\ b""c"', "?schema=A%20b%22c"),
        ('-csearch_path="$user",public', ""),
        ("-c statement_timeout=1000", ""),
    ],
)
def test_the_name_of_a_database_has_the_schema_of_its_search_path(options: str, schema: str) -> None:
    assert name_of(peewee.PostgresqlDatabase("app", host="db", options=options)) == f"postgresql://db/app{schema}"
