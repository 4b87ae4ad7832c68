"""Make databases for maintenance, read them by the description of the format, and check states during the work."""

from __future__ import annotations

import base64
import json
import random
import re
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.clock import Clock
from tests.support.databases import PAGE, opened, raw, script
from tests.support.programs import run_python
from tests.support.snapshots import DAY, new_store, unpacked
from usage_store import maintain
from usage_store.engines.interface.pace import HOLD, Pace
from usage_store.engines.sqlite.file import short_transactions
from usage_store.models import MODELS, UsageSession
from usage_store.models.fields import retention_limits
from usage_store.models.sqlite.maintenance.compact_snapshots import compact

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    import pytest
    from peewee import SqliteDatabase

    from tests.support.databases import Target

KILLED = 99  # exit code of a process that ends itself half-way
SPAN, PRUNED, COMPACTED = 36, 30, 7  # days
IDS = range(1, 73)
SIZES = (0, 60, 700, 2500, 2500, 6000)
# A text larger than a block, and values that no JSON writer stores: a blob, not UTF-8, with a NUL, like a reference.
LARGE, BLOB = 31, 44
FOREIGN = {BLOB: b'{"blob": 1}', 46: b"\xff\xfe", 47: b"NUL\0", 48: b"1:0"}


@dataclass(frozen=True)
class State:
    """The content of a database, however it is stored, and its plain rows. Comparison ignores `free` pages."""

    schema: list[Any]
    rest: list[Any]
    rows: dict[int, tuple[Any, ...]]
    plain: set[int]
    free: int = field(compare=False)


def state_of(path: Path) -> State:
    """Read a database by the description of the format, without this package's code, and check every reference."""
    with raw(path) as connection:

        def all_of(query: str) -> list[Any]:
            return connection.execute(query).fetchall()

        connection.execute("BEGIN")
        assert all_of("PRAGMA integrity_check") == [("ok",)]
        assert all_of("PRAGMA foreign_key_check") == []
        schema = all_of("SELECT name, sql FROM sqlite_master ORDER BY name")
        made = any(name == "usage_snapshot_blocks" for name, _ in schema)
        blocks = all_of("SELECT id, refs, data FROM usage_snapshot_blocks") if made else []
        texts = {block: unpacked(data) for block, _, data in blocks}
        rows, plain, refs = {}, set(), Counter[int]()
        for row, kind, data, *others in all_of(
            "SELECT id, typeof(snapshot_data), CAST(snapshot_data AS BLOB), session_id, snapshot_type, timestamp "
            "FROM usage_snapshots"
        ):
            found = re.fullmatch(rb"(\d+):(\d+)", data) if kind == "blob" else None
            rows[row] = (texts[int(found[1])][int(found[2])] if found else data, *others)
            refs.update([int(found[1])] if found else [])
            plain |= {row} if kind == "text" else set()
        assert refs == {block: count for block, count, _ in blocks}
        rest = [all_of("SELECT * FROM usage_sessions"), all_of("SELECT * FROM usage_config")]
        return State(schema, rest, rows, plain, all_of("PRAGMA freelist_count")[0][0])


