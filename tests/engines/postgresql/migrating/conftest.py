"""Run migrations on an empty schema of PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.databases import opened
from tests.support.migrations import write
from usage_store.migrate import MigrationRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import peewee

    Runs = Callable[..., MigrationRunner]


@pytest.fixture
def database(postgresql_url: str) -> Iterator[peewee.Database]:
    """Give an open database of version 18, with an empty schema."""
    with opened(postgresql_url) as database:
        yield database


@pytest.fixture
def runner(database: peewee.Database, tmp_path: Path) -> Runs:
    """Write migrations by their names, and give a runner for them."""

    def made(wait: float = 5, table: str = "app_migrations", **files: str) -> MigrationRunner:
        return MigrationRunner(database, write(tmp_path / table, files), table, wait=wait)

    return made
