"""Snapshots are deleted by age or with their session, in short transactions. Nothing else is deleted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import peewee
import pytest

import usage_store
from tests.support.databases import raw, rows
from tests.support.snapshots import DAY, FILL, TEXTS, blocks, commits, compact_old, ids_in, record
from usage_store import UsageSession, UsageSnapshot
from usage_store.engines.interface.pace import Pace
from usage_store.engines.sqlite.file.short_transactions import Turns
from usage_store.errors import InvalidValue
from usage_store.models.sqlite.maintenance import delete_snapshots

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MANY = 2000


def test_pruning_is_exact_to_the_second(usage_database: peewee.SqliteDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    UsageSession.register("s")
    now = int(time.time())
    monkeypatch.setattr(time, "time", lambda: now + 0.9)
    limit = now - 30 * DAY
    ids = [UsageSnapshot.record("s", {}, timestamp=limit + second).id for second in (-2, -1, 0, 1, 2)]
    assert usage_store.delete_old_usage_snapshots() == 2
    assert [row.id for row in UsageSnapshot.select().order_by(UsageSnapshot.id)] == ids[2:]
    assert usage_store.delete_old_usage_snapshots(30) == 0
    assert usage_database.in_transaction() is False


@pytest.mark.parametrize("all_of_them", [0, 0.0])
def test_zero_days_deletes_all_whatever_the_timestamp(
    usage_database: peewee.SqliteDatabase, tmp_path: Path, caplog: pytest.LogCaptureFixture, all_of_them: float
) -> None:
    record({}, {}, age=0)
    record({}, age=3000)
    for timestamp in (0, 10**11 - 1):
        usage_database.execute_sql(FILL, ("{}", timestamp))
    assert usage_store.delete_old_usage_snapshots(all_of_them) == 5
    assert ids_in(tmp_path / "usage.db") == []
    assert caplog.records == []


def test_old_snapshots_inserted_during_pruning_are_left_to_the_next_call(
    usage_database: peewee.SqliteDatabase, tmp_path: Path
) -> None:
    record(*({"n": n} for n in range(MANY)), age=60)
    steps = 0
    with raw(tmp_path / "usage.db") as other:
        for _ in delete_snapshots.prune(usage_database, int(time.time() - 30 * DAY), Pace(Turns())):
            other.executemany(FILL, [("{}", 0)] * 50)
            steps += 1
            assert steps < MANY, "it would never end"
    assert ids_in(tmp_path / "usage.db") == list(range(MANY + 1, MANY + 1 + 50 * steps))


@pytest.mark.parametrize("compacted", [False, True])
def test_many_snapshots_are_deleted_in_several_transactions_oldest_first(
    usage_database: peewee.SqliteDatabase, tmp_path: Path, *, compacted: bool
) -> None:
    old, new = record(*({"n": n} for n in range(MANY)), age=60), record({}, {}, age=2)
    if compacted:
        compact_old()
    steps = delete_snapshots.prune(usage_database, int(time.time() - 30 * DAY), Pace(Turns()))
    first = next(steps)
    assert 0 < first < MANY
    assert ids_in(tmp_path / "usage.db") == [*old[first:], *new]  # committed, and the oldest
    del steps
    assert commits(usage_database, UsageSnapshot.prune) > 2
    assert ids_in(tmp_path / "usage.db") == new
    assert len(blocks(tmp_path / "usage.db")) == compacted


def test_deletions_before_an_interruption_stay_and_the_next_call_continues(
    usage_database: peewee.SqliteDatabase, tmp_path: Path
) -> None:
    record(*({"n": n} for n in range(MANY)), age=60)
    seen = 0

    def interrupt(statement: str) -> None:
        nonlocal seen
        seen += statement.startswith("BEGIN")
        if seen == 4:
            usage_database.connection().set_trace_callback(None)
            usage_database.connection().interrupt()

    usage_database.connection().set_trace_callback(interrupt)
    with pytest.raises(peewee.OperationalError, match="interrupted"):
        UsageSnapshot.prune()
    remaining = len(ids_in(tmp_path / "usage.db"))
    assert 0 < remaining < MANY
    assert usage_database.connection().in_transaction is False
    assert UsageSnapshot.prune() == remaining
    assert ids_in(tmp_path / "usage.db") == []


@pytest.mark.parametrize("begin", ["BEGIN", "BEGIN IMMEDIATE", "atomic"])
@pytest.mark.parametrize("call", [UsageSnapshot.prune, lambda: UsageSession.remove_many(["s"])])
def test_inside_a_transaction_it_is_a_part_of_that(
    usage_database: peewee.SqliteDatabase, tmp_path: Path, begin: str, call: Callable[[], int]
) -> None:
    ids = record(*({"n": n} for n in range(MANY)), age=60)
    if begin == "atomic":
        with usage_database.atomic() as transaction:
            assert call() == MANY
            assert UsageSnapshot.select().count() == 0
            transaction.rollback()
    else:
        usage_database.execute_sql(begin)
        assert call() == MANY
        assert usage_database.connection().in_transaction
        usage_database.execute_sql("ROLLBACK")
    assert ids_in(tmp_path / "usage.db") == ids
    assert rows(tmp_path / "usage.db", "SELECT session_id FROM usage_sessions") == [("s",)]


@pytest.mark.parametrize(
    ("function", "given"),
    [
        (usage_store.remove_sessions, "abc"),
        (usage_store.remove_sessions, ["s", "\ud800"]),
        (usage_store.get_session_sizes, ""),
        (usage_store.get_session_sizes, 5),
        (usage_store.delete_old_usage_snapshots, -1),
    ],
)
def test_a_bad_argument_raises_and_nothing_changes(
    function: Callable[[Any], Any],
    given: object,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    usage_database: peewee.SqliteDatabase,  # noqa: ARG001
) -> None:
    ids = record(*TEXTS, age=60)
    with pytest.raises(InvalidValue):
        function(given)
    assert not caplog.records, "logged and raised"
    assert ids_in(tmp_path / "usage.db") == ids
