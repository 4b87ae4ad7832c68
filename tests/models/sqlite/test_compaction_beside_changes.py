"""Changes of others during a compaction are kept. Rows that others delete during a query are still read."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.databases import opened, raw
from tests.support.snapshots import blocks, compact_old, plain_rows, record, stored
from usage_store import UsageSession, UsageSnapshot
from usage_store.engines.interface.pace import Pace
from usage_store.engines.sqlite.file.short_transactions import Turns, finish
from usage_store.models.sqlite.maintenance.compact_snapshots import compact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import peewee


TEXTS = ['{"n": 0}', '{"n": 1}', '{"n": 2}']
ALL_TIME = 10**10
YEAR = 365 * 24  # hours


class Disturbed(Pace):
    """A pace that lets another program act once: after the rows were read, and before the lock is taken."""

    def __init__(self, action: Callable[[], None]) -> None:
        super().__init__(Turns(), 100)
        self._due = iter([action])

    @contextmanager
    def slice(self, database: peewee.SqliteDatabase, rows: int | None = None) -> Iterator[None]:
        """Let the other program act first."""
        for action in self._due:
            action()
        with super().slice(database, rows):
            yield


def compact_by_another(path: Path) -> None:
    with opened(path) as database:
        finish(database, lambda pace: compact(database, ALL_TIME, pace))


def run(path: Path, statement: str) -> None:
    with raw(path) as connection:
        connection.execute(statement)


def compact_once(database: peewee.SqliteDatabase, action: Callable[[], None]) -> int:
    """Run the first transaction of a compaction, with an action of another program in between."""
    return next(compact(database, ALL_TIME, Disturbed(action)))


CHANGES: dict[str, tuple[str, Any]] = {  # what is done to the second of three rows, and what stands in it then
    "changed": ("UPDATE usage_snapshots SET snapshot_data = '[1]' WHERE id = 2", "[1]"),
    "changed by a byte": ("UPDATE usage_snapshots SET snapshot_data = snapshot_data || ' ' WHERE id = 2", '{"n": 1} '),
    "changed to a blob": ("UPDATE usage_snapshots SET snapshot_data = CAST('[1]' AS BLOB) WHERE id = 2", b"[1]"),
    "moved": ("UPDATE usage_snapshots SET session_id = 't' WHERE id = 2", '{"n": 1}'),
    "deleted": ("DELETE FROM usage_snapshots WHERE id = 2", None),
    "replaced": ("REPLACE INTO usage_snapshots (id, session_id, snapshot_data) VALUES (2, 's', '[1]')", "[1]"),
    "renumbered": ("UPDATE usage_snapshots SET id = 9 WHERE id = 2", None),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_row_that_changed_since_it_was_read_is_left_alone(
    usage_database: peewee.SqliteDatabase, path: Path, change: str
) -> None:
    assert record(*TEXTS) == [1, 2, 3]
    UsageSession.register("t")
    statement, left = CHANGES[change]
    assert compact_once(usage_database, lambda: run(path, statement)) == 2
    assert stored(path).get(2) == left
    rows = [row for _, of in blocks(path).values() for row, *_ in of]
    assert sorted(rows) == [1, 3]
    assert [UsageSnapshot.get_by_id(row).snapshot_data for row in (1, 3)] == [TEXTS[0], TEXTS[2]]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM usage_snapshots",
        "DELETE FROM usage_sessions",
        "UPDATE usage_snapshots SET snapshot_data = '[' || id || ']'",
        "UPDATE usage_snapshots SET session_id = 't'",
    ],
)
def test_no_block_is_left_when_every_row_changed(
    usage_database: peewee.SqliteDatabase, path: Path, statement: str
) -> None:
    record(*TEXTS)
    record(*TEXTS, session="s2")
    UsageSession.register("t")
    assert compact_once(usage_database, lambda: run(path, statement)) == 0
    assert blocks(path) == {}
    assert all(isinstance(data, str) for data in stored(path).values())


def test_a_block_stays_if_only_some_of_its_rows_were_changed(usage_database: peewee.SqliteDatabase, path: Path) -> None:
    for session in "abcd":
        record(*TEXTS, session=session)
    taken = "DELETE FROM usage_snapshots WHERE session_id IN ('b', 'd')"
    assert compact_once(usage_database, lambda: run(path, taken)) == 6
    assert sorted({session for block in blocks(path).values() for _, session, _ in block.rows}) == ["a", "c"]


def test_rows_that_another_process_compacted_meanwhile_are_not_compacted_twice(
    usage_database: peewee.SqliteDatabase, path: Path
) -> None:
    expected = dict(zip(record(*TEXTS), TEXTS, strict=True))
    assert compact_once(usage_database, lambda: compact_by_another(path)) == 0
    assert len(blocks(path)) == 1
    assert plain_rows(path) == set()
    assert {snapshot.id: snapshot.snapshot_data for snapshot in UsageSnapshot.of_session("s")} == expected


def test_a_compaction_also_compacts_rows_that_changed_while_it_ran(
    usage_database: peewee.SqliteDatabase, path: Path
) -> None:
    record(*TEXTS)
    change = "UPDATE usage_snapshots SET snapshot_data = '[' || id || ']'"
    done = list(compact(usage_database, ALL_TIME, Disturbed(lambda: run(path, change))))
    assert done == [0, 3]
    assert {row.snapshot_data for row in UsageSnapshot.rows_of_session("s")} == {"[1]", "[2]", "[3]"}
    assert plain_rows(path) == set()


def test_a_compaction_ends_although_a_trigger_of_the_host_prevents_its_updates(
    usage_database: peewee.SqliteDatabase, path: Path
) -> None:
    ids = record(*TEXTS)
    run(path, "CREATE TRIGGER mine BEFORE UPDATE ON usage_snapshots WHEN OLD.id < 3 BEGIN SELECT RAISE(IGNORE); END")
    assert list(islice(compact(usage_database, ALL_TIME, Pace(Turns(), 100)), 5)) == [1, 0]
    assert plain_rows(path) == set(ids[:2])
    assert sum(len(block.rows) for block in blocks(path).values()) == 1


def by_sql(database: peewee.SqliteDatabase) -> Iterator[str]:
    return (text for (text,) in database.execute_sql("SELECT usage_json(snapshot_data) FROM usage_snapshots"))


ALIAS: Any = UsageSnapshot.alias()
READERS: dict[str, Callable[[peewee.SqliteDatabase], Iterator[str]]] = {
    "select": lambda _: (snapshot.snapshot_data for snapshot in UsageSnapshot.select().iterator()),
    "dicts": lambda _: (row["snapshot_data"] for row in UsageSnapshot.select().dicts().iterator()),
    "tuples": lambda _: (text for (text,) in UsageSnapshot.select(UsageSnapshot.snapshot_data).tuples().iterator()),
    "alias": lambda _: (snapshot.snapshot_data for snapshot in ALIAS.select().iterator()),
    "raw": lambda _: (snapshot.snapshot_data for snapshot in UsageSnapshot.raw("SELECT * FROM usage_snapshots")),
    "usage_json": by_sql,
}


@pytest.mark.parametrize(
    "statement", ["DELETE FROM usage_snapshots", "UPDATE usage_snapshots SET snapshot_data = '[]'"]
)
@pytest.mark.parametrize("reader", READERS)
def test_rows_that_others_change_during_a_query_are_read_as_they_were(
    usage_database: peewee.SqliteDatabase, path: Path, reader: str, statement: str
) -> None:
    record(*TEXTS)
    assert compact_old() == len(TEXTS)
    reading = READERS[reader](usage_database)
    first = next(reading)
    run(path, statement)
    assert blocks(path) == {}
    assert [first, *reading] == TEXTS


LISTS: dict[str, Callable[[], list[Any]]] = {
    "recent": lambda: UsageSnapshot.recent(hours_back=YEAR),
    "recent_rows": lambda: UsageSnapshot.recent_rows(hours_back=YEAR),
    "of_session": lambda: UsageSnapshot.of_session("s"),
    "rows_of_session": lambda: UsageSnapshot.rows_of_session("s"),
}


@pytest.mark.parametrize("listed", LISTS)
def test_a_list_reads_rows_and_blocks_in_one_statement(usage_database: peewee.SqliteDatabase, listed: str) -> None:
    record(*TEXTS)
    assert compact_old() == len(TEXTS)
    statements: list[str] = []
    usage_database.connection().set_trace_callback(statements.append)
    assert [row.snapshot_data for row in LISTS[listed]()] == TEXTS[::-1]
    assert len(statements) == 1
