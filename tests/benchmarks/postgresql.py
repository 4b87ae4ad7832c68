"""Measure the usage tables on PostgreSQL beside raw psycopg 3: `python -m tests.benchmarks.postgresql` (`--help`).

Each figure is compared with the same statement by psycopg 3 itself, in the same run, on the same server and the same
tables. The processor time is that of this process and of its server processes; a busy disk does not change it. The
server is one of the tests' own, with `fsync`, or that of `--url`. The real snapshots are those of ../shared/data;
`stream.py` explains how they become millions.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg

from tests.benchmarks import postgresql_large, postgresql_migrations
from tests.benchmarks.beside_psycopg import COPY, INSERT, Processes, a_server, compare, empty_schema, raw
from tests.benchmarks.stream import original
from usage_store import (
    close_database,
    get_usage_snapshots,
    init_database,
    insert_usage_snapshot,
    insert_usage_snapshots,
    register_sessions,
)
from usage_store.models import UsageSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NEWEST = (
    "SELECT id, session_id, snapshot_data, snapshot_type, timestamp FROM usage_snapshots WHERE session_id = %s "
    "AND timestamp >= %s ORDER BY timestamp DESC, id DESC LIMIT 100"
)
PART = 109  # rows in one turn


def inserts(server: str, _: argparse.Namespace) -> None:
    """Compare one insert and a bulk insert."""
    rows = original()
    given = [row._asdict() for row in rows]
    with empty_schema(server) as url, prepared(url) as (connection, processes):
        register_sessions({row.session_id for row in rows})

        def one(start: int) -> None:
            for row in rows[start : start + PART]:
                connection.execute(INSERT, row)

        def our_one(start: int) -> None:
            for snapshot in given[start : start + PART]:
                insert_usage_snapshot(snapshot)

        def many() -> None:
            with connection.cursor() as cursor, cursor.copy(COPY) as copy:
                for row in rows:
                    copy.write_row(row)

        parts = range(0, len(rows), PART)
        floor, ours = ([partial(call, start) for start in parts] for call in (one, our_one))
        compare("one insert, autocommit", len(rows), processes, floor, ours)
        bulk = [lambda: insert_usage_snapshots(given)] * 6
        compare("bulk insert, beside COPY", 6 * len(rows), processes, [many] * 6, bulk)


def reads(server: str, _: argparse.Namespace) -> None:
    """Compare the newest hundred of a session, as rows and as models."""
    rows = original()
    now = int(time.time())
    moved = [row._replace(timestamp=row.timestamp - rows[-1].timestamp + now) for row in rows]
    session = max({row.session_id for row in moved}, key=lambda each: sum(row.session_id == each for row in moved))
    with empty_schema(server) as url, prepared(url) as (connection, processes):
        register_sessions({row.session_id for row in moved})
        UsageSnapshot.record_many(row._asdict() for row in moved)
        connection.execute("ANALYZE usage_snapshots")
        floor = [lambda: connection.execute(NEWEST, (session, now - 864_000)).fetchall()] * 60
        as_rows = [lambda: UsageSnapshot.recent_rows(session, limit=100, hours_back=240)] * 60
        as_models = [lambda: get_usage_snapshots(session, 100, 240)] * 60
        for name, ours in (("rows", as_rows), ("models", as_models)):
            compare(f"newest 100 of a session as {name}", 60, processes, floor, ours)


@contextmanager
def prepared(url: str) -> Iterator[tuple[psycopg.Connection[Any], Processes]]:
    """Make the usage tables, and yield a raw connection and the processes of both contenders."""
    database: Any = init_database(url)
    database.connect(reuse_if_open=True)
    try:
        with raw(url) as connection:
            pids = [each.info.backend_pid for each in (connection, database.connection())]
            yield connection, Processes(*pids)
    finally:
        close_database()


FIGURES: dict[str, Callable[[str, argparse.Namespace], Any]] = {
    "inserts": inserts,
    "reads": reads,
    "writers": postgresql_large.writers,
    "newest": postgresql_large.newest,
    "prune": postgresql_large.prune,
    "copy": postgresql_large.copy,
    "migrations": postgresql_migrations.applied,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--url", help="the server; default: one of the tests' own, with fsync")
    parser.add_argument("--version", type=int, default=18, choices=(15, 16, 18))
    parser.add_argument("--rows", type=int, default=1_000_000, help="of `newest` (and ten times as many) and `prune`")
    parser.add_argument("--only", choices=FIGURES, nargs="*", default=list(FIGURES))
    options = parser.parse_args()
    server = options.url or a_server(options.version)
    with psycopg.connect(server) as connection:
        version = connection.info.parameter_status("server_version")
    print(
        f"Python {sys.version.split()[0]}, psycopg {psycopg.__version__}, PostgreSQL {version}, {os.cpu_count()} cores"
    )
    for name in options.only:
        FIGURES[name](server, options)


if __name__ == "__main__":
    main()
