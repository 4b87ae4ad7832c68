"""Measure PostgreSQL with many writers and many rows: 16 writers, reads at ten times the rows, pruning, copying."""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import threading
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.beside_psycopg import INSERT, empty_schema, raw, seconds
from tests.benchmarks.stream import original, replicated
from usage_store import (
    close_database,
    get_usage_snapshots,
    init_database,
    insert_usage_snapshot,
    insert_usage_snapshots,
    opened,
    register_sessions,
)
from usage_store.models import UsageSnapshot

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from tests.benchmarks.stream import Row

WRITERS, SECONDS, ROUNDS = 16, 4.0, 3
FEW, PEOPLE, FILLED = 200, 100, 500_000  # bytes of a small text; sessions; rows of a statement


def writers(server: str, _: argparse.Namespace) -> None:
    """Compare how many rows 16 processes insert, one at a time."""
    rows = original()
    with empty_schema(server) as url:
        with opened(url):
            register_sessions({row.session_id for row in rows})
        found: dict[str, list[float]] = {"psycopg": [], "usage_store": []}
        for _number in range(ROUNDS):
            found["psycopg"].append(_together(partial(_raw_writer, url)))
            found["usage_store"].append(_together(partial(_our_writer, url)))
    floor, ours = (statistics.median(rates) for rates in found.values())
    print(f"{WRITERS} writers: psycopg {floor:,.0f}/s, usage_store {ours:,.0f}/s: {ours / floor:.2f} of its rate")


def _together(writer: Callable[[Any, Any], None]) -> float:
    context = multiprocessing.get_context("spawn")
    barrier, counts = context.Barrier(WRITERS), context.Queue()
    processes = [context.Process(target=writer, args=(barrier, counts)) for _ in range(WRITERS)]
    for process in processes:
        process.start()
    total: int = sum(counts.get(timeout=120) for _ in processes)
    for process in processes:
        process.join()
    return total / SECONDS


def _for_a_while(insert: Callable[[Row], object]) -> int:
    rows, count, end = original(), 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        insert(rows[count % len(rows)])
        count += 1
    return count


def _raw_writer(url: str, barrier: Any, counts: Any) -> None:
    with raw(url) as connection:
        barrier.wait()
        counts.put(_for_a_while(lambda row: connection.execute(INSERT, row)))


def _our_writer(url: str, barrier: Any, counts: Any) -> None:
    with opened(url):
        barrier.wait()
        counts.put(_for_a_while(lambda row: insert_usage_snapshot(row._asdict())))


SMALL = f"""
INSERT INTO usage_snapshots (session_id, snapshot_data, timestamp)
SELECT 'session ' || mod(n, {PEOPLE}), '{{"n": ' || n || ', "s": "{"x" * (FEW - 20)}"}}', %s + n
FROM generate_series(%s::bigint, %s) AS n
"""
# What takes long for each row, and little for all of them at once: the indexes, and the reference to the session.
SLOW = """
SELECT 'DROP INDEX ' || indexname, indexdef FROM pg_indexes
WHERE schemaname = current_schema() AND tablename = 'usage_snapshots' AND indexname LIKE 'idx_%'
UNION ALL
SELECT format('ALTER TABLE usage_snapshots DROP CONSTRAINT %I', conname),
  format('ALTER TABLE usage_snapshots ADD CONSTRAINT %I %s', conname, pg_get_constraintdef(oid))
FROM pg_constraint WHERE conrelid = 'usage_snapshots'::regclass AND contype = 'f'
"""


def _fill(url: str, count: int, now: int) -> None:
    """Store snapshots with short texts of a hundred sessions, a second apart. The server makes them."""
    register_sessions(f"session {number}" for number in range(PEOPLE))
    with raw(url) as connection:
        made_later = connection.execute(SLOW).fetchall()
        for drop, _ in made_later:
            connection.execute(drop)
        for first in range(0, count, FILLED):
            connection.execute(SMALL, (now - count, first, min(first + FILLED, count) - 1))
        for _, create in made_later:
            connection.execute(create)
        connection.execute("VACUUM ANALYZE usage_snapshots")


def newest(server: str, options: argparse.Namespace) -> None:
    """Compare the newest hundred of a session at a number of rows and at ten times as many."""
    counts = (options.rows, 10 * options.rows)
    with ExitStack() as stack:
        urls = [stack.enter_context(empty_schema(server)) for _ in counts]
        for count, url in zip(counts, urls, strict=True):
            with opened(url):
                _fill(url, count, int(time.time()))
        found: tuple[list[float], list[float]] = ([], [])
        for turn in range(20):  # by turns, and not the least of all, because a machine is not always equally fast
            with opened(urls[turn % 2]):
                best = min(seconds(lambda: get_usage_snapshots("session 7", 100, 24)) for _ in range(50))
                found[turn % 2].append(best)
    took = [statistics.median(each) for each in found]
    for count, usual in zip(counts, took, strict=True):
        print(f"newest 100 of a session at {count:,} rows: {usual * 1e3:.2f} ms")
    print(f"  {took[1] / took[0]:.2f} times as long at ten times the rows")


def prune(server: str, options: argparse.Namespace) -> None:
    """Compare how long others' inserts take before and while all rows are deleted in short transactions."""
    with empty_schema(server) as url, opened(url):
        _fill(url, options.rows, int(time.time()) - 86_400 * 60)
        quiet = _latencies(url, lambda: time.sleep(5))
        started = time.perf_counter()
        busy = _latencies(url, lambda: UsageSnapshot.prune(30))
        took = time.perf_counter() - started
    before, meanwhile = (statistics.quantiles(found, n=100)[98] for found in (quiet, busy))
    print(f"prune of {options.rows:,} rows: {took:.1f} s, {options.rows / took:,.0f} rows/s")
    print(
        f"  99 of 100 inserts of others take at most {before * 1e3:.1f} ms before, {meanwhile * 1e3:.1f} ms meanwhile"
    )
    print(f"  {meanwhile / before:.1f} times as long")


def _latencies(url: str, work: Callable[[], object]) -> list[float]:
    """Return the seconds of each insert by another connection while a function runs."""
    found: list[float] = []
    over = threading.Event()

    def insert() -> None:
        with raw(url) as connection:
            row = ("session 1", '{"n": 1}', "stats", int(time.time()))
            while not over.is_set():
                found.append(seconds(lambda: connection.execute(INSERT, row)))
                time.sleep(0.002)

    thread = threading.Thread(target=insert)
    thread.start()
    try:
        work()
    finally:
        over.set()
        thread.join()
    return found


def copy(server: str, _: argparse.Namespace) -> None:
    """Print how many real snapshots a second `usage-store copy` brings into PostgreSQL, and back."""
    from usage_store.copy_store import copy_store

    count = 50_000
    with tempfile.TemporaryDirectory() as folder, empty_schema(server) as url:
        source, back = (Path(folder) / name for name in ("source.db", "back.db"))
        init_database(source)
        rows = list(replicated(count, int(time.time())))
        register_sessions({row.session_id for row in rows})
        insert_usage_snapshots(row._asdict() for row in rows)
        close_database()
        for one, other in ((source, url), (url, back)):
            started = time.perf_counter()
            copy_store(str(one), str(other))
            took = time.perf_counter() - started
            what = "into PostgreSQL" if other == url else "back into SQLite"
            print(f"copy of {count:,} real snapshots {what}, with its proof: {count / took:,.0f} rows/s")
