"""What a migration loses, and what a person must decide before it can run, is reported and written into its file."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

import peewee
import pytest
from peewee import SQL, AutoField, Check, DateTimeField, ForeignKeyField, IntegerField, Model, TextField, fn

from tests.support.projects import model, text, with_index
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable


def t(meta: dict[str, Any] | None = None, **fields: Any) -> type[Model]:
    return model("t", meta, **(fields or {"a": text()}))


GOES = {
    "DEFAULT": ("(id serial PRIMARY KEY, a text DEFAULT 'x  y')", ".a: DEFAULT 'x  y'::text"),
    "COLLATE": ('(id serial PRIMARY KEY, a text COLLATE "C")', ".a: COLLATE C"),
    "CHECK": ("(id serial PRIMARY KEY, a text CHECK (a <> ''))", ": CHECK ((a <> ''::text))"),
    "UNIQUE": ("(id serial PRIMARY KEY, a text UNIQUE)", ": UNIQUE (a)"),
    "UNIQUE of two": ("(id serial PRIMARY KEY, a text, UNIQUE (a, id))", ": UNIQUE (a, id)"),
    "EXCLUDE": ("(id serial PRIMARY KEY, a text, EXCLUDE (a WITH =))", ": EXCLUDE USING btree (a WITH =)"),
    "generated": (
        "(id serial PRIMARY KEY, a text GENERATED ALWAYS AS ('x') STORED)",
        ".a: GENERATED AS 'x'::text stored",
    ),
    "REFERENCES": ("(id serial PRIMARY KEY, a text REFERENCES r (k))", ".a: REFERENCES r (k)"),
}
INDEXES = {
    "unique with INCLUDE": "CREATE UNIQUE INDEX i ON t USING btree (a) INCLUDE (id)",
    "unique": "CREATE UNIQUE INDEX i ON t USING btree (a)",
    "expression": "CREATE INDEX i ON t USING btree (lower(a))",
    "partial": "CREATE INDEX i ON t USING btree (a) WHERE (a <> ''::text)",
    "under the name of the model's": "CREATE UNIQUE INDEX t_a ON t USING btree (a)",
}
STATED = " is dropped, because the model does not state it; state it in the model, or delete this line"


@pytest.mark.parametrize(("columns", "rule"), GOES.values(), ids=GOES.keys())
def test_a_rule_of_the_table_that_goes_is_said(project: Any, columns: str, rule: str) -> None:
    project.run("CREATE TABLE r (k text PRIMARY KEY)", f"CREATE TABLE t {columns}")
    before = project.state()
    generated = project.migrate([t()])
    assert generated.todo == (f"t{rule}{STATED}",)
    assert f"# TODO: t{rule} is dropped" in generated.source
    project.rollback()
    assert project.state() == before


@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES.keys())
def test_an_index_that_is_a_rule_is_said_when_it_goes(project: Any, index: str) -> None:
    project.run("CREATE TABLE t (id serial PRIMARY KEY, a text)", index)
    assert project.migrate([t(a=text(index=True))]).todo == (f"t: {index}{STATED}",)


CHANGED: dict[str, tuple[str, str, Callable[[], type[Model]]]] = {
    "unique and the same name": ("a text", "CREATE UNIQUE INDEX i ON t USING btree (lower(a))",
                                 lambda: with_index(t(), fn.lower(SQL("a")), name="i")),
    "unique and another name": ("a text", "CREATE UNIQUE INDEX i ON t USING btree (lower(a))",
                                lambda: with_index(t(), fn.lower(SQL("a")), name="another")),
    "unique only in part": ("a text UNIQUE", "UNIQUE (a)",
                            lambda: with_index(t(), SQL("a"), unique=True, where=SQL("a <> ''"), name="part")),
    "of more columns": ("a text", INDEXES["unique with INCLUDE"],
                        lambda: t({"constraints": [SQL("UNIQUE (a, id)")]}, a=text())),
    "NULL more than once": ("a text UNIQUE NULLS NOT DISTINCT", "UNIQUE NULLS NOT DISTINCT (a)",
                            lambda: t(a=text(unique=True))),
    "NULL more than once in an index": ("a text", "CREATE UNIQUE INDEX i ON t USING btree (a) NULLS NOT DISTINCT",
                                        lambda: t(a=text(constraints=[SQL("UNIQUE")]))),
    "grouped otherwise": ("a text CHECK (a = 'x' OR (a = 'y' AND id > 5))",
                          "CHECK (((a = 'x'::text) OR ((a = 'y'::text) AND (id > 5))))",
                          lambda: t(a=text(constraints=[Check("(a = 'x' OR a = 'y') AND id > 5")]))),
}  # fmt: skip


@pytest.mark.parametrize(("column", "rule", "make"), CHANGED.values(), ids=CHANGED.keys())
def test_a_rule_is_said_whose_successor_allows_more(
    project: Any, column: str, rule: str, make: Callable[[], type[Model]]
) -> None:
    project.run(f"CREATE TABLE t (id serial PRIMARY KEY, {column})", *[rule] * rule.startswith("CREATE"))
    assert project.generate([make()]).todo == (f"t: {rule}{STATED}",)


def test_actions_of_a_reference_that_go_are_said(project: Any) -> None:
    project.run(
        "CREATE TABLE p (id serial PRIMARY KEY)",
        "CREATE TABLE t (id serial PRIMARY KEY, p_id integer REFERENCES p ON DELETE CASCADE ON UPDATE SET NULL "
        "DEFERRABLE INITIALLY DEFERRED)",
    )
    parent = model("p")
    lines = project.generate([parent, t(p=ForeignKeyField(parent, null=True, index=False))]).todo
    assert [line.partition(" is dropped")[0] for line in lines] == [
        "t.p_id: ON DELETE CASCADE",
        "t.p_id: ON UPDATE SET NULL",
        "t.p_id: DEFERRABLE INITIALLY DEFERRED",
    ]


KEPT: dict[str, tuple[list[str], Callable[[], type[Model]]]] = {
    "by an index in place of UNIQUE": (["CREATE TABLE t (id serial PRIMARY KEY, a text UNIQUE)"],
                                       lambda: t(a=text(unique=True))),
    "by UNIQUE in place of an index": (["CREATE TABLE t (id serial PRIMARY KEY, a text)", INDEXES["unique"]],
                                       lambda: t(a=text(constraints=[SQL("UNIQUE")]))),
    "under another name": (["CREATE TABLE t (id serial PRIMARY KEY, a text)", INDEXES["expression"]],
                           lambda: with_index(t(), fn.lower(SQL("a")), name="another")),
    "otherwise": (["CREATE TABLE t (id serial PRIMARY KEY, a text DEFAULT 'x' CHECK (a <> ''))"],
                  lambda: t(a=text(constraints=[SQL("DEFAULT 'y'"), Check("a <> ''")]))),
    "a plain index": (["CREATE TABLE t (id serial PRIMARY KEY, a text)", "CREATE INDEX i ON t (a)"], t),
    "with its column": (["CREATE TABLE t (id serial PRIMARY KEY, a text, b text UNIQUE DEFAULT 'x' CHECK (b > a))",
                         "CREATE UNIQUE INDEX i ON t (a, b)"], t),
    "null": (["CREATE TABLE t (id serial PRIMARY KEY, a text DEFAULT NULL)"], t),
    "not checked yet": (["CREATE TABLE t (id serial PRIMARY KEY, a text)",
                         "ALTER TABLE t ADD CHECK (a <> '') NOT VALID"],
                        lambda: t(a=text(constraints=[Check("a <> ''")]))),
    "an identity": (["CREATE TABLE t (id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, a text)"],
                    lambda: t(id=AutoField(), a=text())),
}  # fmt: skip


@pytest.mark.parametrize(("statements", "make"), KEPT.values(), ids=KEPT.keys())
def test_a_rule_that_stays_or_goes_with_its_column_is_not_said(
    project: Any, statements: list[str], make: Callable[[], type[Model]]
) -> None:
    project.run(*statements)
    lines = project.migrate([make()]).todo
    assert not any("does not state it" in line for line in lines)


@pytest.mark.parametrize(
    ("field", "told"),
    [
        (lambda: TextField(), "no default"),  # noqa: PLW0108  a field belongs to one model
        (lambda: DateTimeField(default=datetime.now), "only Python can compute"),
        (lambda: TextField(default=uuid.uuid4), "only Python can compute"),
    ],
)
def test_a_required_column_without_a_value_for_the_rows_is_said_and_fails_until_it_is_written(
    project: Any, field: Callable[[], Any], told: str
) -> None:
    project.migrate([t()])
    project.run("INSERT INTO t (a) VALUES ('one')")
    generated = project.generate([t(a=text(), b=field())])
    (line,) = generated.todo
    assert line.startswith("t.b: NOT NULL")
    assert told in line
    assert line.endswith(": write the value that rows get instead of NULL into the UPDATE")
    assert "# TODO: t.b: NOT NULL" in generated.source
    with pytest.raises(peewee.IntegrityError, match='column "b" of relation "t" contains null values'):
        project.up(generated.source)
    project.up(generated.source.replace('"b" = NULL""")  # TODO', '"b" = \'2026-01-01\'""")'))
    assert project.rows("SELECT a, left(b::text, 10) FROM t") == [("one", "2026-01-01")]
    project.rollback()


