"""Measure a million rows and more: reads, compaction, pruning, and how long another process waits meanwhile."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from tests.benchmarks.stream import replicated
from tests.benchmarks.turns import in_turns, quick
from usage_store import (
    Maintained,
    UsageSnapshot,
    init_database,
    insert_usage_snapshots,
    maintain,
    register_session,
    register_sessions,
)
from usage_store.engines import unwrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import peewee

CHUNK = 100_000
DAY = 86_400
INSERT = "INSERT INTO usage_snapshots (session_id, snapshot_data, snapshot_type, timestamp) VALUES (?, ?, ?, ?)"
SELECT = "SELECT id, session_id, snapshot_data, snapshot_type, timestamp FROM usage_snapshots WHERE"
NEWEST = "ORDER BY timestamp DESC, id DESC LIMIT ?"
WRITER = """
import select, sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
connection.execute("PRAGMA synchronous = NORMAL")
connection.execute("CREATE TABLE IF NOT EXISTS other_rows (id INTEGER PRIMARY KEY)")
print(flush=True)
waits = []
while not select.select([sys.stdin], [], [], 0.003)[0]:
    started = time.perf_counter()
    connection.execute("INSERT INTO other_rows DEFAULT VALUES")
    waits.append(time.perf_counter() - started)
waits.sort()
print(f"{len(waits):,} commits of another process took {waits[len(waits) // 2] * 1e3:.1f} ms (median), "
      f"{waits[int(len(waits) * 0.99)] * 1e3:.1f} ms (99 %), {waits[-1] * 1e3:.0f} ms at most")
