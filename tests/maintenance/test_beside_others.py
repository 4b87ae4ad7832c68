"""During maintenance, other processes read what was written, write without long waits, and do not fail."""

from __future__ import annotations

import base64
import itertools
import json
import os
import random
import time
import zlib
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.databases import opened, raw, rows
from tests.support.driver import sqlite3
from tests.support.maintenance import state_of
from tests.support.processes import at_once, meet
from tests.support.programs import TIMEOUT
from tests.support.snapshots import DAY
from usage_store import Maintained, UsageSnapshot, init_database, insert_usage_snapshot, maintain, register_sessions
from usage_store.engines import unwrap
from usage_store.models.fields.retention_limits import LEAST_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import peewee

    from tests.support.clock import Clock

pytestmark = pytest.mark.only_on("sqlite", "steps of maintenance")

WRITES, WRITERS = 250, 2
GOALS = {"retention_days": 30, "max_bytes": LEAST_BYTES, "compact_after_days": 7}
SESSIONS = ["pruned", "evicted", "compacted", "plain", "writer", "foreign"]
INSERT = "INSERT INTO usage_snapshots (session_id, snapshot_data, timestamp) VALUES (?, ?, ?)"
UPDATE = "UPDATE usage_snapshots SET snapshot_data = ? WHERE id = ?"
WORDS = base64.b64encode(random.Random(0).randbytes(3000)).decode()


def text(session: str, at: int, number: int) -> str:
    """Give a text with its place and its checksum; the texts that will be deleted cannot be compressed well."""
    filler = random.Random(number).randbytes(9000) if session == "evicted" else WORDS[: number % 1500].encode()
    shown = base64.b64encode(filler).decode()
    return json.dumps({"session": session, "at": at, "n": number, "sum": zlib.crc32(filler), "filler": shown})


def proved(snapshots: Iterable[UsageSnapshot]) -> None:
    for snapshot in snapshots:
        data = json.loads(snapshot.snapshot_data)
        assert (data["session"], data["at"]) == (snapshot.session_id, snapshot.timestamp)
        assert zlib.crc32(base64.b64decode(data["filler"])) == data["sum"]


def stored(path: Path, now: int) -> list[tuple[str, str, int]]:
    """Fill a database with rows to delete by age, more MB than are allowed, rows to compact, and young rows."""
    plan = {"pruned": (500, 40, 31), "evicted": (1800, 29, 20), "compacted": (900, 10, 8), "plain": (500, 6, 1)}
    made = [
        (session, text(session, at, number), at)
        for session, (count, first, last) in plan.items()
        for number in range(count)
        for at in [now - int(DAY * (first - (first - last) * number / count))]
    ]
    register_sessions(SESSIONS)
    with raw(path) as connection:
        connection.execute("BEGIN")
        connection.executemany(INSERT, made)
        connection.execute("COMMIT")
    return made


def _repeat(path: Path, work: Callable[[int], object]) -> int:
    """Start together with all others, repeat an action until the writers are done, and give the number of times."""
    init_database(path, timeout=TIMEOUT)
    meet()
    for number in itertools.count(1):
        work(number)
        if len(list(path.parent.glob("*.ended"))) == WRITERS:
            return number
    raise AssertionError


def _do(path: Path, work: Callable[[int], object]) -> None:
    """Start together with all others, repeat an action WRITES times, and then tell the others."""
    init_database(path, timeout=TIMEOUT)
    meet()
    for number in range(WRITES):
        work(number)
    path.with_name(f"{os.getpid()}.ended").touch()


def _maintain(path: Path) -> int:
    return _repeat(path, lambda _: maintain(**GOALS, budget=1))  # type: ignore[arg-type]


def _read(path: Path) -> int:
    def read(_: int) -> None:
        for session in ("writer", "foreign", "compacted"):
            proved(UsageSnapshot.of_session(session))
        proved(UsageSnapshot.recent(limit=300, hours_back=24 * 35))

    return _repeat(path, read)


def _select(path: Path) -> int:
    def select(_: int) -> None:
        with UsageSnapshot._meta.database.atomic():
            proved(UsageSnapshot.select().order_by(UsageSnapshot.timestamp).limit(20))
            proved(UsageSnapshot.select().where(UsageSnapshot.session == "foreign"))

    return _repeat(path, select)


def _write(path: Path, now: int) -> list[tuple[str, str, int]]:
    done = []

    def write(number: int) -> None:
        at = now - 9 * DAY * (number % 2)
        data = text("writer", at, number)
        assert insert_usage_snapshot({"session_id": "writer", "snapshot_data": data, "timestamp": at}) is not None
        done.append(("writer", data, at))
        time.sleep(0.002)

    _do(path, write)
    return done


def _meddle(path: Path, now: int) -> dict[int, tuple[str, str, int]]:
    """Insert, change and delete like a program that knows no blocks, and give the rows that must exist afterwards."""
    kept: dict[int, tuple[str, str, int]] = {}
    at, pruned = now - 9 * DAY, now - 39 * DAY
    connection = sqlite3.connect(path, timeout=TIMEOUT, isolation_level=None)

    def meddle(number: int) -> None:
        row = connection.execute(INSERT, ("foreign", text("foreign", at, number), at)).lastrowid
        assert row is not None
        kept[row] = ("foreign", text("foreign", at, number), at)
        connection.execute(INSERT, ("foreign", text("foreign", pruned, number), pruned))
        some = random.Random(number).choice(list(kept))
        if number % 4:
            kept[some] = ("foreign", text("foreign", at, -number), at)
            changed = connection.execute(UPDATE, (kept[some][1], some))
        else:
            del kept[some]
            changed = connection.execute("DELETE FROM usage_snapshots WHERE id = ?", (some,))
        assert changed.rowcount == 1
        time.sleep(0.002)

    with closing(connection):
        _do(path, meddle)
    return kept


