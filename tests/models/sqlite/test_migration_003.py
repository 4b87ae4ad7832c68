"""Databases of version 2 are migrated to version 3, and a rollback makes them as they were."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import dump_without_log, opened, raw, rows, script
from tests.support.maintenance import copied
from tests.support.migrations import history, runner_of
from tests.support.programs import ROOT
from usage_store.engines.interface.schema_differences import State, not_restored
from usage_store.engines.sqlite.copies.hash_rows import read_state
from usage_store.migrate import MigrationRunner
from usage_store.migrate.rehearse import rehearse
from usage_store.models import MODELS, UsageSnapshot

if TYPE_CHECKING:
    from pathlib import Path

# The package created this file at version 2, beside a host's events: sessions a, b and c with compacted and plain
# snapshots, a session that was removed with its blocks, and a blob that another program wrote.
MADE_BY_VERSION_2 = ROOT / "tests" / "files" / "version2.sqlite"
OWN = {"schema_migrations", "schema_migration_log"}
STARTS = range(100_000_000, 1_000_000_000)
COUNTER = "SELECT seq FROM sqlite_sequence WHERE name = 'usage_snapshot_blocks'"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return copied(MADE_BY_VERSION_2, tmp_path / "usage.db")


def texts(path: Path) -> dict[int, str]:
    with opened(path) as database, database.bind_ctx(MODELS):
        return {row.id: row.snapshot_data for row in UsageSnapshot.select()}


def migrated(path: Path, target: int | None = None) -> None:
    with opened(path) as database:
        runner = MigrationRunner(database, backup=False)
        if target is None:
            runner.migrate()
        else:
            runner.rollback(target)


def state_of(path: Path) -> State:
    with opened(path) as database:
        return read_state(database, OWN)


def test_the_file_is_of_version_2_and_small() -> None:
    assert history(MADE_BY_VERSION_2) == [1, 2]
    assert MADE_BY_VERSION_2.stat().st_size < 100_000
    kinds = dict(rows(MADE_BY_VERSION_2, "SELECT typeof(snapshot_data), count(*) FROM usage_snapshots GROUP BY 1"))
    assert kinds == {"blob": 83, "text": 5}


def test_every_row_text_and_id_is_the_same_after_up_and_after_down(path: Path) -> None:
    before, before_texts = dump_without_log(path), texts(path)
    migrated(path)
    up = dump_without_log(path)
    for table in ("usage_snapshots", "usage_snapshot_blocks", "usage_sessions", "usage_config", "events"):
        assert up[table] == before[table]
    assert texts(path) == before_texts
    migrated(path, 2)
    assert dump_without_log(path) == before
    assert texts(path) == before_texts


def test_rehearsed_version_3_leaves_nothing_behind(path: Path) -> None:
    with opened(path) as database:
        done = rehearse(MigrationRunner(database))
    assert [(each.migration.version, each.restored, each.differences) for each in done.migrations] == [(3, True, ())]


def test_a_version_without_003_rolls_it_back_from_the_log(path: Path, tmp_path: Path) -> None:
    before, state = dump_without_log(path), state_of(path)
    migrated(path)
    older = tmp_path / "older"
    older.mkdir()
    for file in (ROOT / "migrations").glob("00[12]_*.py"):
        shutil.copy(file, older)
    with runner_of(path, older, backup=False) as runner:
        assert [step.migration.version for step in runner.rollback(2, stored_source=True)] == [3]
        assert runner.validate().problems == ()
    assert dump_without_log(path) == before
    assert not_restored(state, state_of(path)) == ()


def test_migration_003_imports_nothing_from_the_package() -> None:
    source = next((ROOT / "migrations").glob("003_follow_events_and_references.py")).read_text(encoding="utf-8")
    assert "usage_store" in source
    assert "import usage_store" not in source
    assert "from usage_store" not in source


@pytest.mark.parametrize("blocks", [[], [1], [1, 13], [500_000_000]])
def test_version_3_starts_block_numbers_at_nine_digits_and_down_restores_the_counter(
    tmp_path: Path, blocks: list[int]
) -> None:
    path = tmp_path / "usage.db"
    with opened(path) as database:
        MigrationRunner(database).migrate(2)
        for block in blocks:
            database.execute_sql("INSERT INTO usage_snapshot_blocks (id, data) VALUES (?, x'')", (block,))
        before = rows(path, COUNTER)
        MigrationRunner(database).migrate()
        (counter,) = rows(path, COUNTER)[0]
        assert counter in STARTS
        assert counter > max(blocks, default=0) or blocks == [counter]
        MigrationRunner(database, backup=False).rollback(2)
        assert rows(path, COUNTER) == before


def test_two_stores_start_from_different_numbers(tmp_path: Path) -> None:
    counters = set()
    for name in ("a.db", "b.db"):
        migrated(tmp_path / name)
        counters |= set(rows(tmp_path / name, COUNTER))
    assert len(counters) == 2


def test_a_used_block_number_is_not_used_again_after_a_rollback(path: Path) -> None:
    migrated(path)
    with raw(path) as connection:
        block = connection.execute("INSERT INTO usage_snapshot_blocks (data) VALUES (x'')").lastrowid
        migrated(path, 2)
        assert rows(path, COUNTER) == [(block,)]
        migrated(path)
        assert rows(path, COUNTER)[0][0] >= block


@pytest.mark.parametrize("name", ["events_old", 'it\'s "old"'])
def test_triggers_of_a_renamed_table_are_created_on_it_again(path: Path, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    script(path, f"ALTER TABLE events RENAME TO {quoted}")
    state = state_of(path)
    migrated(path)
    tables = rows(
        path, "SELECT DISTINCT tbl_name FROM sqlite_master WHERE name LIKE 'usage_events_%' AND type='trigger'"
    )
    assert tables == [(name,)]
    migrated(path, 2)
    assert not_restored(state, state_of(path)) == ()


def test_a_host_that_is_not_followed_is_not_followed_after_up_and_down(path: Path) -> None:
    script(path, "".join(f"DROP TRIGGER usage_events_{done};" for done in ("inserted", "deleted", "moved")))
    before = dump_without_log(path)
    migrated(path)
    assert rows(path, "SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'events'") == []
    migrated(path, 2)
    assert dump_without_log(path) == before
