"""What holds for all tests: none is judged by how fast the machine is, and none leaves the models bound."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.support.clock import Clock
from tests.support.databases import opened
from tests.support.postgresql_servers import server_url
from tests.support.snapshots import new_store
from usage_store.models import MODELS, UsageSnapshot
from usage_store.models.storage_interface import storage_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import peewee

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def _models_given_back() -> Iterator[None]:
    """Close the database that a test has bound the models to, and unbind them, without upkeep between inserts."""
    yield
    bound = UsageSnapshot._meta.database
    database = getattr(bound, "obj", bound)  # of a proxy
    if database is not None and not database.is_closed():
        database.close()
    UsageSnapshot.upkeep = None
    for model in MODELS:
        model._meta.set_database(None)  # type: ignore[arg-type]  # as in a fresh process


@pytest.fixture
def usage_database(tmp_path: Path) -> Iterator[peewee.Database]:
    """Give what the package's own fixture of this name gives, without migrating again for each test."""
    with opened(new_store(tmp_path / "usage.db")) as database:
        storage_of(database).prepare(database)
        with database.bind_ctx(MODELS, bind_refs=False, bind_backrefs=False):
            yield database


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Put a clock in the place of this process's, which goes on when somebody sleeps, and at no other time."""
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock.monotonic)
    monkeypatch.setattr(time, "sleep", clock.sleep)
    return clock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name a database that is still to be made."""
    return tmp_path / "app.db"


@pytest.fixture
def postgresql_url() -> Iterator[str]:
    """Give the URL of an empty schema of a PostgreSQL server, which is dropped after the test."""
    import psycopg

    try:
        server = server_url()
    except LookupError as error:
        pytest.skip(str(error))
    schema = f"t_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        try:
            yield f"{server}{'&' if '?' in server else '?'}schema={schema}"
        finally:
            connection.execute(f"DROP SCHEMA {schema} CASCADE")
