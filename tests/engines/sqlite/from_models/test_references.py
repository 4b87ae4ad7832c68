"""References without a target, and references that peewee does not write, are reported."""

from __future__ import annotations

import pytest
from peewee import DeferredForeignKey, ForeignKeyField
from playhouse.sqlite_ext import FTS5Model, RowIDField, SearchField

from tests.support.projects import Project, model, text
from usage_store.errors import ConfigurationError
from usage_store.migrate.create_from_models import generate


def test_a_reference_to_a_model_that_was_not_loaded_is_named(project: Project) -> None:
    made = model("t", author=DeferredForeignKey("Nobody", null=True))
    with pytest.raises(ConfigurationError, match=r"^T\.author: refers to a model 'nobody' that was not loaded"):
        generate(project.database, [made])


def test_a_reference_to_a_table_that_nobody_makes_is_said_once(project: Project) -> None:
    nobody = model("nobody")
    made = model("t", by=ForeignKeyField(nobody, null=True), up=ForeignKeyField("self", null=True))
    (line,) = project.migrate([made]).todo
    assert line.startswith("t.by_id: refers to nobody, a table that neither the models nor the database have")
    assert generate(project.database, [made]).empty
    project.database.execute_sql("CREATE TABLE nobody (id INTEGER PRIMARY KEY)")
    assert generate(project.database, [made, model("v", by=ForeignKeyField(nobody))]).todo == ()


def test_a_reference_to_what_is_no_key_is_said(project: Project) -> None:
    meta = type("Meta", (), {"table_name": "doc"})
    doc = type("Doc", (FTS5Model,), {"rowid": RowIDField(), "title": SearchField(), "Meta": meta})
    (line,) = generate(project.database, [doc, model("t", doc=ForeignKeyField(doc))]).todo
    assert line == (
        't: foreign key mismatch - "t" referencing "doc": a reference must point to a PRIMARY KEY or to UNIQUE '
        "columns of an ordinary table"
    )
    project.database.execute_sql(
        "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, doc_id INTEGER NOT NULL REFERENCES doc (rowid)); "
    )
    project.database.execute_sql("CREATE INDEX t_doc_id ON t (doc_id)")
    project.database.execute_sql("CREATE VIRTUAL TABLE doc USING fts5(title)")
    assert generate(project.database, [doc, model("t", doc=ForeignKeyField(doc))]).empty


def test_a_reference_that_peewee_does_not_write_is_said_and_no_difference_once_it_is_there(project: Project) -> None:
    made = [
        model("t", later=DeferredForeignKey("Later", null=True, on_delete="CASCADE", index=False)),
        model("later", label=text(column_name="Label")),
    ]
    line = "t.later_id: peewee writes no REFERENCES later (id) for a DeferredForeignKey; add it to the column"
    assert generate(project.database, made).todo == (line,)
    project.database.execute_sql("CREATE TABLE later (id INTEGER PRIMARY KEY, Label TEXT)")
    for reference in ("REFERENCES later (id) ON DELETE CASCADE", ""):
        project.database.execute_sql(f"CREATE TABLE t (id INTEGER PRIMARY KEY, later_id INTEGER {reference})")
        assert generate(project.database, made).empty
        project.database.execute_sql("DROP TABLE t")
    project.database.execute_sql("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    assert generate(project.database, made).todo == (line,)
    project.database.execute_sql("DROP TABLE t")
    project.database.execute_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, later_id TEXT REFERENCES later)")
    assert any(line.startswith("t.later_id: REFERENCES later") for line in generate(project.database, made).todo)
