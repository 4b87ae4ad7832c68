"""Run migrations on an empty schema of PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import peewee
import pytest

from tests.support.databases import opened
from tests.support.migrations import write
from tests.support.postgresql_servers import for_drivers
from usage_store.migrate import MigrationRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Runs = Callable[..., MigrationRunner]


@pytest.fixture
def database(postgresql_url: str) -> Iterator[peewee.Database]:
    """Give an open database of version 18, with an empty schema."""
    with opened(postgresql_url) as database:
        yield database


@pytest.fixture
def database_of_psycopg2(postgresql_url: str) -> Iterator[peewee.Database]:
    """Give the same, as an application's own database with the older driver."""
    database = peewee.PostgresqlDatabase(for_drivers(postgresql_url))
    database.connect()
    yield database
    database.close()


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """Write migrations, which are named `_001_name`, and give a runner for them."""

    def made(
        database: peewee.Database, wait: float = 5, table: str = "app_migrations", **files: str
    ) -> MigrationRunner:
        sources = {name.removeprefix("_"): source for name, source in files.items()}
        return MigrationRunner(database, write(tmp_path / table, sources), table, wait=wait, backup=False)

    return made
