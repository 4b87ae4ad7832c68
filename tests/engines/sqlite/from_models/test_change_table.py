"""Migrations written from the difference between models and a database, run up and down on real files."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
import uuid
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peewee
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from peewee import (
    SQL,
    AutoField,
    BlobField,
    CharField,
    Check,
    CompositeKey,
    DateTimeField,
    DecimalField,
    FloatField,
    ForeignKeyField,
    IntegerField,
    Model,
    TextField,
    fn,
)

from tests.support.programs import TIMEOUT
from usage_store.connection import open_database
from usage_store.errors import ConfigurationError, MigrationFailed
from usage_store.migrate import MigrationRunner
from usage_store.migrate.catalog import Catalog, differences, read_catalog
from usage_store.migrate.generate import Generated, _literal, generate, load_models, write
from usage_store.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[4]
REBUILDS = importlib.util.find_spec("usage_store.migrate.rebuild") is not None


def model(name: str, meta: Mapping[str, Any] | None = None, **fields: Any) -> type[Model]:
    """A model of table `name`, not bound to a database."""
    options = {"table_name": name, "legacy_table_names": False, **(meta or {})}
    made: type[Model] = type(name.title(), (Model,), {**fields, "Meta": type("Meta", (), options)})
    return made


def with_index(of: type[Model], *expressions: Any, **options: Any) -> type[Model]:
    of.add_index(of.index(*expressions, **options))
    return of


def catalog_of(models: Sequence[type[Model]]) -> Catalog:
    """What peewee itself makes of models."""
    with closing(peewee.SqliteDatabase(":memory:")) as database, database.bind_ctx(models):
        database.create_tables(models)
        return read_catalog(database)


def schema(database: peewee.SqliteDatabase) -> Catalog:
    """The schema without the runner's history."""
    catalog = read_catalog(database)
    return Catalog(
        {name: table for name, table in catalog.tables.items() if "migration" not in name},
        {name: other for name, other in catalog.others.items() if "migration" not in other[1]},
    )


def contents(database: peewee.SqliteDatabase) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, columns by name, so that their order does not matter."""
    found = {}
    for table in schema(database).tables:
        names = sorted(row[1] for row in database.execute_sql(f'PRAGMA table_xinfo("{table}")'))
        listed = ", ".join(f'typeof("{name}"), "{name}"' for name in names)
        found[table] = sorted(database.execute_sql(f'SELECT {listed} FROM "{table}"').fetchall(), key=repr)
    return found


def same(one: Catalog, other: Catalog) -> None:
    assert differences(one, other) == []
    assert differences(other, one) == []


class Project:
    """A database file and a directory of generated migrations."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.directory = folder / "migrations"
        self.database: peewee.SqliteDatabase = open_database(folder / "app.db")
        self.files = 0

    def close(self) -> None:
        self.database.close()

    def runner(self) -> MigrationRunner:
        return MigrationRunner(self.database, self.directory)

    def generate(self, models: Sequence[type[Model]], renames: Mapping[str, str] | None = None) -> Generated:
        generated = generate(self.database, models, renames=renames)
        if "rebuild_table" in generated.source and not REBUILDS:
            pytest.skip("needs usage_store.migrate.rebuild")
        return generated

    def migrate(self, models: Sequence[type[Model]], renames: Mapping[str, str] | None = None) -> Generated:
        """Generate and run; the tables are then exactly the models', and nothing is left to generate."""
        generated = self.generate(models, renames)
        if not generated.empty:
            write(self.directory, "change", generated)
            self.files += 1
            self.runner().migrate()
        wanted = catalog_of(models)
        live = schema(self.database)
        same(wanted, Catalog({name: live.tables[name] for name in wanted.tables}, live.others))
        assert generate(self.database, models).empty
        return generated


@pytest.fixture
def project(tmp_path: Path) -> Any:
    made = Project(tmp_path)
    yield made
    made.close()


# -- tables ------------------------------------------------------------------------------------------------------------

PARENT = "parent"
STRICT = {"strict_tables": True}


def child(**options: Any) -> tuple[type[Model], type[Model]]:
    parent = model(PARENT, code=TextField(unique=True))
    return parent, model("child", parent=ForeignKeyField(parent, **options))


