"""Made-up rows in the tables of a server, with the rules that tables there have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.databases import selected as rows
from usage_store.errors import CannotFill, ConfigurationError
from usage_store.migrate import MigrationRunner
from usage_store.testing import fill

if TYPE_CHECKING:
    import peewee

TYPES = """
    CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
    CREATE DOMAIN rate AS numeric(5, 2) NOT NULL CHECK (VALUE > 10 AND VALUE < 12);
    CREATE DOMAIN positive AS int CHECK (VALUE > 0);
    CREATE DOMAIN chosen AS positive CHECK (VALUE = 77777);
    CREATE DOMAIN short AS varchar(2);
    CREATE TABLE of_types (
        a smallint NOT NULL, b bigint NOT NULL, c numeric(4, 1) NOT NULL UNIQUE, d real NOT NULL, e double precision,
        f varchar(3) UNIQUE, g char(2) NOT NULL, h text NOT NULL, i boolean NOT NULL, j date NOT NULL,
        k timestamptz NOT NULL, l timestamp(0) NOT NULL, m time NOT NULL, n interval NOT NULL, o uuid NOT NULL,
        p json NOT NULL, q jsonb NOT NULL, r bytea NOT NULL, s inet NOT NULL, t mood NOT NULL, u rate,
        v int[] NOT NULL, "w ""\\" text[] NOT NULL, x int4range NOT NULL, y bit(3) NOT NULL, z mood[] NOT NULL,
        "A %" point NOT NULL, words tsquery NOT NULL, chosen chosen NOT NULL, short short NOT NULL,
        made bigint GENERATED ALWAYS AS (b * 2) STORED
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
        negative int NOT NULL CHECK (negative > -7 AND negative < -5),
        one int NOT NULL, other int NOT NULL, CHECK (one = 17 AND other = 42),
        CHECK (low < high), UNIQUE (parent, state, percent)
    );
    CREATE TABLE only_one (id int PRIMARY KEY CHECK (id = 1), name text NOT NULL);
    CREATE TABLE excluded (n int NOT NULL CHECK (n = 1), EXCLUDE (n WITH =));
    CREATE TABLE lower_case (name text NOT NULL);
    CREATE UNIQUE INDEX ON lower_case (lower(name));
    CREATE TABLE booked (during int4range NOT NULL, EXCLUDE USING gist (during WITH &&));
    CREATE TABLE by_day (day date NOT NULL, n int) PARTITION BY RANGE (day);
    CREATE TABLE by_day_all PARTITION OF by_day DEFAULT;
    CREATE TABLE "No Columns" ();
    CREATE VIEW seen AS SELECT * FROM children
"""


def test_every_type_gets_values_and_columns_that_may_be_null_are_null_once(database: peewee.Database) -> None:
    database.execute_sql(TYPES.replace("%", "%%"))
    assert fill(database, 4) == {"of_types": 4}
    assert rows(database, "SELECT count(e), count(f), count(DISTINCT f), count(u) FROM of_types") == [(3, 3, 3, 4)]
    # Values repeat where they may.
    assert rows(database, "SELECT count(DISTINCT h), count(DISTINCT t) FROM of_types") == [(2, 2)]
    assert rows(database, 'SELECT "w ""\\" FROM of_types ORDER BY b LIMIT 1') == [(['w "\\ 1'],)]


def test_values_of_high_numbers_fit_their_types_and_differ_where_they_must(database: peewee.Database) -> None:
    database.execute_sql(TYPES.replace("%", "%%"))
    assert fill(database, 12, seed=60) == {"of_types": 12}
    assert rows(database, "SELECT count(f) FROM of_types") == [(11,)]


def test_a_single_row_has_a_value_in_each_column(database: peewee.Database) -> None:
    database.execute_sql("CREATE TABLE items (a int, b text UNIQUE)")
    fill(database, 1)
    assert None not in rows(database, "SELECT * FROM items")[0]


def test_rows_obey_the_rules_and_keys_are_those_of_parents(database: peewee.Database) -> None:
    database.execute_sql(RULES.replace("%", "%%"))
    added = fill(database, 5)
    assert added == {
        **dict.fromkeys(("parents", "children", "lower_case", "booked", "by_day", "No Columns"), 5),
        "only_one": 1,
        "excluded": 1,
    }
    assert rows(database, "SELECT min(id) > 1000, count(*) FROM parents") == [(True, 5)]
    assert rows(database, "SELECT min(id) > 1000 FROM children") == [(True,)]
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


@pytest.mark.parametrize("state", ["P0001", "23505"])
def test_a_table_that_a_trigger_keeps_from_filling_is_named(database: peewee.Database, state: str) -> None:
    many = "" if state == "23505" else "IF (SELECT count(*) FROM t) = 1 THEN "
    body = f"BEGIN {many}RAISE 'no more' USING ERRCODE = '{state}'; {'END IF; ' if many else ''}RETURN NEW; END"
    database.execute_sql(f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")
    database.execute_sql("CREATE TABLE t (n int)")
    database.execute_sql("CREATE TRIGGER refused BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION refuse()")
    with pytest.raises(CannotFill, match=r"^t\.n: no row can be made up: no more;"):
        fill(database)
    assert rows(database, "SELECT * FROM t") == []


def test_the_usage_tables_are_filled(database: peewee.Database) -> None:
    MigrationRunner(database).migrate()
    added = fill(database)
    assert added.keys() >= {"usage_sessions", "usage_snapshots", "usage_config"}
    assert added["usage_snapshots"] == 3
    assert MigrationRunner(database).validate().ok
    assert not added.keys() & {"schema_migrations", "schema_migration_log"}
