"""Renames that a person asks for, and what else may change with them."""

from __future__ import annotations

from typing import Any

import pytest
from peewee import SQL, Check, ForeignKeyField, IntegerField, TextField, fn

from tests.support.projects import child, model, text, with_index
from usage_store.errors import ConfigurationError


def test_renames_keep_rows_references_and_views_and_go_back(project: Any) -> None:
    project.migrate(child(on_delete="CASCADE"))
    project.run(
        "INSERT INTO parent (code) VALUES ('x')",
        "INSERT INTO child (parent_id) VALUES (1)",
        "CREATE VIEW codes AS SELECT code FROM parent",
    )
    before, rows = project.state(), project.contents()
    owner = model("Owner", tag=TextField(unique=True))
    generated = project.migrate(
        [owner, model("child", owner=ForeignKeyField(owner, on_delete="CASCADE"))],
        {"parent": "Owner", "parent.code": "tag", "child.parent_id": "owner_id"},
    )
    assert generated.todo == ()
    assert '"parent"' in generated.source.partition("def up")[0]  # it is declared as dropped
    assert "CONSTRAINT" not in generated.source
    assert project.contents() == {"Owner": ["(1,x)"], "child": ["(1,1)"]}
    assert project.rows("SELECT * FROM codes") == [("x",)]
    project.rollback()
    assert (project.state(), project.contents()) == (before, rows)


def test_a_renamed_column_takes_its_rules_along(project: Any) -> None:
    def made(name: str) -> Any:
        field = text(column_name=name, constraints=[Check(f'"{name}" <> lower(other)'), SQL("UNIQUE")])
        of: Any = model(
            "t",
            {"constraints": [Check(f"other <> '{{0}}' OR \"{name}\" > 'lower'", name="two")]},
            x=field,
            other=text(),
            up=ForeignKeyField("self", field="x", null=True),
            made=text(constraints=[SQL(f'GENERATED ALWAYS AS ("{name}" || other) STORED')]),
        )
        with_index(of, fn.lower(of.x), name="t_lower")
        return with_index(of, of.other, where=SQL(f"\"{name}\" > 'x'"), name="t_part")

    project.migrate([made("lower")])
    project.run("INSERT INTO t (lower, other) VALUES ('one', 'x')")
    before, rows = project.state(), project.contents()
    generated = project.migrate([made("Select")], {"t.lower": "Select"})
    assert generated.source.count("execute_sql") == 2
    project.rollback()
    assert (project.state(), project.contents()) == (before, rows)


def test_a_renamed_column_may_change_besides(project: Any) -> None:
    project.migrate([model("t", a=text(index=True))])
    project.run("INSERT INTO t (a) VALUES ('one')")
    before, rows = project.state(), project.contents()
    project.migrate([model("t", b=text(index=True, constraints=[Check("b <> ''")]))], {"t.a": "b"})
    assert project.rows("SELECT b FROM t") == [("one",)]
    project.rollback()
    assert (project.state(), project.contents()) == (before, rows)


def test_only_the_name_that_is_meant_is_another_one(project: Any) -> None:
    project.run(
        "CREATE TABLE code (code text PRIMARY KEY)",
        "CREATE TABLE o (code text PRIMARY KEY)",
        "CREATE TABLE t (code text PRIMARY KEY, o text REFERENCES o (code), c text REFERENCES code (code))",
    )
    before = project.state()
    o, tag = (model(name, code=TextField(primary_key=True)) for name in ("o", "tag"))
    references: dict[str, Any] = {"o": ForeignKeyField(o, column_name="o", null=True, index=False),
                  "c": ForeignKeyField(tag, column_name="c", null=True, index=False)}  # fmt: skip
    made = model("t", key=TextField(primary_key=True), more=text(), **references)
    generated = project.migrate([o, tag, made], {"code": "tag", "t.code": "key"})
    assert (generated.todo, generated.differences) == ((), ("t.more is missing",))
    assert generated.source.count("execute_sql") == 6
    project.rollback()
    assert project.state() == before


@pytest.mark.parametrize("rule", ["CREATE UNIQUE INDEX i ON t (a)", "ALTER TABLE t ADD UNIQUE (a)"])
def test_a_renamed_column_may_be_unique_in_another_way_and_lose_its_numbers(project: Any, rule: str) -> None:
    project.run("CREATE TABLE t (id serial PRIMARY KEY, a text)", rule, "INSERT INTO t (a) VALUES ('one')")
    before = project.state()
    unique = {"constraints": [SQL("UNIQUE")]} if "INDEX" in rule else {"unique": True}
    made = model("t", key=IntegerField(primary_key=True), b=text(**unique))
    assert project.migrate([made], {"t.a": "b", "t.id": "key"}).todo == ()
    project.rollback()
    assert project.state() == before


@pytest.mark.parametrize(
    ("renames", "message"),
    [
        ({"x": "t"}, "rename x:t: the database has no table x; there are: s, t"),
        ({"s": "x"}, "rename s:x: the models have no table x; there are: t"),
        ({"s": "t"}, "rename s:t: the database has a table t already"),
        ({"t.x": "b"}, "rename t.x:b: the database has no column x; there are: a, id"),
        ({"t.A": "b"}, "rename t.A:b: the database has no column A; there are: a, id"),
        ({"t.a": "x"}, "rename t.a:x: the models have no column x; there are: a, b, id"),
        ({"t.id": "a"}, "rename t.id:a: the database has a column a already"),
        ({"x.a": "b"}, "rename x.a:b: the database has no table x; there are: s, t"),
        ({"s.a": "b"}, "rename s.a:b: the models have no table s; there are: t"),
    ],
)
def test_a_rename_that_does_not_fit_says_why(project: Any, renames: dict[str, str], message: str) -> None:
    project.run("CREATE TABLE t (id serial PRIMARY KEY, a text)", "CREATE TABLE s (id serial PRIMARY KEY, a text)")
    with pytest.raises(ConfigurationError) as caught:
        project.generate([model("t", a=text(), b=text())], renames)
    assert str(caught.value) == message


def test_what_may_be_a_rename_is_asked_for(project: Any) -> None:
    project.run("CREATE TABLE person (id serial PRIMARY KEY, label text, note text)")
    (line,) = project.generate([model("people", label=text(), note=text())]).todo
    assert line == (
        "people: is new, and person, which has no model, has the same columns; if it was renamed, create this again "
        "with --rename person:people"
    )
    asked, dropped = project.generate([model("person", title=text(), label=text())]).todo
    assert asked == (
        "person.note: is dropped, and title is new; if it was renamed, create this again with "
        "--rename person.note:title"
    )
    assert dropped.startswith("person.note: down makes the column again")
    assert project.generate([model("person", title=text(), label=text())], {"person.note": "title"}).todo == ()
    assert not any("--rename" in line for line in project.generate([model("person", b=IntegerField())]).todo)
