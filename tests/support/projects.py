"""An application with models, a database, and a directory of migrations that are written from the models."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import peewee
from peewee import (
    SQL,
    ForeignKeyField,
    IntegerField,
    Model,
    TextField,
    fn,
)

from usage_store.engines.interface.schema_differences import Catalog, differences
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.engines.sqlite.schema.read_whole_schema import read_catalog
from usage_store.migrate import MigrationRunner
from usage_store.migrate.create_from_models import Generated, generate, write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def model(name: str, meta: Mapping[str, Any] | None = None, **fields: Any) -> type[Model]:
    """Make a model of the table `name`, not bound to a database."""
    options = {"table_name": name, "legacy_table_names": False, **(meta or {})}
    made: type[Model] = type(name.title(), (Model,), {**fields, "Meta": type("Meta", (), options)})
    return made


def with_index(of: type[Model], *expressions: Any, **options: Any) -> type[Model]:
    of.add_index(of.index(*expressions, **options))
    return of


def catalog_of(models: Sequence[type[Model]]) -> Catalog:
    """Give the schema that peewee itself makes from models."""
    with closing(peewee.SqliteDatabase(":memory:")) as database, database.bind_ctx(models):
        database.create_tables(models)
        return read_catalog(database)


def schema(database: peewee.SqliteDatabase) -> Catalog:
    """Give the schema without the runner's history."""
    catalog = read_catalog(database)
    return Catalog(
        {name: table for name, table in catalog.tables.items() if "migration" not in name},
        {name: other for name, other in catalog.others.items() if "migration" not in other[1]},
    )


def contents(database: peewee.SqliteDatabase) -> dict[str, list[tuple[Any, ...]]]:
    """Give every row of every table; columns are by name, so that their order does not matter."""
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
        assert renames or generated.empty is not bool(generated.differences), generated
        return generated

    def migrate(self, models: Sequence[type[Model]], renames: Mapping[str, str] | None = None) -> Generated:
        """Generate a migration and run it; check that the tables then equal the models, and nothing is left to do."""
        generated = self.generate(models, renames)
        if not generated.empty:
            write(self.directory, "change", generated)
            self.files += 1
            self.runner().migrate()
        wanted = catalog_of(models)
        live = schema(self.database)
        # A migration keeps the order of columns and the names of constraints, whatever the models say.
        wanted, live = wanted.as_models_state(), live.as_models_state()
        same(wanted, Catalog({name: live.tables[name] for name in wanted.tables}, live.others))
        assert generate(self.database, models).empty
        return generated


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


def text(**options: Any) -> TextField[Any]:
    return TextField(null=True, **options)


def default(value: str, **options: Any) -> TextField[Any]:
    return TextField(constraints=[SQL(f"DEFAULT {value}")], **options)
