"""Migrations that are written from the difference between models and a server's tables, run up and down."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from peewee import (
    SQL,
    AutoField,
    BigAutoField,
    BigIntegerField,
    BlobField,
    CharField,
    Check,
    DecimalField,
    FloatField,
    ForeignKeyField,
    IdentityField,
    IntegerField,
    TextField,
    fn,
)
from playhouse.postgres_ext import ArrayField, BinaryJSONField, DateTimeTZField

from tests.support.projects import child, default, model, text, with_index
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True)
class Case:
    """One table before and after a change that its rows must survive. `todo` are words of the reported lines."""

    before: Mapping[str, Any]
    after: Mapping[str, Any]
    todo: Sequence[str] = ()
    meta: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {})
    rows: Sequence[str] = ("INSERT INTO t (a) VALUES ('one'), ('two')",)


UNIQUE = {"constraints": [SQL("UNIQUE (a)")]}
REFERRED = {"constraints": [SQL("UNIQUE (a)"), SQL("FOREIGN KEY (b) REFERENCES t (a)")]}
CHECKED = {"constraints": [Check("a <> '%%'", name="filled")]}
NUMBER = ("INSERT INTO t (a) VALUES (1), (2)",)

CHANGES: dict[str, Callable[[], Case]] = {
    "add nullable": lambda: Case({"a": text()}, {"a": text(), "b": text()}),
    "add with constant default": lambda: Case({"a": text()}, {"a": text(), "b": default("'x,  (''y%%\\'")}),
    "add with expression default": lambda: Case({"a": text()}, {"a": text(), "b": default("lower('X')")}),
    "add with current time": lambda: Case(
        {"a": text()}, {"a": text(), "b": DateTimeTZField(constraints=[SQL("DEFAULT now()")])}
    ),
    "add with check": lambda: Case({"a": text()}, {"a": text(), "b": text(constraints=[Check("b <> 'x'")])}),
    "add with collation": lambda: Case({"a": text()}, {"a": text(), "b": text(collation='"C"')}),
    "add unique": lambda: Case({"a": text()}, {"a": text(), "b": text(unique=True)}),
    "add unique with default": lambda: Case({"a": text()}, {"a": text(), "b": default("'x'", unique=True)},
                                            todo=["b"], rows=("INSERT INTO t (a) VALUES ('one')",)),
    "add unique column": lambda: Case({"a": text()}, {"a": text(), "b": text(constraints=[SQL("UNIQUE")])}),
    "add generated": lambda: Case(
        {"a": text()}, {"a": text(), "b": TextField(constraints=[SQL("GENERATED ALWAYS AS (upper(a)) STORED")])}
    ),
    "add self reference": lambda: Case(
        {"a": text()}, {"a": text(), "up": ForeignKeyField("self", null=True, on_delete="CASCADE")}
    ),
    "add array and json": lambda: Case({"a": text()}, {"a": text(), "b": ArrayField(default=[1, 2]),
                                                       "c": BinaryJSONField(default={"a": "'%"})}),
    "add with python constant": lambda: Case({"a": text()}, {"a": text(), "b": TextField(default="it's 5% \\")}),
    "add with python number": lambda: Case({"a": text()}, {"a": text(), "b": FloatField(default=0.1)}),
    "add with python decimal": lambda: Case({"a": text()}, {"a": text(), "b": DecimalField(default=Decimal("1.50"))}),
    "add with python bytes": lambda: Case({"a": text()}, {"a": text(), "b": BlobField(default=b"\x00'")}),
    "drop": lambda: Case({"a": text(), "b": text()}, {"a": text()}, todo=["b"]),
    "drop required": lambda: Case({"a": text(), "b": TextField()}, {"a": text()}, todo=["b"], rows=()),
    "drop indexed": lambda: Case({"a": text(), "b": text(index=True)}, {"a": text()}, todo=["b"]),
    "drop checked": lambda: Case({"a": text(), "b": text(constraints=[Check("b > a")])}, {"a": text()}, todo=["b"]),
    "drop with a generated one": lambda: Case(
        {"a": text(), "b": text(), "c": text(constraints=[SQL("GENERATED ALWAYS AS (upper(b)) STORED")])},
        {"a": text()}, todo=["b"]),
    "add with a generated one": lambda: Case(
        {"a": text()},
        {"a": text(), "c": text(constraints=[SQL("GENERATED ALWAYS AS (upper(b)) STORED")]), "b": text()}),
    "a longer type": lambda: Case({"a": CharField(10)}, {"a": TextField()}),
    "a shorter type": lambda: Case({"a": TextField()}, {"a": CharField(3)}, todo=["a"]),
    "a larger number": lambda: Case({"a": IntegerField()}, {"a": BigIntegerField()}, rows=NUMBER),
    "text to number": lambda: Case({"a": text()}, {"a": IntegerField(null=True)}, todo=["a"],
                                   rows=("INSERT INTO t (a) VALUES ('1')",)),
    "number with default to text": lambda: Case(
        {"a": IntegerField(constraints=[SQL("DEFAULT 5"), Check("a > 0")])},
        {"a": TextField(constraints=[SQL("DEFAULT '5'")])}, todo=["a", "CHECK"], rows=NUMBER),
    "a longer type with a check": lambda: Case(
        {"a": CharField(9, constraints=[Check("a <> 'x' AND a LIKE 'o%%'")])},
        {"a": TextField(constraints=[Check("a <> 'x' AND a LIKE 'o%%'")])}, rows=("INSERT INTO t (a) VALUES ('o')",)),
    "null to not null": lambda: Case({"a": text()}, {"a": TextField()}, todo=["a"]),
    "not null to null": lambda: Case({"a": TextField()}, {"a": text()}),
    "default added": lambda: Case({"a": TextField()}, {"a": default("'a, \"b\" %%'")}),
    "default changed": lambda: Case({"a": default("'a'")}, {"a": default("'b  c\n'")}),
    "default removed": lambda: Case({"a": default("'('")}, {"a": TextField()}, todo=["DEFAULT"]),
    "check added": lambda: Case({"a": text()}, {"a": text(constraints=[Check("a IN ('one', 'two', ')')")])}),
    "check removed": lambda: Case({"a": text(constraints=[Check("a <> ','")])}, {"a": text()}, todo=["CHECK"]),
    "check changed": lambda: Case({"a": text(constraints=[Check("a <> ','")])},
                                  {"a": text(constraints=[Check("a <> ';'")])}, todo=["CHECK"]),
    "table check added": lambda: Case({"a": text()}, {"a": text()}, meta=({}, CHECKED)),
    "table check removed": lambda: Case({"a": text()}, {"a": text()}, meta=(CHECKED, {}), todo=["CHECK"]),
    "unique added": lambda: Case({"a": text()}, {"a": text()}, meta=({}, UNIQUE)),
    "unique and a reference to it added": lambda: Case(
        {"a": text(), "b": text()}, {"a": text(), "b": text()}, meta=({}, REFERRED)),
    "unique removed": lambda: Case({"a": text()}, {"a": text()}, meta=(UNIQUE, {}), todo=["UNIQUE"]),
    "collation added": lambda: Case({"a": text()}, {"a": text(collation='"C"')}),
    "collation removed": lambda: Case({"a": text(collation='"C"')}, {"a": text()}, todo=["COLLATE"]),
    "generated to plain": lambda: Case(
        {"a": text(), "b": text(constraints=[SQL("GENERATED ALWAYS AS (upper(a)) STORED")])},
        {"a": text(), "b": text()}, todo=["GENERATED"]),
    "generated otherwise": lambda: Case(
        {"a": text(), "b": text(constraints=[SQL("GENERATED ALWAYS AS (upper(a)) STORED")])},
        {"a": text(), "b": text(constraints=[SQL("GENERATED ALWAYS AS (lower(a)) STORED")])}),
    "generated of another type": lambda: Case(
        {"a": text(), "b": IntegerField(null=True, constraints=[SQL("GENERATED ALWAYS AS (length(a)) STORED")])},
        {"a": text(), "b": BigIntegerField(null=True, constraints=[SQL("GENERATED ALWAYS AS (length(a)) STORED")])}),
    "generated to required": lambda: Case(
        {"a": text(), "b": text(constraints=[SQL("GENERATED ALWAYS AS (upper(a)) STORED")])},
        {"a": text(), "b": TextField(constraints=[SQL("DEFAULT 'x'")])}, todo=["GENERATED", "becomes NOT NULL"]),
    "text with default to time": lambda: Case(
        {"a": text(), "b": TextField(constraints=[SQL("DEFAULT now()")])},
        {"a": text(), "b": DateTimeTZField(constraints=[SQL("DEFAULT now()")])}, todo=["b"]),
    "key moved": lambda: Case({"a": TextField()}, {"a": TextField(primary_key=True)}, todo=["id"]),
    "always numbered key moved": lambda: Case(
        {"a": TextField(), "id": IdentityField(generate_always=True)}, {"a": TextField(primary_key=True)}, todo=["id"]),
    "key added": lambda: Case({"a": TextField(primary_key=True)}, {"id": AutoField(), "a": TextField()}),
    "larger key": lambda: Case({"a": text()}, {"a": text(), "id": BigAutoField()}),
    "numbered key": lambda: Case({"a": text(), "id": IntegerField(primary_key=True)}, {"a": text(), "id": AutoField()},
                                 rows=("INSERT INTO t (id, a) VALUES (7, 'one')",)),
    "always numbered key": lambda: Case({"a": text()}, {"a": text(), "id": IdentityField(generate_always=True)}),
    "index added": lambda: Case({"a": text()}, {"a": text(index=True)}),
    "index removed": lambda: Case({"a": text(index=True)}, {"a": text()}),
    "index to unique": lambda: Case({"a": text(index=True)}, {"a": text(unique=True)}),
    "index and column": lambda: Case({"a": text(index=True)}, {"a": TextField(index=True), "b": text(index=True)},
                                     todo=["a"]),
}  # fmt: skip


@pytest.mark.parametrize("make", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_goes_up_to_the_models_and_down_to_the_same_schema_and_rows(
    project: Any, make: Callable[[], Case]
) -> None:
    case = make()
    project.migrate([model("t", case.meta[0], **case.before)])
    project.run(*case.rows)
    before, rows = project.state(), project.contents()

    generated = project.migrate([model("t", case.meta[1], **case.after)])
    assert [line for line in generated.todo if not any(word in line for word in case.todo)] == []
    assert len(generated.todo) == len(case.todo)
    assert len(project.contents()["t"]) == len(rows["t"])

    project.rollback()
    assert project.state() == before
    if "deletes = " not in generated.source.partition("def up")[0]:
        assert project.contents() == rows


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"on_delete": "CASCADE"},
        {"on_delete": "SET NULL", "on_update": "CASCADE"},
        {"deferrable": "INITIALLY DEFERRED"},
    ],
)
def test_foreign_keys_and_their_actions_change_without_touching_rows(project: Any, options: dict[str, Any]) -> None:
    project.migrate(child(on_delete="RESTRICT", null=True))
    project.run("INSERT INTO parent (code) VALUES ('x'), ('y')", "INSERT INTO child (parent_id) VALUES (1), (2), (2)")
    before, rows = project.state(), project.contents()
    project.migrate(child(null=True, **options))
    assert project.contents() == rows
    project.rollback()
    assert project.state() == before


def test_changed_partial_ordered_and_expression_indexes_are_made_anew_both_ways(project: Any) -> None:
    one: Any = model("t", a=TextField(), b=IntegerField(null=True))
    with_index(one, one.a.desc(), name="t_newest")
    with_index(one, fn.lower(one.a), name="t_lower")
    with_index(one, one.b, unique=True, where=SQL("b IS NOT NULL AND a <> 'it''s %%'"), name="t_part")
    project.migrate([one])
    before = project.state()
    other: Any = model("t", a=TextField(), b=IntegerField(null=True))
    with_index(other, other.a.asc(), name="t_newest")
    with_index(other, fn.upper(other.a), name="t_lower")
    generated = project.migrate([other])
    assert 'drops = ("t_part",)' in generated.source  # the others are made again, so they are not lost
    project.rollback()
    assert project.state() == before


def test_an_index_that_is_not_valid_is_made_again(project: Any) -> None:
    project.migrate([model("t", a=text(index=True))])
    project.run(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_a'::regclass",
    )
    generated = project.migrate([model("t", a=text(index=True))])
    assert generated.source.count("t_a") == 4


def test_tables_without_a_model_triggers_and_views_are_left_alone(project: Any) -> None:
    project.migrate([model("t", a=text())])
    project.run(
        "CREATE TABLE other (t integer)",
        "CREATE INDEX other_t ON other (t)",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER t AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
        "CREATE VIEW names AS SELECT a FROM t",
        "INSERT INTO t (a) VALUES ('one')",
    )
    assert project.generate([model("t", a=text())]).empty
    before, rows = project.state(), project.contents()
    project.migrate([model("t", a=text(constraints=[Check("a <> 'x'")]), b=text())])
    assert before.items() <= project.state().items()
    project.rollback()
    assert (project.state(), project.contents()) == (before, rows)


def test_names_of_any_letters_are_written_as_they_are(project: Any) -> None:
    made = model('T "x', a=IntegerField(column_name='A, "b', null=True, unique=True), c=TextField(column_name="select"))
    project.migrate([made])
    other = model('T "x', a=BigIntegerField(column_name='A, "b', null=True), d=TextField(default="x", index=True))
    before = project.state()
    project.migrate([other])
    project.rollback()
    assert project.state() == before


def test_a_model_of_the_schema_s_own_name_is_compared_and_one_of_another_is_refused(project: Any) -> None:
    ((schema,),) = project.rows("SELECT current_schema()")
    made = model("t", {"schema": schema}, a=text(index=True))
    project.migrate([model("parent"), made])
    assert project.generate([model("t", a=text(index=True))]).empty
    with pytest.raises(ConfigurationError, match=r"^T: its table is in schema 'aux'; allowed: t_"):
        project.generate([model("t", {"schema": "aux"})])
