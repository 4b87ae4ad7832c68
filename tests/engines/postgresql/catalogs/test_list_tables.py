"""What a name belongs to, in the schema of a connection."""

from __future__ import annotations

import pytest

from tests.support.databases import opened, raw, script
from usage_store.engines import engine_of
from usage_store.errors import ConfigurationError


def test_names_match_exactly_and_only_in_the_schema(postgresql_url: str) -> None:
    script(
        postgresql_url,
        'CREATE TABLE "Items" (a int); CREATE VIEW v AS SELECT 1 AS a; CREATE MATERIALIZED VIEW m AS SELECT 1 AS a; '
        "CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE INDEX i ON p (a); CREATE TYPE t AS (a int)",
    )
    kinds = {"Items": "table", "items": None, "v": "view", "m": "view", "p": "table", "i": None, "t": None}
    with opened(postgresql_url) as database:
        engine = engine_of(database)
        assert {name: engine.kind_of(database, name) for name in kinds} == kinds
        assert engine.kind_of(database, "pg_class") is None
        assert engine.own_tables(database) == ["Items", "p"]


def test_a_name_that_the_server_would_cut_is_refused(postgresql_url: str) -> None:
    long = "é" * 32
    with opened(postgresql_url) as database:
        engine = engine_of(database)
        assert engine.kind_of(database, long[:-1] + "e") is None  # 63 bytes
        with pytest.raises(ConfigurationError, match="has 64 bytes, and PostgreSQL cuts names after 63 bytes"):
            engine.kind_of(database, long)


def test_a_temporary_table_or_view_hides_a_table(postgresql_url: str) -> None:
    script(postgresql_url, "CREATE TABLE a (x int); CREATE TABLE b (x int); CREATE TABLE c (x int)")
    with opened(postgresql_url) as database:
        engine = engine_of(database)
        assert engine.hidden(database, ["a", "b", "c"]) == []
        database.execute_sql("CREATE TEMPORARY TABLE a (x int); CREATE TEMPORARY VIEW c AS SELECT 1 AS x")
        assert engine.hidden(database, ["a", "b", "c"]) == ["a", "c"]


def test_tables_with_a_column_are_found(postgresql_url: str) -> None:
    script(
        postgresql_url,
        'CREATE TABLE b (x int, y int); CREATE TABLE a (x int); CREATE TABLE "C" ("X" int); CREATE TABLE d (x int); '
        "ALTER TABLE d DROP COLUMN x; CREATE VIEW v AS SELECT x FROM a",
    )
    with opened(postgresql_url) as database:
        assert engine_of(database).tables_with(database, "x") == ["a", "b"]


def test_a_table_is_renamed(postgresql_url: str) -> None:
    script(postgresql_url, 'CREATE TABLE "a""b" (x int)')
    with opened(postgresql_url) as database:
        engine_of(database).rename_table(database, 'a"b', "C c")
        assert engine_of(database).own_tables(database) == ["C c"]


def test_tables_of_an_extension_are_no_tables_of_users(postgresql_url: str) -> None:
    with raw(postgresql_url) as connection:
        connection.execute("CREATE TABLE a (x int)")
        connection.execute("CREATE TABLE b (x int)")
        with connection.transaction():
            connection.execute("ALTER EXTENSION plpgsql ADD TABLE b")
        try:
            with opened(postgresql_url) as database:
                assert engine_of(database).own_tables(database) == ["a"]
        finally:
            connection.execute("ALTER EXTENSION plpgsql DROP TABLE b")