def test_the_value_of_a_required_column_is_asked_for_on_the_way_back_too(project: Any) -> None:
    project.run("CREATE TABLE t (id serial PRIMARY KEY, a text, b text NOT NULL)", "INSERT INTO t (b) VALUES ('x')")
    generated = project.migrate([t()])
    (line,) = generated.todo
    assert line.startswith("t.b: down makes the column again, but without the values that up dropped, and the column")
    assert 'deletes = ("t.b",)\n' in generated.source
    with pytest.raises(peewee.IntegrityError):
        project.rollback()


def test_values_that_may_not_fit_are_said(project: Any) -> None:
    project.run(
        "CREATE TABLE t (id serial PRIMARY KEY, a text, b varchar(9), c numeric(9, 2), d bigint NOT NULL, "
        "e varchar(3) NOT NULL, f char(3) NOT NULL)"
    )
    fields: dict[str, Any] = {
        "a": IntegerField(),
        "b": peewee.CharField(5),
        "c": peewee.DecimalField(9, 1),
        "d": IntegerField(),
    }
    told = project.generate([t(**fields, e=peewee.FixedCharField(5), f=TextField())]).todo
    assert [line.partition(";")[0] for line in told] == [
        "t.a: becomes NOT NULL",
        "t.a: text becomes integer",
        "t.b: becomes NOT NULL",
        "t.b: character varying(9) becomes character varying(5)",
        "t.c: becomes NOT NULL",
        "t.c: numeric(9,2) becomes numeric(9,1)",
        "t.d: bigint becomes integer",
        "t.e: character varying(3) becomes character(5)",
        "t.f: character(3) becomes text",
    ]
    assert "this fails if a value cannot be converted, and down may not restore the old values" in told[1]


