"""Measure the usage tables beside raw sqlite3: `python -m tests.benchmarks.snapshots` (`--help` lists the options).

Each figure is compared with the same statement by sqlite3's own module, in the same run and on the same schema. The
real snapshots are those of ../shared/data; `stream.py` explains how they become millions. `--rows` is the size of the
large runs (by default a million: about 15 GB of disk and ten minutes). `--reads` are the sizes at which reads are
compared.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks import indexes, large, memory, upkeep
from tests.benchmarks.stream import Row, original
from tests.benchmarks.turns import print_rates
from usage_store import (
    UsageConfig,
    UsageSnapshot,
    init_database,
    insert_usage_snapshot,
    insert_usage_snapshots,
    maintain,
    register_sessions,
)
from usage_store.engines import unwrap
from usage_store.engines.sqlite.file.free_pages import disk_use
from usage_store.models.sqlite.rows import block_format

if TYPE_CHECKING:
    from collections.abc import Callable

    import peewee

ROUNDS, PART = 9, 109  # rows
INSERT = "INSERT INTO usage_snapshots (session_id, snapshot_data, snapshot_type, timestamp) VALUES (?, ?, ?, ?)"
CONFIG = "SELECT * FROM usage_config WHERE is_active = 1"
ONE = f"SELECT snapshot_data, {block_format.BLOCK} FROM usage_snapshots WHERE id = ?"


def raw(path: Path) -> sqlite3.Connection:
    """Connect by sqlite3 with the settings of the package."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("foreign_keys = ON", "synchronous = NORMAL"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def inserts(folder: Path) -> None:
    """Print how long inserts and reads of the configuration take. Each contender has a file of its own."""
    rows = original()
    given = [dict(zip(Row._fields, row, strict=True)) for row in rows]
    for name in ("floor.db", "ours.db"):  # the models are bound to the last one
        database: peewee.SqliteDatabase = unwrap(init_database(folder / name))
        register_sessions({row.session_id for row in rows})
    parts = range(0, len(rows), PART)
    with closing(raw(folder / "floor.db")) as connection:

        def one(start: int) -> None:
            for row in rows[start : start + PART]:
                connection.execute(INSERT, row)

        def our_one(start: int) -> None:
            for snapshot in given[start : start + PART]:
                insert_usage_snapshot(snapshot)

        def many() -> None:
            connection.execute("BEGIN")
            connection.executemany(INSERT, rows)
            connection.execute("COMMIT")

        floor, ours = ([partial(call, start) for start in parts] for call in (one, our_one))
        print_rates("one insert, autocommit", len(rows), floor, ours)
        print_rates("bulk insert", 3 * len(rows), [many] * 3, [lambda: insert_usage_snapshots(given)] * 3)
        print_rates(
            "active configuration",
            2000,
            [lambda: [connection.execute(CONFIG).fetchone() for _ in range(100)]] * 20,
            [lambda: [UsageConfig.active() for _ in range(100)]] * 20,
        )
    database.close()


def at_rest(folder: Path) -> None:
    """Print the bytes of the real stream, plain and compacted, and how long it takes to read a compacted row."""
    rows = original()
    database: peewee.SqliteDatabase = unwrap(init_database(folder / "rest.db"))
    register_sessions({row.session_id for row in rows})
    UsageSnapshot.record_many(row._asdict() for row in rows)
    database.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    plain = disk_use(database)
    ids = [row.id for row in UsageSnapshot.select(UsageSnapshot.id)] * 3
    with closing(raw(folder / "rest.db")) as connection:

        def read(numbers: list[int]) -> None:
            for number in numbers:
                data, block = connection.execute(ONE, (number,)).fetchone()
                if isinstance(data, bytes):
                    block_format.text(data, block)

        scattered = sorted(ids, key=lambda number: number * 7919 % 10_007)
        before = min(seconds(lambda: read(scattered)) for _ in range(ROUNDS))
        maintain(database)
        connection.execute(ONE, (1,)).fetchone()  # sees the new schema cookie
        in_turn, at_random = (min(seconds(lambda n=n: read(n)) for _ in range(ROUNDS)) for n in (ids, scattered))  # type: ignore[misc]
    after = disk_use(database)
    print(f"bytes of a real snapshot: plain {plain / len(rows):,.0f}, compacted {after / len(rows):,.0f}")
    print(
        f"a compacted row more than a plain one: {(in_turn - before) / len(ids) * 1e6:.1f} us in turn, "
        f"{(at_random - before) / len(ids) * 1e6:.1f} us scattered (plain: {before / len(ids) * 1e6:.1f} us)"
    )
    database.close()


FIGURES: dict[str, Callable[[Path, argparse.Namespace], Any]] = {
    "inserts": lambda folder, _: inserts(folder),
    "rest": lambda folder, _: at_rest(folder),
    "reads": lambda folder, options: large.reads(folder, options.reads),
    "small": lambda folder, _: large.small_reads(folder),
    "large": lambda folder, options: large.maintenance(folder, options.rows),
    "memory": lambda folder, options: memory.peaks(folder, options.rows),
    "upkeep": lambda folder, _: upkeep.latency(folder),
    "indexes": lambda folder, options: indexes.compared(folder, options.rows),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--reads", type=int, nargs="*", default=[10_000, 1_000_000])
    parser.add_argument("--only", choices=FIGURES, nargs="*", default=list(FIGURES))
    parser.add_argument("--folder", type=Path, default=None, help="where the large files go; default: a temporary one")
    options = parser.parse_args()
    print(f"Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}, {os.cpu_count()} cores")
    for name in options.only:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            FIGURES[name](Path(folder), options)


if __name__ == "__main__":
    main()