def test_others_write_and_read_while_two_maintain(usage_database: peewee.Database, tmp_path: Path) -> None:
    path, now = tmp_path / "usage.db", int(time.time())
    made = stored(path, now)
    work: list[tuple[Any, ...]] = [(_maintain, path)] * 2 + [(_read, path), (_select, path)]
    *_, written, kept = at_once([*work, (_write, path, now), (_meddle, path, now)])
    assert maintain(usage_database, **GOALS).left == ()  # type: ignore[arg-type]

    found = {row: (session, data.decode(), at) for row, (data, session, _, at) in state_of(path).rows.items()}
    assert {row: value for row, value in found.items() if value[0] == "foreign"} == kept
    there = [value for value in found.values() if value[0] != "foreign"]
    first = len(made) + len(written) - len(there)
    assert sorted(there, key=repr) == sorted([*made[first:], *written], key=repr), "the oldest went, and nothing else"
    assert 500 < first < 500 + 1800, "all that was to be pruned, and some of what was to be evicted"
    assert state_of(path).plain == {row for row, (_, _, at) in found.items() if at > now - 7 * DAY}


def many(path: Path, count: int) -> int:
    """Fill a database with snapshots of about 4 KB, half of them older than 35 days, and give its size."""
    init_database(path).close()
    begin, step = int(time.time()) - 60 * DAY, 50 * DAY / count
    fresh = (base64.b64encode(random.Random(n).randbytes(3000)).decode() if n % 4 == 0 else WORDS for n in range(count))
    with raw(path) as connection:
        connection.execute("INSERT INTO usage_sessions (session_id) VALUES ('s')")
        connection.execute("BEGIN")
        connection.executemany(
            INSERT, (("s", json.dumps([n, words]), int(begin + (n + 0.5) * step)) for n, words in enumerate(fresh))
        )
        connection.execute("COMMIT")
    return path.stat().st_size


def _maintain_once(path: Path) -> Maintained:
    database = init_database(path, timeout=TIMEOUT)
    meet()
    done = maintain(retention_days=35)
    database.close()
    path.with_name("ended").touch()
    return done


def _commit_often(path: Path) -> int:
    """Make small commits until maintenance ends, and give the largest size of the -wal."""
    largest = 0
    with closing(sqlite3.connect(path, timeout=TIMEOUT, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # so only maintenance keeps the -wal small
        meet()
        while not path.with_name("ended").exists():
            connection.execute("UPDATE usage_config SET refresh_rate = refresh_rate % 60 + 1")
            largest = max(largest, path.with_name(f"{path.name}-wal").stat().st_size)
            time.sleep(0.003)
    return largest


def test_the_wal_stays_small_while_others_commit_beside_large_maintenance(tmp_path: Path) -> None:
    path = tmp_path / "large.db"
    assert many(path, 20_000) > 80_000_000
    done, largest = at_once([(_maintain_once, path), (_commit_often, path)])
    assert (done.pruned, done.compacted, done.left) == (10_000, 10_000, ())
    assert 0 < largest < 32 * 2**20
    assert path.stat().st_size < 20_000_000


def test_anybody_writes_between_two_transactions_of_maintenance(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "usage.db"
    many(path, 2000)
    steps: list[str] = []
    with raw(path) as other, opened(path) as database:
        other.execute("PRAGMA busy_timeout = 0")

        def write(step: str, _done: int, _total: int) -> None:
            steps.append(step)
            other.execute("UPDATE usage_config SET refresh_rate = refresh_rate % 60 + 1")

        assert maintain(database, retention_days=35, on_progress=write).left == ()
    assert set(steps) == {"pruned", "compacted", "given back"}
    assert len([slept for slept in clock.slept if slept > 0]) >= len(steps) - 3, "and those who wait have time to"


def test_a_long_reader_keeps_its_state_and_only_puts_off_that_the_file_shrinks(tmp_path: Path) -> None:
    path = tmp_path / "read.db"
    size = many(path, 2000)
    with raw(path) as reader:
        reader.execute("BEGIN")
        seen = "SELECT count(*), min(id), sum(length(snapshot_data)) FROM usage_snapshots"
        before = reader.execute(seen).fetchall()
        (done,) = at_once([(_maintain_once, path)])  # whose timeout is as long as a test's: it waits for nobody
        assert (done.pruned, done.compacted) == (1000, 1000)
        assert reader.execute(seen).fetchall() == before
        assert path.stat().st_size == size
        reader.execute("COMMIT")
        assert reader.execute(seen).fetchall() != before
    at_once([(_maintain_once, path)])
    assert path.stat().st_size < size / 5
    assert len(state_of(path).rows) == 1000


def _open_fresh(folder: Path) -> list[tuple[int, int]]:
    found = []
    for number in range(10):
        meet()
        database: peewee.SqliteDatabase = unwrap(init_database(folder / f"{number}.db", timeout=TIMEOUT, wait=TIMEOUT))
        found.append((database.pragma("auto_vacuum"), len(maintain(database).left)))
        database.close()
    return found


def test_two_that_open_a_fresh_file_at_once_make_one_that_can_shrink(tmp_path: Path) -> None:
    assert at_once([(_open_fresh, tmp_path)] * 2) == [[(2, 0)] * 10] * 2
    for number in range(10):
        assert rows(tmp_path / f"{number}.db", "PRAGMA auto_vacuum") == [(2,)]