"""


def build(path: Path, rows: int, *, compacted: bool) -> peewee.SqliteDatabase:
    """Create a database of `rows` snapshots. With `compacted`, those older than a week are compacted."""
    database: peewee.SqliteDatabase = unwrap(init_database(path))
    stream = replicated(rows, int(time.time()))
    known: set[str] = set()
    while chunk := list(islice(stream, CHUNK)):
        new = {row.session_id for row in chunk} - known
        known |= new
        register_sessions(new)
        with database.atomic():
            database.connection().executemany(INSERT, chunk)
        if compacted:
            maintain()
    database.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return database


def reads(folder: Path, sizes: list[int]) -> None:
    """Print the processor time of reading the newest rows at each size, by sqlite3, as models and as plain rows."""
    first: dict[str, float] = {}
    for rows in sizes:
        path = folder / f"{rows}.db"
        database = build(path, rows, compacted=True)
        with closing(sqlite3.connect(path)) as connection:
            sql = "SELECT session_id FROM usage_snapshots GROUP BY 1 HAVING count(*) > 200 ORDER BY max(timestamp) DESC"
            (session,) = connection.execute(f"{sql} LIMIT 1").fetchone()
            for name, ours, hours in (
                ("newest 100 of a session", session, 24 * 365),
                ("newest 100 overall", None, 24 * 365),
                ("last 24 h of a session", session, 24),
            ):
                _read(name, rows, ours, hours, connection, first)
        database.close()


def small_reads(folder: Path) -> None:
    """Print the processor time that the newest take where the texts have twenty characters, in the same way."""
    path = folder / "small.db"
    database = init_database(path)
    register_session("one")
    insert_usage_snapshots({"session_id": "one", "snapshot_data": f'{{"tokens":1{n:08}}}'} for n in range(10_000))
    with closing(sqlite3.connect(path)) as connection:
        for name, session in (("newest 100 of a session", "one"), ("newest 100 overall", None)):
            _read(f"small texts, {name}", 10_000, session, 24 * 365, connection, {})
    database.close()


def _read(
    name: str, rows: int, session: str | None, hours: int, connection: sqlite3.Connection, first: dict[str, float]
) -> None:
    since, limit = int(time.time()) - hours * 3600, 100 if hours > 24 else 100_000
    condition = "session_id = ? AND timestamp >= ?" if session else "timestamp >= ?"
    params = (session, since, limit) if session else (since, limit)
    calls: dict[str, list[Callable[[], object]]] = {
        "sqlite3": [lambda: connection.execute(f"{SELECT} {condition} {NEWEST}", params).fetchall()],
        "models": [lambda: UsageSnapshot.recent(session, limit=limit, hours_back=hours)],
        "rows": [lambda: UsageSnapshot.recent_rows(session, limit=limit, hours_back=hours)],
    }
    floor, models, plain = (quick(taken.processor) for taken in in_turns(calls, 300).values())
    found = len(UsageSnapshot.recent(session, limit=limit, hours_back=hours))
    grown = models / found / first.setdefault(name, models / found)
    print(
        f"{name} at {rows:,} rows: {found} rows, sqlite3 {floor * 1e6:.0f} us, models {models * 1e6:.0f} us "
        f"({models / floor:.2f} times), rows {plain * 1e6:.0f} us ({plain / floor:.2f} times); "
        f"a row takes {grown:.2f} times what it takes at the first size"
    )


def maintenance(folder: Path, rows: int) -> None:
    """Print how long it takes to prune a tenth, compact the rest and return the pages, beside another writer."""
    database = build(folder / "plain.db", rows, compacted=False)
    (cut,) = database.execute_sql(
        "SELECT timestamp FROM usage_snapshots ORDER BY timestamp LIMIT 1 OFFSET ?", (rows // 10,)
    ).fetchone()
    database.close()
    floor, days = _raw_delete(folder, cut), (time.time() - cut) / DAY
    with _copied(folder) as copy:
        started = time.perf_counter()
        pruned = UsageSnapshot.prune(days)
        ours = time.perf_counter() - started
        ratio = ours / floor
        print(f"prune {pruned:,} of {rows:,}: one DELETE {floor:.2f} s, usage_store {ours:.2f} s ({ratio:.2f} times)")
        _say("then the pages given back", copy, maintain(compact_after_days=None))
    with _copied(folder) as copy, _writing(copy):
        done = maintain(compact_after_days=None, retention_days=days)
    _say(f"prune {done.pruned:,} and give back, beside a writer", copy, done)
    with _copied(folder) as copy, _writing(copy):
        done = maintain(compact_after_days=0.001)
    _say(f"compact {done.compacted:,} and give back, beside a writer", copy, done)
    print(f"  {done.compacted / done.seconds:,.0f} snapshots/s")
    _beside_vacuumed(folder, copy, rows)
    with _copied(folder) as copy:
        done = maintain(retention_days=days)
    _say(f"prune {done.pruned:,}, compact {done.compacted:,} (a week stays plain) and give back", copy, done)
    print(f"  {(done.pruned + done.compacted) / done.seconds:,.0f} snapshots/s")
    _beside_vacuumed(folder, copy, rows - done.pruned)


def _beside_vacuumed(folder: Path, path: Path, rows: int) -> None:
    vacuumed = folder / "vacuumed.db"
    vacuumed.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM INTO ?", (str(vacuumed),))
    size = path.stat().st_size
    print(
        f"  {size / rows:.0f} bytes a snapshot; the file is {size / vacuumed.stat().st_size:.3f} times a vacuumed one"
    )


def _raw_delete(folder: Path, cut: int) -> float:
    copy = folder / "copy.db"
    shutil.copy(folder / "plain.db", copy)
    subprocess.run(["sync"], check=True)
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        for pragma in ("foreign_keys = ON", "synchronous = NORMAL"):
            connection.execute(f"PRAGMA {pragma}")
        started = time.perf_counter()
        connection.execute("DELETE FROM usage_snapshots WHERE timestamp < ?", (cut,))
        return time.perf_counter() - started


@contextmanager
def _copied(folder: Path) -> Iterator[Path]:
    """Provide a new copy with the models bound to it. The copy is written to the disk before anything is measured."""
    copy = folder / "copy.db"
    for suffix in ("", "-wal", "-shm"):
        copy.with_name(copy.name + suffix).unlink(missing_ok=True)
    shutil.copy(folder / "plain.db", copy)
    subprocess.run(["sync"], check=True)
    database = init_database(copy)
    yield copy
    database.close()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    pipe = subprocess.PIPE
    writer = subprocess.Popen([sys.executable, "-c", WRITER, path], stdin=pipe, stdout=pipe, text=True)
    assert writer.stdout is not None
    writer.stdout.readline()
    yield
    print(f"  {writer.communicate(chr(10))[0].strip()}")


def _say(what: str, path: Path, done: Maintained) -> None:
    size, lock = path.stat().st_size / 1e6, done.longest_lock * 1e3
    print(f"{what}: {done.seconds:.1f} s, longest lock {lock:.0f} ms, {size:,.0f} MB afterwards")
