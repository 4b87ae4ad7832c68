"""The differences of a live schema from a recorded one, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engines.postgresql.catalogs.sample import CHANGES, SAMPLE
from tests.support.databases import opened, script
from tests.support.postgresql_servers import NEWEST, new_schema
from usage_store.engines import engine_of
from usage_store.engines.interface.schema_objects import SchemaObject

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import peewee

TABLE = "CREATE TABLE items (\n  id integer NOT NULL,\n  CONSTRAINT items_pkey PRIMARY KEY (id)\n)"


def objects(database: peewee.Database) -> Mapping[str, SchemaObject]:
    fingerprint = engine_of(database).Fingerprint(database)
    fingerprint.read()
    return fingerprint.objects


def compared(
    database: peewee.Database, expected: Mapping[str, SchemaObject], found: Collection[str] = ()
) -> tuple[list[str], list[str]]:
    return engine_of(database).copies.compare(database, expected, objects(database), found)


DIFFERENCES: list[tuple[str, list[str]]] = [
    ("ALTER TABLE words ADD COLUMN by_hand int", ["words.by_hand is not from a migration"]),
    ("ALTER TABLE of_parts DROP COLUMN at", ["of_parts.at is missing", "{fk} is missing"]),
    ('ALTER TABLE "Items" ALTER t TYPE integer', ["Items.t: type is integer, should be bigint"]),
    ('ALTER TABLE "Items" ALTER price SET NOT NULL', ["Items.price: NULL is not allowed, should be allowed"]),
    ('ALTER TABLE "Items" ALTER price SET DEFAULT 2', ["Items.price: default is 2, should be 1.50"]),
    (
        'ALTER TABLE "Items" DROP CONSTRAINT "Items_t_check", ADD CHECK (t > 5)',
        ["Items: CHECK (t >= 0) is missing", "Items: CHECK (t > 5) is not from a migration"],
    ),
    ("ALTER TABLE words ADD UNIQUE (word)", ["words: UNIQUE (word) is not from a migration"]),
    (
        "ALTER TABLE words ADD PRIMARY KEY (word)",
        [
            "words.word: NULL is not allowed, should be allowed",
            "words.word: place in the primary key is 1, should be 0",
        ],
    ),
    ("DROP TABLE of_parts", ["table of_parts is missing"]),
    ("DROP INDEX i", ["index i on Items is missing"]),
    ('CREATE INDEX "By hand" ON words (word)', ["index By hand on words is not from a migration"]),
    (
        'DROP INDEX i; CREATE INDEX i ON "Items" (t)',
        [
            'index i is `CREATE INDEX i ON "Items" USING btree (t)`, should be `{i}`',
        ],
    ),
    ("DROP VIEW one", ["view one is missing"]),
    ('DROP TRIGGER updated ON "Items"', ["trigger updated on Items is missing"]),
    ("DROP FUNCTION twice(text)", ["function twice(words text) is missing"]),
    (
        "DROP SEQUENCE numbers CASCADE",
        ["Items.num: default is none, should be {next}", "sequence numbers is missing"],
    ),
    (
        "ALTER TABLE items DISABLE ROW LEVEL SECURITY",
        ["items: ALTER TABLE items ENABLE ROW LEVEL SECURITY is missing"],
    ),
    ("CREATE TABLE by_hand (a int); CREATE INDEX b ON by_hand (a); CREATE VIEW hand AS SELECT 1 AS a", []),
]


def test_each_difference_is_one_line(postgresql_url: str) -> None:
    script(postgresql_url, SAMPLE)
    key = "of_parts: foreign key (id, at) to parts (id, at) on delete no action on update no action"
    with opened(postgresql_url) as database:
        expected = objects(database)
        names = {"fk": key, "i": expected["index i"].sql, "next": "nextval('numbers'::regclass)"}
        for statements, lines in DIFFERENCES:
            with database.atomic() as transaction:
                database.execute_sql(statements)
                assert compared(database, expected) == ([line.format(**names) for line in lines], []), statements
                transaction.rollback()


def test_no_change_of_an_expected_object_is_passed_over(postgresql_url: str) -> None:
    script(postgresql_url, SAMPLE)
    with opened(postgresql_url) as database:
        expected = objects(database)
        assert compared(database, expected) == ([], [])
        for statement in CHANGES:
            with database.atomic() as transaction:
                database.execute_sql(statement)
                adds = statement.startswith(("CREATE SEQUENCE", "CREATE TABLE"))
                assert bool(compared(database, expected)[0]) is not adds, statement
                transaction.rollback()


def test_a_table_that_a_migration_only_changed_may_have_more(postgresql_url: str) -> None:
    script(postgresql_url, "CREATE TABLE host (a int)")
    with opened(postgresql_url) as database:
        expected = objects(database)
        script(postgresql_url, "CREATE INDEX of_host ON host (a)")
        assert compared(database, expected, {"table host"}) == ([], [])
        assert compared(database, expected) == (["index of_host on host is not from a migration"], [])


@pytest.mark.parametrize(
    "sql",
    ["", "nonsense", "DROP TABLE items", "CREATE TABLE items", "CREATE TABLE items (\n  \n)", "CREATE VIEW items"],
)
def test_a_recorded_text_that_is_no_ddl_is_not_compared(postgresql_url: str, sql: str) -> None:
    script(postgresql_url, TABLE)
    with opened(postgresql_url) as database:
        expected = {"table items": SchemaObject("table", "items", "items", sql)}
        lines, notices = compared(database, expected)
        assert lines == []
        assert len(notices) == 1
        assert notices[0].startswith("items was not compared: its recorded DDL is ")


def test_a_recorded_text_of_an_index_that_creates_nothing_is_not_compared(postgresql_url: str) -> None:
    script(postgresql_url, TABLE)
    with opened(postgresql_url) as database:
        expected = {"index by_n": SchemaObject("index", "by_n", "items", "DROP INDEX by_n")}
        assert compared(database, expected) == ([], ["by_n was not compared: its recorded DDL is no CREATE INDEX"])


@pytest.mark.long
@pytest.mark.parametrize("version", [15, 16])
def test_a_schema_recorded_on_an_older_server_is_the_same_on_the_newest(version: int) -> None:
    with new_schema(version) as older, new_schema(NEWEST) as newest:
        script(older, SAMPLE)
        script(newest, SAMPLE)
        with opened(older) as before, opened(newest) as after:
            assert compared(after, objects(before)) == ([], [])


def test_a_difference_without_words_of_its_own_shows_the_ddl(postgresql_url: str) -> None:
    script(postgresql_url, "CREATE TABLE items (id integer PRIMARY KEY)")
    with opened(postgresql_url) as database:
        expected = objects(database)
        script(postgresql_url, "ALTER TABLE items RENAME CONSTRAINT items_pkey TO other_pkey")
        (line,) = compared(database, expected)[0]
    assert line == (
        "table items is `CREATE TABLE items ( id integer NOT NULL, CONSTRAINT other_pkey PRIMARY KEY (id) )`, "
        "should be `CREATE TABLE items ( id integer NOT NULL, CONSTRAINT items_pkey PRIMARY KEY (id) )`"
    )
