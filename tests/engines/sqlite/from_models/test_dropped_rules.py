"""Each rule that a migration would drop, because the model does not state it, is reported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from peewee import SQL, AutoField, Check, ForeignKeyField, IntegerField, Model, TextField, fn

from tests.support.projects import STRICT, Project, model, same, schema, text, with_index

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def t(meta: dict[str, Any] | None = None, **fields: Any) -> type[Model]:
    return model("t", meta, **(fields or {"a": text()}))


GOES = {
    "AUTOINCREMENT": ("(id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT)", ": AUTOINCREMENT"),
    "STRICT": ("(id INTEGER PRIMARY KEY, a TEXT) STRICT", ": STRICT"),
    "DEFAULT": ("(id INTEGER PRIMARY KEY, a TEXT DEFAULT 'x  y')", ".a: DEFAULT 'x  y'"),
    "COLLATE": ("(id INTEGER PRIMARY KEY, a TEXT COLLATE NOCASE)", ".a: COLLATE nocase"),
    "CHECK": ("(id INTEGER PRIMARY KEY, a TEXT CHECK (a <> ''))", ": CHECK (a <> '')"),
    "CHECK of a table": ("(id INTEGER PRIMARY KEY, a TEXT, CHECK (a > id))", ": CHECK (a > id)"),
    "UNIQUE": ("(id INTEGER PRIMARY KEY, a TEXT UNIQUE)", ": UNIQUE (a)"),
    "UNIQUE of two": ("(id INTEGER PRIMARY KEY, a TEXT, UNIQUE (a, id))", ": UNIQUE (a, id)"),
    "generated": ("(id INTEGER PRIMARY KEY, a TEXT AS (id || '') STORED)", ".a: GENERATED AS id || '' stored"),
    "REFERENCES": ("(id INTEGER PRIMARY KEY, a TEXT REFERENCES t (id))", ".a: REFERENCES t (id)"),
}
INDEXES = {
    "unique": 'CREATE UNIQUE INDEX "i" ON t (a)',
    "expression": "CREATE INDEX i ON t (lower(a))",
    "partial": "CREATE INDEX i ON t (a) WHERE a <> ''",
    "collation": "CREATE INDEX i ON t (a COLLATE NOCASE)",
    "under the name of the model's": "CREATE UNIQUE INDEX t_a ON t (a)",
}


@pytest.mark.parametrize(("columns", "rule"), GOES.values(), ids=GOES.keys())
def test_a_rule_of_the_table_that_goes_is_said(project: Project, columns: str, rule: str) -> None:
    project.database.execute_sql(f"CREATE TABLE t {columns}")
    before = schema(project.database)
    generated = project.migrate([t()])
    (line,) = generated.todo
    assert (
        line == f"t{rule} is dropped, because the model does not state it; state it in the model, or delete this line"
    )
    assert f"# TODO: t{rule} is dropped" in generated.source
    project.runner().rollback()
    same(before, schema(project.database))


@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES.keys())
def test_an_index_that_is_a_rule_is_said_when_it_goes(project: Project, index: str) -> None:
    project.database.execute_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
    project.database.execute_sql(index)
    (line,) = project.migrate([t(a=text(index=True))]).todo
    assert (
        line
        == f"t: {index} is dropped, because the model does not state it; state it in the model, or delete this line"
    )


def test_actions_of_a_reference_that_go_are_said(project: Project) -> None:
    project.database.execute_sql("CREATE TABLE p (id INTEGER PRIMARY KEY)")
    project.database.execute_sql(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, p_id INTEGER REFERENCES p ON DELETE CASCADE ON UPDATE SET NULL "
        "DEFERRABLE INITIALLY DEFERRED)"
    )
    parent = model("p")
    lines = project.generate([parent, t(p=ForeignKeyField(parent, null=True, index=False))]).todo
    assert [line.partition(" is dropped")[0] for line in lines] == [
        "t.p_id: ON DELETE CASCADE",
        "t.p_id: ON UPDATE SET NULL",
        "t.p_id: DEFERRABLE INITIALLY DEFERRED",
    ]
    lines = project.generate([parent, t(p=ForeignKeyField(parent, null=True, index=False, on_delete="SET NULL"))]).todo
    assert not any("ON DELETE" in line for line in lines)


STATED: dict[str, tuple[Sequence[str], Callable[[], type[Model]]]] = {
    "by an index in place of UNIQUE": (["CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE)"],
                                       lambda: t(a=text(unique=True))),
    "by UNIQUE in place of an index": (["CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)", INDEXES["unique"]],
                                       lambda: t(a=text(constraints=[SQL("UNIQUE")]))),
    "under another name": (["CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)", INDEXES["expression"]],
                           lambda: with_index(t(), fn.lower(SQL("a")), name="another")),
    "otherwise": (["CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT DEFAULT 'x' CHECK (a <> ''))"],
                  lambda: t(a=text(constraints=[SQL("DEFAULT 'y'"), Check("a <> ''")]))),
    "as it is": (["CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT COLLATE NOCASE) STRICT"],
                 lambda: t(STRICT, id=AutoField(constraints=[SQL("AUTOINCREMENT")]), a=text(collation="NOCASE"),
                           b=text())),
    "a plain index": (["CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)", "CREATE INDEX i ON t (a)"], t),
    "with its column": (["CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT UNIQUE DEFAULT 'x' CHECK (b > a))",
                         "CREATE INDEX i ON t (a, b) WHERE b > ''"], t),
    "null": (["CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT DEFAULT NULL)"], t),
}  # fmt: skip


@pytest.mark.parametrize(("statements", "make"), STATED.values(), ids=STATED.keys())
def test_a_rule_that_stays_or_goes_with_its_column_is_not_said(
    project: Project, statements: Sequence[str], make: Callable[[], type[Model]]
) -> None:
    for statement in statements:
        project.database.execute_sql(statement)
    lines = project.migrate([make()]).todo
    assert not any("does not state it" in line for line in lines)


def test_names_of_any_letters_are_told_apart(project: Project) -> None:
    project.database.execute_sql('CREATE TABLE "t (x" (id INTEGER PRIMARY KEY, "a, (b" INTEGER UNIQUE, "c" TEXT)')
    project.database.execute_sql('CREATE UNIQUE INDEX "i (" ON "t (x" ("a, (b")')
    made = model("t (x", a=IntegerField(column_name="a, (b", null=True, unique=True), c=TextField())
    lines = project.migrate([made]).todo
    assert not any("does not state it" in line for line in lines)
