"""Snapshots are inserted by one plain statement, also if a host has triggers on the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import peewee
import pytest

from usage_store import UsageSnapshot, insert_usage_snapshot, insert_usage_snapshots, register_session
from usage_store.errors import RejectedInput, UnknownSession
from usage_store.models.sqlite.rows.insert_rows import _INSERT

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.quick

SNAPSHOT = {"session_id": "s", "snapshot_data": {"tokens": 1}}
INSERTS: dict[str, Callable[[], Any]] = {
    "one": lambda: insert_usage_snapshot(SNAPSHOT),
    "many": lambda: insert_usage_snapshots([SNAPSHOT, SNAPSHOT]),
}


@pytest.fixture(autouse=True)
def _session(usage_database: peewee.Database) -> None:  # noqa: ARG001  the models are bound to it
    register_session("s")


def test_an_insert_copies_no_row_to_a_temporary_table(usage_database: peewee.Database) -> None:
    steps = {
        step[1] for step in usage_database.execute_sql(f"EXPLAIN {_INSERT}", ("s", "1", "1", "stats", 1)).fetchall()
    }
    assert "Insert" in steps
    assert "Yield" not in steps  # SQLite's way from a SELECT to such a table


@pytest.mark.parametrize("insert", INSERTS)
def test_what_a_hosts_trigger_refuses_is_raised_as_it_is(usage_database: peewee.Database, insert: str) -> None:
    usage_database.execute_sql("CREATE TABLE host (name TEXT NOT NULL)")
    usage_database.execute_sql(
        "CREATE TRIGGER host_copies AFTER INSERT ON usage_snapshots BEGIN INSERT INTO host VALUES (NULL); END"
    )
    with pytest.raises(peewee.IntegrityError, match=r"^NOT NULL constraint failed: host\.name$"):
        INSERTS[insert]()
    assert UsageSnapshot.select().count() == 0


def test_snapshots_that_a_hosts_trigger_leaves_out_are_not_counted(usage_database: peewee.Database) -> None:
    usage_database.execute_sql(
        "CREATE TRIGGER host_ignores BEFORE INSERT ON usage_snapshots WHEN NEW.snapshot_type = 'config' "
        "BEGIN SELECT RAISE(IGNORE); END"
    )
    assert insert_usage_snapshots([SNAPSHOT, {**SNAPSHOT, "snapshot_type": "config"}, SNAPSHOT]) == 2
    assert UsageSnapshot.select().count() == 2


def test_a_snapshot_that_a_hosts_trigger_leaves_out_is_refused_for_that_reason(
    usage_database: peewee.Database, caplog: pytest.LogCaptureFixture
) -> None:
    usage_database.execute_sql(
        "CREATE TRIGGER host_ignores BEFORE INSERT ON usage_snapshots BEGIN SELECT RAISE(IGNORE); END"
    )
    with pytest.raises(RejectedInput, match=r"^a trigger on usage_snapshots left the snapshot out") as refused:
        UsageSnapshot.record("s", {})
    assert not isinstance(refused.value, UnknownSession)
    assert insert_usage_snapshot(SNAPSHOT) is None
    assert "insert_usage_snapshot refused: a trigger on usage_snapshots left the snapshot out" in caplog.text
    assert UsageSnapshot.select().count() == 0
