"""Fixtures: a fresh, migrated, bound database per test, and a seeded one.

Override `usage_store_models` and `usage_store_migrations` in a conftest.py to have an application's own tables in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import peewee

    from usage_store.testing import Seeded

# usage_store is imported in the fixtures: a test run that uses none of them does not pay 80 ms for it.
# ruff: noqa: PLC0415


@pytest.fixture
def usage_store_models() -> Sequence[type[peewee.Model]]:
    """Name the application's models to bind besides the usage models; none by default."""
    return ()


@pytest.fixture
def usage_store_migrations() -> Sequence[tuple[str | Path, str]]:
    """Name the application's migrations to run after the usage tables' own: (directory, history table) pairs."""
    return ()


@pytest.fixture
def usage_database(
    tmp_path: Path,
    usage_store_models: Sequence[type[peewee.Model]],
    usage_store_migrations: Sequence[tuple[str | Path, str]],
) -> Iterator[peewee.Database]:
    """Give a migrated SQLite file of this test's own, the models bound to it; unbound and closed afterwards."""
    from usage_store.engines import open_database
    from usage_store.migrate import MigrationRunner
    from usage_store.models import MODELS
    from usage_store.models.storage_interface import storage_of

    database = open_database(tmp_path / "usage.db")
    try:
        MigrationRunner(database).migrate()
        for directory, table_name in usage_store_migrations:
            MigrationRunner(database, directory, table_name).migrate()
        storage_of(database).prepare(database)
        bound: list[Any] = [*MODELS, *usage_store_models]
        with database.bind_ctx(bound, bind_refs=False, bind_backrefs=False):
            yield database
    finally:
        database.close()


@pytest.fixture
def seeded_usage_database(usage_database: peewee.Database) -> tuple[peewee.Database, Seeded]:
    """Give `usage_database` with `seed_usage`'s data in it, and what was written."""
    from usage_store.testing import seed_usage

    return usage_database, seed_usage(usage_database)
