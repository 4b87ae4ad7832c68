"""Pytest fixtures: a new, migrated database for each test with the models bound to it, empty or with data.

To have the tables of your application in it, override `usage_store_models` and `usage_store_migrations` in conftest.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import peewee

    from usage_store.testing import Seeded

# usage_store is imported inside the fixtures, so that a test run without these fixtures does not need 80 ms for it.
# ruff: noqa: PLC0415


@pytest.fixture
def usage_store_models() -> Sequence[type[peewee.Model]]:
    """Return the models of the application that `usage_database` binds too. Override it; by default there are none."""
    return ()


@pytest.fixture
def usage_store_migrations() -> Sequence[tuple[str | Path, str]]:
    """Return the migrations of the application that run after the usage tables' migrations. Override it.

    Each item is a pair of a directory and the name of its history table. By default there are none.
    """
    return ()


@pytest.fixture
def usage_database(
    tmp_path: Path,
    usage_store_models: Sequence[type[peewee.Model]],
    usage_store_migrations: Sequence[tuple[str | Path, str]],
) -> Iterator[peewee.Database]:
    """Return a migrated SQLite database in the test's `tmp_path`, with the models bound to it.

    After the test, the models are unbound and the database is closed.
    """
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
    """Return `usage_database` filled by `seed_usage`, and the data that was written."""
    from usage_store.testing import seed_usage

    return usage_database, seed_usage(usage_database)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of the ready-made migration tests."""
    text = "kill a process before each statement of all migrations, not only of the newest ten"
    group = parser.getgroup("usage_store")
    group.addoption("--usage-store-kill-all", action="store_true", dest="usage_store_kill_all", help=text)
