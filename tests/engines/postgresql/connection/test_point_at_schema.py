"""An application's database that points at the schema of a test, and at what it named before, afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import peewee
import pytest
from playhouse.pool import PooledPostgresqlDatabase

from tests.support.postgresql_servers import for_drivers, schema_of
from usage_store.engines import name_of, open_database
from usage_store.engines.postgresql.connection.point_at_schema import database_at, options_of, pointed_at
from usage_store.errors import TransactionOpen

if TYPE_CHECKING:
    from collections.abc import Callable

PRODUCTION = "postgresql://somebody:geheim@production.invalid/shop?sslmode=verify-full&application_name=shop"
KINDS: dict[str, Callable[[], peewee.PostgresqlDatabase]] = {
    "psycopg 3, a URL": lambda: peewee.PostgresqlDatabase(PRODUCTION, prefer_psycopg3=True),
    "psycopg2, a URL": lambda: peewee.PostgresqlDatabase(PRODUCTION),
    "psycopg 3, words": lambda: peewee.PostgresqlDatabase(
        "shop", host="production.invalid", application_name="shop", passfile="/secret", prefer_psycopg3=True
    ),
    "a pool": lambda: PooledPostgresqlDatabase("shop", host="production.invalid", application_name="shop"),
    "deferred": lambda: peewee.PostgresqlDatabase(None, application_name="shop", prefer_psycopg3=True),
    "ours": lambda: database_at(PRODUCTION),
}


def asked(database: peewee.PostgresqlDatabase, sql: str) -> Any:
    return database.execute_sql(sql).fetchone()[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_database_works_in_the_schema_and_is_afterwards_what_it_was(postgresql_url: str, kind: str) -> None:
    database = KINDS[kind]()
    before = dict(vars(database))
    with pointed_at(database, postgresql_url):
        assert database.is_closed()
        assert asked(database, "SELECT current_schema()") == schema_of(postgresql_url)
        assert asked(database, "SHOW search_path").strip('"') == schema_of(postgresql_url)
        assert asked(database, "SHOW application_name") == "shop"
        assert name_of(database) == name_of(database_at(postgresql_url))
        with database.atomic():
            database.execute_sql("CREATE TABLE items (id int)")
    assert database.is_closed()
    after = dict(vars(database))
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() <= {"server_version"}


def test_options_and_the_search_path_of_the_application_are_kept_and_replaced(postgresql_url: str) -> None:
    options = "-c search_path=shop -c statement_timeout=7s"
    database = peewee.PostgresqlDatabase("shop", host="production.invalid", options=options)
    with pointed_at(database, postgresql_url):
        assert asked(database, "SHOW statement_timeout") == "7s"
        assert asked(database, "SHOW search_path").strip('"') == schema_of(postgresql_url)


def test_a_transaction_that_is_left_open_holds_nothing_afterwards(postgresql_url: str) -> None:
    database = peewee.PostgresqlDatabase(None)
    with pointed_at(database, postgresql_url):
        database.atomic().__enter__()
        database.execute_sql("CREATE TABLE items (id int)")
    other = open_database(postgresql_url)
    assert other.get_tables() == []
    other.close()


def test_a_database_in_a_transaction_is_refused_and_stays_in_it(postgresql_url: str) -> None:
    database = peewee.PostgresqlDatabase(for_drivers(postgresql_url))
    with (
        database.atomic(),
        pytest.raises(TransactionOpen, match="a transaction is open; commit it or roll it back before the test"),
        pointed_at(database, postgresql_url),
    ):
        pass
    database.begin()
    with pytest.raises(TransactionOpen), pointed_at(database, postgresql_url):
        pass
    assert not database.is_closed()
    database.close()


def test_options_tell_settings_but_no_password() -> None:
    assert options_of(KINDS["psycopg 3, a URL"]()) == "[('application_name', \"'shop'\")]"
    assert options_of(KINDS["deferred"]()) == "[('application_name', \"'shop'\")]"
