"""DDL is split into tokens, so that a different spelling does not matter, but a different content does."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import peewee
import pytest

from usage_store.engines.interface.schema_differences import Table, differences
from usage_store.engines.sqlite.schema import sql_tokens
from usage_store.engines.sqlite.schema.read_whole_schema import read_catalog

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.quick


def texts(sql: str) -> list[str]:
    return [token.text for token in sql_tokens.tokens(sql)]


def normal(sql: str) -> str:
    return sql_tokens.normal(sql_tokens.tokens(sql))


@pytest.fixture
def database() -> Iterator[peewee.SqliteDatabase]:
    database = peewee.SqliteDatabase(":memory:")
    database.connect()
    yield database
    database.close()


def read(database: peewee.SqliteDatabase, sql: str, name: str = "t") -> Table:
    database.execute_sql(f'DROP TABLE IF EXISTS "{name}"')
    database.execute_sql(sql)
    return read_catalog(database).tables[name]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("a -- b, (c\n d", ["a", "d"]),
        ("a /* b ' -- */ c", ["a", "c"]),
        ("a /* never closed", ["a"]),
        ("'--' '/*' '*/'", ["'--'", "'/*'", "'*/'"]),
        ("'it''s' \"a\"\"b\" `c``d` [e f]", ["'it''s'", '"a""b"', "`c``d`", "[e f]"]),
        ("'two  spaces\nand a line'", ["'two  spaces\nand a line'"]),
        ("DEFAULT '(' x", ["DEFAULT", "'('", "x"]),
        ("x'53' X'00'", ["x'53'", "X'00'"]),
        ("1 -2 .5 1e10 0xFF 3.0", ["1", "-", "2", ".5", "1e10", "0xFF", "3.0"]),
        ("a->>'$.b' || c<>d!=e", ["a", "->>", "'$.b'", "||", "c", "<>", "d", "!=", "e"]),
        ("größe _x a$1", ["größe", "_x", "a$1"]),
    ],
)
def test_tokens(sql: str, expected: list[str]) -> None:
    assert texts(sql) == expected
    for token in sql_tokens.tokens(sql):
        assert sql[token.start : token.end] == token.text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CREATE TABLE t(a)", 'create  table "T" ( [A] ) -- end'),
        ("CHECK (a IN ('x','y'))", "check(`a` in ( 'x' , 'y' ))"),
    ],
)
def test_spelling_is_normal(one: str, other: str) -> None:
    assert normal(one) == normal(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("'a'", "'A'"), ("'a  b'", "'a b'"), ("'a'", "a"), ("a > 1", "a >= 1"), ("'--'", "''"), ("x'61'", "'61'")],
)
def test_content_is_not_lost(one: str, other: str) -> None:
    assert normal(one) != normal(other)


def test_a_table_is_taken_apart_at_its_own_commas_only() -> None:
    parsed = sql_tokens.parse_table("""
        CREATE TABLE t (
          a TEXT DEFAULT '(' CHECK (a IN ('x', ',', ')')), -- a comment, with a comma (
          "b, c" DECIMAL(10, 2) DEFAULT (coalesce(1, (2 + 3))),
          d AS (substr(a, 1, 2)) STORED /* , */,
          CONSTRAINT named UNIQUE (a, "b, c"),
          FOREIGN KEY (a, d) REFERENCES p(x, y),
          PRIMARY KEY (a, d), CHECK (a <> d)
        ) WITHOUT ROWID, STRICT
    """)
    assert [sql_tokens.name_of(part[0]) for part in parsed.columns] == ["a", "b, c", "d"]
    assert [part[0].text for part in parsed.constraints] == ["CONSTRAINT", "FOREIGN", "PRIMARY", "CHECK"]
    assert sql_tokens.normal(parsed.options) == "without rowid , strict"
    assert [sql_tokens.normal(check) for check in sql_tokens.after(parsed.columns[0], "check")] == [
        "a in ( 'x' , ',' , ')' )"
    ]


BASE = """CREATE TABLE t (
  a INTEGER PRIMARY KEY AUTOINCREMENT, b TEXT NOT NULL DEFAULT 'x  y' COLLATE NOCASE CHECK (b <> '('),
  c REAL GENERATED ALWAYS AS (a * (1 + 0.5)) VIRTUAL, d INT DEFAULT 5 UNIQUE REFERENCES p (id) ON DELETE CASCADE,
  CONSTRAINT both CHECK (a > 0 AND (b > 'a' OR d IN (1, 2))), UNIQUE (b, d))"""
SAME = [
    BASE.upper().replace("'X  Y'", "'x  y'").replace("'A'", "'a'"),
    BASE.replace("\n", " /* ( */ ").replace(" c REAL", ' "c" REAL'),
    BASE.replace("GENERATED ALWAYS AS", "AS").replace("DEFAULT 5", "DEFAULT (5)"),
    BASE.replace("CONSTRAINT both", 'CONSTRAINT "BOTH"').replace("TABLE t", "TABLE main.t"),
    BASE.replace("REFERENCES p (id)", "REFERENCES [p]([id]) ON UPDATE NO ACTION").replace("(b, d))", "(b, d) -- )\n)"),
    BASE.replace(", UNIQUE (b, d))", " UNIQUE (b, d))"),
]
OTHER = [
    BASE.replace("'x  y'", "'x y'"),
    BASE.replace(" NOT NULL", ""),
    BASE.replace(" COLLATE NOCASE", ""),
    BASE.replace("b <> '('", "b <> ')'"),
    BASE.replace("1 + 0.5", "1 + 0.6"),
    BASE.replace("VIRTUAL", "STORED"),
    BASE.replace("DEFAULT 5", "DEFAULT '5'"),
    BASE.replace(" UNIQUE REFERENCES", " REFERENCES"),
    BASE.replace("ON DELETE CASCADE", "ON DELETE RESTRICT"),
    BASE.replace("REFERENCES p", "REFERENCES q"),
    BASE.replace("d IN (1, 2)", "d IN (1, 3)"),
    BASE.replace("UNIQUE (b, d)", "UNIQUE (d, b)"),
    BASE.replace(" AUTOINCREMENT", ""),
    BASE.replace("b TEXT", "b CLOB"),
    BASE.replace("\n  CONSTRAINT", "\n  e, CONSTRAINT"),
    BASE.replace("CONSTRAINT both ", ""),
    BASE.replace("CONSTRAINT both", "CONSTRAINT other"),
    BASE.replace("UNIQUE (b, d)", "UNIQUE (b COLLATE BINARY, d)"),
    BASE.replace("UNIQUE (b, d)", "UNIQUE (b, d DESC)"),
    BASE.replace("UNIQUE (b, d)", "UNIQUE (b, d) ON CONFLICT IGNORE"),
    BASE.replace(" UNIQUE REFERENCES", " UNIQUE ON CONFLICT REPLACE REFERENCES"),
    BASE.replace("NOT NULL", "NOT NULL ON CONFLICT FAIL"),
    BASE.replace("PRIMARY KEY", "PRIMARY KEY ON CONFLICT REPLACE"),
    BASE.replace("a INTEGER PRIMARY KEY AUTOINCREMENT", "a INTEGER PRIMARY KEY DESC"),
    BASE.replace("ON DELETE CASCADE", "ON DELETE CASCADE MATCH FULL"),
    BASE.replace("'x  y' COLLATE NOCASE", "('x  y' COLLATE NOCASE)"),
    BASE.replace("COLLATE NOCASE CHECK (b <> '(')", "CHECK (b COLLATE NOCASE <> '(')"),
    BASE.replace("'x  y'", '"X  y"'),
]


@pytest.mark.parametrize("sql", SAME)
def test_another_spelling_is_the_same_table(database: peewee.SqliteDatabase, sql: str) -> None:
    assert sql != BASE
    assert read(database, sql) == read(database, BASE)


@pytest.mark.parametrize("sql", OTHER)
def test_any_other_rule_is_another_table(database: peewee.SqliteDatabase, sql: str) -> None:
    assert sql != BASE
    database.execute_sql(BASE)
    expected = read_catalog(database)
    assert read(database, sql) != expected.tables["t"]
    assert differences(expected, read_catalog(database))


OPTIONS = ["", " WITHOUT ROWID", " STRICT", " STRICT,WITHOUT ROWID"]


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(OPTIONS, 2)))
def test_options_tell_tables_apart(database: peewee.SqliteDatabase, one: str, other: str) -> None:
    sql = "CREATE TABLE t (a TEXT PRIMARY KEY NOT NULL)"
    assert read(database, sql + one) != read(database, sql + other)


def test_the_order_of_options_does_not_matter(database: peewee.SqliteDatabase) -> None:
    sql = "CREATE TABLE t (a TEXT PRIMARY KEY)"
    assert read(database, f"{sql} STRICT, WITHOUT ROWID") == read(database, f"{sql} without  rowid,strict")


def test_a_column_added_later_reads_like_one_from_the_start(database: peewee.SqliteDatabase) -> None:
    whole = read(database, "CREATE TABLE t (a INT, b TEXT DEFAULT 'x, (' CHECK (b <> ',') REFERENCES p(id), c INT)")
    read(database, "CREATE TABLE t (a INT -- the first\n)")
    database.execute_sql("ALTER TABLE t ADD COLUMN b TEXT DEFAULT 'x, (' CHECK (b <> ',') REFERENCES p(id)")
    database.execute_sql("ALTER TABLE t ADD COLUMN c INT")
    assert read_catalog(database).tables["t"] == whole


@pytest.mark.parametrize("name", ['odd "name', "with space", "[brackets", "select", "it's", "größe", "a(b", "100%"])
def test_odd_names_are_read(database: peewee.SqliteDatabase, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    sql = f"CREATE TABLE {quoted} ({quoted} INT CHECK ({quoted} > 0) REFERENCES {quoted}, UNIQUE ({quoted}))"
    database.execute_sql(sql)
    found = read_catalog(database).tables[name]
    assert list(found.columns) == [name]
    assert found.checks == (f"{name} > 0",)
    assert found.uniques == ((name,),)
    assert found.foreign_keys[0].table == name


@pytest.mark.parametrize("name", ["check", "unique", "primary", "foreign", "constraint"])
@pytest.mark.parametrize("quotes", ['""', "``", "[]"])
def test_a_column_may_be_called_like_a_keyword(database: peewee.SqliteDatabase, name: str, quotes: str) -> None:
    quoted = f"{quotes[0]}{name}{quotes[1]}"
    found = read(database, f"CREATE TABLE t ({quoted} TEXT COLLATE NOCASE, b INT)")
    assert list(found.columns) == [name, "b"]
    assert found.columns[name].collation == "nocase"
    assert found.checks == ()


def test_a_table_made_from_a_query_and_a_virtual_table_are_read(database: peewee.SqliteDatabase) -> None:
    database.execute_sql("CREATE TABLE t AS SELECT 1 AS a, 'x' AS b")
    assert list(read_catalog(database).tables["t"].columns) == ["a", "b"]
    database.execute_sql("create  virtual /* ( */ table v using fts5 (text)")
    catalog = read_catalog(database)
    assert catalog.others["v"][0] == "table"
    assert "v" not in catalog.tables


def test_what_sqlite_accepts_is_read_whatever_the_layout() -> None:
    # Every gap between two tokens, as every kind of white space: the table stays the same one.
    database = peewee.SqliteDatabase(":memory:")
    with database.connection_context():
        expected = read(database, BASE)
        for gap in ("\n", "\t", " /* ' */ ", " -- (\n", "/**/"):
            assert read(database, gap.join(texts(BASE))) == expected