def ordered() -> type[Model]:
    made = model("t", a=TextField(), b=IntegerField(null=True))
    with_index(made, made.a.desc(), name="t_newest")  # type: ignore[attr-defined]
    with_index(made, fn.lower(made.a), name="t_lower")  # type: ignore[attr-defined]
    return with_index(made, made.b, unique=True, where=SQL("b IS NOT NULL AND a <> 'it''s'"), name="t_part")  # type: ignore[attr-defined]


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


# -- changes -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One table, before and after; its rows have to survive. `todo`: the columns that a person is told about."""

    before: Mapping[str, Any]
    after: Mapping[str, Any]
    rebuilds: bool = True
    todo: Sequence[str] = ()
    meta: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {})
    rows: Sequence[str] = ("INSERT INTO t (a) VALUES ('one'), ('two')",)


def text(**options: Any) -> TextField[Any]:
    return TextField(null=True, **options)


def default(value: str, **options: Any) -> TextField[Any]:
    return TextField(constraints=[SQL(f"DEFAULT {value}")], **options)


UNIQUE = {"constraints": [SQL("UNIQUE (a)")]}
CHECKED = {"constraints": [Check("a <> ''", name="filled")]}

CHANGES: dict[str, Callable[[], Case]] = {
    "add nullable": lambda: Case({"a": text()}, {"a": text(), "b": text()}, rebuilds=False),
    "add before another": lambda: Case({"a": text()}, {"b": text(), "a": text()}, rebuilds=False),
    "add two": lambda: Case({"a": text()}, {"a": text(), "b": text(), "c": text()}, rebuilds=False),
    "add with constant default": lambda: Case({"a": text()}, {"a": text(), "b": default("'x,  (''y'")}, rebuilds=False),
    "add with negative default": lambda: Case(
        {"a": text()}, {"a": text(), "b": IntegerField(constraints=[SQL("DEFAULT -1")])}, rebuilds=False
    ),
    "add with expression default": lambda: Case({"a": text()}, {"a": text(), "b": default("(lower('X'))")}),
    "add with current time": lambda: Case({"a": text()}, {"a": text(), "b": default("CURRENT_TIMESTAMP")}),
    "add with check": lambda: Case({"a": text()}, {"a": text(), "b": text(constraints=[Check("b <> 'x'")])}, False),
    "add with collation": lambda: Case({"a": text()}, {"a": text(), "b": text(collation="NOCASE")}, rebuilds=False),
    "add unique": lambda: Case({"a": text()}, {"a": text(), "b": text(unique=True)}, rebuilds=False),
    "add unique with default": lambda: Case({"a": text()}, {"a": text(), "b": default("'x'", unique=True)}, False,
                                            todo=["b"], rows=("INSERT INTO t (a) VALUES ('one')",)),
    "add unique column": lambda: Case({"a": text()}, {"a": text(), "b": text(constraints=[SQL("UNIQUE")])}),
    "add generated": lambda: Case(
        {"a": text()}, {"a": text(), "b": text(constraints=[SQL("AS (upper(a)) VIRTUAL")])}, rebuilds=False
    ),
    "add stored": lambda: Case({"a": text()}, {"a": text(), "b": text(constraints=[SQL("AS (upper(a)) STORED")])}),
    "add self reference": lambda: Case(
        {"a": text()}, {"a": text(), "up": ForeignKeyField("self", null=True, on_delete="CASCADE")}, False
    ),
    "add with python constant": lambda: Case({"a": text()}, {"a": text(), "b": TextField(default="it's")}),
    "add with python number": lambda: Case({"a": text()}, {"a": text(), "b": FloatField(default=0.1)}),
    "add with python decimal": lambda: Case({"a": text()}, {"a": text(), "b": DecimalField(default=Decimal("1.50"))}),
    "add with python bytes": lambda: Case({"a": text()}, {"a": text(), "b": BlobField(default=b"\x00'")}),
    "drop": lambda: Case({"a": text(), "b": text()}, {"a": text()}, todo=["b"]),
    "drop required": lambda: Case({"a": text(), "b": TextField()}, {"a": text()}, todo=["b"], rows=()),
    "drop indexed": lambda: Case({"a": text(), "b": text(index=True)}, {"a": text()}, todo=["b"]),
    "drop checked": lambda: Case({"a": text(), "b": text(constraints=[Check("b > a")])}, {"a": text()}, todo=["b"]),
    "type, same affinity": lambda: Case({"a": CharField(10)}, {"a": TextField()}),
    "type, other affinity": lambda: Case({"a": text()}, {"a": IntegerField(null=True)}, todo=["a"]),
    "null to not null": lambda: Case({"a": text()}, {"a": TextField()}, todo=["a"]),
    "not null to null": lambda: Case({"a": TextField()}, {"a": text()}),
    "default added": lambda: Case({"a": TextField()}, {"a": default("'a, \"b\"'")}),
    "default changed": lambda: Case({"a": default("'a'")}, {"a": default("'b  c\n'")}),
    "default removed": lambda: Case({"a": default("'('")}, {"a": TextField()}),
    "check added": lambda: Case({"a": text()}, {"a": text(constraints=[Check("a IN ('one', 'two', ')')")])}),
    "check removed": lambda: Case({"a": text(constraints=[Check("a <> ','")])}, {"a": text()}),
    "table check added": lambda: Case({"a": text()}, {"a": text()}, meta=({}, CHECKED)),
    "table check removed": lambda: Case({"a": text()}, {"a": text()}, meta=(CHECKED, {})),
    "unique added": lambda: Case({"a": text()}, {"a": text()}, meta=({}, UNIQUE)),
    "unique removed": lambda: Case({"a": text()}, {"a": text()}, meta=(UNIQUE, {})),
    "collation added": lambda: Case({"a": text()}, {"a": text(collation="NOCASE")}),
    "strict": lambda: Case({"a": text()}, {"a": text()}, meta=({}, STRICT), todo=["STRICT"]),
    "no longer strict": lambda: Case({"a": text()}, {"a": text()}, meta=(STRICT, {})),
    "without rowid": lambda: Case({"a": TextField(primary_key=True)}, {"a": TextField(primary_key=True)},
                                  meta=({}, {"without_rowid": True})),
    "key moved": lambda: Case({"a": TextField()}, {"a": TextField(primary_key=True)}, todo=["id"]),
    "key added": lambda: Case({"a": TextField(primary_key=True)}, {"id": AutoField(), "a": TextField()}),
    "autoincrement": lambda: Case(
        {"a": text()},
        {"a": text(), "id": AutoField(constraints=[SQL("AUTOINCREMENT")])},
    ),
    "index added": lambda: Case({"a": text()}, {"a": text(index=True)}, rebuilds=False),
    "index removed": lambda: Case({"a": text(index=True)}, {"a": text()}, rebuilds=False),
    "index to unique": lambda: Case({"a": text(index=True)}, {"a": text(unique=True)}, rebuilds=False),
    "index and column": lambda: Case({"a": text(index=True)}, {"a": TextField(index=True), "b": text(index=True)},
                                     todo=["a"]),
}  # fmt: skip


