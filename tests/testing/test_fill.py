"""Filling the tables of a database with made-up rows: types, NULL, repeats, given values, errors, speed."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import peewee
import pytest

from tests.support.filled_databases import checked, filled_rows, with_schema
from tests.support.programs import run_python
from usage_store import MigrationRunner, get_usage_snapshots, init_database
from usage_store.errors import CannotFill, ConfigurationError
from usage_store.testing import fill

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick

PEOPLE = "CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT UNIQUE, age INTEGER)"


def contents(database: peewee.Database) -> dict[str, list[Any]]:
    return {table: database.execute_sql(f'SELECT * FROM "{table}"').fetchall() for table in database.get_tables()}


def test_values_repeat_where_no_rule_forbids_it_and_a_column_that_may_be_null_is_null_once(path: Path) -> None:
    rows = filled_rows(path, PEOPLE, "person")
    assert rows == [(1001, "name 1", "email 1", 1), (1002, "name 1", "email 2", 1), (1003, "name 2", None, None)]


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("VARCHAR(255)", "value 1"),
        ("VARCHAR(5)", "valu1"),
        ("CHAR(1)", "1"),
        ("TEXT", "value 1"),
        ("INTEGER", 1),
        ("BIGINT", 1),
        ("BOOLEAN", 1),
        ("REAL", 1.5),
        ("DECIMAL(10, 2)", 1.5),
        ("DECIMAL(4, 0)", 1),
        ("DATETIME", "2020-01-02 00:00:01"),
        ("DATE", "2020-01-02"),
        ("TIME", "00:00:01"),
        ("BLOB", b"\x00\x01"),
        ("JSON", '{"number": 1}'),
        ("UUID", "a0000001000040008000000000000000"),
        ("TEXT DEFAULT '{}'", '{"number": 1}'),
        ("", "value 1"),
    ],
)
def test_a_value_has_the_form_in_which_peewee_stores_its_type(path: Path, declared: str, value: object) -> None:
    assert filled_rows(path, f"CREATE TABLE t (value {declared} NOT NULL)", "t", 1) == [(value,)]


def test_models_read_what_was_made_up_for_their_tables(path: Path) -> None:
    database = peewee.SqliteDatabase(str(path))

    class Thing(peewee.Model):
        key = peewee.UUIDField(primary_key=True, column_name="uuid")
        made = peewee.DateTimeField()
        day = peewee.DateField(null=True)
        at = peewee.TimeField()
        price = peewee.DecimalField(max_digits=8, decimal_places=2)
        ready = peewee.BooleanField(default=False)
        photo = peewee.BlobField()

        class Meta:
            table_name = "thing"

    with database.bind_ctx([Thing]), database:
        database.create_tables([Thing])
        fill(database)
        first: Any = Thing.select().order_by(Thing.made).first()
    assert [type(first.key), type(first.made), type(first.day)] == [uuid.UUID, dt.datetime, dt.date]
    assert [type(first.at), first.price, first.ready] == [dt.time, Decimal("1.50"), True]


def test_the_same_arguments_add_the_same_rows_and_another_seed_adds_others(tmp_path: Path) -> None:
    first = filled_rows(tmp_path / "1.db", PEOPLE, "person", 5)
    assert filled_rows(tmp_path / "2.db", PEOPLE, "person", 5) == first
    other = filled_rows(tmp_path / "3.db", PEOPLE, "person", 5, seed=2)
    assert {row[1] for row in other}.isdisjoint({row[1] for row in first})


def test_rows_are_added_to_those_that_are_there_and_counted_by_table(path: Path) -> None:
    with with_schema(
        path, PEOPLE + "; INSERT INTO person VALUES (7, 'email', 'email 2', NULL), (2000, '', '', 1)"
    ) as db:
        assert fill(db, 3) == {"person": 3}
        assert fill(db, 4) == {"person": 4}
        assert [row[0] for row in checked(db, "person")] == [7, *range(2000, 2008)]


def test_what_is_no_ordinary_table_is_left_alone_and_temporary_tables_hide_nothing(path: Path) -> None:
    schema = (
        PEOPLE + "; CREATE VIRTUAL TABLE words USING fts5 (name, content='person', content_rowid='id');"
        "CREATE TRIGGER indexed AFTER INSERT ON person BEGIN INSERT INTO words (rowid, name) VALUES (NEW.id, NEW.name);"
        "END; CREATE VIEW names AS SELECT name FROM person"
    )
    with with_schema(path, schema) as database:
        database.execute_sql("CREATE TEMPORARY TABLE person (id INTEGER PRIMARY KEY, other TEXT)")
        assert fill(database) == {"person": 3}
        assert database.execute_sql("SELECT count(*) FROM words WHERE words MATCH 'name'").fetchone() == (3,)
        assert database.execute_sql("SELECT count(*) FROM temp.person").fetchone() == (0,)


def test_names_may_need_quotes_and_differ_in_case(path: Path) -> None:
    schema = """CREATE TABLE "a.b ""c" ("the key" INTEGER PRIMARY KEY, "select" TEXT NOT NULL CHECK ("SELECT" <> ''));
        CREATE TABLE [Order] ([group by] TEXT NOT NULL UNIQUE, `from` INTEGER NOT NULL REFERENCES "A.B ""C")"""
    with with_schema(path, schema) as database:
        assert fill(database, values={'a.b "c.select': ["x", "y"]}) == {"Order": 3, 'a.b "c': 3}
        assert checked(database, '"a.b ""c"')[0][1] == "x"


def test_usage_tables_are_filled_and_the_runner_s_records_stay_as_they_are(path: Path) -> None:
    database = init_database(path)
    before = contents(database)
    assert fill(database) == {"usage_config": 3, "usage_sessions": 3, "usage_snapshots": 3}
    after = contents(database)
    kept = ("schema_migrations", "schema_migration_log", "usage_snapshot_blocks", "usage_store_state")
    assert [after[table] for table in kept] == [before[table] for table in kept]
    assert MigrationRunner(database).validate().ok
    assert {snapshot.data["tokens"] for snapshot in get_usage_snapshots(hours_back=876_600)} == {1, 2}
    assert len(MigrationRunner(database).rollback(0)) == 3


def test_an_application_s_events_give_usage_sessions(path: Path) -> None:
    with with_schema(path, "CREATE TABLE events (id INTEGER PRIMARY KEY, session_id TEXT NOT NULL)") as database:
        init_database(database)
        assert fill(database)["events"] == 3
        assert database.execute_sql("SELECT count(*) FROM usage_sessions").fetchone() == (5,)  # 2 of events, 3 filled
        assert MigrationRunner(database).validate().ok


def test_values_of_the_caller_come_in_their_order(path: Path) -> None:
    values = {"person.name": ["Ada", "Bo"], "PERSON.Age": lambda number: number * 10, "person.email": None}
    assert filled_rows(path, PEOPLE, "person", values=values) == [
        (1001, "Ada", None, 10),
        (1002, "Bo", None, 20),
        (1003, "Ada", None, 30),
    ]


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (dt.datetime(2026, 1, 2, 3, 4, 5), "2026-01-02 03:04:05"),  # noqa: DTZ001
        (dt.date(2026, 1, 2), "2026-01-02"),
        (uuid.UUID(int=5), uuid.UUID(int=5).hex),
        (Decimal("1.20"), "1.20"),
        ({"a": [1]}, json.dumps({"a": [1]})),
        (b"\x00", b"\x00"),
    ],
)
def test_a_given_value_is_stored_as_peewee_stores_it(path: Path, value: object, stored: object) -> None:
    assert filled_rows(path, "CREATE TABLE t (a TEXT)", "t", 1, values={"t.a": [value]}) == [(stored,)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"values": {"people.name": 1}}, r"^values: there is no table 'people'; there are: person$"),
        (
            {"values": {"person.nam": 1}},
            r"^values: person has no column 'nam' that .*; there are: id, name, email, age$",
        ),
        ({"values": {"name": 1}}, r"""^values: 'name' names no column; write "table\.column"$"""),
        ({"values": {"person.name": []}}, r"^values: the list for 'person.name' is empty; give at least one value$"),
        (
            {"values": {"person.name": object()}},
            r"^values: 'person.name' has a value of type object, which no column can",
        ),
        ({"tables": ["people"]}, r"^there is no table 'people' to fill; there are: person$"),
        ({"tables": "person"}, r"^fill\(\) needs a list of tables, not the text 'person'; write tables=\['person'\]$"),
        ({"values": ["Ada"]}, r"^fill\(\) needs values as {'table.column': value}, not \['Ada'\]$"),
        (
            {"values": {"person.age": lambda number: 1 / (number - 2)}},
            r"^person\.age: .* row 2 raised ZeroDivisionError: ",
        ),
        ({"seed": "x"}, r"^fill\(\) needs a whole number as seed, not 'x'$"),
        ({"rows": True}, r"not True$"),
        ({"rows": 2.5}, r"not 2.5$"),
        ({"rows": 0}, r"^fill\(\) needs a whole number of rows, 1 or more, not 0$"),
        ({"rows": "3"}, r"not '3'$"),
    ],
)
def test_a_wrong_argument_is_refused_in_one_line(path: Path, options: dict[str, Any], message: str) -> None:
    with with_schema(path, PEOPLE) as database:
        with pytest.raises(ConfigurationError, match=message):
            fill(database, **options)
        assert checked(database, "person") == []


def test_what_cannot_be_filled_is_named_with_the_reason_and_with_the_way_to_give_values(path: Path) -> None:
    schema = (
        PEOPLE
        + "; CREATE TABLE z (code TEXT NOT NULL CHECK (code = upper(code) AND instr(code, 'Q') = 7 AND code > 'x'))"
    )
    with with_schema(path, schema) as database:
        with pytest.raises(CannotFill) as caught:
            fill(database)
        assert str(caught.value) == (
            "z.code: no row can be made up: CHECK constraint failed: code = upper ( code ) AND instr ( code , 'Q' ) = 7"
            " AND code > 'x'; give values yourself: fill(database, values={\"z.code\": [...]})"
        )
        assert (caught.value.table, caught.value.column, caught.value.exit_code) == ("z", "code", 2)
        assert checked(database, "person") == []  # all or nothing
        assert database.execute_sql("SELECT name FROM sqlite_temp_master").fetchall() == []
        with pytest.raises(CannotFill, match=r"^z\.code: .*: the value 'abcdefQX' was given: CHECK constraint failed"):
            fill(database, values={"z.code": ["abcdefQX"]})
        assert fill(database, tables=["person"]) == {"person": 3}


def test_a_transaction_of_the_caller_can_take_the_rows_back(path: Path) -> None:
    with with_schema(path, PEOPLE) as database:
        with database.atomic() as transaction:
            fill(database)
            with pytest.raises(CannotFill):
                fill(database, values={"person.name": None})
            assert len(checked(database, "person")) == 3
            transaction.rollback()
        assert checked(database, "person") == []


def test_a_closed_database_and_a_proxy_are_filled_and_closed_again(path: Path) -> None:
    database = peewee.SqliteDatabase(str(path))
    database.execute_sql(PEOPLE)
    database.close()
    proxy = peewee.DatabaseProxy()
    proxy.initialize(database)
    assert fill(proxy) == {"person": 3}
    assert database.is_closed()


def test_a_thousand_rows_are_added_at_once(path: Path) -> None:
    schema = PEOPLE + "; CREATE TABLE pet (id INTEGER PRIMARY KEY, owner INTEGER NOT NULL UNIQUE REFERENCES person)"
    with with_schema(path, schema) as database:
        statements: list[str] = []
        database.connection().set_trace_callback(statements.append)
        assert fill(database, 1000) == {"person": 1000, "pet": 1000}
        database.connection().set_trace_callback(None)
        assert sum("SAVEPOINT" in each for each in statements) < 10  # no row needed a second try
        assert checked(database, "pet")[999][1] == 2000


def test_filling_needs_no_pytest(path: Path, tmp_path: Path) -> None:
    script = """
import sys
from peewee import SqliteDatabase
from usage_store.testing import fill
database = SqliteDatabase(sys.argv[1])
database.execute_sql("CREATE TABLE t (a TEXT)")
print(fill(database), "pytest" in sys.modules)
database.close()  # from Python 3.13 on, sqlite3 warns of a connection that nobody closes
"""
    result = run_python("-W", "error", "-c", script, path, cwd=tmp_path)
    assert (result.stdout, result.stderr) == ("{'t': 3} False\n", "")
