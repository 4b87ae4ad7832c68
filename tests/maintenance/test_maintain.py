"""maintain() prunes, compacts, evicts and gives pages back, as it was asked and no more, and says what is left."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import peewee
import pytest

from tests.support.databases import files_of, has_open_transaction, opened, script
from tests.support.engines import Place, differs
from tests.support.maintenance import refuse_deletions
from tests.support.programs import TIMEOUT, printed
from tests.support.snapshots import DAY, fill, filled, ids_in, on_disk, plain_rows, record
from tests.support.stores import filled_at
from usage_store import UsageSession, UsageSnapshot, init_database, maintain
from usage_store.engines import unwrap
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.errors import ConfigurationError, InvalidValue, TransactionOpen
from usage_store.migrate import MigrationRunner
from usage_store.models import MODELS
from usage_store.models.fields.retention_limits import LEAST_BYTES

pytestmark = pytest.mark.quick

MB = 2**20


@pytest.fixture
def path(database: peewee.Database, store_target: Place) -> Place:  # noqa: ARG001  it makes the tables
    return store_target


def test_each_step_does_its_own_and_reports_it(database: Any, path: Place) -> None:
    ids = fill(database, 1000, 100)
    compacts = not differs(path, "compaction")
    before = on_disk(path) if isinstance(path, Path) else 0
    done = maintain(retention_days=30, compact_after_days=10)
    assert (done.pruned, done.compacted, done.evicted, done.left) == (700, 200 if compacts else 0, 0, ())
    assert ids_in(path) == ids[700:]
    assert plain_rows(path) == set(ids[900:] if compacts else ids[700:])
    if isinstance(path, Path):  # the file of a table does not shrink on a server
        assert done.bytes_after < done.bytes_before / 2
        assert (done.bytes_before, done.bytes_after) == (before, on_disk(path))
    assert 0 < done.longest_lock < done.seconds < TIMEOUT


def test_what_is_not_asked_for_is_not_done(database: Any, path: Place) -> None:
    ids = fill(database, 300, 100)
    assert maintain(compact_after_days=None)[:3] == (0, 0, 0)
    assert maintain(retention_days=50, compact_after_days=None)[:3] == (150, 0, 0)
    assert plain_rows(path) == set(ids[150:])
    assert maintain()[:3] == (0, 0 if differs(path, "compaction") else 129, 0)
    assert maintain(max_bytes=LEAST_BYTES)[:3] == (0, 0, 0)


@pytest.mark.only_on("sqlite", "compaction")
@pytest.mark.slow
def test_a_budget_ends_it_early_and_the_next_calls_finish(database: Any, path: Place) -> None:
    ids = fill(database, 3000, 60)
    done = maintain(retention_days=30, budget=1e-6)
    assert 0 < done.pruned < 1500
    pruned, compacted = (1500 - done.pruned, 1150)
    assert done.left[:2] == (f"{pruned:,} snapshots to be pruned", f"{compacted:,} snapshots to be compacted")
    total = done.pruned
    for _ in range(500):
        done = maintain(retention_days=30, budget=0.02)
        total += done.pruned
        if not done.left:
            break
    assert (total, done.left) == (1500, ())
    assert ids_in(path) == ids[1500:]
    assert len(ids_in(path)) - len(plain_rows(path)) == compacted


@pytest.mark.only_on("sqlite", "compaction")
@pytest.mark.slow
def test_a_dry_run_changes_nothing_and_tells_what_would_happen(database: Any, path: Place) -> None:
    for number in range(3000):
        UsageSnapshot.record(
            "s", {"n": number, "filler": "x" * 3700}, timestamp=time.time() - 100 * DAY + number * 2500
        )
    maintain(compact_after_days=80)
    database.close()
    before = files_of(path.parent)
    with closing(open_database(path, readonly=True)) as readonly:
        told = maintain(readonly, retention_days=60, dry_run=True)
    assert files_of(path.parent) == before
    with closing(open_database(path)) as writable:
        done = maintain(writable, retention_days=60)
    assert told[:4] == done[:4]
    assert (done.pruned, done.compacted) > (500, 500)
    assert told.bytes_before == done.bytes_before
    assert told.bytes_after == pytest.approx(done.bytes_after, abs=0.15 * done.bytes_before)


@pytest.mark.parametrize(
    "options",
    [
        {"retention_days": 0},
        {"retention_days": -1},
        {"compact_after_days": float("nan")},
        {"max_bytes": LEAST_BYTES - 1},
        {"max_bytes": "16M"},
        {"budget": 0},
    ],
)
def test_a_bad_option_is_refused(database: Any, path: Place, options: dict[str, Any]) -> None:
    ids = fill(database, 10, 60)
    with pytest.raises(InvalidValue, match=next(iter(options))):
        maintain(**options)
    assert plain_rows(path) == set(ids)


@pytest.mark.parametrize("begin", ["atomic", "BEGIN"])
def test_an_open_transaction_is_refused(database: Any, path: Place, begin: str) -> None:
    ids = fill(database, 10, 60)
    if begin == "atomic":
        with database.atomic(), pytest.raises(TransactionOpen):
            maintain(retention_days=1)
    else:
        database.execute_sql("BEGIN")
        with pytest.raises(TransactionOpen):
            maintain(retention_days=1)
        assert has_open_transaction(database)
        database.execute_sql("ROLLBACK")
    assert plain_rows(path) == set(ids)


@pytest.mark.parametrize("version", [0, 1])
def test_a_database_without_blocks_is_refused(tmp_path: Path, version: int) -> None:
    with opened(tmp_path / "older.db") as database:
        if version:
            MigrationRunner(database).migrate(version)
        with pytest.raises(ConfigurationError, match="version 2"):
            maintain(database)


def test_the_connection_is_as_it_was_after_success_and_failure(database: Any, path: Place) -> None:
    def settings() -> list[Any]:
        return [database.execute_sql(f"{reads} {name}").fetchone() for name in names]

    reads, names = "PRAGMA", ("wal_autocheckpoint", "busy_timeout", "cache_size", "query_only")
    given = ("PRAGMA cache_size = -1234", "PRAGMA wal_autocheckpoint = 77")
    if differs(path, "settings of a connection"):
        reads, names = "SHOW", ("lock_timeout", "statement_timeout", "work_mem", "transaction_read_only")
        given = ("SET lock_timeout = '7s'", "SET work_mem = '5MB'")
    for setting in given:
        database.execute_sql(setting)
    before = settings()
    fill(database, 500, 60)
    maintain(retention_days=30)
    assert settings() == before
    refuse_deletions(path)
    with pytest.raises(peewee.DatabaseError, match="not mine"):
        maintain(retention_days=1)
    assert settings() == before
    assert not has_open_transaction(database)
    database.close()
    with pytest.raises(peewee.DatabaseError):
        maintain(retention_days=1)
    assert database.is_closed()


def test_progress_is_told(database: Any, path: Place) -> None:
    told: list[tuple[str, int, int]] = []
    fill(database, 1000, 60)
    maintain(retention_days=30, compact_after_days=20, on_progress=lambda *what: told.append(what))
    steps_of_a_file = () if differs(path, "compaction") else ("compacted", "given back")
    assert tuple(dict.fromkeys(name for name, _, _ in told)) == ("pruned", *steps_of_a_file)
    for name, total in (("pruned", 500), ("compacted", 167))[: 1 + bool(steps_of_a_file)]:
        steps = [(done, of) for what, done, of in told if what == name]
        assert steps == sorted(steps)
        assert {of for _, of in steps} == {total}
        assert steps[-1] == (total, total)


def test_a_database_in_memory_is_maintained_too() -> None:
    memory = open_database(":memory:")
    with closing(memory), memory.bind_ctx(MODELS):
        MigrationRunner(memory).migrate()
        record({}, {}, {}, age=40)
        record({}, age=10)
        assert maintain(memory, retention_days=30)[:3] == (3, 1, 0)
        assert UsageSnapshot.get().snapshot_data == "{}"


def test_a_rollback_journal_will_do(tmp_path: Path) -> None:
    database = peewee.SqliteDatabase(str(tmp_path / "usage.db"), pragmas={"journal_mode": "delete"})
    with closing(database), database.bind_ctx(MODELS):
        MigrationRunner(database).migrate()
        record({}, {}, {}, age=40)
        record({}, age=10)
        assert maintain(database, retention_days=30)[:3] == (3, 1, 0)
        assert UsageSnapshot.get().snapshot_data == "{}"


def test_the_command_s_module_does_not_hide_the_function(database: Any, path: Place) -> None:
    fill(database, 10, 60)
    imports = "import sys, usage_store.cli.usage_commands; from usage_store import init_database, maintain"
    code = f"{imports}; init_database(sys.argv[1]); print(maintain(retention_days=30).pruned)"
    assert printed(code, path, cwd=path.parent) == ("5\n", [])


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_closed_database_is_closed_again_when_all_went_well(store_target: Place, *, dry_run: bool) -> None:
    database: peewee.Database = unwrap(init_database(filled_at(store_target, 300)))
    database.close()
    assert maintain(retention_days=30, dry_run=dry_run).pruned > 0
    assert database.is_closed()


def test_a_file_that_can_shrink_is_not_rewritten_again(tmp_path: Path) -> None:
    with opened(filled(tmp_path / "usage.db", 300)) as database:
        statements: list[str] = []
        database.connection().set_trace_callback(statements.append)
        maintain(database, retention_days=30, rewrite=True)
    assert "COMMIT" in statements
    assert "VACUUM" not in statements


def test_a_dry_run_in_utf_16_tells_that_nothing_will_be_compacted(tmp_path: Path) -> None:
    script(tmp_path / "usage.db", "PRAGMA encoding = 'UTF-16'; CREATE TABLE host_notes (note TEXT)")
    with opened(tmp_path / "usage.db") as database, database.bind_ctx(MODELS):
        MigrationRunner(database).migrate()
        UsageSession.register("s")
        fill(database, 100, 60)
        told, done = (maintain(database, dry_run=dry_run) for dry_run in (True, False))
    assert told.compacted == done.compacted == 0
