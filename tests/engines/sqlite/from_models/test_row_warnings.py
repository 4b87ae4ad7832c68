"""What a person must decide before a migration can run is reported, and written into its file."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from peewee import (
    SQL,
    DateTimeField,
    FloatField,
    IntegerField,
    Model,
    TextField,
)

from tests.support.projects import Project, model, text
from usage_store.errors import ConfigurationError, MigrationFailed
from usage_store.migrate.create_from_models import generate, write

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("field", "told"),
    [
        (lambda: TextField(), "no default"),  # noqa: PLW0108  a field belongs to one model
        (lambda: DateTimeField(default=datetime.now), "only Python can compute"),
        (lambda: TextField(default=uuid.uuid4), "only Python can compute"),
    ],
)
def test_a_required_column_without_a_value_for_the_rows_is_said_and_fails_until_it_is_written(
    project: Project, field: Callable[[], Any], told: str
) -> None:
    project.migrate([model("t", a=text())])
    project.database.execute_sql("INSERT INTO t (a) VALUES ('one')")
    generated = project.generate([model("t", a=text(), b=field())])
    (line,) = generated.todo
    assert line.startswith("t.b: NOT NULL")
    assert told in line
    assert line.endswith("""instead of NULL; it is SQL, so a text is written "'text'\"""")
    assert "# TODO: t.b: NOT NULL" in generated.source
    path = write(project.directory, "add b", generated)
    with pytest.raises(MigrationFailed, match=r"NOT NULL constraint failed"):
        project.runner().migrate()
    path.write_text(path.read_text().replace('"b": "NULL",  # TODO', '"b": "upper(a)",'))
    project.runner().migrate()
    assert project.database.execute_sql("SELECT a, b FROM t").fetchall() == [("one", "ONE")]


def test_an_index_whose_name_is_taken_elsewhere_is_said_and_not_written(project: Project) -> None:
    project.database.execute_sql("CREATE TABLE other (a)")
    project.database.execute_sql("CREATE INDEX t_a ON other (a)")
    generated = generate(project.database, [model("t", a=text(index=True))])
    assert generated.todo == ("t: the name of the index t_a is taken by another object; choose another name",)
    assert "CREATE INDEX" not in generated.source


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        (FloatField(default=float("inf")), "real"),
        (FloatField(default=float("-inf")), "real"),
        (FloatField(default=0.1), "real"),
        (TextField(default="a\0b'"), "text"),
        (IntegerField(default=2**63 - 1), "integer"),
    ],
)
def test_a_constant_default_gets_into_the_rows_whatever_it_is(project: Project, field: Any, kind: str) -> None:
    project.migrate([model("t", a=text())])
    project.database.execute_sql("INSERT INTO t (a) VALUES ('one')")
    assert project.migrate([model("t", a=text(), b=field)]).todo == ()
    assert project.database.execute_sql("SELECT typeof(b), b FROM t").fetchall() == [(kind, field.default)]


@pytest.mark.parametrize("field", [FloatField(default=float("nan")), IntegerField(default=2**63)])
def test_a_default_that_sqlite_cannot_hold_is_said(project: Project, field: Any) -> None:
    project.migrate([model("t", a=text())])
    (line,) = project.generate([model("t", a=text(), b=field)]).todo
    assert line.startswith("t.b: NOT NULL with a default that only Python can compute")


def test_models_that_sqlite_refuses_are_named(project: Project) -> None:
    with pytest.raises(ConfigurationError, match=r"^T: SQLite refuses its table: .*syntax error"):
        generate(project.database, [model("t", a=text(constraints=[SQL("CHECK (")]))])
    with pytest.raises(ConfigurationError, match=r"^T: its table is in schema 'aux'; allowed: main"):
        generate(project.database, [model("t", {"schema": "aux"})])


def test_two_models_of_one_table_are_named(project: Project) -> None:
    one = type("One", (Model,), {"Meta": type("Meta", (), {"table_name": "people"})})
    two = type("Two", (Model,), {"Meta": type("Meta", (), {"table_name": "People"}), "name": text()})
    with pytest.raises(
        ConfigurationError, match=r"^(One and Two|Two and One) are both models of the table (?i:people);"
    ):
        generate(project.database, [one, two])
    assert generate(project.database, [two, two]).todo == ()
