"""The statements of a block that lasted, and a transaction that cannot be committed."""

from __future__ import annotations

import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import peewee
import pytest

from usage_store.engines.postgresql.connection.error_messages import sqlstate
from usage_store.engines.postgresql.copies.nothing_lasts import nothing_lasts
from usage_store.engines.postgresql.copies.second_connection import second_connection
from usage_store.engines.postgresql.copies.watch_statements import silent_database, statements_of

if TYPE_CHECKING:
    from collections.abc import Iterator

BOTH_DRIVERS = pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])


@contextmanager
def connected(url: str, driver: str) -> Iterator[peewee.PostgresqlDatabase]:
    target, _, schema = url.partition("?")[2].partition("&schema=")
    host = target.removeprefix("host=")
    database = peewee.PostgresqlDatabase(
        "postgres", user="postgres", host=host, options=f"-c search_path={schema}", prefer_psycopg3=driver == "psycopg"
    )
    with closing(database):
        database.connect()
        yield database


@contextmanager
def scratch(database: peewee.PostgresqlDatabase) -> Iterator[peewee.PostgresqlDatabase]:
    with second_connection(database) as second, nothing_lasts(second):
        yield second


@BOTH_DRIVERS
def test_statements_are_collected_with_their_values(postgresql_url: str, driver: str) -> None:
    with connected(postgresql_url, driver) as database, scratch(database) as second:
        with statements_of(second) as statements:
            second.execute_sql("CREATE TABLE items (name text, n int)")
            second.execute_sql("INSERT INTO items VALUES (%s, %s)", ("it's 5 %", None))
            second.execute_sql("-- a question\nSELECT count(*) FROM items").fetchall()
            second.execute_sql("UPDATE items SET name = '5 %%'")
            second.cursor().executemany("INSERT INTO items VALUES (%s, %s)", [("a", 1), ("b", 2)])
        assert statements == [
            "CREATE TABLE items (name text, n int)",
            "INSERT INTO items VALUES ('it''s 5 %', NULL)",
            "UPDATE items SET name = '5 %'",
            "INSERT INTO items VALUES ('a', 1)",
            "INSERT INTO items VALUES ('b', 2)",
        ]


@BOTH_DRIVERS
def test_statements_that_failed_or_were_rolled_back_are_left_out(postgresql_url: str, driver: str) -> None:
    with connected(postgresql_url, driver) as database, scratch(database) as second:
        with statements_of(second) as statements:
            second.execute_sql("CREATE TABLE items (n int)")
            with suppress(peewee.ProgrammingError), second.atomic():
                second.execute_sql("DROP TABLE items")
                second.execute_sql("DROP TABLE nowhere")
            with second.atomic():
                second.execute_sql("INSERT INTO items VALUES (1)")
        assert statements == ["CREATE TABLE items (n int)", "INSERT INTO items VALUES (1)"]


def raw_commit(database: peewee.PostgresqlDatabase) -> None:
    connection: Any = database.connection()
    connection.commit()
    connection.cursor().execute("COMMIT")


@BOTH_DRIVERS
@pytest.mark.parametrize(
    "end",
    [
        raw_commit,
        lambda database: database.execute_sql("SELECT 1; COMMIT; CREATE TABLE left_behind (n int)"),
        lambda database: database.connection().rollback(),
    ],
    ids=["COMMIT", "COMMIT among others", "rollback"],
)
def test_nothing_is_committed_whatever_the_block_does(postgresql_url: str, driver: str, end: Any) -> None:
    with connected(postgresql_url, driver) as database:
        with suppress(peewee.PeeweeException), scratch(database) as second, second.atomic():
            second.execute_sql("CREATE TABLE left_behind (n int)")
            with peewee.__exception_wrapper__:  # type: ignore[attr-defined]  # not in peewee's stubs
                end(second)
            second.execute_sql("CREATE TABLE left_behind_too (n int)")
        assert database.get_tables() == []


@BOTH_DRIVERS
def test_statements_that_need_no_transaction_are_run_in_another_way(postgresql_url: str, driver: str) -> None:
    with connected(postgresql_url, driver) as database, scratch(database) as second:
        with statements_of(second) as statements:
            second.execute_sql("CREATE TABLE items (n int)")
            second.execute_sql("CREATE INDEX CONCURRENTLY items_n ON items (n)")
            second.execute_sql("VACUUM items")
            second.execute_sql("BEGIN")
            second.execute_sql("INSERT INTO items VALUES (1)")
            second.execute_sql("COMMIT")
            second.execute_sql("REINDEX INDEX CONCURRENTLY items_n")
            second.execute_sql("DROP INDEX CONCURRENTLY items_n")
        assert statements == [
            "CREATE TABLE items (n int)",
            "CREATE INDEX CONCURRENTLY items_n ON items (n)",
            "VACUUM items",
            "INSERT INTO items VALUES (1)",
            "REINDEX INDEX CONCURRENTLY items_n",
            "DROP INDEX CONCURRENTLY items_n",
        ]
        for statement in ("BEGIN", "INSERT INTO items VALUES (2)", "ROLLBACK"):
            second.execute_sql(statement)
        assert second.execute_sql("SELECT n FROM items").fetchall() == [(1,)]
        with pytest.raises(peewee.PeeweeException) as caught, second.atomic():
            second.execute_sql("CREATE INDEX CONCURRENTLY items_n ON items (n)")
        assert sqlstate(caught.value) == "25001"


@pytest.mark.parametrize("text", [f"SELECT '{' ' * 12_000}'", f"{'/* a note */ ' * 24}SELECT 1"], ids=["long", "notes"])
def test_a_long_text_is_looked_through_in_no_time(postgresql_url: str, text: str) -> None:
    with connected(postgresql_url, "psycopg") as database, scratch(database) as second:
        before = time.process_time()
        second.execute_sql(text)
        assert time.process_time() - before < 0.5


def test_a_silent_database_runs_nothing_and_connects_to_nothing() -> None:
    with silent_database() as database:
        with database.atomic():
            assert database.execute_sql("DROP TABLE items").fetchall() == []
        assert database.get_tables() == []


def test_a_table_is_detached_in_another_way_too(postgresql_url: str) -> None:
    with connected(postgresql_url, "psycopg") as database, scratch(database) as second:
        second.execute_sql("CREATE TABLE whole (n int) PARTITION BY RANGE (n)")
        second.execute_sql("CREATE TABLE part PARTITION OF whole FOR VALUES FROM (0) TO (9)")
        second.execute_sql("-- out\nALTER TABLE whole DETACH PARTITION part CONCURRENTLY")
        assert second.execute_sql(
            "SELECT count(*) FROM pg_inherits WHERE inhparent = 'whole'::regclass"
        ).fetchone() == (0,)
