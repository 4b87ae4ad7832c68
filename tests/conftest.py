"""What holds for all tests: none is judged by how fast the machine is, and none leaves the models bound."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.support.clock import Clock
from tests.support.databases import opened
from tests.support.engines import empty_place, is_left_out, needs_postgresql, servers_of
from tests.support.postgresql_servers import new_schema
from tests.support.programs import hide_drivers
from tests.support.stores import make_store
from usage_store.models import MODELS, UsageSnapshot
from usage_store.models.storage_interface import storage_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import peewee

    from tests.support.databases import Target

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Hide the drivers of servers from the processes of a test that needs no server."""
    hide_drivers(hidden=item.get_closest_marker("postgresql") is None)


@pytest.fixture
def drivers() -> None:
    """Show the drivers of servers to the processes of a test that needs them and no server."""
    hide_drivers(hidden=False)


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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for a store of any engine on all engines."""
    if "server" in metafunc.fixturenames:
        metafunc.parametrize("server", servers_of(metafunc), indirect=True)


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a PostgreSQL server, and leave out most cases of those that show rules of Python."""
    items[:] = [item for item in items if not is_left_out(item)]
    for item in items:
        if needs_postgresql(item):
            item.add_marker("postgresql")


def pytest_collection_finish() -> None:
    """Let no garbage collection go through the collected tests again: it would take longer than many a test."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def server(request: pytest.FixtureRequest) -> str:
    """Name the database of a test: `sqlite`, or `postgresql` and a version."""
    return str(request.param)


@pytest.fixture
def store_target(server: str, tmp_path: Path) -> Iterator[Target]:
    """Give an empty place for a database on each engine: the path of no file yet, or the URL of an empty schema."""
    with empty_place(server, tmp_path / "usage.db") as place:
        yield place


@pytest.fixture
def second_target(server: str, tmp_path: Path) -> Iterator[Target]:
    """Give another empty place for a database of the same engine."""
    with empty_place(server, tmp_path / "second.db") as place:
        yield place


@pytest.fixture
def usage_database(store_target: Target) -> Iterator[peewee.Database]:
    """Give what the package's own fixture of this name gives, without migrating again for each test."""
    make_store(store_target)
    with opened(store_target) as database:
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
    with new_schema() as url:
        yield url


@pytest.fixture(params=[18, pytest.param(16, marks=pytest.mark.long), pytest.param(15, marks=pytest.mark.long)])
def any_postgresql_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Give the URL of an empty schema on the newest, a middle and the oldest server; the last two are long."""
    with new_schema(request.param) as url:
        yield url
