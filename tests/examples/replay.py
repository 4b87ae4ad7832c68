"""Replay recorded coding-agent sessions into a usage store: `python tests/examples/replay.py DATA [DATABASE]`.

DATA holds hook_payloads/*.jsonl and snapshots/*.jsonl.gz. The events are written as an observability server has them:
by its own connection, with milliseconds, without foreign keys.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

import usage_store

EVENTS = """
CREATE TABLE events (
  id INTEGER PRIMARY KEY AUTOINCREMENT, source_app TEXT NOT NULL, session_id TEXT NOT NULL,
  hook_event_type TEXT NOT NULL, payload TEXT NOT NULL, chat TEXT, summary TEXT, timestamp INTEGER NOT NULL)
"""
INSERT_EVENT = (
    "INSERT INTO events (source_app, session_id, hook_event_type, payload, timestamp) VALUES ('replay', ?, ?, ?, ?)"
)
FIELDS = ("session_id", "snapshot_data", "snapshot_type", "timestamp")


def write_events(host: sqlite3.Connection, files: list[Path]) -> int:
    """Make the host's events table from hook payloads; give the number of events."""
    host.execute(EVENTS)
    for column in ("source_app", "session_id", "hook_event_type", "timestamp"):
        host.execute(f"CREATE INDEX idx_events_{column} ON events({column})")
    rows: list[tuple[str, str, str, int]] = []
    for line in (line for file in files for line in file.read_text(encoding="utf-8").splitlines()):
        payload = json.loads(line)
        rows.append((payload["session_id"], payload["hook_event_name"], line, 1752800000000 + len(rows)))
    host.executemany(INSERT_EVENT, rows)
    host.commit()
    return len(rows)


def replay(host: sqlite3.Connection, snapshots: list[dict[str, Any]]) -> int:
    """Write each snapshot's event, as the host does, then the snapshot; give the number stored."""
    for snapshot in snapshots:
        host.execute(INSERT_EVENT, (snapshot["session_id"], snapshot["hook"], "{}", snapshot["timestamp"]))
    host.commit()
    stored = 0
    for snapshot in snapshots:
        if usage_store.insert_usage_snapshot({field: snapshot[field] for field in FIELDS}) is not None:
            stored += 1
    return stored


def main(data: Path, database: Path) -> None:
    """Write events, migrate the database with rows in it, replay the snapshots, and say what came of it."""
    host = sqlite3.connect(database)
    host.execute("PRAGMA journal_mode = WAL")
    events = write_events(host, sorted((data / "hook_payloads").glob("*.jsonl")))
    opened = usage_store.init_database(database)
    print(f"{events} events, {usage_store.UsageSession.select().count()} sessions after the migration")
    (file,) = (data / "snapshots").glob("*.jsonl.gz")
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        snapshots = [json.loads(line) for line in lines]
    started = time.perf_counter()
    stored = replay(host, snapshots)
    seconds = time.perf_counter() - started
    print(f"{stored} snapshots stored, {stored / seconds:,.0f}/s")
    print(f"{usage_store.UsageSession.select().count()} sessions, valid: {usage_store.validate_database()}")
    done = usage_store.maintain(rewrite=True)  # the host made the file, so that it cannot shrink before
    print(f"{done.compacted} snapshots compacted, {done.bytes_before:,} bytes before, {done.bytes_after:,} after")
    print(f"{usage_store.delete_old_usage_snapshots(days_old=30)} snapshots older than 30 days deleted")
    opened.close()
    host.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "replay.db"))
