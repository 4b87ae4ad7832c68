"""The objects of a schema and their hash: what is in it, what is not, and on which server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import peewee
import pytest

from tests.engines.postgresql.catalogs.sample import CHANGES, NO_CHANGES, SAMPLE
from tests.support.databases import opened, raw, script
from tests.support.postgresql_servers import NEWEST, for_drivers, new_schema, schema_of
from usage_store.engines import engine_of
from usage_store.engines.postgresql.catalogs.read_objects import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Mapping

    from usage_store.engines.interface.schema_objects import SchemaObject


def hash_of(database: peewee.Database) -> str:
    return engine_of(database).Fingerprint(database).read()


def objects_at(url: str) -> Mapping[str, SchemaObject]:
    with opened(url) as database:
        fingerprint = engine_of(database).Fingerprint(database)
        fingerprint.read()
        return fingerprint.objects


def test_the_ddl_of_the_objects_runs_in_another_schema_and_gives_the_same_objects(any_postgresql_url: str) -> None:
    script(any_postgresql_url, SAMPLE)
    found = objects_at(any_postgresql_url)
    with new_schema() as other:  # always of the newest version
        with raw(other) as connection:
            for each in found.values():
                connection.execute(each.sql)
        again = objects_at(other)
    assert {key: each.sql for key, each in again.items()} == {key: each.sql for key, each in found.items()}


@pytest.mark.long
@pytest.mark.parametrize("version", [15, 16])
def test_the_hash_is_the_same_on_each_server(version: int) -> None:
    with new_schema(version) as older, new_schema(NEWEST) as newest:
        script(older, SAMPLE)
        script(newest, SAMPLE)
        with opened(older) as one, opened(newest) as other:
            assert hash_of(one) == hash_of(other)


def test_what_changes_the_schema_changes_its_hash(any_postgresql_url: str) -> None:
    script(any_postgresql_url, SAMPLE)
    with opened(any_postgresql_url) as database:
        before = hash_of(database)
        for statement in CHANGES:
            with database.atomic() as transaction:
                database.execute_sql(statement)
                assert hash_of(database) != before, statement
                transaction.rollback()
        assert hash_of(database) == before


def test_what_changes_no_result_keeps_the_hash(any_postgresql_url: str) -> None:
    script(any_postgresql_url, SAMPLE)
    with opened(any_postgresql_url) as database:
        before = hash_of(database)
        for statement in NO_CHANGES:
            database.execute_sql(statement.format(schema=schema_of(any_postgresql_url)))
            assert hash_of(database) == before, statement


def test_reading_in_a_transaction_leaves_its_settings_alone(postgresql_url: str) -> None:
    settings = ("search_path", "jit", "enable_nestloop")
    with opened(postgresql_url) as database, database.atomic():
        before = [database.execute_sql(f"SHOW {name}").fetchone() for name in settings]
        hash_of(database)
        assert [database.execute_sql(f"SHOW {name}").fetchone() for name in settings] == before
    with opened(postgresql_url) as database:
        hash_of(database)
        assert [database.execute_sql(f"SHOW {name}").fetchone() for name in settings] == before


def test_psycopg2_reads_the_same_objects(postgresql_url: str) -> None:
    script(postgresql_url, SAMPLE)
    options: dict[str, Any] = {"options": f"-c search_path={schema_of(postgresql_url)}"}
    other = peewee.PostgresqlDatabase(for_drivers(postgresql_url).partition("&options")[0], **options)
    with opened(postgresql_url) as database, other.connection_context():
        assert type(other.connection()).__module__.startswith("psycopg2")
        assert hash_of(other) == hash_of(database)
        with other.atomic():
            assert hash_of(other) == hash_of(database)


def test_names_that_differ_only_in_their_case_are_two_objects(postgresql_url: str) -> None:
    script(postgresql_url, 'CREATE TABLE items (a int); CREATE TABLE "Items" (a int); CREATE TABLE "ITEMS" (a int)')
    assert set(objects_at(postgresql_url)) == {"table items", 'table "Items"', 'table "ITEMS"'}


def test_a_trigger_is_named_with_its_table_and_a_function_with_its_arguments(postgresql_url: str) -> None:
    script(postgresql_url, SAMPLE)
    found = objects_at(postgresql_url)
    assert {key for key in found if key.startswith(("trigger", "function"))} == {
        "function touch()",
        "function twice(number integer)",
        "function twice(words text)",
        "trigger late on parent",
        'trigger updated on "Items"',
        "trigger updated on parent",
    }
    assert (found["index i"].table, found["table parent"].table) == ("Items", "parent")


def test_a_function_that_names_its_own_schema_is_the_same_in_another(postgresql_url: str) -> None:
    schema = schema_of(postgresql_url)
    with raw(postgresql_url) as connection:
        connection.execute(
            f"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, {schema}, pg_temp AS "
            f"$$BEGIN DELETE FROM {schema}.a WHERE to_regclass('{schema}.b') IS NULL; RETURN NULL; END$$"
        )
    sql = objects_at(postgresql_url)["function f()"].sql
    assert schema not in sql
    assert f"'pg_catalog', '{SCHEMA}', 'pg_temp'" in sql
    assert f"FROM {SCHEMA}.a WHERE to_regclass('{SCHEMA}.b')" in sql


def test_objects_of_an_extension_are_left_out(postgresql_url: str) -> None:
    with raw(postgresql_url) as connection:
        schema = schema_of(postgresql_url)
        connection.execute(f"CREATE EXTENSION vector SCHEMA {schema}")
        try:
            assert objects_at(postgresql_url) == {}
        finally:
            connection.execute("DROP EXTENSION vector")


def test_an_index_that_is_not_valid_is_no_object(postgresql_url: str) -> None:
    script(postgresql_url, "CREATE TABLE items (a int); INSERT INTO items VALUES (1), (1)")
    before = objects_at(postgresql_url)
    with raw(postgresql_url) as connection:
        with pytest.raises(Exception, match="could not create unique index"):
            connection.execute("CREATE UNIQUE INDEX CONCURRENTLY i ON items (a)")
        assert connection.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass").fetchone() == (
            False,
        )
    assert objects_at(postgresql_url) == before


def test_the_changes_between_two_reads_are_told(postgresql_url: str) -> None:
    script(postgresql_url, "CREATE TABLE one (a int); CREATE TABLE two (a int)")
    with opened(postgresql_url) as database:
        fingerprint = engine_of(database).Fingerprint(database)
        fingerprint.read()
        script(postgresql_url, "ALTER TABLE one ADD COLUMN b int; DROP TABLE two; CREATE TABLE three (a int)")
        fingerprint.read()
        made, changed, gone = fingerprint.changes
    assert [each.key for each in made] == ["table one", "table three"]
    assert (changed, gone) == (("table one",), ("table two",))
