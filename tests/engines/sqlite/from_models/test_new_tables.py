"""A new table for a model is made as peewee makes it, and its migration is readable."""

from __future__ import annotations

import ast
import subprocess
import sys
from typing import TYPE_CHECKING

import peewee
import pytest
from peewee import (
    SQL,
    Check,
    CompositeKey,
    ForeignKeyField,
    IntegerField,
    Model,
    TextField,
)

from tests.support.programs import ROOT, TIMEOUT
from tests.support.projects import STRICT, Project, child, default, model, ordered, schema, text, with_index
from usage_store.engines.interface.schema_differences import Catalog
from usage_store.migrate.create_from_models import generate
from usage_store.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


NEW_TABLES: dict[str, Callable[[], Sequence[type[Model]]]] = {
    "plain": lambda: [model("t", a=TextField())],
    "checks": lambda: [model("t", {"constraints": [Check("a <> ')' AND (b > 0)", name="positive")]},
                             a=TextField(constraints=[Check("length(a) IN (1, 2)")]), b=IntegerField())],
    "server defaults": lambda: [model("t", a=TextField(constraints=[SQL("DEFAULT 'a,  b(\n''\"'")]),
                                      b=IntegerField(constraints=[SQL("DEFAULT (unixepoch())")]))],
    "table constraints": lambda: [model("t", {"constraints": [SQL("UNIQUE (a, b)")]}, a=TextField(), b=TextField())],
    "indexes": lambda: [ordered()],
    "collations": lambda: [model("t", a=TextField(collation="NOCASE", unique=True))],
    "without rowid": lambda: [model("t", {"without_rowid": True, **STRICT}, a=TextField(primary_key=True))],
    "composite key": lambda: [model("t", {"primary_key": CompositeKey("a", "b")}, a=TextField(), b=IntegerField())],
    "no key": lambda: [model("t", {"primary_key": False}, a=TextField())],
    "actions": lambda: child(on_delete="CASCADE", on_update="SET NULL", null=True),
    "self": lambda: [model("t", up=ForeignKeyField("self", null=True, on_delete="SET NULL"))],
    "names": lambda: [model('odd "na\'me\\', a=TextField(column_name="or\"der'"), b=text(column_name="Größe {0} %s"))],
    "usage": lambda: MODELS,
}  # fmt: skip


@pytest.mark.parametrize("models", NEW_TABLES.values(), ids=NEW_TABLES.keys())
def test_a_new_table_is_made_as_peewee_makes_it_and_dropped_again(
    project: Project, models: Callable[[], Sequence[type[Model]]]
) -> None:
    generated = project.migrate(models())
    assert generated.todo == ()
    project.runner().rollback(0)
    assert schema(project.database).tables == {}


def test_parents_are_made_before_children_and_dropped_after_them(project: Project) -> None:
    source = project.generate(child()[::-1]).source
    assert source.index('CREATE TABLE "parent"') < source.index('CREATE TABLE "child"')
    assert source.index('DROP TABLE "child"') < source.index('DROP TABLE "parent"')


def awkward() -> Sequence[type[Model]]:
    long = "A" * 90
    return [
        model("odd \"na'me\\", a=TextField(column_name="or\"der'", index=True)),
        model("t", {"constraints": [Check(f"a <> '{long} {long}\\'")]}, a=text(), b=default('\'\\\r"""\'')),
        with_index(model("u", a=text()), SQL("a || '\"'"), where=SQL(f"a <> '{long}' OR a > \"a\""), name="u_" + long),
    ]


def test_the_file_is_plain_python_that_imports_nothing_and_holds_the_lines(project: Project) -> None:
    generated = project.migrate(awkward())
    path = next(project.directory.glob("*.py"))
    assert path.read_text() == f'"""change."""\n{generated.source}'
    tree = ast.parse(path.read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} <= {
        "db",
        "migrator",
        "create",
        "columns",
        "drop",
    }
    pytest.importorskip("ruff")
    command = [sys.executable, "-m", "ruff", "format", "--diff", "--config", str(ROOT / "pyproject.toml"), str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    assert result.returncode == 0, result.stdout


def test_generating_leaves_the_models_bound_as_they_were_and_the_database_untouched(project: Project) -> None:
    made = model("t", a=text())
    elsewhere = peewee.SqliteDatabase(":memory:")
    made.bind(elsewhere)
    project.database.pragma("query_only", 1)
    generate(project.database, [made])
    assert made._meta.database is elsewhere
    assert schema(project.database) == Catalog({}, {})
