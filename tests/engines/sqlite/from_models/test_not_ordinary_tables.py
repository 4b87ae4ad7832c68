"""Models of views and virtual tables are accepted as they are; no migration changes these."""

from __future__ import annotations

from typing import Any

import pytest
from peewee import IntegerField, Model, TextField
from playhouse.sqlite_ext import FTS5Model, FTSModel, RowIDField, SearchField

from tests.support.projects import Project, model, text
from usage_store.errors import ConfigurationError
from usage_store.migrate.create_from_models import generate, write


def virtual(kind: type[Model], options: dict[str, Any] | None = None, **fields: Any) -> type[Model]:
    meta = type("Meta", (), {"table_name": "doc", "options": options or {}})
    made: type[Model] = type("Doc", (kind,), {**(fields or {"title": SearchField()}), "Meta": meta})
    return made


@pytest.mark.parametrize("kind", [FTS5Model, FTSModel])
def test_an_unchanged_virtual_table_is_no_difference(project: Project, kind: type[Model]) -> None:
    post = model("post", title=text(), body=text())
    fields = {"title": SearchField(), "body": SearchField(unindexed=kind is FTS5Model)}
    made = [post, virtual(kind, {"content": post}, **({"rowid": RowIDField()} if kind is FTS5Model else {}), **fields)]
    generated = generate(project.database, made)
    assert generated.source.count("CREATE VIRTUAL TABLE") == 1
    write(project.directory, "first", generated)
    project.runner().migrate()
    assert generate(project.database, made).empty
    project.runner().rollback()
    assert "doc" not in project.database.get_tables()


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE VIRTUAL TABLE doc USING fts5(title, body UNINDEXED, tokenize = 'porter', prefix='2,3')",
        'create virtual table [doc] using FTS5 (Title, `body` unindexed,  prefix = "2,3", tokenize=porter)',
    ],
)
def test_a_virtual_table_is_the_model_s_however_it_is_written(project: Project, sql: str) -> None:
    project.database.execute_sql(sql)
    options = {"tokenize": "porter", "prefix": [2, 3]}
    made = virtual(FTS5Model, options, title=SearchField(), body=SearchField(unindexed=True))
    assert generate(project.database, [made]).empty


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE VIRTUAL TABLE doc USING fts5(title, body)",
        "CREATE VIRTUAL TABLE doc USING fts5(title, tokenize='porter')",
        "CREATE VIRTUAL TABLE doc USING fts4(title)",
        "CREATE TABLE doc (title TEXT)",
        "CREATE VIEW doc AS SELECT '' AS title",
    ],
)
def test_a_virtual_table_that_is_another_is_said_and_no_file_is_written(project: Project, sql: str) -> None:
    project.database.execute_sql(sql)
    generated = generate(project.database, [virtual(FTS5Model)])
    assert generated.todo == (
        "doc: is not the virtual table of its model and cannot be changed; write this migration by hand",
    )
    with pytest.raises(ConfigurationError, match="nothing was written"):
        write(project.directory, "doc", generated)
    assert not project.directory.exists()


READ = {
    "a view": "CREATE VIEW t AS SELECT 1 AS id, 'x' AS Title, 2 AS more",
    "a virtual table": "CREATE VIRTUAL TABLE t USING rtree(id, title, more)",
}


@pytest.mark.parametrize("sql", [*READ.values(), "CREATE VIRTUAL TABLE t USING fts5(id, title)"])
def test_a_view_or_a_virtual_table_with_the_model_s_columns_is_no_difference(project: Project, sql: str) -> None:
    project.database.execute_sql(sql)
    assert generate(project.database, [model("t", title=text())]).empty


@pytest.mark.parametrize(("what", "sql"), READ.items())
def test_one_without_a_column_of_the_model_is_said(project: Project, what: str, sql: str) -> None:
    project.database.execute_sql(sql)
    made = model("t", title=text(), body=TextField(), n=IntegerField(column_name="N"))
    generated = generate(project.database, [made])
    assert generated.todo == (f"t: is {what} without body, N, which its model has; write this migration by hand",)
    assert (generated.source, generated.empty) == ("", False)


def test_a_view_of_what_is_not_there_is_said(project: Project) -> None:
    project.database.execute_sql("CREATE VIEW t AS SELECT id FROM nowhere")
    (line,) = generate(project.database, [model("t")]).todo
    assert line == "t: is a view without id, which its model has; write this migration by hand"
