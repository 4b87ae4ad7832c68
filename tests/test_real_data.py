"""The main job with real data: a database with `events` rows is migrated, and 2,616 snapshots are stored."""

from __future__ import annotations

import gzip
import json
import logging
import time
from collections import Counter
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import usage_store
from tests.support.commands import command
from tests.support.databases import rows
from tests.support.driver import sqlite3
from tests.support.snapshots import compact_at_once
from usage_store.engines import unwrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.databases import Target

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
pytestmark = [pytest.mark.quick, pytest.mark.skipif(not DATA.is_dir(), reason=f"the real input is not at {DATA}")]

EVENTS = """
CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, source_app TEXT NOT NULL, session_id TEXT NOT NULL,
  hook_event_type TEXT NOT NULL, payload TEXT NOT NULL, chat TEXT, summary TEXT, timestamp INTEGER NOT NULL);
CREATE INDEX idx_source_app ON events(source_app);
CREATE INDEX idx_session_id ON events(session_id);
CREATE INDEX idx_hook_event_type ON events(hook_event_type);
CREATE INDEX idx_timestamp ON events(timestamp);
"""
BOTH = "91c1aab5-fbfe-40ba-8a9f-98f5bbd841cc"  # the only session that is in the hook payloads and in the snapshots
Snapshot = dict[str, Any]


