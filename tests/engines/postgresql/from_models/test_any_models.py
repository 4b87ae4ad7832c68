"""Tables that peewee makes need no change, and a written file makes the tables that peewee makes, for any models."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any

import peewee
import pytest
from peewee import SQL, Check, CompositeKey, ForeignKeyField, IntegerField, Model, TextField, fn
from playhouse import postgres_ext

from tests.support.postgresql_schemas import state
from tests.support.projects import model, with_index
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

FIELDS: dict[str, Callable[[], Any]] = {
    "array": lambda: postgres_ext.ArrayField(peewee.CharField, {"max_length": 9}, dimensions=2),
    "auto": peewee.AutoField,
    "big auto": peewee.BigAutoField,
    "big integer": peewee.BigIntegerField,
    "big bits": peewee.BigBitField,
    "binary json": postgres_ext.BinaryJSONField,
    "binary uuid": peewee.BinaryUUIDField,
    "bits": peewee.BitField,
    "blob": peewee.BlobField,
    "boolean": lambda: peewee.BooleanField(index=True),
    "char": lambda: peewee.CharField(max_length=40, unique=True),
    "date": peewee.DateField,
    "datetime": lambda: peewee.DateTimeField(default=dt.datetime.now),
    "datetime tz": postgres_ext.DateTimeTZField,
    "decimal": lambda: peewee.DecimalField(12, 3, auto_round=True),
    "double": peewee.DoubleField,
    "fixed char": peewee.FixedCharField,
    "float": peewee.FloatField,
    "identity": peewee.IdentityField,
    "identity always": lambda: peewee.IdentityField(generate_always=True),
    "integer": lambda: peewee.IntegerField(constraints=[SQL("DEFAULT 5"), Check("n > 0 AND n %% 5 = 0")]),
    "interval": postgres_ext.IntervalField,
    "ip": peewee.IPField,
    "json": postgres_ext.JSONField,
    "small integer": peewee.SmallIntegerField,
    "text": lambda: TextField(null=True, collation='"C"', constraints=[SQL("DEFAULT E'it''s \\\\ %%\\n'")]),
    "text key": lambda: TextField(primary_key=True),
    "time": peewee.TimeField,
    "timestamp": lambda: peewee.TimestampField(default=0),
    "tsvector": postgres_ext.TSVectorField,
    "uuid": lambda: peewee.UUIDField(default=uuid.uuid4),
    "numbered by a sequence": lambda: peewee.IntegerField(sequence="numbers"),
    "generated": lambda: IntegerField(null=True, constraints=[SQL("GENERATED ALWAYS AS (1 + 1) STORED")]),
    "now": lambda: postgres_ext.DateTimeTZField(constraints=[SQL("DEFAULT now()")]),
    "enum": lambda: type("Mood", (peewee.Field,), {"field_type": "mood"})(constraints=[SQL("DEFAULT 'good'")]),
}


def of_one_field(make: Callable[[], Any]) -> list[type[Model]]:
    return [model("t", n=make())]


def parents_and_children() -> list[type[Model]]:
    parent = model("parent", {"indexes": ((("a", "b"), True), (("b",), False))}, a=TextField(), b=IntegerField())
    child = model(
        "child",
        {"constraints": [Check("x <> parent_id", name="Not Same"), SQL("UNIQUE (x, parent_id)")]},
        x=IntegerField(),
        parent=ForeignKeyField(parent, on_delete="CASCADE", on_update="RESTRICT", deferrable="INITIALLY DEFERRED"),
        named=ForeignKeyField(parent, null=True, backref="+", constraint_name="to_parent", index=False),
        up=ForeignKeyField("self", null=True),
    )
    return [child, parent]


def composite() -> list[type[Model]]:
    first = model("first", {"primary_key": CompositeKey("a", "b")}, a=IntegerField(), b=TextField())
    rule = SQL("FOREIGN KEY (x, y) REFERENCES first (a, b) ON DELETE SET NULL")
    return [first, model("second", {"constraints": [rule]}, x=IntegerField(null=True), y=TextField(null=True))]


def without_key() -> list[type[Model]]:
    return [model("t", {"primary_key": False, "table_settings": "WITH (fillfactor=70)"}, a=IntegerField())]


def indexes() -> list[type[Model]]:
    made: Any = model("t", a=TextField(), b=IntegerField(null=True), c=postgres_ext.BinaryJSONField(index=False))
    with_index(made, made.a.desc(nulls="LAST"), name="t_newest")
    with_index(made, fn.lower(made.a), made.b, name="t_lower")
    with_index(made, made.b, unique=True, where=(made.a != "it's \\ 5") & (made.b > 3), name="t_part")
    with_index(made, made.c, using="GIN", name="t_gin")
    made.add_index(SQL("CREATE INDEX t_ops ON t (a text_pattern_ops) INCLUDE (b)"))
    return [made]


def partitioned() -> list[type[Model]]:
    options = {"primary_key": CompositeKey("id", "at"), "table_settings": "PARTITION BY RANGE (at)"}
    return [model("t", options, id=IntegerField(), at=postgres_ext.DateTimeTZField(index=True))]


def odd_names() -> list[type[Model]]:
    long = "long_" * 20
    made = model(
        'Or"der', a=IntegerField(column_name="select", index=True), b=TextField(column_name="B c", unique=True)
    )
    return [
        made,
        model("User", x=ForeignKeyField(made, null=True)),
        model(long, a=IntegerField(column_name=long + "x")),
    ]


def exclusion() -> list[type[Model]]:
    rule = SQL("CONSTRAINT apart EXCLUDE USING gist (during WITH &&)")
    field = type("Range", (peewee.Field,), {"field_type": "int4range"})()
    return [model("t", {"constraints": [rule, SQL("UNIQUE NULLS NOT DISTINCT (a)")]}, during=field, a=IntegerField())]


MODELS: dict[str, Callable[[], list[type[Model]]]] = {
    **{name: partial(of_one_field, make) for name, make in FIELDS.items()},
    "parents and children": parents_and_children,
    "composite keys": composite,
    "no key": without_key,
    "indexes": indexes,
    "partitioned": partitioned,
    "odd names": odd_names,
    "exclusion": exclusion,
}


@pytest.mark.parametrize("name", MODELS)
def test_what_peewee_makes_is_no_difference_and_a_written_file_makes_the_same(project: Any, name: str) -> None:
    make = MODELS[name]
    project.run("CREATE TYPE mood AS ENUM ('good', 'bad')")
    models = make()
    with project.database.bind_ctx(models, bind_refs=False, bind_backrefs=False), project.database.atomic() as block:
        project.database.create_tables(models)
        by_peewee = state(project.database)
        assert project.generate(models).differences == ()
        assert project.generate(make()).empty
        block.rollback()
    before = project.state()
    generated = project.migrate(make())
    assert generated.todo == ()
    assert project.state() == by_peewee
    assert project.generate(make()).empty
    project.rollback()
    assert project.state() == before


def test_a_field_of_an_extension_that_is_not_there_is_named(project: Any) -> None:
    with pytest.raises(ConfigurationError, match=r'^T: PostgreSQL refuses its table: type "hstore" does not exist'):
        project.generate([model("t", a=postgres_ext.HStoreField())])


@pytest.mark.parametrize(
    ("constraint", "reason"),
    [
        ("CHECK (n % 5 = 0)", "the text of its table has a single %; write %%"),
        ("CHECK (", "PostgreSQL refuses its table: syntax error"),
        ("REFERENCES nowhere (id)", 'PostgreSQL refuses its table: relation "nowhere" does not exist'),
    ],
)
def test_a_table_that_cannot_be_made_is_named_with_its_model(project: Any, constraint: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^T: {re.escape(reason)}"):
        project.generate([model("t", n=IntegerField(constraints=[SQL(constraint)]))])
    assert project.rows("SELECT 1") == [(1,)]


def test_a_comparison_waits_for_nobody_who_writes_and_needs_no_rights_on_the_tables(project: Any) -> None:
    project.run("CREATE TABLE parent (id serial PRIMARY KEY)", "CREATE TABLE child (id serial PRIMARY KEY)")
    parent = model("parent")
    child = model("child", parent=ForeignKeyField(parent, null=True))
    role = f"role_{uuid.uuid4().hex}"
    ((schema,),) = project.rows("SELECT current_schema()")
    project.run(f"CREATE ROLE {role}", f"GRANT USAGE ON SCHEMA {schema} TO {role}")
    project.run(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}")
    other = project.another()
    try:
        with other.atomic():
            other.execute_sql("INSERT INTO parent DEFAULT VALUES")
            other.execute_sql("INSERT INTO child DEFAULT VALUES")
            project.run(f"SET ROLE {role}", "SET lock_timeout = '50ms'", "SET default_transaction_read_only = on")
            assert project.generate([child]).differences == (
                "child.parent_id is missing",
                "child: foreign key (parent_id) to parent (id) on delete no action on update no action is missing",
                "index child_parent_id on child is missing",
            )
    finally:
        other.close()
        project.run(
            "RESET ROLE", "SET default_transaction_read_only = off", f"DROP OWNED BY {role}", f"DROP ROLE {role}"
        )
