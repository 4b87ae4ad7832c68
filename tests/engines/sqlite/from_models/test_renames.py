"""Renames that a person asks for, and what else may change with them."""

from __future__ import annotations

import pytest
from peewee import (
    Check,
    ForeignKeyField,
    IntegerField,
    TextField,
)

from tests.support.projects import Project, child, contents, model, same, schema, text
from usage_store.errors import ConfigurationError
from usage_store.migrate.create_from_models import generate, write


def test_renames_keep_rows_references_triggers_and_views_and_go_back(project: Project) -> None:
    project.migrate(child(on_delete="CASCADE"))
    for statement in (
        "INSERT INTO parent (code) VALUES ('x')",
        "INSERT INTO child (parent_id) VALUES (1)",
        "CREATE VIEW codes AS SELECT code FROM parent",
        "CREATE TRIGGER kept AFTER UPDATE OF code ON parent BEGIN DELETE FROM child WHERE parent_id = OLD.id; END",
    ):
        project.database.execute_sql(statement)
    before, rows = schema(project.database), contents(project.database)
    owner = model("owner", tag=TextField(unique=True))
    generated = project.generate(
        [owner, model("child", owner=ForeignKeyField(owner, on_delete="CASCADE"))],
        {"parent": "owner", "parent.code": "tag", "child.parent_id": "owner_id"},
    )
    assert generated.todo == ()
    assert "rebuild_table" not in generated.source
    assert '"parent"' in generated.source.partition("def up")[0]  # it is declared as dropped
    write(project.directory, "rename", generated)
    project.runner().migrate()
    assert contents(project.database) == {
        "owner": [("integer", 1, "text", "x")],
        "child": [("integer", 1, "integer", 1)],
    }
    assert project.database.execute_sql("SELECT * FROM codes").fetchall() == [("x",)]
    project.runner().rollback()
    same(before, schema(project.database))
    assert contents(project.database) == rows


def test_a_renamed_column_may_change_besides(project: Project) -> None:
    project.migrate([model("t", a=text(index=True))])
    project.database.execute_sql("INSERT INTO t (a) VALUES ('one')")
    before, rows = schema(project.database), contents(project.database)
    project.migrate([model("t", b=text(index=True, constraints=[Check("b <> ''")]))], {"t.a": "b"})
    assert project.database.execute_sql("SELECT b FROM t").fetchall() == [("one",)]
    project.runner().rollback()
    same(before, schema(project.database))
    assert contents(project.database) == rows


def test_a_rename_that_sqlite_refuses_is_named(project: Project) -> None:
    project.database.execute_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
    project.database.execute_sql("CREATE VIEW broken AS SELECT x FROM nowhere")
    with pytest.raises(ConfigurationError, match=r'^ALTER TABLE "t" RENAME TO "u": SQLite refuses it: .*view broken'):
        generate(project.database, [model("u", a=text())], renames={"t": "u"})


@pytest.mark.parametrize(
    ("renames", "message"),
    [
        ({"x": "t"}, "rename x:t: the database has no table x; there are: s, t"),
        ({"s": "x"}, "rename s:x: the models have no table x; there are: t"),
        ({"s": "t"}, "rename s:t: the database has a table t already"),
        ({"t.x": "b"}, "rename t.x:b: the database has no column x; there are: a, id"),
        ({"t.a": "x"}, "rename t.a:x: the models have no column x; there are: a, b, id"),
        ({"t.id": "a"}, "rename t.id:a: the database has a column a already"),
        ({"x.a": "b"}, "rename x.a:b: the database has no table x; there are: s, t"),
        ({"s.a": "b"}, "rename s.a:b: the models have no table s; there are: t"),
    ],
)
def test_a_rename_that_does_not_fit_says_why(project: Project, renames: dict[str, str], message: str) -> None:
    project.database.execute_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
    project.database.execute_sql("CREATE TABLE s (id INTEGER PRIMARY KEY, a TEXT)")
    with pytest.raises(ConfigurationError) as caught:
        generate(project.database, [model("t", a=text(), b=text())], renames=renames)
    assert str(caught.value) == message


def test_what_may_be_a_rename_is_asked_for(project: Project) -> None:
    project.database.execute_sql("CREATE TABLE Person (id INTEGER PRIMARY KEY, label TEXT, note TEXT)")
    project.database.execute_sql("CREATE TABLE other (id INTEGER PRIMARY KEY, label TEXT)")
    (line,) = project.generate([model("people", label=text(), note=text())]).todo
    assert line == (
        "people: is new, and person, which has no model, has the same columns; if it was renamed, create this again "
        "with --rename person:people"
    )
    asked, dropped = project.generate([model("person", title=text(), label=text())]).todo
    assert asked == (
        "Person.note: is dropped, and title is new; if it was renamed, create this again with "
        "--rename Person.note:title"
    )
    assert dropped.startswith("Person.note: down makes the column again")
    assert project.generate([model("person", title=text(), label=text())], {"Person.note": "title"}).todo == ()


def test_columns_of_different_types_are_no_rename(project: Project) -> None:
    project.database.execute_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
    assert not any("--rename" in line for line in project.generate([model("t", b=IntegerField(null=True))]).todo)