@pytest.mark.parametrize("make", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_goes_up_to_the_models_and_down_to_the_same_schema_and_rows(
    project: Project, make: Callable[[], Case]
) -> None:
    case = make()
    project.migrate([model("t", case.meta[0], **case.before)])
    for statement in case.rows:
        project.database.execute_sql(statement)
    before, rows = schema(project.database), contents(project.database)

    generated = project.migrate([model("t", case.meta[1], **case.after)])
    assert [line for line in generated.todo if not any(word in line for word in case.todo)] == []
    assert len(generated.todo) == len(case.todo)
    assert ("rebuild_table" in generated.source) is case.rebuilds
    assert len(contents(project.database)["t"]) == len(rows["t"])

    project.runner().rollback()
    same(before, schema(project.database))
    if "drop" not in generated.source.partition("def up")[0] or not case.todo:
        assert contents(project.database) == rows


@pytest.mark.parametrize("options", [{}, {"on_delete": "CASCADE"}, {"on_delete": "SET NULL", "on_update": "CASCADE"}])
def test_foreign_keys_and_their_actions_change_without_touching_rows(project: Project, options: dict[str, Any]) -> None:
    project.migrate(child(on_delete="RESTRICT", null=True))
    project.database.execute_sql("INSERT INTO parent (code) VALUES ('x'), ('y')")
    project.database.execute_sql("INSERT INTO child (parent_id) VALUES (1), (2), (2)")
    before, rows = schema(project.database), contents(project.database)
    project.migrate(child(null=True, **options))
    assert contents(project.database) == rows
    project.runner().rollback()
    same(before, schema(project.database))
    assert contents(project.database) == rows


def test_a_rebuilt_parent_keeps_its_children(project: Project) -> None:
    project.migrate(child(on_delete="CASCADE"))
    project.database.execute_sql("INSERT INTO parent (code) VALUES ('x')")
    project.database.execute_sql("INSERT INTO child (parent_id) VALUES (1), (1)")
    parent = model(PARENT, code=TextField(unique=True, constraints=[Check("code <> ''")]))
    rows = contents(project.database)
    project.migrate([parent, model("child", parent=ForeignKeyField(parent, on_delete="CASCADE"))])
    assert contents(project.database) == rows
    project.runner().rollback()
    assert contents(project.database) == rows


def test_an_added_foreign_key_column_needs_no_rebuild(project: Project) -> None:
    project.migrate([model(PARENT, code=TextField(unique=True)), model("child")])
    before = schema(project.database)
    generated = project.migrate(child(null=True, on_delete="SET NULL", index=False))
    assert """ADD COLUMN "parent_id" INTEGER REFERENCES "parent" ("id") ON DELETE SET NULL""" in generated.source
    project.runner().rollback()
    same(before, schema(project.database))


def test_changed_partial_ordered_and_expression_indexes_are_made_anew_both_ways(project: Project) -> None:
    project.migrate([ordered()])
    before = schema(project.database)
    changed = model("t", a=TextField(), b=IntegerField(null=True))
    with_index(changed, changed.a.asc(), name="t_newest")  # type: ignore[attr-defined]
    with_index(changed, fn.upper(changed.a), name="t_lower")  # type: ignore[attr-defined]
    generated = project.migrate([changed])
    assert 'drops = ("t_part",)' in generated.source  # the others are made again, so they do not vanish
    assert "rebuild_table" not in generated.source
    project.runner().rollback()
    same(before, schema(project.database))


def test_tables_without_a_model_triggers_and_views_are_left_alone(project: Project) -> None:
    project.migrate([model("t", a=text())])
    for statement in (
        "CREATE TABLE other (t INTEGER)",
        "CREATE INDEX other_t ON other (t)",
        "CREATE TRIGGER t AFTER INSERT ON t BEGIN INSERT INTO other VALUES (NEW.id); END",
        "CREATE VIEW names AS SELECT a FROM t",
        "INSERT INTO t (a) VALUES ('one')",
    ):
        project.database.execute_sql(statement)
    assert generate(project.database, [model("t", a=text())]).empty
    before, rows = schema(project.database), contents(project.database)
    generated = project.generate([model("t", a=text(constraints=[Check("a <> 'x'")]), b=text())])
    write(project.directory, "check", generated)
    project.runner().migrate()
    live = schema(project.database)
    assert {name: live.others[name] for name in before.others} == before.others
    assert live.tables["other"] == before.tables["other"]
    assert contents(project.database)["other"] == rows["other"]
    project.runner().rollback()
    same(before, schema(project.database))
    assert contents(project.database) == rows


def test_the_present_table_comes_back_word_for_word(project: Project) -> None:
    statement = """CREATE TABLE T (id INTEGER NOT NULL PRIMARY KEY, -- it's "the" key\n\n  [a] TEXT\tDEFAULT '\\n''"',
  /* all */ CHECK (a <> '\"\"\"'))"""
    project.database.execute_sql(statement)
    project.database.execute_sql("INSERT INTO t (a) VALUES ('x')")
    rows = contents(project.database)
    project.migrate([model("t", a=text())])
    project.runner().rollback()
    (sql,) = project.database.execute_sql("SELECT sql FROM sqlite_master WHERE name = 'T' COLLATE NOCASE").fetchone()
    body = statement.partition("(")[2]
    assert sql.partition("(")[2] == body
    assert contents(project.database) == rows


# -- what cannot be written --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "told"),
    [
        (lambda: TextField(), "no default"),  # noqa: PLW0108  a field belongs to one model
        (lambda: DateTimeField(default=datetime.now), "only Python knows"),
        (lambda: TextField(default=uuid.uuid4), "only Python knows"),
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
    assert generated.todo == ("t: index t_a has a name that is taken; choose another",)
    assert "CREATE INDEX" not in generated.source


def test_a_view_in_the_place_of_a_table_is_said_and_the_file_refuses_to_run(project: Project) -> None:
    project.database.execute_sql("CREATE VIEW t AS SELECT 1 AS id")
    generated = generate(project.database, [model("t")])
    assert not generated.empty
    assert "write it by hand" in generated.todo[0]
    write(project.directory, "t", generated)
    with pytest.raises(MigrationFailed, match="write what the TODO says first"):
        project.runner().migrate()


def test_models_that_sqlite_refuses_are_named(project: Project) -> None:
    with pytest.raises(ConfigurationError, match=r"^T: SQLite refuses its table: .*syntax error"):
        generate(project.database, [model("t", a=text(constraints=[SQL("CHECK (")]))])
    with pytest.raises(ConfigurationError, match=r"^T: its table is in schema 'aux'; allowed: main"):
        generate(project.database, [model("t", {"schema": "aux"})])


# -- renames -----------------------------------------------------------------------------------------------------------


def test_renames_keep_rows_references_triggers_and_views_and_go_back(project: Project) -> None:
    project.migrate(child(on_delete="CASCADE"))
    for statement in (
        "INSERT INTO parent (code) VALUES ('x')",
        "INSERT INTO child (parent_id) VALUES (1)",
        "CREATE VIEW codes AS SELECT code FROM parent",
        "CREATE TRIGGER kept AFTER UPDATE OF code ON parent BEGIN DELETE FROM child WHERE parent_id = OLD.id; END",
    ):
        project.database.execute_sql(statement)
    before, rows = schema(project.database), contents(project.database)
    owner = model("owner", tag=TextField(unique=True))
    generated = project.generate(
        [owner, model("child", owner=ForeignKeyField(owner, on_delete="CASCADE"))],
        {"parent": "owner", "parent.code": "tag", "child.parent_id": "owner_id"},
    )
    assert generated.todo == ()
    assert "rebuild_table" not in generated.source
    assert '"parent"' in generated.source.partition("def up")[0]  # declared as gone
    write(project.directory, "rename", generated)
    project.runner().migrate()
    assert contents(project.database) == {
        "owner": [("integer", 1, "text", "x")],
        "child": [("integer", 1, "integer", 1)],
    }
    assert project.database.execute_sql("SELECT * FROM codes").fetchall() == [("x",)]
    project.runner().rollback()
    same(before, schema(project.database))
    assert contents(project.database) == rows


def test_a_renamed_column_may_change_besides(project: Project) -> None:
    project.migrate([model("t", a=text(index=True))])
    project.database.execute_sql("INSERT INTO t (a) VALUES ('one')")
    before, rows = schema(project.database), contents(project.database)
    project.migrate([model("t", b=text(index=True, constraints=[Check("b <> ''")]))], {"t.a": "b"})
    assert project.database.execute_sql("SELECT b FROM t").fetchall() == [("one",)]
    project.runner().rollback()
    same(before, schema(project.database))
    assert contents(project.database) == rows


def test_a_rename_that_sqlite_refuses_is_named(project: Project) -> None:
    project.database.execute_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
    project.database.execute_sql("CREATE VIEW broken AS SELECT x FROM nowhere")
    with pytest.raises(ConfigurationError, match=r'^ALTER TABLE "t" RENAME TO "u": SQLite refuses it: .*view broken'):
        generate(project.database, [model("u", a=text())], renames={"t": "u"})


@pytest.mark.parametrize(
    ("renames", "message"),
    [
        ({"x": "t"}, "rename x:t: the database has no table x; there: s, t"),
        ({"s": "x"}, "rename s:x: the models have no table x; there: t"),
        ({"s": "t"}, "rename s:t: the database has a table t already"),
        ({"t.x": "b"}, "rename t.x:b: the database has no column x; there: a, id"),
        ({"t.a": "x"}, "rename t.a:x: the models have no column x; there: a, b, id"),
        ({"t.id": "a"}, "rename t.id:a: the database has a column a already"),
        ({"x.a": "b"}, "rename x.a:b: the database has no table x; there: s, t"),
        ({"s.a": "b"}, "rename s.a:b: the models have no table s; there: t"),
    ],
)
def test_a_rename_that_does_not_fit_says_why(project: Project, renames: dict[str, str], message: str) -> None:
    project.database.execute_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
    project.database.execute_sql("CREATE TABLE s (id INTEGER PRIMARY KEY, a TEXT)")
    with pytest.raises(ConfigurationError) as caught:
        generate(project.database, [model("t", a=text(), b=text())], renames=renames)
    assert str(caught.value) == message


# -- the file ----------------------------------------------------------------------------------------------------------


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


TEXT = st.characters(exclude_characters="\0", exclude_categories=["Cs"])  # what SQL can hold


@settings(max_examples=50)
@example('\'"""')
@example("'\\\"")
@given(st.text(alphabet="\"'\\\n\r\t a{}%é") | st.text(TEXT, min_size=80, max_size=300))
def test_any_text_is_written_as_a_literal_of_it(value: str) -> None:
    assert ast.literal_eval(_literal(value)) == value


@pytest.mark.quick
def test_files_are_numbered_on_and_named_after_their_title(tmp_path: Path) -> None:
    generated = Generated("\n\ndef up(migrator, db):\n    pass\n", (), empty=False)
    write(tmp_path / "m", "first", generated)
    assert write(tmp_path / "m", "Add the table.", generated).name == "002_add_the_table.py"
    assert (tmp_path / "m" / "002_add_the_table.py").read_text().startswith('"""Add the table."""\n\n\ndef up')


def test_the_usage_models_need_no_migration_after_their_own(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "usage.db")) as database:
        MigrationRunner(database).migrate()
        assert generate(database, MODELS) == Generated("", (), empty=True)


def test_generating_leaves_the_models_bound_as_they_were_and_the_database_untouched(project: Project) -> None:
    made = model("t", a=text())
    elsewhere = peewee.SqliteDatabase(":memory:")
    made.bind(elsewhere)
    project.database.pragma("query_only", 1)
    generate(project.database, [made])
    assert made._meta.database is elsewhere
    assert schema(project.database) == Catalog({}, {})


# -- loading models ----------------------------------------------------------------------------------------------------

SOURCE = """
from peewee import *
from {name}.people import Person, Imported
class Base(Model):
    created = IntegerField()
class Team(Base):
    members = ManyToManyField(Person)
class Empty(Model):
    pass
LISTED = (Team, Person)
WRONG = [Team, 1]
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"app_{uuid.uuid4().hex}"
    (tmp_path / name).mkdir()
    people = "from peewee import *\nclass Person(Model):\n    name = TextField()\n"
    people += "from usage_store.models import UsageConfig as Imported\n"
    (tmp_path / name / "__init__.py").write_text(SOURCE.format(name=name))
    (tmp_path / name / "people.py").write_text(people)
    (tmp_path / name / "broken.py").write_text("raise ValueError('no\\nsettings')")
    (tmp_path / name / "bare.py").write_text("")
    monkeypatch.chdir(tmp_path)
    return name


def test_a_module_gives_its_own_models_and_those_of_its_submodules(package: str) -> None:
    path = list(sys.path)
    names = [found.__name__ for found in load_models(package)]
    assert names == ["Person", "Team", "TeamPersonThrough"]
    assert sys.path == path


def test_a_name_gives_the_models_that_it_lists(package: str) -> None:
    assert [found.__name__ for found in load_models(f"{package}:LISTED")] == ["Team", "Person"]
    assert [found.__name__ for found in load_models(f"{package}:Base")] == ["Base"]
    assert load_models("usage_store.models:MODELS") == list(MODELS)
    assert load_models("usage_store.models") == list(MODELS)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{0}:WRONG", "{0}:WRONG: not a model or a list of models"),
        ("{0}:MISSING", "{0}:MISSING: not a model or a list of models"),
        ("{0}.missing", "{0}.missing: cannot be imported: ModuleNotFoundError: No module named '{0}.missing'"),
        ("{0}.broken", "{0}.broken: cannot be imported: ValueError: no settings"),
        ("{0}.bare", "{0}.bare: defines no models; name them with {0}.bare:NAME"),
        ("", "'': not a module of models; allowed: package.models or package.models:NAME"),
    ],
)
def test_models_that_cannot_be_loaded_are_one_line(package: str, spec: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_models(spec.format(package))
    assert str(caught.value) == message.format(package)


# -- any models --------------------------------------------------------------------------------------------------------

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
            if generated.todo:  # said: rows need a person first
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