def session(number: int) -> str:
    return "abcd"[number // 3 % 4]


def text(number: int) -> bytes:
    if number % 5 == 0:
        return text(number - 1)
    if number in FOREIGN:
        return FOREIGN[number]
    chance = random.Random(number)
    size = 40_000 if number == LARGE else SIZES[number % len(SIZES)]
    return json.dumps({"n": number, "filler": base64.b64encode(chance.randbytes(size)).decode()}).encode()


def prepared(path: Path, ids: range = IDS, compacted: float = SPAN) -> Path:
    """Make a database of snapshots, newest last. Old ones are compacted, and unused pages are not returned."""
    with opened(new_store(path)) as database:
        with database.bind_ctx(MODELS):
            UsageSession.register_many(list("abcd"))
        newest = time.time() - DAY / 4
        for number in ids:
            kind, at = "?" if number == BLOB else "CAST(? AS TEXT)", int(newest - SPAN * DAY * (1 - number / ids[-1]))
            insert = f"INSERT INTO usage_snapshots VALUES (?, ?, {kind}, 'stats', ?)"
            database.execute_sql(insert, (number, session(number), text(number), at))
        compact_older(database, compacted)
    return path


def compact_older(database: SqliteDatabase, days: float) -> None:
    short_transactions.finish(database, lambda pace: compact(database, int(time.time() - days * DAY), pace))


def maintain_all(database: SqliteDatabase) -> None:
    database.pragma("wal_autocheckpoint", 1)  # a part of `max_bytes` is kept free for the -wal
    done = maintain(database, retention_days=PRUNED, compact_after_days=COMPACTED, max_bytes=40 * PAGE)
    assert done.left == ()


def maintain_all_of(path: Path) -> None:
    with opened(path) as database:
        maintain_all(database)


def prune_and_compact(path: Path) -> None:
    with opened(path) as database:
        maintain(database, retention_days=PRUNED, compact_after_days=COMPACTED)


def between(before: State, after: State, path: Path) -> State:
    """Give the state of a database, and check that it is one between two given states."""
    state = state_of(path)
    assert after.rows.items() <= state.rows.items() <= before.rows.items()
    # If the newest rows are left in the end, then the newest rows are left in each state before.
    left = [each.rows.keys() == set(sorted(before.rows)[-len(each.rows) :]) for each in (state, after)]
    assert left[0] >= left[1]
    fewer, more = sorted((before.plain, after.plain), key=len)
    assert fewer <= state.plain <= more
    assert state.rest in (before.rest, after.rest)
    assert before.schema == after.schema or state in (before, after)
    return state


def copied(origin: Path, path: Path) -> Path:
    shutil.copy(origin, path)
    return path


_REFUSES = "CREATE TRIGGER t BEFORE DELETE ON usage_snapshots BEGIN SELECT RAISE(ABORT, 'not mine'); END"
_REFUSES_ON_A_SERVER = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not mine'; END $$;
CREATE TRIGGER t BEFORE DELETE ON usage_snapshots EXECUTE FUNCTION refuse();
"""


def refuse_deletions(target: Target) -> None:
    """Let the trigger `t` of an application refuse that snapshots are deleted."""
    script(target, _REFUSES_ON_A_SERVER if isinstance(target, str) else _REFUSES)


def allow_deletions(target: Target) -> None:
    """Drop that trigger."""
    script(target, f"DROP TRIGGER t{' ON usage_snapshots' if isinstance(target, str) else ''}")


def take_steps_of(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make each transaction change `rows` rows, independent of the clock."""
    monkeypatch.setattr(Pace, "size", property(lambda _: rows, lambda *_: None), raising=False)


def take_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make each transaction change four rows, without pauses, independent of the clock and of the database's size."""
    take_steps_of(4, monkeypatch)
    monkeypatch.setattr(short_transactions, "_LATE", -1000)
    monkeypatch.setattr(retention_limits, "LEAST_BYTES", 0)
    clock = Clock(HOLD / 8)  # the return of pages is timed by this clock
    monkeypatch.setattr(time, "monotonic", clock.monotonic)
    monkeypatch.setattr(time, "sleep", clock.sleep)


ANOTHER_DEFAULT = """
import sys
from usage_store import engines
from usage_store.engines.sqlite.connection.open_file import SqliteFile, open_database
seconds = float(sys.argv.pop(1))
for function in (engines.open_database, open_database, SqliteFile.__init__):
    assert function.__kwdefaults__["timeout"] < 60
    function.__kwdefaults__["timeout"] = seconds
from usage_store.cli.main import main
sys.exit(main(["maintain", *sys.argv[1:]]))
"""


def maintain_by_default_waiting(seconds: float, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m usage_store.maintain` with `seconds` as the default time to wait for a lock."""
    return run_python("-c", ANOTHER_DEFAULT, str(seconds), *words, cwd=cwd)
