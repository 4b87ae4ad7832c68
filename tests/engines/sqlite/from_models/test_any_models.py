"""Any sequence of models as migrations: `up` reaches each model, and `down` restores what was there before."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import peewee
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peewee import (
    SQL,
    Check,
    FloatField,
    IntegerField,
    Model,
    TextField,
)

from tests.support.projects import Project, contents, model, same, schema, with_index

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


VALUES = {"TEXT": ("'p'", "'q'"), "INTEGER": ("1", "2"), "REAL": ("0.5", "1.5")}
FIELDS: dict[str, Callable[..., Any]] = {"TEXT": TextField, "INTEGER": IntegerField, "REAL": FloatField}


@st.composite
def columns(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(sorted(VALUES)))
    value = VALUES[kind][0]
    rules = st.sampled_from(
        [f"DEFAULT {value}", f"DEFAULT (abs(2) || {value})", "CHECK (1 IN (1, 2))", "COLLATE RTRIM"]
    )
    return {
        "kind": kind,
        "null": draw(st.booleans()),
        "rules": draw(st.lists(rules, unique_by=lambda rule: rule[:7], max_size=2)),
        "index": draw(st.sampled_from(["", "index", "unique"])),
        "default": draw(st.sampled_from([None, {"TEXT": "o'", "INTEGER": 7, "REAL": 2.5}[kind]])),
    }


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True))
    return {
        "columns": {name: draw(columns()) for name in names},
        "check": draw(st.booleans()),
        "unique": draw(st.booleans()),
        "strict": draw(st.booleans()),
        "partial": draw(st.booleans()),
    }


def table_model(name: str, drawn: dict[str, Any]) -> type[Model]:
    fields = {}
    for column, options in drawn["columns"].items():
        constraints = [SQL(rule) for rule in options["rules"]]
        index = {options["index"]: True} if options["index"] else {}
        fields[column] = FIELDS[options["kind"]](
            null=options["null"], constraints=constraints, default=options["default"], **index
        )
    rules = [SQL("UNIQUE (id)")] * drawn["unique"] + [Check("id > 0 AND (')' <> '(')")] * drawn["check"]
    made = model(name, {"constraints": rules, "strict_tables": drawn["strict"]}, **fields)
    if drawn["partial"]:
        first = next(iter(fields))
        with_index(made, getattr(made, first).desc(), where=SQL(f"{first} IS NOT NULL"), name=f"{name}_partial")
    return made


def fill(database: peewee.SqliteDatabase, drawn: dict[str, Any]) -> None:
    listed = ", ".join(drawn["columns"])
    for row in range(2):
        values = ", ".join(VALUES[options["kind"]][row] for options in drawn["columns"].values())
        database.execute_sql(f"INSERT INTO t ({listed}) VALUES ({values})")


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(tables(), min_size=2, max_size=4))
def test_any_sequence_of_models_goes_up_and_comes_back(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[dict[str, Any]]
) -> None:
    project = Project(tmp_path_factory.mktemp("any"))
    with closing(project):
        project.migrate([table_model("t", drawn[0])])
        fill(project.database, drawn[0])
        states = []
        for table in drawn[1:]:
            models = [table_model("t", table)]
            generated = project.generate(models)
            if generated.empty:
                continue
            if generated.todo:  # the report says that a person must look at the rows first
                project.database.execute_sql("DELETE FROM t")
            states.append(schema(project.database))
            rows = contents(project.database)
            project.migrate(models)
            project.runner().rollback()
            same(states[-1], schema(project.database))
            assert contents(project.database) == rows
            project.runner().migrate()
        for catalog in reversed(states):
            project.runner().rollback()
            same(catalog, schema(project.database))
