"""A block exists exactly as long as rows refer to it, whatever program inserts, updates or deletes the rows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import dump, opened, raw, script
from tests.support.snapshots import DAY, Block, blocks, compact_at_once, number_blocks_from_one, record, stored
from usage_store import UsageSession, UsageSnapshot, maintain
from usage_store.migrate import MigrationRunner
from usage_store.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import peewee

TEXTS = ['{"n": 0}', '{"n": 1}', '{"n": 0}']
ROWS = {"a": [1, 2, 3], "b": [4, 5, 6]}
EVENTS = """
CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL);
INSERT INTO events (session_id) VALUES ('a'), ('b'), ('a');
"""


@pytest.fixture
def path(usage_database: peewee.SqliteDatabase, tmp_path: Path) -> Path:
    """Return the path of a database with sessions a and b, each with three rows in one block."""
    number_blocks_from_one(usage_database)
    for session in "ab":
        record(*TEXTS, session=session)
    compact_at_once(usage_database)
    assert rows_of(blocks(tmp_path / "usage.db")) == {1: [1, 2, 3], 2: [4, 5, 6]}
    return tmp_path / "usage.db"


def rows_of(found: dict[int, Block]) -> dict[int, list[int]]:
    return {block: sorted(row for row, *_ in rows) for block, (_, rows) in found.items()}


def run(path: Path, *statements: str, foreign_keys: str = "OFF", recursive_triggers: str = "OFF") -> None:
    """Run SQL on a connection of another program, with its own settings."""
    with raw(path) as connection:
        connection.execute(f"PRAGMA foreign_keys = {foreign_keys}")
        connection.execute(f"PRAGMA recursive_triggers = {recursive_triggers}")
        for statement in statements:
            connection.execute(statement)


SETTINGS = [(keys, triggers) for keys in ("ON", "OFF") for triggers in ("ON", "OFF")]
DELETIONS: list[tuple[list[str], dict[int, list[int]]]] = [
    (["DELETE FROM usage_snapshots WHERE id = 1"], {1: [2, 3], 2: [4, 5, 6]}),
    (["DELETE FROM usage_snapshots WHERE id IN (1, 3)"], {1: [2], 2: [4, 5, 6]}),
    (["DELETE FROM usage_snapshots WHERE id < 4"], {2: [4, 5, 6]}),
    (["DELETE FROM usage_snapshots WHERE id < 3", "DELETE FROM usage_snapshots WHERE id = 3"], {2: [4, 5, 6]}),
    (["DELETE FROM usage_snapshots WHERE id BETWEEN 2 AND 5"], {1: [1], 2: [6]}),
    (["DELETE FROM usage_snapshots"], {}),
    (["DELETE FROM usage_sessions WHERE session_id = 'a'"], {2: [4, 5, 6]}),
    (["DELETE FROM usage_sessions"], {}),
]


@pytest.mark.parametrize(("keys", "triggers"), SETTINGS)
@pytest.mark.parametrize(("statements", "left"), DELETIONS, ids=range(len(DELETIONS)))
def test_a_block_is_deleted_with_its_last_row(
    path: Path, statements: list[str], left: dict[int, list[int]], keys: str, triggers: str
) -> None:
    run(path, *statements, foreign_keys=keys, recursive_triggers=triggers)
    assert rows_of(blocks(path)) == left


def prune_the_first_three() -> None:
    UsageSnapshot.update(timestamp=int(time.time() - 90 * DAY)).where(UsageSnapshot.id < 4).execute()
    assert UsageSnapshot.prune(60) == 3


def retain_sixty_days() -> None:
    UsageSnapshot.update(timestamp=int(time.time() - 90 * DAY)).where(UsageSnapshot.id < 4).execute()
    assert maintain(retention_days=60, compact_after_days=None).pruned == 3


WAYS: dict[str, Callable[[], object]] = {
    "remove_many": lambda: UsageSession.remove_many(["a"]),
    "prune": prune_the_first_three,
    "maintain": retain_sixty_days,
    "delete_instance of a session": lambda: UsageSession.get_by_id("a").delete_instance(),
    "recursive delete_instance": lambda: UsageSession.get_by_id("a").delete_instance(recursive=True),
    "delete_instance of snapshots": lambda: [UsageSnapshot.get_by_id(row).delete_instance() for row in (1, 2, 3)],
    "delete query": lambda: UsageSnapshot.delete().where(UsageSnapshot.session == "a").execute(),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_block_is_deleted_with_its_last_row_by_this_package_s_methods(path: Path, way: str) -> None:
    WAYS[way]()
    assert rows_of(blocks(path)) == {2: [4, 5, 6]}
    assert {snapshot.id: snapshot.snapshot_data for snapshot in UsageSnapshot.of_session("b")} == dict(
        zip(ROWS["b"], TEXTS, strict=True)
    )


@pytest.mark.parametrize(("keys", "triggers"), SETTINGS)
@pytest.mark.parametrize(
    ("statement", "left"),
    [
        ("DELETE FROM events WHERE id = 1", {1: [1, 2, 3], 2: [4, 5, 6]}),
        ("DELETE FROM events WHERE id = 2", {1: [1, 2, 3]}),
        ("DELETE FROM events", {}),
        ("UPDATE events SET session_id = 'c' WHERE session_id = 'a'", {1: [1, 2, 3], 2: [4, 5, 6]}),
        ("UPDATE events SET session_id = 'b'", {1: [1, 2, 3], 2: [4, 5, 6]}),
    ],
)
def test_blocks_follow_the_host_s_events(
    tmp_path: Path, statement: str, left: dict[int, list[int]], keys: str, triggers: str
) -> None:
    path = tmp_path / "host.db"
    script(path, EVENTS)
    with opened(path) as database, database.bind_ctx(MODELS):
        MigrationRunner(database).migrate()
        number_blocks_from_one(database)
        for session in "ab":
            record(*TEXTS, session=session)
        assert compact_at_once(database) == 6
        run(path, statement, foreign_keys=keys, recursive_triggers=triggers)
        assert rows_of(blocks(path)) == left
        kept = [snapshot.snapshot_data for snapshot in UsageSnapshot.select().order_by(UsageSnapshot.id)]
        assert kept == TEXTS * len(left)


@pytest.mark.parametrize("triggers", ["ON", "OFF"])
@pytest.mark.parametrize(
    ("change", "left"),
    [
        ("snapshot_data = '[]' WHERE id = 1", {1: [2, 3], 2: [4, 5, 6]}),
        ("snapshot_data = '[]' WHERE id < 4", {2: [4, 5, 6]}),
        ("snapshot_data = CAST('[]' AS BLOB)", {}),
        ("snapshot_data = '1' WHERE id > 3", {1: [1, 2, 3]}),
        ("snapshot_data = snapshot_data", {1: [1, 2, 3], 2: [4, 5, 6]}),
        ("snapshot_data = snapshot_data, session_id = 'b' WHERE id = 1", {1: [1, 2, 3], 2: [4, 5, 6]}),
        ("id = -id, timestamp = 5", {1: [-3, -2, -1], 2: [-6, -5, -4]}),
        ("snapshot_data = (SELECT snapshot_data FROM usage_snapshots WHERE id = 4)", {2: [1, 2, 3, 4, 5, 6]}),
        ("snapshot_data = CAST('2:0' AS BLOB) WHERE id = 1", {1: [2, 3], 2: [1, 4, 5, 6]}),
    ],
)
def test_updated_rows_are_counted_for_the_block_of_their_new_reference(
    path: Path, change: str, left: dict[int, list[int]], triggers: str
) -> None:
    run(path, f"UPDATE usage_snapshots SET {change}", recursive_triggers=triggers)
    assert rows_of(blocks(path)) == left


@pytest.mark.parametrize("change", ["snapshot_data = snapshot_data", "id = id + 10, snapshot_data = snapshot_data"])
def test_a_block_stays_if_its_last_row_is_updated_to_the_same_reference(path: Path, change: str) -> None:
    run(path, "DELETE FROM usage_snapshots WHERE id <> 2", f"UPDATE usage_snapshots SET {change}")
    [rows] = rows_of(blocks(path)).values()
    assert [UsageSnapshot.get_by_id(row).snapshot_data for row in rows] == [TEXTS[1]]


COPY = (
    "INSERT INTO usage_snapshots (id, session_id, snapshot_data) "
    "SELECT id + 10, 'b', snapshot_data FROM usage_snapshots WHERE id < 4"
)


def test_a_block_stays_until_the_row_and_its_copy_are_deleted(path: Path) -> None:
    run(path, COPY)
    assert rows_of(blocks(path)) == {1: [1, 2, 3, 11, 12, 13], 2: [4, 5, 6]}
    run(path, "DELETE FROM usage_sessions WHERE session_id = 'a'")
    assert rows_of(blocks(path)) == {1: [11, 12, 13], 2: [4, 5, 6]}
    assert [UsageSnapshot.get_by_id(row).snapshot_data for row in (11, 12, 13)] == TEXTS
    run(path, "DELETE FROM usage_snapshots WHERE id > 10")
    assert rows_of(blocks(path)) == {2: [4, 5, 6]}


def test_replacing_a_row_is_counted_where_recursive_triggers_are_on(path: Path) -> None:
    replace = "REPLACE INTO usage_snapshots (id, session_id, snapshot_data) VALUES ({}, 'a', '[]')"
    run(path, *(replace.format(row) for row in (1, 2, 3)), recursive_triggers="ON")
    assert rows_of(blocks(path)) == {2: [4, 5, 6]}
    assert stored(path)[1] == "[]"


@pytest.mark.parametrize("undo", [["SAVEPOINT s", "ROLLBACK TO s", "RELEASE s"], ["BEGIN", "ROLLBACK"]])
@pytest.mark.parametrize(
    "change",
    [
        COPY,
        "DELETE FROM usage_snapshots",
        "DELETE FROM usage_sessions WHERE session_id = 'a'",
        "UPDATE usage_snapshots SET snapshot_data = '[]' WHERE id < 4",
    ],
)
def test_a_change_that_is_rolled_back_changes_nothing(path: Path, change: str, undo: list[str]) -> None:
    before = dump(path)
    run(path, undo[0], change, *undo[1:])
    assert dump(path) == before
    assert rows_of(blocks(path)) == {1: [1, 2, 3], 2: [4, 5, 6]}


def test_a_statement_that_fails_half_way_changes_nothing(path: Path) -> None:
    run(
        path,
        "CREATE TRIGGER mine BEFORE DELETE ON usage_snapshots WHEN OLD.id = 5 BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    before = dump(path)
    with pytest.raises(Exception, match="no"):
        run(path, "DELETE FROM usage_snapshots")
    assert dump(path) == before
    assert rows_of(blocks(path)) == {1: [1, 2, 3], 2: [4, 5, 6]}
