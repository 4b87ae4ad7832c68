"""Make compacted snapshots, and read blocks by the description of the format, without this package's code."""

from __future__ import annotations

import itertools
import os
import re
import tempfile
import time
import zlib
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import peewee

from tests.support.databases import opened, raw, rows
from usage_store import UsageSession, UsageSnapshot, insert_usage_snapshot, maintain
from usage_store.engines.sqlite.file.short_transactions import finish
from usage_store.migrate import MigrationRunner
from usage_store.models import MODELS
from usage_store.models.sqlite.maintenance.compact_snapshots import compact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.support.databases import Target
    from tests.support.driver import sqlite3

DAY = 86_400
FILL = "INSERT INTO usage_snapshots (session_id, snapshot_data, timestamp) VALUES ('s', ?, ?)"
TEXTS = (
    '{ "a" : 1.0,\n  "a":2 }\n',
    '"\\u00e9 é \\u0000 \\ud800 💥"',
    " 1e2 ",
    "null",
    '{"b":1,"a":2}',
    "null",
    '{"filler": "' + "ü" * 40_000 + '"}',
    '{"n": [1, [2, {"three": 3}]]}',
)


class Block(NamedTuple):
    """A block as it is in the file: its texts, and the sessions and numbers of the rows that refer to it."""

    texts: list[bytes]
    rows: list[tuple[int, str, int]]  # id, session, number of the text


def record(*texts: Any, session: str = "s", age: float = 30) -> list[int]:
    """Store snapshots that are `age` days old, each a second after the one before, and give their ids."""
    UsageSession.register(session)
    start = int(time.time() - age * DAY)
    return [UsageSnapshot.record(session, text, timestamp=start + n).id for n, text in enumerate(texts)]


def compact_old() -> int:
    """Compact what is older than a day, in the database that the models are bound to, and give the number of rows."""
    return maintain(compact_after_days=1).compacted


def number_blocks_from_one(database: peewee.SqliteDatabase) -> None:
    """Give blocks small numbers that a test can name, instead of numbers after this store's random start."""
    database.execute_sql("UPDATE sqlite_sequence SET seq = 0 WHERE name = 'usage_snapshot_blocks'")


def compact_at_once(database: Any) -> int:
    """Compact the same rows in one transaction, and so into as few blocks as possible."""
    with database.atomic():
        return finish(database, lambda pace: compact(database, int(time.time()) - DAY, pace))


def write_row(connection: sqlite3.Connection, data: bytes, *, kind: str = "TEXT", number: int | None = None) -> int:
    """Store an old snapshot like a program that knows no blocks, and give its id. `kind` is TEXT or BLOB."""
    row = connection.execute(
        f"INSERT INTO usage_snapshots (id, session_id, snapshot_data, timestamp) VALUES (?, 's', CAST(? AS {kind}), ?)",
        (number, data, int(time.time()) - 30 * DAY),
    ).lastrowid
    assert row is not None
    return row


def stored(path: Path) -> dict[int, Any]:
    """Give the stored value of `snapshot_data` of each row."""
    with raw(path) as connection:
        return dict(connection.execute("SELECT id, snapshot_data FROM usage_snapshots"))


def texts_in(path: Target) -> list[tuple[int, bytes]]:
    """Give the id and the stored text of each snapshot, byte by byte, as another program reads it."""
    as_bytes = "convert_to(snapshot_data, 'UTF8')" if isinstance(path, str) else "CAST(snapshot_data AS BLOB)"
    return rows(path, f"SELECT id, {as_bytes} FROM usage_snapshots ORDER BY id")


def plain_rows(path: Target) -> set[int]:
    """Give the rows that are not compacted; on a server, none is compacted."""
    plain = "true" if isinstance(path, str) else "typeof(snapshot_data) = 'text'"
    return {row for (row,) in rows(path, f"SELECT id FROM usage_snapshots WHERE {plain}")}


