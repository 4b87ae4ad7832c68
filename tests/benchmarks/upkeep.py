"""Measure how long an insert takes with and without maintenance after inserts, while another process writes."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from usage_store import init_database, insert_usage_snapshot, insert_usage_snapshots, register_sessions
from usage_store.engines import unwrap

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import peewee

ROWS = 20_000
DAYS = 60
PAUSE = 0.05  # seconds between two inserts, as a busy monitor has them
PART = 80  # inserts
PARTS = 6
WRITER = """
import select, sys
from usage_store import init_database, insert_usage_snapshot
init_database(sys.argv[1], timeout=60)
print(flush=True)
written = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    insert_usage_snapshot({"session_id": "other", "snapshot_data": {"filler": "y" * 3700}})
    written += 1
print(written)
"""


def latency(folder: Path) -> None:
    """Print within how long 50, 95 and 100 of 100 inserts end, with and without maintenance.

    The two are measured in turns.
    """
    path = folder / "upkeep.db"
    database: peewee.SqliteDatabase = unwrap(init_database(path, timeout=60))
    register_sessions(["monitor", "other"])
    start = time.time() - DAYS * 86_400
    insert_usage_snapshots(
        {
            "session_id": "monitor",
            "snapshot_data": {"n": number, "filler": "x" * 3700},
            "timestamp": start + number * DAYS * 86_400 / ROWS,
        }
        for number in range(ROWS)
    )
    without: list[float] = []
    with_it: list[float] = []
    with _writing(path) as writer:
        for _ in range(PARTS):
            init_database(database)
            without += _inserts()
            init_database(database, retention_days=30)
            with_it += _inserts()
    database.close()
    print(
        f"beside another process's {writer[0]:,} inserts, {len(with_it)} inserts of ours in ms, 50, 95 and 100 of 100:"
    )
    for name, seconds in (("without upkeep", without), ("with it", with_it)):
        print(f"  {name}: {', '.join(f'{_at(seconds, part) * 1e3:.1f}' for part in (0.5, 0.95, 1))}")
    longer = _at(with_it, 0.95) - _at(without, 0.95)
    print(f"  95 of 100 take at most {longer * 1e3:.1f} ms longer, {_at(with_it, 0.95) / _at(without, 0.95):.1f} times")


def _inserts() -> list[float]:
    seconds = []
    for number in range(PART):
        started = time.perf_counter()
        insert_usage_snapshot({"session_id": "monitor", "snapshot_data": {"n": number}})
        seconds.append(time.perf_counter() - started)
        time.sleep(PAUSE)
    return seconds


def _at(seconds: list[float], part: float) -> float:
    return sorted(seconds)[min(int(len(seconds) * part), len(seconds) - 1)]


@contextmanager
def _writing(path: Path) -> Iterator[list[int]]:
    """Let another process write during the block, and print at the end how much it wrote."""
    written: list[int] = []
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", WRITER, path], stdin=pipe, stdout=pipe, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield written
    finally:
        out, _ = process.communicate("\n", timeout=120)
    written.append(int(out))
