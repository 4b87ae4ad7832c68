"""Constraints that were never validated, indexes that are not valid, and damaged files."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.support.databases import opened, raw, script
from tests.support.postgresql_servers import for_drivers, own_server, skipped_without
from usage_store.engines import engine_of, open_database

if TYPE_CHECKING:
    from collections.abc import Iterator

INVALID = "CREATE UNIQUE INDEX CONCURRENTLY i ON items (a)"


@contextlib.contextmanager
def failing_index(url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Leave an index that is not valid, for the block."""
    script(url, "CREATE TABLE items (a int); INSERT INTO items VALUES (1), (1)")
    with raw(url) as connection:
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute(INVALID)
        yield connection


def test_a_constraint_that_is_not_valid_is_named_until_it_is_validated(any_postgresql_url: str) -> None:
    script(
        any_postgresql_url,
        'CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE "Items" (a int CHECK (a < 9), parent int); '
        'ALTER TABLE "Items" ADD CONSTRAINT above CHECK (a > 0) NOT VALID; '
        'ALTER TABLE "Items" ADD CONSTRAINT "Known" FOREIGN KEY (parent) REFERENCES parent NOT VALID',
    )
    with opened(any_postgresql_url) as database:
        engine = engine_of(database)
        assert engine.violations(database) == {
            'constraint above on "Items" is NOT VALID': 1,
            'constraint "Known" on "Items" is NOT VALID': 1,
        }
        database.execute_sql('ALTER TABLE "Items" VALIDATE CONSTRAINT above')
        database.execute_sql('ALTER TABLE "Items" VALIDATE CONSTRAINT "Known"')
        assert engine.violations(database) == {}


def test_an_index_that_is_not_valid_is_named_until_it_is_built_again(any_postgresql_url: str) -> None:
    with failing_index(any_postgresql_url) as connection, opened(any_postgresql_url) as database:
        engine = engine_of(database)
        assert engine.violations(database) == {"index i on items is not valid": 1}
        connection.execute("DELETE FROM items")
        connection.execute("REINDEX INDEX i")
        assert engine.violations(database) == {}


def test_only_a_full_check_asks_for_amcheck(postgresql_url: str) -> None:
    script(postgresql_url, "CREATE TABLE items (a int PRIMARY KEY)")
    said: list[str] = []
    with opened(postgresql_url) as database:
        engine = engine_of(database)
        assert engine.damage(database, on_unchecked=said.append) == []
        assert said == []
        assert engine.damage(database, full=True, on_unchecked=said.append) == []
    assert said == ["tables and indexes were not checked for damage: that needs CREATE EXTENSION amcheck"]


@pytest.mark.long
def test_a_full_check_finds_a_damaged_table_and_a_damaged_index() -> None:
    with skipped_without(15), own_server(15) as server:
        with psycopg.connect(for_drivers(server.url), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION amcheck")
            connection.execute("CREATE TABLE items (a int PRIMARY KEY, b text)")
            connection.execute("INSERT INTO items SELECT n, repeat('x', 100) FROM generate_series(1, 10000) AS n")
            connection.execute("CHECKPOINT")
            folder = connection.execute("SHOW data_directory").fetchone()
            files = [
                connection.execute("SELECT pg_relation_filepath(%s::regclass)", (name,)).fetchone()
                for name in ("items", "items_pkey")
            ]
        database = open_database(server.url)
        engine = engine_of(database)
        assert engine.damage(database, full=True, most=9) == []
        with database.atomic():
            assert engine.damage(database, full=True, most=9) == []
        database.close()
        server.stop()
        assert folder is not None
        for file in files:
            assert file is not None
            with open(f"{folder[0]}/{file[0]}", "r+b") as content:  # noqa: PTH123
                content.seek(3 * 8192 + 8000)
                content.write(b"\xff" * 150)
        server.start()
        database = open_database(server.url)
        found = engine.damage(database, full=True, most=9)
        assert any("items, block 3" in line for line in found), found
        assert any("items_pkey" in line for line in found), found
        with database.atomic():
            assert engine.damage(database, full=True, most=9) == found
            database.execute_sql("SELECT 1")
        assert engine.damage(database, full=True, most=1) == found[:1]
        database.close()
