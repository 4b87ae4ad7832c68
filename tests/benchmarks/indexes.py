"""Measure the cost and the use of the indexes of usage_snapshots: of the specification, and of migration 002.

Only raw sqlite3 is used. The rows have about 100 bytes, like compacted rows: longer texts would hide the difference.
All rows count as plain, so the cost of the third set of indexes is the highest possible.
"""

from __future__ import annotations

import random
import sqlite3
import statistics
import time
import uuid
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TABLE = """
CREATE TABLE usage_snapshots (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL,
  snapshot_data TEXT NOT NULL, snapshot_type TEXT NOT NULL DEFAULT 'stats', timestamp INTEGER NOT NULL);
CREATE INDEX idx_usage_snapshots_timestamp ON usage_snapshots(timestamp);
CREATE INDEX idx_usage_snapshots_type ON usage_snapshots(snapshot_type);
"""
INDEXES = {
    "(session_id), (timestamp), (type)": "CREATE INDEX by_session ON usage_snapshots(session_id)",
    "(session_id, timestamp), (timestamp), (type)": "CREATE INDEX by_session ON usage_snapshots(session_id, timestamp)",
    "and (timestamp) of plain rows": "CREATE INDEX by_session ON usage_snapshots(session_id, timestamp);"
    "CREATE INDEX plain ON usage_snapshots(timestamp) WHERE typeof(snapshot_data) = 'text'",
}
INSERT = "INSERT INTO usage_snapshots (session_id, snapshot_data, snapshot_type, timestamp) VALUES (?, ?, ?, ?)"
ROWS = "SELECT * FROM usage_snapshots WHERE"
NEWEST = "ORDER BY timestamp DESC, id DESC LIMIT 100"
QUERIES = {
    "newest 100 of a session": f"{ROWS} session_id = :session {NEWEST}",
    "last 24 h of a session": f"{ROWS} session_id = :session AND timestamp >= :day {NEWEST}",
    "newest 100 overall": f"{ROWS} timestamp >= :day {NEWEST}",
    "count of a session": "SELECT count(*) FROM usage_snapshots WHERE session_id = :session",
    "oldest 1000": "SELECT id FROM usage_snapshots WHERE timestamp < :end ORDER BY timestamp LIMIT 1000",
}
BATCH, END = 10_000, 1_763_900_000


def compared(folder: Path, rows: int) -> None:
    """Print insertion, size and each query for each set of indexes."""
    for name, sql in INDEXES.items():
        path = folder / "indexes.db"
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.executescript(f"PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY; {TABLE} {sql}")
            stream, started = _stream(rows), time.perf_counter()
            spent = 0.0
            while batch := list(islice(stream, BATCH)):
                started = time.perf_counter()
                connection.execute("BEGIN")
                connection.executemany(INSERT, batch)
                connection.execute("COMMIT")
                spent += time.perf_counter() - started
            size = path.stat().st_size
            print(f"indexes {name}: {rows / spent:,.0f} inserts/s, {size / rows:.0f} bytes a row")
            # This session lasts from the first day to the last, so an index matters most for it.
            session, day = "00000000-0000-4000-8000-000000000000", END - 86_400
            values = {"session": session, "day": day, "end": END}
            found = {query: _median(connection, text, values) for query, text in QUERIES.items()}
            print("  " + ", ".join(f"{query} {took * 1e6:,.0f} us" for query, took in found.items()))


def _median(connection: sqlite3.Connection, sql: str, values: dict[str, object]) -> float:
    times = []
    for _ in range(25):
        started = time.perf_counter()
        connection.execute(sql, values).fetchall()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def _stream(rows: int) -> Iterator[tuple[str, str, str, int]]:
    """Return snapshots of eight people, one every 20 seconds: sessions of about 200, and one that never ends."""
    chance = random.Random(1)
    sessions = ["00000000-0000-4000-8000-000000000000"] + [""] * 7
    for number in range(rows):
        person = number % 8
        if person and (not sessions[person] or chance.random() < 1 / 200):
            sessions[person] = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        yield sessions[person], "123456:12", "stats", END - (rows - number) * 20
