"""Filling tables whose rules ask for particular values: CHECKs, STRICT, generated columns, triggers."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import peewee
import pytest

from tests.support.filled_databases import checked, filled_rows, with_schema
from usage_store.errors import CannotFill
from usage_store.testing import fill

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    "rule",
    [
        "v TEXT CHECK (v IN ('a', 'b''c'))",
        'v TEXT CHECK (v IN ("red", "blue"))',
        "v INTEGER CHECK (v IN (0x10, -5))",
        "v INTEGER CHECK (v BETWEEN 18 AND 99)",
        "v INTEGER CHECK (v < -1_0)".replace("_", ""),
        "v INTEGER CHECK (v % 15 = 0 AND v > 100)",
        "v INTEGER CHECK (v > 10 * 1024)",
        "v INTEGER CHECK (1000 <= v AND v <= 1001)",
        "v INTEGER CHECK (v = CAST(strftime('%s', '2020-05-05') AS INTEGER))",
        "v REAL CHECK (v > 0.1 AND v < 0.25)",
        "v DECIMAL(5, 2) CHECK (v >= 99.5)",
        "v TEXT CHECK (length(v) = 2)",
        "v TEXT CHECK (length(v) BETWEEN 30 AND 40)",
        "v TEXT CHECK (length(trim(v)) > 0)",
        "v BLOB CHECK (length(v) = 16)",
        "v TEXT CHECK (v LIKE '%@%.%')",
        "v TEXT CHECK (v LIKE 'http_://%')",
        "v TEXT CHECK (v GLOB '[A-Z][A-Z]')",
        "v TEXT CHECK (v GLOB '#[0-9a-f][0-9a-f][0-9a-f]')",
        "v TEXT CHECK (v GLOB '[^a-z]?-*')",
        "v TEXT CHECK (v NOT GLOB '*[^0-9]*' AND length(v) = 8)",
        "v TEXT CHECK (v NOT GLOB '*[^A-Z]*')",
        "v TEXT CHECK (v GLOB '+[1-9]*' AND v NOT GLOB '+*[^0-9]*' AND length(v) BETWEEN 9 AND 16)",
        "v TEXT CHECK (length(v) = 71 AND substr(v, 1, 7) = 'sha256:' AND substr(v, 8) NOT GLOB '*[^0-9a-f]*')",
        "v TEXT CHECK (v = lower(v) AND instr(v, '/') > 1)",
        "v TEXT CHECK (v = upper(v))",
        "v TEXT CHECK (json_valid(v))",
        "v TEXT CHECK (json_valid(v) AND json_type(v) = 'array')",
        "v TEXT CHECK (json_array_length(v) > 0)",  # raises an error for a text that is no JSON
        "v TEXT CHECK (date(v) IS NOT NULL AND date(v) = v)",
        "v TEXT CHECK (datetime(v) IS NOT NULL AND length(v) = 27 AND substr(v, 27, 1) = 'Z')",
        "v DATETIME CHECK (v > '2019-01-01')",
        "v CHECK (typeof(v) = 'integer' AND v >= 0)",
        "v CHECK (typeof(v) = 'blob')",
        "v TEXT CHECK (v IS NOT NULL)",
        "v INTEGER CHECK (t.v > 5)",
        "v TEXT CONSTRAINT named CHECK (v <> 'v 1') DEFAULT 'x'",
        "v TEXT COLLATE unicase CHECK (v = 'xy' AND v GLOB 'XY')",
        "v INTEGER CHECK (typeof(v) = 'integer' AND v = '77')",  # the text becomes a number
        "v INTEGER CHECK (CASE WHEN v > 5 THEN v < 8 ELSE 0 END)",
        "v INTEGER CHECK (v > 5 OR v IS NULL) CHECK (v < 9)",
        "v TEXT CHECK (v /* a comment */ IN ('only')) -- another",
    ],
)
def test_a_value_obeys_the_checks_of_its_column(path: Path, rule: str) -> None:
    rows = filled_rows(path, f"CREATE TABLE t (id INTEGER PRIMARY KEY, {rule}\n)", "t")
    assert len(rows) == 3
    assert rows[0][1] is not None


@pytest.mark.parametrize(
    "columns",
    [
        "a INT NOT NULL, b INT NOT NULL, CHECK (a * 2 = b AND a > 10)",
        "a INT NOT NULL, b INT NOT NULL, c INT NOT NULL, CHECK (a + b + c = 100), CHECK (a > b AND b > c)",
        "starts DATE NOT NULL, ends DATE NOT NULL, CHECK (ends > starts)",
        "kind TEXT NOT NULL CHECK (kind IN ('a', 'b')), size INT, CHECK ((kind = 'a') = (size IS NULL))",
        "price REAL NOT NULL, number INT NOT NULL, total REAL NOT NULL CHECK (total = price * number)",
        "a INT NOT NULL, b INT NOT NULL, CHECK (b = a * 37 + 5 AND a > 100)",
        "a INT NOT NULL UNIQUE, b INT NOT NULL UNIQUE, CHECK (b = a + 1)",
        "code TEXT NOT NULL UNIQUE CHECK (length(code) = 4), kind TEXT NOT NULL, CHECK (substr(code, 1, 1) = kind)",
        "a INT NOT NULL, d INT GENERATED ALWAYS AS (a * 3) STORED, e AS (d + 1), CHECK (e > 100)",
        "a JSON NOT NULL, b INT NOT NULL, CHECK (json_extract(a, '$.number') = b)",
    ],
)
def test_values_obey_the_checks_of_several_columns(path: Path, columns: str) -> None:
    assert len(filled_rows(path, f"CREATE TABLE t ({columns})", "t")) == 3


def test_each_column_of_an_exclusive_choice_is_used_in_some_row_and_null_in_another(path: Path) -> None:
    names = ("a", "b", "c")
    rule = " + ".join(f"({name} IS NOT NULL)" for name in names)
    rows = filled_rows(path, f"CREATE TABLE t (a INT, b TEXT, c DATE, CHECK ({rule} = 1))", "t")
    assert [sum(value is not None for value in row) for row in rows] == [1, 1, 1]
    assert all(any(row[index] is not None for row in rows) for index in range(3))


def test_a_choice_among_many_columns_is_found(path: Path) -> None:
    names = [f"c{number}" for number in range(12)]
    rule = " + ".join(f"({name} IS NOT NULL)" for name in names)
    rows = filled_rows(path, f"CREATE TABLE t ({', '.join(names)}, CHECK ({rule} = 1))", "t", 13)
    assert {sum(value is not None for value in row) for row in rows} == {1}
    assert all(any(row[index] is not None for row in rows) for index in range(12))


def test_columns_that_must_be_null_together_are_null_together(path: Path) -> None:
    rows = filled_rows(path, "CREATE TABLE t (a INT, b INT, CHECK ((a IS NULL) = (b IS NULL)))", "t")
    assert rows[0] == rows[1]
    assert rows[2] == (None, None)


def test_a_strict_table_gets_values_of_its_types(path: Path) -> None:
    columns = "a INT NOT NULL CHECK (a <> 'x'), b REAL NOT NULL, c TEXT NOT NULL, d BLOB NOT NULL, e ANY"
    assert filled_rows(path, f"CREATE TABLE t ({columns}) STRICT", "t", 1) == [(1, 1.5, "c 1", b"\x00\x01", "e 1")]


def test_values_under_a_check_keep_the_type_and_the_length_of_the_column(path: Path) -> None:
    schema = "CREATE TABLE t (n INTEGER NOT NULL UNIQUE CHECK (n >= 100), v VARCHAR(4) NOT NULL UNIQUE CHECK (v > 'm'))"
    rows = filled_rows(path, schema, "t", 20)
    assert {(type(n), len(v) <= 4) for n, v in rows} == {(int, True)}


def test_unique_values_under_a_check_are_found_for_many_rows(path: Path) -> None:
    schema = """CREATE TABLE t (code TEXT NOT NULL UNIQUE CHECK (code GLOB '[A-Z][A-Z][0-9][0-9]'),
        port INTEGER NOT NULL UNIQUE CHECK (port BETWEEN 8000 AND 9000))"""
    assert len(filled_rows(path, schema, "t", 500)) == 500


def test_values_of_existing_rows_help_where_a_rule_is_a_riddle(path: Path) -> None:
    schema = "CREATE TABLE t (v TEXT NOT NULL CHECK (hex(v) LIKE '4B%' AND instr(v, 'ey') = 2 AND length(v) % 7 = 5))"
    with with_schema(path, schema) as database:
        with pytest.raises(CannotFill, match=r"^t\.v: no row can be made up: CHECK constraint failed: hex "):
            fill(database)
        database.execute_sql("INSERT INTO t VALUES ('Keyed')")
        assert fill(database) == {"t": 3}


@pytest.mark.parametrize(
    "trigger",
    [
        "BEFORE INSERT ON t WHEN NEW.a IS NULL BEGIN SELECT RAISE(ABORT, 'a is needed'); END",
        "BEFORE INSERT ON t WHEN NEW.b NOT IN ('red', 'green') BEGIN SELECT RAISE(ABORT, 'no colour'); END",
        "BEFORE INSERT ON t WHEN NEW.b <> 'red' BEGIN SELECT RAISE(IGNORE); END",
        "AFTER INSERT ON t WHEN NEW.a < 500 BEGIN SELECT RAISE(FAIL, 'too small'); END",
        "AFTER INSERT ON t WHEN NEW.b = 'b 1' BEGIN UPDATE t SET b = 'other' WHERE id = NEW.id; END",
        "AFTER INSERT ON t WHEN NEW.id < 2000 BEGIN INSERT INTO t (id, b) VALUES (NEW.id + 1, 'b'); END",
    ],
)
def test_what_a_trigger_wants_is_done(path: Path, trigger: str) -> None:
    schema = f"CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT NOT NULL); CREATE TRIGGER x {trigger}"
    with with_schema(path, schema) as database:
        assert fill(database) == {"t": 3}
        assert len(checked(database, "t")) >= 3


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("RAISE(ABORT, 'never')", "never"),
        ("RAISE(IGNORE)", "a trigger leaves the row out"),
        ("RAISE(ROLLBACK, 'all is lost')", "all is lost"),
    ],
)
def test_a_trigger_that_takes_no_row_is_quoted_and_nothing_is_written(path: Path, action: str, reason: str) -> None:
    schema = f"""CREATE TABLE a (x TEXT); CREATE TABLE t (a INTEGER);
        CREATE TRIGGER n BEFORE INSERT ON t BEGIN SELECT {action}; END"""
    with with_schema(path, schema) as database:
        with pytest.raises(CannotFill, match=rf"^t\.a: no row can be made up: {reason}; give values"):
            fill(database)
        assert checked(database, "a") == checked(database, "t") == []


def test_a_rule_with_a_function_that_the_connection_lacks_is_named(path: Path) -> None:
    with with_schema(path, "CREATE TABLE u (w TEXT)") as database:
        database.connection().create_function("shorter", 1, lambda text: len(text) < 4, deterministic=True)
        database.execute_sql("CREATE TABLE t (v TEXT NOT NULL CHECK (shorter(v)))")
        assert fill(database) == {"t": 3, "u": 3}
    with (
        closing(peewee.SqliteDatabase(str(path))) as other,
        pytest.raises(CannotFill, match=r"^t: no row can be made up: no such function: shorter \(in a CHECK\)$"),
    ):
        fill(other)


def test_listed_values_come_one_after_the_other_so_that_a_shorter_list_is_noticed(path: Path) -> None:
    schema = "CREATE TABLE t (v TEXT NOT NULL CHECK (v IN ('new', 'run', 'done')), w INT CHECK (w IN (5, 6)))"
    assert filled_rows(path, schema, "t") == [("new", 5), ("run", 6), ("done", None)]
