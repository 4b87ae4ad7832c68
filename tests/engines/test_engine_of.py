"""Tests of finding the engine of a database, also for an engine that this package does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import peewee
import pytest

from tests.support.databases import rows
from tests.support.migrations import sql, table, write
from usage_store import MigrationRunner, engines
from usage_store.engines import engine_of, sqlite, unwrap
from usage_store.errors import ConfigurationError, MalformedMigration
from usage_store.migrate.record.source_text import checksum

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick


class OtherDatabase(peewee.SqliteDatabase):
    """A database of an engine that is made for the tests: SQLite under another name."""


class OtherEngine:
    NAME = "other"

    def owns(self, kind: type[peewee.Database]) -> bool:
        return issubclass(kind, OtherDatabase)

    def __getattr__(self, name: str) -> Any:
        return getattr(sqlite, name)


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OtherDatabase:
    monkeypatch.setattr(engines, "ENGINES", (OtherEngine(), *engines.ENGINES))
    return OtherDatabase(str(tmp_path / "app.db"))


def test_a_database_has_the_engine_that_owns_it_behind_a_proxy_too(other: OtherDatabase) -> None:
    plain, proxy = peewee.SqliteDatabase(":memory:"), peewee.DatabaseProxy()
    proxy.initialize(other)
    assert [engine_of(each).NAME for each in (plain, other, proxy)] == ["sqlite", "other", "other"]
    assert unwrap(proxy) is other


def test_a_database_that_no_engine_owns_is_refused_and_so_is_a_proxy_of_none() -> None:
    with pytest.raises(ConfigurationError, match="MySQLDatabase is not supported"):
        engine_of(peewee.MySQLDatabase(None))
    with pytest.raises(ConfigurationError, match=r"not initialised; call its initialize\(database\) first"):
        engine_of(peewee.DatabaseProxy())


def test_a_run_takes_the_variants_of_its_engine(other: OtherDatabase, tmp_path: Path) -> None:
    directory = write(tmp_path / "app", {"001_one": table("plain"), "001_one.other": table("own"), "002_two": sql()})
    runner = MigrationRunner(other, directory)
    assert [str(step.migration) for step in runner.migrate()] == ["001_one", "002_two"]
    made = rows(tmp_path / "app.db", "SELECT name FROM sqlite_master WHERE name IN ('plain', 'own')")
    noted = rows(tmp_path / "app.db", "SELECT version, name, checksum FROM app_migrations_log ORDER BY id")
    assert made == [("own",)]
    assert noted[0] == (1, "one", checksum((directory / "001_one.other.py").read_bytes()))
    assert (runner.status().problems, runner.validate().problems) == ((), ())
    runner.rollback(0)
    assert rows(tmp_path / "app.db", "SELECT name FROM sqlite_master WHERE name IN ('plain', 'own')") == []


def test_another_engine_refuses_variants_for_one_that_it_does_not_know(other: OtherDatabase, tmp_path: Path) -> None:
    directory = write(tmp_path / "app", {"001_one": table("plain"), "001_one.other": table("own")})
    with pytest.raises(MalformedMigration, match=r"called other \(allowed: postgresql, sqlite\)"):
        MigrationRunner(peewee.SqliteDatabase(str(tmp_path / "plain.db")), directory).migrate()
    MigrationRunner(other, directory).migrate()
