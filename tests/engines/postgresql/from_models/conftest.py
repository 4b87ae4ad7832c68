"""A database whose migrations are written from models, and run without a runner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.postgresql_schemas import contents, state
from usage_store.engines import open_database
from usage_store.engines.postgresql.schema import migrator_for
from usage_store.migrate.create_from_models import Generated, generate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import peewee


class Project:
    """A PostgreSQL schema and the migrations that were made for it."""

    def __init__(self, url: str) -> None:
        self.database: peewee.PostgresqlDatabase = open_database(url)  # type: ignore[assignment]
        self.url = url
        self.files: list[dict[str, Any]] = []

    def another(self) -> peewee.Database:
        """Open another connection."""
        return open_database(self.url)

    def run(self, *statements: str) -> None:
        for statement in statements:
            self.database.execute_sql(statement)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self.database.execute_sql(sql).fetchall()
        return found

    def generate(self, models: Sequence[type[peewee.Model]], renames: Mapping[str, str] | None = None) -> Generated:
        before = state(self.database)
        generated = generate(self.database, models, renames=renames)
        assert state(self.database) == before
        assert renames or generated.empty is not bool(generated.differences), generated
        return generated

    def migrate(self, models: Sequence[type[peewee.Model]], renames: Mapping[str, str] | None = None) -> Generated:
        """Generate a migration and run it; check that nothing is left to do."""
        generated = self.generate(models, renames)
        if not generated.empty:
            self.up(generated.source)
        assert self.generate(models).differences == ()
        return generated

    def up(self, source: str) -> None:
        names: dict[str, Any] = {}
        exec(source, names)
        with self.database.atomic():
            names["up"](migrator_for(self.database), self.database)
        self.files.append(names)

    def rollback(self) -> None:
        names = self.files.pop()
        with self.database.atomic():
            names["down"](migrator_for(self.database), self.database)

    def state(self) -> dict[str, str]:
        return state(self.database)

    def contents(self) -> dict[str, list[str]]:
        return contents(self.database)


@pytest.fixture
def project(postgresql_url: str) -> Iterator[Project]:
    made = Project(postgresql_url)
    yield made
    made.database.close()
