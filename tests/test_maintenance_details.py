"""What maintenance promises and no other test would miss: each of these went red for a breakage that was not seen."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import peewee
import pytest

from tests.compacted import fill, ids_in
from tests.maintained import run_where_waits_have_no_end
from tests.support import TIMEOUT, environment, files_of, opened, raw, rows, script
from usage_store import UsageSession, UsageSnapshot, init_database, maintain, upkeep_after_inserts
from usage_store.cli.usage_commands import _bytes
from usage_store.engines import unwrap
from usage_store.migrate import MigrationRunner
from usage_store.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.clock import Clock


@pytest.fixture(autouse=True)
def _unbound(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Iterator[None]:  # noqa: ARG001  no time passes
    """Have no pauses between two transactions of upkeep, and give the models back."""
    monkeypatch.setattr(upkeep_after_inserts, "_PAUSE", 0)
    monkeypatch.setattr(upkeep_after_inserts, "_INTERVAL", 0)
    monkeypatch.setattr(UsageSnapshot, "upkeep", None)
    with peewee.SqliteDatabase(None).bind_ctx(MODELS, bind_refs=False, bind_backrefs=False):
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name a database of 300 snapshots of the last 60 days, nobody connected to it."""
    return made(tmp_path / "usage.db")


def made(path: Path) -> Path:
    with opened(path) as database, database.bind_ctx(MODELS):
        MigrationRunner(database).migrate()
        UsageSession.register("s")
        fill(database, 300, 60)
    return path


def run(cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "usage_store.maintain", *words]
    return subprocess.run(
        command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


def test_sessions_that_the_database_refuses_half_way_leave_none(path: Path) -> None:
    with closing(init_database(path)):
        script(
            path,
            "CREATE TRIGGER t BEFORE INSERT ON usage_sessions WHEN NEW.session_id = 'c' "
            "BEGIN SELECT RAISE(ABORT, 'not mine'); END",
        )
        with pytest.raises(peewee.IntegrityError, match="not mine"):
            UsageSession.register_many(["a", "b", "c", "d"])
    assert rows(path, "SELECT session_id FROM usage_sessions") == [("s",)]


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_closed_database_is_closed_again_when_all_went_well(path: Path, *, dry_run: bool) -> None:
    database: peewee.SqliteDatabase = unwrap(init_database(path))
    database.close()
    assert maintain(dry_run=dry_run).compacted > 0
    assert database.is_closed()


def test_a_file_that_can_shrink_is_not_rewritten_again(path: Path) -> None:
    with opened(path) as database:
        statements: list[str] = []
        database.connection().set_trace_callback(statements.append)
        maintain(database, retention_days=30, rewrite=True)
    assert "COMMIT" in statements
    assert "VACUUM" not in statements


def test_the_same_database_opened_without_a_limit_has_none_any_more(path: Path) -> None:
    with opened(path) as database:
        init_database(database, retention_days=30)
        init_database(database)
        for _ in range(20):
            UsageSnapshot.record("s", {})
    assert len(ids_in(path)) == 300 + 20


def test_what_failed_is_done_once_it_can_be(path: Path) -> None:
    script(path, "CREATE TRIGGER t BEFORE DELETE ON usage_snapshots BEGIN SELECT RAISE(ABORT, 'not mine'); END")
    with closing(init_database(path, retention_days=30)):
        UsageSnapshot.record("s", {})
        assert len(ids_in(path)) == 300 + 1
        script(path, "DROP TRIGGER t")
        for _ in range(40):
            UsageSnapshot.record("s", {})
    assert len(ids_in(path)) == 150 + 41


def test_with_nothing_to_do_it_does_not_look_at_every_insert(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(init_database(path, retention_days=365)) as database:
        for _ in range(40):
            UsageSnapshot.record("s", {})
        monkeypatch.setattr(upkeep_after_inserts, "_INTERVAL", 3600)
        for _ in range(5):  # a look that finds nothing takes two steps
            UsageSnapshot.record("s", {})
        statements: list[str] = []
        unwrap(database).connection().set_trace_callback(statements.append)
        UsageSnapshot.record("s", {})
    assert {statement.split(" (")[0] for statement in statements} == {"INSERT INTO usage_snapshots"}


def test_the_wait_for_a_lock_is_the_one_that_was_asked_for(path: Path) -> None:
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        assert run_where_waits_have_no_end(path.parent, "--wait", "0.2").returncode == 6


def test_a_dry_run_does_not_switch_a_file_to_wal(path: Path) -> None:
    script(path, "PRAGMA journal_mode = DELETE")
    before = files_of(path.parent)
    assert run(path.parent, "--retention-days", "30", "--dry-run").returncode == 0
    assert files_of(path.parent) == before


@pytest.mark.parametrize(
    ("text", "number"), [("7", 7), ("3k", 3 * 1024), ("5M", 5 * 1024**2), ("2G", 2 * 1024**3), ("2GiB", 2 * 1024**3)]
)
def test_units_are_powers_of_1024(text: str, number: int) -> None:
    assert _bytes(text) == number