def test_a_text_that_is_too_long_fails_and_is_not_cut(project: Any) -> None:
    project.run("CREATE TABLE t (id serial PRIMARY KEY, a text)", "INSERT INTO t (a) VALUES ('longer')")
    generated = project.generate([t(a=peewee.CharField(5, null=True))])
    with pytest.raises(peewee.DataError, match="value too long"):
        project.up(generated.source)
    assert project.rows("SELECT a FROM t") == [("longer",)]


def test_an_index_whose_name_is_taken_elsewhere_is_said_and_not_written(project: Any) -> None:
    project.run("CREATE TABLE t (id serial PRIMARY KEY, a text)")
    project.run("CREATE TABLE other (a text)", "CREATE INDEX t_a ON other (a)")
    generated = project.generate([t(a=text(index=True))])
    assert generated.todo == ("t: the name of the index t_a is taken by another object; choose another name",)
    assert "CREATE INDEX" not in generated.source
    project.run("CREATE INDEX new_a ON other (a)")
    generated = project.generate([model("new", a=text(index=True), b=text(index=True))])
    assert generated.todo == ("new: the name of the index new_a is taken by another object; choose another name",)
    project.up(generated.source)
    assert "index new_b" in project.state()


def test_a_view_in_the_way_is_said(project: Any) -> None:
    other = f"other_{uuid.uuid4().hex}"
    project.run(
        f"CREATE SCHEMA {other}",
        f"CREATE TABLE {other}.t (a text, b text, c text)",
        f"CREATE VIEW {other}.elsewhere AS SELECT a FROM {other}.t",
        "CREATE TABLE t (id serial PRIMARY KEY, a text, b text, c text, d text, "
        "e text GENERATED ALWAYS AS (upper(c)) STORED)",
        "CREATE VIEW v AS SELECT id, a FROM t",
        "CREATE MATERIALIZED VIEW m AS SELECT id, b, c, d, e FROM t",
    )
    otherwise = text(constraints=[SQL("GENERATED ALWAYS AS (lower(c)) STORED")])
    changed = t(a=peewee.CharField(5, null=True), c=text(), d=text(collation='"C"'), e=otherwise)
    lines = project.generate([changed]).todo
    project.run(f"DROP SCHEMA {other} CASCADE")
    assert [line for line in lines if "uses" in line] == [
        "t.a: view v uses this column; drop it before, and make it again after",
        *(f"t.{name}: materialized view m uses this column; drop it before, and make it again after" for name in "bde"),
    ]


READ = {
    "a view": "CREATE VIEW t AS SELECT 1 AS id, 'x' AS title, 2 AS more",
    "a materialized view": "CREATE MATERIALIZED VIEW t AS SELECT 1 AS id, 'x' AS title, 2 AS more",
}


@pytest.mark.parametrize(("what", "sql"), READ.items())
def test_a_model_of_a_view_needs_its_columns(project: Any, what: str, sql: str) -> None:
    project.run(sql)
    assert project.generate([t(title=text())]).empty
    generated = project.generate([t(title=text(), body=TextField(), n=IntegerField(column_name="N"))])
    assert generated.todo == (f"t: is {what} without body, N, which its model has; write this migration by hand",)
    assert (generated.source, generated.empty) == ("", False)


def test_what_is_no_table_is_said(project: Any) -> None:
    project.run("CREATE SEQUENCE t")
    (line,) = project.generate([t()]).todo
    assert line == "t: is a sequence without id, a, which its model has; write this migration by hand"


def test_two_models_of_one_table_are_named(project: Any) -> None:
    one, two = model("people"), type("Two", (Model,), {"Meta": type("Meta", (), {"table_name": "people"})})
    with pytest.raises(ConfigurationError, match=r"are both models of the table people;"):
        project.generate([one, two])
    assert project.generate([one, model("People")]).todo == ()