def blocks(path: Path) -> dict[int, Block]:
    """Give every block, after a check that its count equals its rows and that every reference has a target."""
    with raw(path) as connection:
        connection.execute("BEGIN")
        found = connection.execute("SELECT id, refs, data FROM usage_snapshot_blocks").fetchall()
        references = list(_references(connection.execute("SELECT id, session_id, snapshot_data FROM usage_snapshots")))
        counts = {block: refs for block, refs, _ in found}
    assert counts == dict(Counter(block for block, _ in references))
    texts = {block: unpacked(data) for block, _, data in found}
    return {block: Block(texts[block], [row for of, row in references if of == block]) for block in texts}


def _references(rows: Iterable[tuple[int, str, Any]]) -> Iterable[tuple[int, tuple[int, str, int]]]:
    for row, session, data in rows:
        is_one = isinstance(data, bytes) and len(data) < 20
        reference = re.fullmatch(rb"(\d+):(\d+)", data) if is_one else None
        if reference:
            yield int(reference[1]), (row, session, int(reference[2]))


def unpacked(data: bytes) -> list[bytes]:
    """Give the texts of a block."""
    lengths, _, texts = zlib.decompress(data).partition(b"\n")
    ends = list(itertools.accumulate(map(int, lengths.split())))
    assert ends[-1] == len(texts)
    return [texts[start:end] for start, end in itertools.pairwise([0, *ends])]


_FILL_ON_A_SERVER = """
INSERT INTO usage_snapshots (session_id, snapshot_data, timestamp)
SELECT 's', '"' || md5(n::text) || '"', floor(%s - %s * (1 - (n + 0.5) / %s))::bigint
FROM generate_series(0, %s) AS n ORDER BY n RETURNING id
"""


def fill(database: Any, count: int, days: float) -> list[int]:
    """Store snapshots of about 4 KB that cannot be compressed, evenly over `days` days until now; give their ids.

    On a server they are short.
    """
    now, ids = time.time(), list[int]()
    if not isinstance(database, peewee.SqliteDatabase):
        rows_of = database.execute_sql(_FILL_ON_A_SERVER, (now, days * DAY, count, count - 1))
        return [row for (row,) in rows_of.fetchall()]
    with database.atomic():
        for number in range(count):
            text = f'"{os.urandom(2000).hex()}"'
            row = (text, int(now - days * DAY * (1 - (number + 0.5) / count)))
            ids.append(database.execute_sql(FILL, row).lastrowid)
    database.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return ids


def on_disk(path: Path) -> int:
    wal = path.with_name(f"{path.name}-wal")
    return path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)


def ids_in(path: Target) -> list[int]:
    return [row for (row,) in rows(path, "SELECT id FROM usage_snapshots ORDER BY id")]


SNAPSHOT: dict[str, Any] = {"session_id": "s", "snapshot_data": {"n": 1}}


def insert(times: int = 40) -> None:
    """Insert one snapshot several times, and check that each one is stored."""
    for _ in range(times):
        assert insert_usage_snapshot(SNAPSHOT) is not None


def commits(database: Any, call: Callable[[], object]) -> int:
    """Count the transactions of a call."""
    statements: list[str] = []
    database.connection().set_trace_callback(statements.append)
    call()
    database.connection().set_trace_callback(None)
    return statements.count("COMMIT")


@cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder) / "usage.db") as database:
        MigrationRunner(database).migrate()
        database.close()
        return Path(database.database).read_bytes()


def new_store(path: Path) -> Path:
    """Make a migrated database of the usage tables. It is a copy, because tests do this a thousand times."""
    path.write_bytes(_migrated())
    return path


@cache
def _filled(count: int, days: float, _: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder, opened(new_store(Path(folder) / "usage.db")) as database:
        with database.bind_ctx(MODELS):
            UsageSession.register("s")
        fill(database, count, days)
        database.close()
        return Path(database.database).read_bytes()


def filled(path: Path, count: int = 600, days: float = 60) -> Path:
    """Make a database of `count` snapshots, evenly over `days` days until this minute; nobody is connected."""
    path.write_bytes(_filled(count, days, int(time.time()) // 60))
    return path