@pytest.fixture(scope="module")
def snapshots() -> list[Snapshot]:
    """Return the snapshots in the order in which a monitor wrote them."""
    with gzip.open(DATA / "snapshots" / "templar.snapshots.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Return the connection of the existing system, with events from the hook payloads. Its foreign keys are off."""
    with closing(sqlite3.connect(tmp_path / "events.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(EVENTS)
        connection.execute("BEGIN")
        milliseconds = 1_752_500_000_123
        for path in sorted((DATA / "hook_payloads").glob("*.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                payload = json.loads(line)
                milliseconds += 257
                _event(connection, payload["session_id"], payload["hook_event_name"], line, milliseconds)
        connection.execute("COMMIT")
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (0,)
        yield connection


@pytest.fixture
def migrated(host: sqlite3.Connection, tmp_path: Path) -> sqlite3.Connection:
    """Return the host's connection after the documented command. The API is bound to the same file."""
    before = _host_rows(host)
    path = tmp_path / "events.db"
    result = command("--database", path, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert _host_rows(host) == before
    usage_store.init_database(path)
    return host


def _event(connection: sqlite3.Connection, session_id: str, hook: str, payload: str, milliseconds: int) -> None:
    connection.execute(
        "INSERT INTO events (source_app, session_id, hook_event_type, payload, timestamp) "
        "VALUES ('templar', ?, ?, ?, ?)",
        (session_id, hook, payload, milliseconds),
    )


def _host_rows(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return connection.execute("SELECT * FROM events ORDER BY id").fetchall()


def _sessions(connection: sqlite3.Connection, table: str) -> set[str]:
    return {session_id for (session_id,) in connection.execute(f"SELECT DISTINCT session_id FROM {table}")}


def _given(snapshot: Snapshot) -> Snapshot:
    return {field: value for field, value in snapshot.items() if field != "hook"}


def _one_by_one(connection: sqlite3.Connection, snapshots: list[Snapshot]) -> None:
    for snapshot in snapshots:
        _event(connection, snapshot["session_id"], snapshot["hook"], "{}", snapshot["timestamp"])
        stored = usage_store.insert_usage_snapshot(_given(snapshot))
        assert stored is not None
        assert (stored.session_id, stored.timestamp) == (snapshot["session_id"], snapshot["timestamp"] // 1000)


def _in_batches(connection: sqlite3.Connection, snapshots: list[Snapshot]) -> None:
    for start in range(0, len(snapshots), 700):
        batch = snapshots[start : start + 700]
        connection.execute("BEGIN")
        for snapshot in batch:
            _event(connection, snapshot["session_id"], snapshot["hook"], "{}", snapshot["timestamp"])
        connection.execute("COMMIT")
        assert usage_store.insert_usage_snapshots(map(_given, batch)) == len(batch)


def _rows(snapshots: list[Snapshot]) -> list[tuple[str, str, str, int]]:
    return [(s["session_id"], s["snapshot_data"], s["snapshot_type"], s["timestamp"] // 1000) for s in snapshots]


def _stored(listed: list[usage_store.UsageSnapshot] | None) -> list[tuple[str, str, str, int]]:
    assert listed is not None
    return [(s.session_id, s.snapshot_data, s.snapshot_type, s.timestamp) for s in listed]


def test_a_host_s_events_become_its_sessions(migrated: sqlite3.Connection) -> None:
    assert migrated.execute("SELECT count(*) FROM events").fetchone() == (1072,)
    assert len(_sessions(migrated, "events")) == 13
    assert _sessions(migrated, "usage_sessions") == _sessions(migrated, "events")
    assert usage_store.get_migration_status().notices == ()
    assert usage_store.validate_database()


def test_snapshots_of_sessions_without_events_are_refused_and_logged_once_each(
    migrated: sqlite3.Connection, snapshots: list[Snapshot], caplog: pytest.LogCaptureFixture
) -> None:
    unknown = [snapshot for snapshot in snapshots if snapshot["session_id"] != BOTH]
    assert len(unknown) == 2494
    for snapshot in unknown:
        assert usage_store.insert_usage_snapshot(_given(snapshot)) is None
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2494
    assert unknown[0]["session_id"] in caplog.records[0].getMessage()
    known = [snapshot for snapshot in snapshots if snapshot["session_id"] == BOTH]
    assert usage_store.insert_usage_snapshots(map(_given, [*known * 20, *unknown])) is None
    assert caplog.records[-1].getMessage().startswith("insert_usage_snapshots refused: snapshot 2440: session ")
    assert migrated.execute("SELECT count(*) FROM usage_snapshots").fetchone() == (0,)
    assert len(_sessions(migrated, "usage_sessions")) == 13


@pytest.mark.slow
@pytest.mark.parametrize("insert", [_one_by_one, _in_batches])
def test_every_snapshot_is_stored_as_it_came_and_goes_as_it_should(
    migrated: sqlite3.Connection,
    snapshots: list[Snapshot],
    insert: Callable[[sqlite3.Connection, list[Snapshot]], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    insert(migrated, snapshots)
    select = "SELECT session_id, snapshot_data, snapshot_type, timestamp FROM usage_snapshots ORDER BY id"
    assert len(snapshots) == 2616
    assert migrated.execute(select).fetchall() == _rows(snapshots)
    assert len(_sessions(migrated, "usage_sessions")) == 24
    assert _sessions(migrated, "usage_sessions") == _sessions(migrated, "events")

    counts = Counter(snapshot["session_id"] for snapshot in snapshots)
    assert sorted(counts.values()) == [1, 1, 36, 122, 206, 211, 233, 234, 276, 345, 467, 484]
    for session_id in counts:
        newest_first = [snapshot for snapshot in reversed(snapshots) if snapshot["session_id"] == session_id]
        assert _stored(usage_store.get_usage_snapshots_by_session(session_id)) == _rows(newest_first)

    _check_time_filters(snapshots)
    _check_cascade(migrated, counts)
    assert usage_store.validate_database()
    assert caplog.records == []


def _check_time_filters(snapshots: list[Snapshot]) -> None:
    # The longest gap between two snapshots is hours long, so a cut there does not depend on the exact time.
    before, after = max(pairwise(s["timestamp"] // 1000 for s in snapshots), key=lambda pair: pair[1] - pair[0])
    assert after - before > 3600
    hours_back = (time.time() - (before + after) / 2) / 3600
    newer = [snapshot for snapshot in reversed(snapshots) if snapshot["timestamp"] // 1000 >= after]
    assert 100 < len(newer) < 2616
    assert _stored(usage_store.get_usage_snapshots(limit=5000, hours_back=hours_back)) == _rows(newer)
    assert _stored(usage_store.get_usage_snapshots(hours_back=hours_back)) == _rows(newer[:100])
    session_id = newer[0]["session_id"]
    of_session = [snapshot for snapshot in newer if snapshot["session_id"] == session_id]
    assert _stored(usage_store.get_usage_snapshots(session_id, 7, hours_back)) == _rows(of_session[:7])
    assert usage_store.get_usage_snapshots() == []


def _check_cascade(host: sqlite3.Connection, counts: Counter[str]) -> None:
    biggest, rest = counts.most_common(1)[0][0], counts.most_common()[1:]
    host.execute("DELETE FROM events WHERE session_id = ?", (biggest,))
    assert usage_store.get_usage_snapshots_by_session(biggest) == []
    assert len(_sessions(host, "usage_sessions")) == 23
    left = host.execute("SELECT session_id, count(*) FROM usage_snapshots GROUP BY session_id").fetchall()
    assert dict(left) == dict(rest)


def test_pruning_by_age_deletes_the_older_snapshots_and_no_others(
    migrated: sqlite3.Connection, snapshots: list[Snapshot]
) -> None:
    _in_batches(migrated, snapshots)
    seconds = [snapshot["timestamp"] // 1000 for snapshot in snapshots]
    now = time.time()
    oldest_days, newest_days = (now - seconds[0]) / 86_400, (now - seconds[-1]) / 86_400
    assert usage_store.delete_old_usage_snapshots(oldest_days + 0.5) == 0

    before, after = max(pairwise(seconds), key=lambda pair: pair[1] - pair[0])
    older = sum(second <= before for second in seconds)
    assert usage_store.delete_old_usage_snapshots((now - (before + after) / 2) / 86_400) == older
    left = [second for (second,) in migrated.execute("SELECT timestamp FROM usage_snapshots ORDER BY id")]
    assert left == seconds[older:]

    assert usage_store.delete_old_usage_snapshots(newest_days / 2) == 2616 - older
    assert len(_sessions(migrated, "usage_sessions")) == 24  # pruning deletes snapshots and never sessions


def test_compacted_they_take_at_most_297_bytes_each_and_read_as_they_came(
    snapshots: list[Snapshot], tmp_path: Path
) -> None:
    database = usage_store.init_database(tmp_path / "usage.db")
    usage_store.register_sessions({snapshot["session_id"] for snapshot in snapshots})
    assert usage_store.insert_usage_snapshots(map(_given, snapshots)) == 2616
    assert compact_at_once(unwrap(database)) == 2616  # the number of blocks does not depend on the load of the machine
    done = usage_store.maintain()
    assert (done.compacted, done.left) == (0, ())
    assert done.bytes_after <= 297 * 2616
    everything = usage_store.get_usage_snapshots(limit=5000, hours_back=24 * 365 * 50)
    assert _stored(everything) == _rows(sorted(snapshots, key=lambda s: s["timestamp"] // 1000)[::-1])
    for session_id in {snapshot["session_id"] for snapshot in snapshots}:
        of_session = [snapshot for snapshot in reversed(snapshots) if snapshot["session_id"] == session_id]
        assert _stored(usage_store.get_usage_snapshots_by_session(session_id)) == _rows(of_session)
    database.close()


def test_the_stream_comes_back_byte_for_byte_from_both_engines(snapshots: list[Snapshot], store_target: Target) -> None:
    texts = [snapshot["snapshot_data"] for snapshot in snapshots]
    sessions = [snapshot["session_id"] for snapshot in snapshots]
    with closing(usage_store.init_database(store_target)):
        usage_store.register_sessions(set(sessions))
        given = (
            {"session_id": session, "snapshot_data": text, "timestamp": 1_752_500_000 + number}
            for number, (session, text) in enumerate(zip(sessions, texts, strict=True))
        )
        assert usage_store.insert_usage_snapshots(given) == len(texts)
        read = list(usage_store.UsageSnapshot.between(newest_first=False))
        assert [snapshot.snapshot_data for snapshot in read] == texts
        assert [snapshot.session_id for snapshot in read] == sessions
        assert usage_store.validate_database() is True
    assert [
        text for (text,) in rows(store_target, "SELECT snapshot_data FROM usage_snapshots ORDER BY timestamp, id")
    ] == texts
