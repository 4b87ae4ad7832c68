"""Migrations that are written from the difference between models and a database, run up and down on real files."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from peewee import (
    SQL,
    AutoField,
    BlobField,
    CharField,
    Check,
    DecimalField,
    FloatField,
    ForeignKeyField,
    IntegerField,
    TextField,
    fn,
)

from tests.support.projects import (
    PARENT,
    STRICT,
    Project,
    child,
    contents,
    default,
    model,
    ordered,
    same,
    schema,
    text,
    with_index,
)
from usage_store.migrate.create_from_models import generate, write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True)
class Case:
    """One table before and after a change that its rows must survive. `todo` are the columns that are reported."""

    before: Mapping[str, Any]
    after: Mapping[str, Any]
    rebuilds: bool = True
    todo: Sequence[str] = ()
    meta: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {})
    rows: Sequence[str] = ("INSERT INTO t (a) VALUES ('one'), ('two')",)


UNIQUE = {"constraints": [SQL("UNIQUE (a)")]}
CHECKED = {"constraints": [Check("a <> ''", name="filled")]}

CHANGES: dict[str, Callable[[], Case]] = {
    "add nullable": lambda: Case({"a": text()}, {"a": text(), "b": text()}, rebuilds=False),
    "add before another": lambda: Case({"a": text()}, {"b": text(), "a": text()}, rebuilds=False),
    "add two": lambda: Case({"a": text()}, {"a": text(), "b": text(), "c": text()}, rebuilds=False),
    "add with constant default": lambda: Case({"a": text()}, {"a": text(), "b": default("'x,  (''y'")}, rebuilds=False),
    "add with negative default": lambda: Case(
        {"a": text()}, {"a": text(), "b": IntegerField(constraints=[SQL("DEFAULT -1")])}, rebuilds=False
    ),
    "add with expression default": lambda: Case({"a": text()}, {"a": text(), "b": default("(lower('X'))")}),
    "add with current time": lambda: Case({"a": text()}, {"a": text(), "b": default("CURRENT_TIMESTAMP")}),
    "add with check": lambda: Case({"a": text()}, {"a": text(), "b": text(constraints=[Check("b <> 'x'")])}, False),
    "add with collation": lambda: Case({"a": text()}, {"a": text(), "b": text(collation="NOCASE")}, rebuilds=False),
    "add unique": lambda: Case({"a": text()}, {"a": text(), "b": text(unique=True)}, rebuilds=False),
    "add unique with default": lambda: Case({"a": text()}, {"a": text(), "b": default("'x'", unique=True)}, False,
                                            todo=["b"], rows=("INSERT INTO t (a) VALUES ('one')",)),
    "add unique column": lambda: Case({"a": text()}, {"a": text(), "b": text(constraints=[SQL("UNIQUE")])}),
    "add generated": lambda: Case(
        {"a": text()}, {"a": text(), "b": text(constraints=[SQL("AS (upper(a)) VIRTUAL")])}, rebuilds=False
    ),
    "add stored": lambda: Case({"a": text()}, {"a": text(), "b": text(constraints=[SQL("AS (upper(a)) STORED")])}),
    "add self reference": lambda: Case(
        {"a": text()}, {"a": text(), "up": ForeignKeyField("self", null=True, on_delete="CASCADE")}, False
    ),
    "add with python constant": lambda: Case({"a": text()}, {"a": text(), "b": TextField(default="it's")}),
    "add with python number": lambda: Case({"a": text()}, {"a": text(), "b": FloatField(default=0.1)}),
    "add with python decimal": lambda: Case({"a": text()}, {"a": text(), "b": DecimalField(default=Decimal("1.50"))}),
    "add with python bytes": lambda: Case({"a": text()}, {"a": text(), "b": BlobField(default=b"\x00'")}),
    "drop": lambda: Case({"a": text(), "b": text()}, {"a": text()}, todo=["b"]),
    "drop required": lambda: Case({"a": text(), "b": TextField()}, {"a": text()}, todo=["b"], rows=()),
    "drop indexed": lambda: Case({"a": text(), "b": text(index=True)}, {"a": text()}, todo=["b"]),
    "drop checked": lambda: Case({"a": text(), "b": text(constraints=[Check("b > a")])}, {"a": text()}, todo=["b"]),
    "type, same affinity": lambda: Case({"a": CharField(10)}, {"a": TextField()}),
    "type, other affinity": lambda: Case({"a": text()}, {"a": IntegerField(null=True)}, todo=["a"]),
    "null to not null": lambda: Case({"a": text()}, {"a": TextField()}, todo=["a"]),
    "not null to null": lambda: Case({"a": TextField()}, {"a": text()}),
    "default added": lambda: Case({"a": TextField()}, {"a": default("'a, \"b\"'")}),
    "default changed": lambda: Case({"a": default("'a'")}, {"a": default("'b  c\n'")}),
    "default removed": lambda: Case({"a": default("'('")}, {"a": TextField()}, todo=["DEFAULT"]),
    "check added": lambda: Case({"a": text()}, {"a": text(constraints=[Check("a IN ('one', 'two', ')')")])}),
    "check removed": lambda: Case({"a": text(constraints=[Check("a <> ','")])}, {"a": text()}, todo=["CHECK"]),
    "table check added": lambda: Case({"a": text()}, {"a": text()}, meta=({}, CHECKED)),
    "table check removed": lambda: Case({"a": text()}, {"a": text()}, meta=(CHECKED, {}), todo=["CHECK"]),
    "unique added": lambda: Case({"a": text()}, {"a": text()}, meta=({}, UNIQUE)),
    "unique removed": lambda: Case({"a": text()}, {"a": text()}, meta=(UNIQUE, {}), todo=["UNIQUE"]),
    "collation added": lambda: Case({"a": text()}, {"a": text(collation="NOCASE")}),
    "strict": lambda: Case({"a": text()}, {"a": text()}, meta=({}, STRICT), todo=["STRICT"]),
    "no longer strict": lambda: Case({"a": text()}, {"a": text()}, meta=(STRICT, {}), todo=["STRICT"]),
    "without rowid": lambda: Case({"a": TextField(primary_key=True)}, {"a": TextField(primary_key=True)},
                                  meta=({}, {"without_rowid": True})),
    "key moved": lambda: Case({"a": TextField()}, {"a": TextField(primary_key=True)}, todo=["id"]),
    "key added": lambda: Case({"a": TextField(primary_key=True)}, {"id": AutoField(), "a": TextField()}),
    "autoincrement": lambda: Case(
        {"a": text()},
        {"a": text(), "id": AutoField(constraints=[SQL("AUTOINCREMENT")])},
    ),
    "index added": lambda: Case({"a": text()}, {"a": text(index=True)}, rebuilds=False),
    "index removed": lambda: Case({"a": text(index=True)}, {"a": text()}, rebuilds=False),
    "index to unique": lambda: Case({"a": text(index=True)}, {"a": text(unique=True)}, rebuilds=False),
    "index and column": lambda: Case({"a": text(index=True)}, {"a": TextField(index=True), "b": text(index=True)},
                                     todo=["a"]),
}  # fmt: skip


@pytest.mark.parametrize("make", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_goes_up_to_the_models_and_down_to_the_same_schema_and_rows(
    project: Project, make: Callable[[], Case]
) -> None:
    case = make()
    project.migrate([model("t", case.meta[0], **case.before)])
    for statement in case.rows:
        project.database.execute_sql(statement)
    before, rows = schema(project.database), contents(project.database)

    generated = project.migrate([model("t", case.meta[1], **case.after)])
    assert [line for line in generated.todo if not any(word in line for word in case.todo)] == []
    assert len(generated.todo) == len(case.todo)
    assert ("rebuild_table" in generated.source) is case.rebuilds
    assert len(contents(project.database)["t"]) == len(rows["t"])

    project.runner().rollback()
    same(before, schema(project.database))
    if "drop" not in generated.source.partition("def up")[0] or not case.todo:
        assert contents(project.database) == rows


@pytest.mark.parametrize("options", [{}, {"on_delete": "CASCADE"}, {"on_delete": "SET NULL", "on_update": "CASCADE"}])
def test_foreign_keys_and_their_actions_change_without_touching_rows(project: Project, options: dict[str, Any]) -> None:
    project.migrate(child(on_delete="RESTRICT", null=True))
    project.database.execute_sql("INSERT INTO parent (code) VALUES ('x'), ('y')")
    project.database.execute_sql("INSERT INTO child (parent_id) VALUES (1), (2), (2)")
    before, rows = schema(project.database), contents(project.database)
    project.migrate(child(null=True, **options))
    assert contents(project.database) == rows
    project.runner().rollback()
    same(before, schema(project.database))
    assert contents(project.database) == rows


def test_a_rebuilt_parent_keeps_its_children(project: Project) -> None:
    project.migrate(child(on_delete="CASCADE"))
    project.database.execute_sql("INSERT INTO parent (code) VALUES ('x')")
    project.database.execute_sql("INSERT INTO child (parent_id) VALUES (1), (1)")
    parent = model(PARENT, code=TextField(unique=True, constraints=[Check("code <> ''")]))
    rows = contents(project.database)
    project.migrate([parent, model("child", parent=ForeignKeyField(parent, on_delete="CASCADE"))])
    assert contents(project.database) == rows
    project.runner().rollback()
    assert contents(project.database) == rows


def test_an_added_foreign_key_column_needs_no_rebuild(project: Project) -> None:
    project.migrate([model(PARENT, code=TextField(unique=True)), model("child")])
    before = schema(project.database)
    generated = project.migrate(child(null=True, on_delete="SET NULL", index=False))
    assert """ADD COLUMN "parent_id" INTEGER REFERENCES "parent" ("id") ON DELETE SET NULL""" in generated.source
    project.runner().rollback()
    same(before, schema(project.database))


def test_changed_partial_ordered_and_expression_indexes_are_made_anew_both_ways(project: Project) -> None:
    project.migrate([ordered()])
    before = schema(project.database)
    changed = model("t", a=TextField(), b=IntegerField(null=True))
    with_index(changed, changed.a.asc(), name="t_newest")  # type: ignore[attr-defined]
    with_index(changed, fn.upper(changed.a), name="t_lower")  # type: ignore[attr-defined]
    generated = project.migrate([changed])
    assert 'drops = ("t_part",)' in generated.source  # the others are made again, so they are not lost
    assert "rebuild_table" not in generated.source
    project.runner().rollback()
    same(before, schema(project.database))


def test_tables_without_a_model_triggers_and_views_are_left_alone(project: Project) -> None:
    project.migrate([model("t", a=text())])
    for statement in (
        "CREATE TABLE other (t INTEGER)",
        "CREATE INDEX other_t ON other (t)",
        "CREATE TRIGGER t AFTER INSERT ON t BEGIN INSERT INTO other VALUES (NEW.id); END",
        "CREATE VIEW names AS SELECT a FROM t",
        "INSERT INTO t (a) VALUES ('one')",
    ):
        project.database.execute_sql(statement)
    assert generate(project.database, [model("t", a=text())]).empty
    before, rows = schema(project.database), contents(project.database)
    generated = project.generate([model("t", a=text(constraints=[Check("a <> 'x'")]), b=text())])
    write(project.directory, "check", generated)
    project.runner().migrate()
    live = schema(project.database)
    assert {name: live.others[name] for name in before.others} == before.others
    assert live.tables["other"] == before.tables["other"]
    assert contents(project.database)["other"] == rows["other"]
    project.runner().rollback()
    same(before, schema(project.database))
    assert contents(project.database) == rows


def test_a_column_that_goes_with_its_values_is_declared(project: Project) -> None:
    live = """CREATE TABLE T (id INTEGER PRIMARY KEY, "b.Ü" TEXT, Gone INTEGER, made AS (Gone + 1), kept TEXT)"""
    project.database.execute_sql(live)
    generated = project.generate([model("t", kept=text())])
    assert generated.source.partition("def up")[0].count('\ndeletes = ("T.b.Ü", "T.Gone")\n') == 1
    project.database.execute_sql("INSERT INTO t (Gone, kept) VALUES (1, 'x')")
    write(project.directory, "change", generated)
    project.runner().migrate()
    assert contents(project.database) == {"t": [("integer", 1, "text", "x")]}


def test_a_column_that_goes_from_a_renamed_table_is_declared(project: Project) -> None:
    project.database.execute_sql("CREATE TABLE old (id INTEGER PRIMARY KEY, a TEXT, b TEXT)")
    project.database.execute_sql("INSERT INTO old (a, b) VALUES ('x', 'y')")
    generated = project.generate([model("new", a=text())], {"old": "new"})
    assert 'deletes = ("new.b",)\ndrops = ("old",)\n' in generated.source
    write(project.directory, "change", generated)
    project.runner().migrate()


def test_the_present_table_comes_back_word_for_word(project: Project) -> None:
    statement = """CREATE TABLE T (id INTEGER NOT NULL PRIMARY KEY, -- it's "the" key\n\n  [a] TEXT\tDEFAULT '\\n''"',
  /* all */ CHECK (a <> '\"\"\"'))"""
    project.database.execute_sql(statement)
    project.database.execute_sql("INSERT INTO t (a) VALUES ('x')")
    rows = contents(project.database)
    project.migrate([model("t", a=text())])
    project.runner().rollback()
    (sql,) = project.database.execute_sql("SELECT sql FROM sqlite_master WHERE name = 'T' COLLATE NOCASE").fetchone()
    body = statement.partition("(")[2]
    assert sql.partition("(")[2] == body
    assert contents(project.database) == rows
