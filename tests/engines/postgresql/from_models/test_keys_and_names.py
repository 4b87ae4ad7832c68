"""Keys that count up, names that are taken, and references, where models and a server's tables meet."""

from __future__ import annotations

from typing import Any

import pytest
from peewee import SQL, AutoField, Check, DeferredForeignKey, ForeignKeyField, IntegerField

from tests.support.projects import model, text


@pytest.mark.parametrize(("last", "following"), [(7, 8), (-7, 1)])
def test_a_key_that_gets_numbers_goes_on_behind_those_that_it_has(project: Any, last: int, following: int) -> None:
    names = ("it's", "the 'n")
    project.run('CREATE TABLE "it\'s" ("the \'n" integer PRIMARY KEY)', f'INSERT INTO "it\'s" VALUES ({last})')
    project.migrate([model(names[0], key=AutoField(column_name=names[1]))])
    assert project.rows('INSERT INTO "it\'s" DEFAULT VALUES RETURNING "the \'n"') == [(following,)]


def test_a_key_whose_numbers_come_back_goes_on_behind_those_that_it_has(project: Any) -> None:
    project.run("CREATE TABLE t (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY)")
    project.run("INSERT INTO t OVERRIDING SYSTEM VALUE VALUES (7)")
    project.migrate([model("t", id=IntegerField(primary_key=True))])
    project.rollback()
    assert project.rows("INSERT INTO t DEFAULT VALUES RETURNING id") == [(8,)]


def test_rules_whose_names_are_taken_get_others(project: Any) -> None:
    project.run("CREATE TABLE t (id serial PRIMARY KEY, a text, CONSTRAINT filled CHECK (a <> 'y'))")
    project.run("CREATE VIEW t_a_key AS SELECT 1 AS one")
    before = project.state()
    rules = [Check("a <> 'y'", name="other"), Check("a <> 'x'", name="filled"), SQL("UNIQUE (a)")]
    project.migrate([model("t", {"constraints": rules}, a=text())])
    assert project.state().items() >= {"constraint t.filled1": "CHECK ((a <> 'x'::text))",
                                       "constraint t.t_a_key1": "UNIQUE (a)"}.items()  # fmt: skip
    project.rollback()
    assert project.state() == before


def test_a_reference_to_a_partitioned_table_is_one_reference(project: Any) -> None:
    project.run("CREATE TABLE p (id integer PRIMARY KEY) PARTITION BY RANGE (id)")
    project.run("CREATE TABLE p_one PARTITION OF p FOR VALUES FROM (0) TO (9)")
    project.run("CREATE TABLE t (id serial PRIMARY KEY, p_id integer REFERENCES p)")
    parent = model("p", id=IntegerField(primary_key=True))
    assert project.generate([model("t", p=ForeignKeyField(parent, null=True, index=False))]).empty
    project.migrate([model("p", id=IntegerField(primary_key=True), more=text())])
    assert "column p_one.more" in project.state()


def test_a_reference_that_peewee_does_not_write_stays(project: Any) -> None:
    project.run("CREATE TABLE later (id serial PRIMARY KEY)")
    project.run("CREATE TABLE t (id serial PRIMARY KEY, x integer REFERENCES later ON DELETE CASCADE)")

    def made(**more: Any) -> list[Any]:
        return [model("t", x=DeferredForeignKey("Later", column_name="x", null=True, index=False), **more),
                model("later")]  # fmt: skip

    assert project.generate(made()).empty
    assert project.migrate(made(more=text())).todo == ()
    assert project.state()["constraint t.t_x_fkey"] == "FOREIGN KEY (x) REFERENCES later(id) ON DELETE CASCADE"
