"""Made-up rows in the tables of a server, with the rules that tables there have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.databases import opened
from usage_store.errors import CannotFill, ConfigurationError
from usage_store.migrate import MigrationRunner
from usage_store.testing import fill

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee

TYPES = """
    CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
    CREATE DOMAIN rate AS numeric(5, 2) NOT NULL CHECK (VALUE > 10 AND VALUE <= 12);
    CREATE TABLE of_types (
        a smallint NOT NULL, b bigint NOT NULL, c numeric(4, 1) NOT NULL, d real NOT NULL, e double precision,
        f varchar(3) UNIQUE, g char(2) NOT NULL, h text NOT NULL, i boolean NOT NULL, j date NOT NULL,
        k timestamptz NOT NULL, l timestamp(0) NOT NULL, m time NOT NULL, n interval NOT NULL, o uuid NOT NULL,
        p json NOT NULL, q jsonb NOT NULL, r bytea NOT NULL, s inet NOT NULL, t mood NOT NULL, u rate,
        v int[] NOT NULL, w text[] NOT NULL, x int4range NOT NULL, y bit(3) NOT NULL, z mood[] NOT NULL,
        "A %" point NOT NULL, made bigint GENERATED ALWAYS AS (b * 2) STORED
    )
"""
RULES = """
    CREATE TABLE parents (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code text UNIQUE NOT NULL,
        twin bigint REFERENCES parents (id)
    );
    CREATE TABLE children (
        id serial PRIMARY KEY, parent bigint NOT NULL REFERENCES parents ON DELETE CASCADE,
        code text REFERENCES parents (code), state text NOT NULL CHECK (state IN ('new', 'old')),
        low int NOT NULL, high int NOT NULL, percent int NOT NULL CHECK (percent BETWEEN 20 AND 30),
        hash text NOT NULL CHECK (length(hash) = 64), place text NOT NULL CHECK (place LIKE 's3://%/_'),
        negative int NOT NULL CHECK (negative < -5),
        CHECK (low < high), UNIQUE (parent, state, percent)
    );
    CREATE TABLE only_one (id int PRIMARY KEY CHECK (id = 1), name text NOT NULL);
    CREATE TABLE lower_case (name text NOT NULL);
    CREATE UNIQUE INDEX ON lower_case (lower(name));
    CREATE TABLE booked (during int4range NOT NULL, EXCLUDE USING gist (during WITH &&));
    CREATE TABLE by_day (day date NOT NULL, n int) PARTITION BY RANGE (day);
    CREATE TABLE by_day_all PARTITION OF by_day DEFAULT;
    CREATE TABLE "No Columns" ();
    CREATE VIEW seen AS SELECT * FROM children
"""


@pytest.fixture
def database(postgresql_url: str) -> Iterator[peewee.Database]:
    """Give a database with an empty schema."""
    with opened(postgresql_url) as found:
        yield found


def rows(database: peewee.Database, sql: str) -> list[Any]:
    found: list[Any] = database.execute_sql(sql).fetchall()
    return found


def test_every_type_gets_values_and_columns_that_may_be_null_are_null_once(database: peewee.Database) -> None:
    database.execute_sql(TYPES.replace("%", "%%"))
    assert fill(database, 4) == {"of_types": 4}
    assert rows(database, "SELECT count(e), count(f), count(DISTINCT f), count(u) FROM of_types") == [(3, 3, 3, 4)]
    assert rows(database, "SELECT count(DISTINCT h) FROM of_types") == [(2,)]  # values repeat where they may


def test_rows_obey_the_rules_and_keys_are_those_of_parents(database: peewee.Database) -> None:
    database.execute_sql(RULES.replace("%", "%%"))
    added = fill(database, 5)
    assert added == {
        **dict.fromkeys(("parents", "children", "lower_case", "booked", "by_day", "No Columns"), 5),
        "only_one": 1,
    }
    assert rows(database, "SELECT min(id) > 1000, count(*) FROM parents") == [(True, 5)]
    assert rows(database, "SELECT count(code), count(DISTINCT state), count(DISTINCT parent) > 1 FROM children") == [
        (4, 2, True)
    ]
    assert fill(database, 5)["children"] == 5
    database.execute_sql("INSERT INTO parents (code) VALUES ('the next key is free')")


def test_the_same_arguments_give_the_same_rows_and_another_seed_others(database: peewee.Database) -> None:
    database.execute_sql("CREATE TABLE items (a int NOT NULL, b text UNIQUE)")
    made = []
    for seed in (1, 1, 2):
        fill(database, 3, seed=seed)
        made.append(rows(database, "SELECT * FROM items"))
        database.execute_sql("DELETE FROM items")
    assert made[0] == made[1] != made[2]


def test_given_values_are_used_and_wrong_names_refused(database: peewee.Database) -> None:
    database.execute_sql("CREATE TABLE items (a int NOT NULL, b text, c boolean, d int)")
    fill(database, 3, {"items.a": [7, 8], "ITEMS.B": lambda number: f"row {number}", "items.c": True, "items.d": False})
    assert rows(database, "SELECT * FROM items ORDER BY b") == [
        (7, "row 1", True, 0),
        (8, "row 2", True, 0),
        (7, "row 3", True, 0),
    ]
    with pytest.raises(ConfigurationError, match=r"^values: items has no column 'e' that can be given a value"):
        fill(database, 3, {"items.e": 1})
    with pytest.raises(ConfigurationError, match=r"^there is no table 'others' to fill; there are: items$"):
        fill(database, 3, tables=["others"])


def test_tables_and_columns_that_differ_only_in_case_are_told_apart(database: peewee.Database) -> None:
    database.execute_sql('CREATE TABLE items (a int NOT NULL); CREATE TABLE "Items" (a int NOT NULL, "A" int NOT NULL)')
    assert fill(database, 2) == {"Items": 2, "items": 2}
    fill(database, 1, {"Items.A": 7, "Items.a": 8}, tables=["Items"])
    assert (8, 7) in rows(database, 'SELECT * FROM "Items"')
    assert len(rows(database, "SELECT * FROM items")) == 2
    with pytest.raises(ConfigurationError, match=r"^there is no table 'ITEMS' to fill; there are: Items, items$"):
        fill(database, tables=["ITEMS"])


def test_a_table_that_takes_no_row_is_named_and_nothing_is_written(database: peewee.Database) -> None:
    database.execute_sql("CREATE TABLE a (n int NOT NULL); CREATE TABLE b (n int NOT NULL CHECK (n * n = 999983 * 7))")
    with pytest.raises(
        CannotFill, match=r'^b\.n: no row can be made up: .*violates check constraint "b_n_check"; give'
    ):
        fill(database)
    assert rows(database, "SELECT * FROM a") == []
    with pytest.raises(CannotFill, match=r"^b\.n: "):
        fill(database, values={"b.n": "no number"})


def test_the_usage_tables_are_filled(database: peewee.Database) -> None:
    MigrationRunner(database).migrate()
    added = fill(database)
    assert added.keys() >= {"usage_sessions", "usage_snapshots", "usage_config"}
    assert added["usage_snapshots"] == 3
    assert MigrationRunner(database).validate().ok
    assert not added.keys() & {"schema_migrations", "schema_migration_log"}
