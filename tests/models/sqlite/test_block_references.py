"""A reference is valid in one file only, and each block counts its references."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import opened, raw, rows
from tests.support.driver import sqlite3
from tests.support.maintenance import copied, take_small_steps
from tests.support.programs import ROOT, forked
from tests.support.snapshots import blocks, compact_at_once, compact_old, record, stored
from usage_store import MigrationRunner, UsageSession, UsageSnapshot, maintain, register_usage_json
from usage_store.engines.interface.pace import Pace
from usage_store.engines.sqlite.file.short_transactions import Turns, finish
from usage_store.models import MODELS
from usage_store.models.sqlite.maintenance.count_references import count_refs_again, renumber, wrong_refs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from peewee import SqliteDatabase

MADE_BY_VERSION_2 = ROOT / "tests" / "files" / "version2.sqlite"
COLUMNS = "session_id, snapshot_data, snapshot_type, timestamp"
SESSIONS = (
    "INSERT INTO {0}.usage_sessions (session_id) SELECT session_id FROM {1}.usage_sessions WHERE true "
    "ON CONFLICT DO NOTHING"
)


def store(path: Path, *texts: str) -> Path:
    """Create a store of compacted snapshots of session s."""
    with opened(path) as database, database.bind_ctx(MODELS):
        MigrationRunner(database).migrate()
        record(*texts)
        assert compact_old() == len(texts)
    return path


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    return store(tmp_path / "ours.db", "[1]", "[2]")


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    return store(tmp_path / "theirs.db", '["theirs"]', '["theirs, too"]')


@pytest.fixture
def older(tmp_path: Path) -> Iterator[SqliteDatabase]:
    """Provide a store that was compacted at version 2, and migrated to version 3."""
    with opened(copied(MADE_BY_VERSION_2, tmp_path / "older.db")) as database, database.bind_ctx(MODELS):
        MigrationRunner(database).migrate()
        yield database


def texts(path: Path) -> list[str]:
    with opened(path) as database, database.bind_ctx(MODELS):
        return sorted(row.snapshot_data for row in UsageSnapshot.select())


def attached(path: Path, other: Path) -> closing[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("ATTACH ? AS other", (str(other),))
    return closing(connection)


def test_rows_copied_from_another_store_are_refused(ours: Path, theirs: Path) -> None:
    with attached(ours, theirs) as connection:
        connection.execute(SESSIONS.format("main", "other"))
        with pytest.raises(sqlite3.IntegrityError, match="refers to a block that is not there"):
            connection.execute(f"INSERT INTO usage_snapshots ({COLUMNS}) SELECT {COLUMNS} FROM other.usage_snapshots")
    assert texts(ours) == ["[1]", "[2]"]


def test_usage_json_copies_the_texts_of_the_other_store(ours: Path, theirs: Path) -> None:
    with attached(theirs, ours) as connection:  # usage_json() reads the blocks of the main database
        register_usage_json(connection)
        connection.execute(SESSIONS.format("other", "main"))
        plain = COLUMNS.replace("snapshot_data", "usage_json(snapshot_data)")
        connection.execute(f"INSERT INTO other.usage_snapshots ({COLUMNS}) SELECT {plain} FROM main.usage_snapshots")
    assert texts(ours) == ['["theirs"]', '["theirs, too"]', "[1]", "[2]"]
    assert set(blocks(ours)).isdisjoint(blocks(theirs))


def test_blocks_copied_with_their_rows_are_counted_once_after_maintenance(ours: Path, theirs: Path) -> None:
    with attached(ours, theirs) as connection:
        connection.execute("INSERT INTO usage_snapshot_blocks SELECT * FROM other.usage_snapshot_blocks")
        connection.execute(f"INSERT INTO usage_snapshots ({COLUMNS}) SELECT {COLUMNS} FROM other.usage_snapshots")
    with opened(ours) as database:
        refs = {block: found.rows for block, found in blocks(theirs).items()}
        assert list(wrong_refs(database)) == [(block, 2 * len(rows), len(rows)) for block, rows in refs.items()]
        maintain(database)
        assert list(wrong_refs(database)) == []
    assert texts(ours) == ['["theirs"]', '["theirs, too"]', "[1]", "[2]"]
    with raw(ours) as connection:
        connection.execute("DELETE FROM usage_snapshots")
    assert blocks(ours) == {}


@pytest.mark.parametrize("wrong", [-1, 0, 1, 99])
def test_a_wrong_count_of_references_is_corrected(usage_database: SqliteDatabase, tmp_path: Path, wrong: int) -> None:
    record("[1]", "[2]")
    compact_old()
    found = blocks(tmp_path / "usage.db")
    usage_database.execute_sql("UPDATE usage_snapshot_blocks SET refs = ?", (wrong,))
    expected = [(block, wrong, len(each.rows)) for block, each in found.items() if len(each.rows) != wrong]
    assert list(wrong_refs(usage_database)) == expected
    maintain()
    assert blocks(tmp_path / "usage.db") == found


def test_a_block_without_references_is_deleted(usage_database: SqliteDatabase) -> None:
    usage_database.execute_sql("INSERT INTO usage_snapshot_blocks (refs, data) VALUES (3, x'')")
    maintain()
    assert usage_database.execute_sql("SELECT count(*) FROM usage_snapshot_blocks").fetchone() == (0,)


def test_a_reference_that_is_added_during_the_correction_is_counted(
    usage_database: SqliteDatabase, tmp_path: Path
) -> None:
    (row,) = record("[1]")
    compact_old()
    usage_database.execute_sql("UPDATE usage_snapshot_blocks SET refs = 5")
    path = tmp_path / "usage.db"

    class Meanwhile(Turns):
        """Turns. Before each of them another program copies a row."""

        @contextmanager
        def slice(self, database: SqliteDatabase) -> Iterator[None]:
            with raw(path) as connection:
                copy = f"INSERT INTO usage_snapshots ({COLUMNS}) SELECT {COLUMNS} FROM usage_snapshots WHERE id = ?"
                connection.execute(copy, (row,))
            with super().slice(database):
                yield

    list(count_refs_again(usage_database, Pace(Meanwhile())))
    assert [(refs, counted) for _, refs, counted in wrong_refs(usage_database)] == [(6, 2)]
    maintain()
    assert [len(block.rows) for block in blocks(path).values()] == [2]


def test_maintenance_writes_nothing_if_every_count_is_right(usage_database: SqliteDatabase) -> None:
    record("[1]", "[2]")
    compact_old()
    changes = usage_database.connection().total_changes
    finish(usage_database, lambda pace: count_refs_again(usage_database, pace))
    assert usage_database.connection().total_changes == changes


@pytest.mark.usefixtures("older")
def test_block_numbers_of_version_2_stay_unless_renumber_is_given(tmp_path: Path) -> None:
    path = tmp_path / "older.db"
    before, kept = texts(path), stored(path)
    maintain(compact_after_days=None)
    assert stored(path) == kept
    assert maintain(compact_after_days=None, renumber=True).left == ()
    assert texts(path) == before
    assert min(blocks(path)) >= 100_000_000
    again = stored(path)
    maintain(compact_after_days=None, renumber=True)
    assert stored(path) == again


def test_new_blocks_and_renumbered_ones_have_numbers_of_their_own(older: SqliteDatabase, tmp_path: Path) -> None:
    path = tmp_path / "older.db"
    UsageSession.register("s")
    record(*(f"[{n}]" for n in range(30)))
    maintain()
    before = texts(path)
    count = len(blocks(path))
    maintain(older, renumber=True)
    assert texts(path) == before
    assert len(blocks(path)) == count


def test_renumbering_stopped_by_its_budget_says_what_is_left(older: SqliteDatabase) -> None:
    done = maintain(older, compact_after_days=None, renumber=True, budget=1e-9)
    assert [line.partition(" ")[2] for line in done.left] == ["blocks to be renumbered"]


def test_renumbering_killed_after_any_transaction_continues_and_creates_no_block_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole.db"
    with opened(copied(MADE_BY_VERSION_2, whole)) as database:
        MigrationRunner(database).migrate()
    expected, number = texts(whole), len(blocks(whole))
    for killed_after in range(1, 12):
        path = tmp_path / f"{killed_after}.db"
        copied(whole, path)

        def die(path: Path = path, killed_after: int = killed_after) -> None:
            with opened(path) as database:
                take_small_steps(monkeypatch)
                for _ in zip(renumber(database, Pace(Turns())), range(killed_after), strict=False):
                    pass
                os._exit(9)

        assert forked(die) == 9
        assert texts(path) == expected
        with opened(path) as database:
            assert list(wrong_refs(database)) == []
            maintain(database, compact_after_days=None, renumber=True)
        assert texts(path) == expected
        assert len(blocks(path)) == number
        assert min(blocks(path)) >= 100_000_000


def test_a_number_of_another_block_is_not_used(older: SqliteDatabase, tmp_path: Path) -> None:
    before = texts(tmp_path / "older.db")
    start = older.execute_sql("SELECT number FROM usage_store_state WHERE name = 'first_block'").fetchone()[0]
    (other,) = older.execute_sql("SELECT data FROM usage_snapshot_blocks WHERE id = 12").fetchone()
    older.execute_sql("INSERT INTO usage_snapshot_blocks (id, refs, data) VALUES (?, 0, ?)", (start + 1, other))
    finish(older, lambda pace: renumber(older, pace))
    assert texts(tmp_path / "older.db") == before


def test_a_reference_is_at_most_19_bytes_after_a_million_years(usage_database: SqliteDatabase, tmp_path: Path) -> None:
    usage_database.execute_sql("UPDATE sqlite_sequence SET seq = 1e13 WHERE name = 'usage_snapshot_blocks'")
    record(*(f"[{n}]" for n in range(3000)), age=40)
    assert compact_at_once(usage_database) == 3000
    assert max(map(len, stored(tmp_path / "usage.db").values())) <= 19
    assert len(texts(tmp_path / "usage.db")) == 3000


def test_copies_of_one_file_share_their_numbers(ours: Path, tmp_path: Path) -> None:
    copy = copied(ours, tmp_path / "copy.db")
    counter = "SELECT seq FROM sqlite_sequence WHERE name = 'usage_snapshot_blocks'"
    assert rows(ours, counter) == rows(copy, counter)
