"""Generated CREATE TABLE statements: each edit changes only what it is for, and no comment is lost."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import peewee
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from usage_store.engines.interface.schema_differences import Column, Table
from usage_store.engines.sqlite.schema import edit_create_table, sql_tokens
from usage_store.engines.sqlite.schema.read_whole_schema import read_catalog
from usage_store.engines.sqlite.schema.schema_operations import LosslessMigrator
from usage_store.errors import ChangeRefused

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.quick

NAMES = ['"a, b"', "[c (d]", "`é`", "Größe", '"q""uote"', "'string'", "e", "CamelCase", '"check"']
TYPES = ["", "INT", "DECIMAL(10, 2)", "VARCHAR ( 5 )", "DOUBLE PRECISION", '"odd, (type"', "TEXT"]
CLAUSES = [
    "NOT NULL",
    "CONSTRAINT nn NOT NULL ON CONFLICT REPLACE",
    "NULL",
    "DEFAULT 'it''s, (' ",
    "DEFAULT - 5",
    "DEFAULT(1 + (2))",
    "DEFAULT NULL",
    "DEFAULT true",
    "CONSTRAINT d DEFAULT CURRENT_TIMESTAMP",
    "CHECK (1 <> length('),('))",
    'CONSTRAINT "named, one" CHECK((1) OR (2 IN (3, 4)))',
    "COLLATE NOCASE",
    "UNIQUE ON CONFLICT IGNORE",
    "REFERENCES parent(id) ON DELETE SET NULL ON UPDATE SET DEFAULT MATCH FULL NOT DEFERRABLE INITIALLY IMMEDIATE",
    "CONSTRAINT fk REFERENCES parent ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED",
    "GENERATED ALWAYS AS (1 + 2) STORED",
    "AS ('x, ' || 1)",
    "CONSTRAINT alone",
]
TABLE_CONSTRAINTS = [
    "CHECK (1 OR ('a' = ')'))",
    "CONSTRAINT 'table one' CHECK (2)",
    "CONSTRAINT [two] UNIQUE ({0})",
    "FOREIGN KEY ({0}) REFERENCES parent(id) ON DELETE SET DEFAULT DEFERRABLE",
    "CONSTRAINT fk2 FOREIGN KEY({0}, {1}) REFERENCES pair(x, y) ON UPDATE SET NULL NOT DEFERRABLE",
    "PRIMARY KEY ({0} DESC)",
]


@st.composite
def create_tables(draw: st.DrawFn) -> str:
    """Generate a CREATE TABLE with numbered comments."""
    comments = iter(range(1000))

    def space() -> str:
        kind = draw(st.sampled_from([" ", " ", "\n  ", "/**/", "--\n"]))
        number = next(comments)
        return {"/**/": f" /*{number}: , ( ' */ ", "--\n": f" --{number}: ), ' x\n"}.get(kind, kind)

    names = draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=4, unique=True))
    parts = []
    for name in names:
        clauses = draw(st.lists(st.sampled_from(CLAUSES), max_size=4, unique=True))
        part = space().join([name, draw(st.sampled_from(TYPES)), *clauses])
        # SQLite takes a comment before GENERATED for a part of the type.
        parts.append(re.sub(r"(/\*[^*]*\*/|--[^\n]*|\s)+GENERATED", " GENERATED", part))
    text = f"{space()},{space()}".join(parts)
    for constraint in draw(st.lists(st.sampled_from(TABLE_CONSTRAINTS), max_size=3, unique=True)):
        comma = "," if constraint.startswith("FOREIGN") or draw(st.booleans()) or text.endswith(parts[-1]) else ""
        text += f"{space()}{comma}{space()}" + constraint.format(*names)
    return f"CREATE TABLE{space()}Made{space()}({space()}{text}{space()})"


def with_column(table: Table, name: str, **changes: Any) -> Table:
    column: Column = replace(table.columns[name], **changes)
    return replace(table, columns={**table.columns, name: column})


def without(rules: tuple[Any, ...], wanted: Callable[[Any], bool]) -> tuple[Any, ...]:
    kept = [rule for rule in rules if not wanted(rule)]
    assert len(kept) == len(rules) - 1
    return tuple(kept)


Case = tuple["Callable[[LosslessMigrator, str], Any]", "Callable[[Table, str], Table]"]
CASES: dict[str, Case] = {
    "default": (
        lambda m, c: m.add_column_default("made", c, "new, ("),
        lambda t, c: with_column(t, c, default="'new, ('"),
    ),
    "no default": (lambda m, c: m.drop_column_default("made", c), lambda t, c: with_column(t, c, default=None)),
    "not null": (lambda m, c: m.add_not_null("made", c), lambda t, c: with_column(t, c, not_null=True)),
    "null": (lambda m, c: m.drop_not_null("made", c), lambda t, c: with_column(t, c, not_null=False)),
    "type": (
        lambda m, c: m.alter_column_type("made", c, peewee.CharField(max_length=7)),
        lambda t, c: with_column(t, c, type="VARCHAR(7)"),
    ),
    "check": (
        lambda m, _: m.add_constraint("made", "new", peewee.Check("(5 > 4) OR ')'")),
        lambda t, _: replace(t, checks=tuple(sorted([*t.checks, "( 5 > 4 ) or ')'"]))),
    ),
    "no check of a column": (
        lambda m, _: m.drop_constraint("made", "named, one"),
        lambda t, _: replace(t, checks=without(t.checks, lambda check: check.startswith("( 1 ) or"))),
    ),
    "no check": (
        lambda m, _: m.drop_constraint("made", "TABLE ONE"),
        lambda t, _: replace(t, checks=without(t.checks, lambda check: check == "2")),
    ),
    "no key": (
        lambda m, _: m.drop_constraint("made", "fk2"),
        lambda t, _: replace(t, foreign_keys=without(t.foreign_keys, lambda key: key.table == "pair")),
    ),
    "column": (
        lambda m, _: m.add_column("made", "added", peewee.IntegerField(default=5)),
        lambda t, _: replace(t, columns={**t.columns, "added": Column("INTEGER", True, None, 0, None, None)}),
    ),
}


@pytest.mark.slow
@settings(max_examples=120)
@given(create_tables(), st.sampled_from(sorted(CASES)), st.data())
def test_an_operation_changes_one_thing_of_any_table(sql: str, case: str, data: st.DataObject) -> None:
    database = peewee.SqliteDatabase(":memory:")
    with database.connection_context():
        try:
            database.execute_sql(sql)
        except peewee.OperationalError:
            assume(False)
        database.execute_sql("INSERT OR IGNORE INTO made DEFAULT VALUES")
        before = read_catalog(database).tables["made"]
        rows = database.execute_sql("SELECT * FROM made").fetchall()
        column = data.draw(st.sampled_from(sorted(before.columns)))
        operation, expected = CASES[case]
        migrator = LosslessMigrator(database)
        try:
            migrator.migrate(operation(migrator, column))
        except ChangeRefused as error:
            event(f"{case}: {str(error)[:40]}")
            assert read_catalog(database).tables["made"] == before
            return
        event(f"{case}: done")
        after = read_catalog(database).tables["made"]
        assert after.as_models_state() == expected(before, column).as_models_state()
        assert after.order[: len(before.order)] == before.order
        new = {"constraint new, check (( 5 > 4 ) or ')')"} if case == "check" else set()
        assert {*after.besides} - {*before.besides} == new
        gone = {*before.besides} - {*after.besides}
        # A replaced clause loses its name, too; NOT NULL also replaces a NULL that has a name.
        rule = f"{case.removeprefix('not ')} ({column})"
        assert all(case.startswith("no ") or rule in line for line in gone)
        found = database.execute_sql("SELECT * FROM made").fetchall()
        if case == "column":
            found = [row[:-1] for row in found]
        if case != "type":
            assert found == rows
        ((after,),) = database.execute_sql("SELECT sql FROM sqlite_master WHERE name = 'Made'").fetchall()
        assert [text for text in comments(sql) if text not in after] == []


def comments(sql: str) -> list[str]:
    """Give the numbered comments after the name of the table."""
    pieces = sql[sql.index("Made") :].replace("--", "/*").split("/*")[1:]
    return [piece.split(":")[0] for piece in pieces]


@pytest.mark.slow
@settings(max_examples=60)
@given(create_tables())
def test_what_was_put_in_and_taken_out_again_leaves_nothing_but_blanks(sql: str) -> None:
    def same(text: str) -> bool:
        return "".join(text.split()) == "".join(sql.split())

    assert same(edit_create_table.drop_constraint(edit_create_table.add_constraint(sql, "new", "CHECK (1)"), "NEW"))
    for part in sql_tokens.parse_table(sql).columns:
        name = sql_tokens.name_of(part[0])
        kinds = {clause.kind for clause in edit_create_table.clauses(part[1:])}
        if "default" not in kinds:
            assert same(edit_create_table.drop_default(edit_create_table.set_default(sql, name, "(5)"), name))
        if not kinds & {"not null", "null"}:
            assert same(edit_create_table.drop_not_null(edit_create_table.set_not_null(sql, name), name))


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ("NOT NULL DEFAULT NULL NULL", ["not null", "default", "null"]),
        ("CONSTRAINT a CONSTRAINT b CHECK (1) CONSTRAINT c", ["constraint", "check", "constraint"]),
        (
            "REFERENCES p ON DELETE SET NULL ON UPDATE SET DEFAULT NOT DEFERRABLE DEFAULT(5)NOT NULL",
            ["references", "deferrable", "default", "not null"],
        ),
        ("INT GENERATED ALWAYS AS (1) UNIQUE PRIMARY KEY DESC ON CONFLICT FAIL", ["generated", "unique", "primary"]),
        ("DEFAULT - 5 COLLATE nocase AS (2) STORED", ["default", "collate", "as"]),
        (
            "CONSTRAINT f FOREIGN KEY (a) REFERENCES p ON DELETE SET NULL NOT DEFERRABLE INITIALLY DEFERRED UNIQUE (b)",
            ["foreign", "unique"],
        ),
    ],
)
def test_clauses_are_told_apart(definition: str, expected: list[str]) -> None:
    assert [clause.kind for clause in edit_create_table.clauses(sql_tokens.tokens(definition))] == expected


def test_a_deferral_goes_with_its_foreign_key_and_not_with_another() -> None:
    sql = "CREATE TABLE t (a REFERENCES p DEFERRABLE, b REFERENCES q NOT NULL DEFERRABLE INITIALLY DEFERRED)"
    assert edit_create_table.drop_foreign_key(sql, "b") == "CREATE TABLE t (a REFERENCES p DEFERRABLE, b NOT NULL)"
    assert edit_create_table.drop_foreign_key(sql, "A").startswith(
        "CREATE TABLE t (a, b REFERENCES q NOT NULL DEFERRABLE"
    )


def test_not_null_takes_the_place_of_null() -> None:
    assert (
        edit_create_table.set_not_null("CREATE TABLE t (a INT NULL UNIQUE)", "a")
        == "CREATE TABLE t (a INT NOT NULL UNIQUE)"
    )
