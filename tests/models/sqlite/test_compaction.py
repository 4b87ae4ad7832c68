"""Which snapshots are compacted, how they are stored, and that every way of reading returns the same text."""

from __future__ import annotations

import json
import threading
from random import Random
from typing import TYPE_CHECKING, Any

import peewee
import pytest

from tests.support.databases import dump, opened, raw, script
from tests.support.driver import sqlite3
from tests.support.programs import TIMEOUT
from tests.support.snapshots import TEXTS, blocks, compact_at_once, compact_old, plain_rows, record, stored
from usage_store import UsageSession, UsageSnapshot, init_database, maintain, register_usage_json
from usage_store.engines.sqlite.file.short_transactions import finish
from usage_store.errors import ConfigurationError
from usage_store.migrate import MigrationRunner
from usage_store.models import MODELS
from usage_store.models.sqlite.maintenance.compact_snapshots import compact
from usage_store.testing import dump_usage, load_usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

pytestmark = pytest.mark.quick

BLOCK_BYTES = 40 * 1024
YEAR = 365 * 24  # hours
JSON = "SELECT id, usage_json(snapshot_data) FROM usage_snapshots"


def texts_of(snapshots: Iterable[Any]) -> dict[int, str]:
    return {snapshot.id: snapshot.snapshot_data for snapshot in snapshots}


def selected(*columns: Any) -> peewee.ModelSelect[Any]:
    return UsageSnapshot.select(*columns)


def aliased() -> dict[int, str]:
    other: Any = UsageSnapshot.alias()
    return texts_of(other.select(other.id, other.snapshot_data).join(UsageSession))


def of_the_session() -> dict[int, str]:
    session: Any = UsageSession.get_by_id("s")
    return texts_of(session.snapshots)


COLUMNS = (UsageSnapshot.id, UsageSnapshot.snapshot_data)
READERS: dict[str, Callable[[], dict[int, str]]] = {
    "recent": lambda: texts_of(UsageSnapshot.recent(hours_back=YEAR)),
    "recent of a session": lambda: texts_of(UsageSnapshot.recent("s", hours_back=YEAR)),
    "of_session": lambda: texts_of(UsageSnapshot.of_session("s")),
    "recent_rows": lambda: texts_of(UsageSnapshot.recent_rows(hours_back=YEAR)),
    "recent_rows of a session": lambda: texts_of(UsageSnapshot.recent_rows("s", hours_back=YEAR)),
    "rows_of_session": lambda: texts_of(UsageSnapshot.rows_of_session("s")),
    "select": lambda: texts_of(selected()),
    "iterator": lambda: texts_of(selected().iterator()),
    "tuples": lambda: dict(selected(*COLUMNS).tuples()),
    "dicts": lambda: {row["id"]: row["snapshot_data"] for row in selected().dicts()},
    "named tuples": lambda: texts_of(selected().namedtuples()),
    "get_by_id": lambda: {row: UsageSnapshot.get_by_id(row).snapshot_data for (row,) in selected(COLUMNS[0]).tuples()},
    "backref": of_the_session,
    "alias and join": aliased,
    "function": lambda: dict(selected(COLUMNS[0], peewee.fn.COALESCE(COLUMNS[1], "")).tuples()),
}


@pytest.mark.parametrize("reader", READERS)
def test_every_way_of_reading_gives_the_texts_byte_for_byte(path: Path, reader: str) -> None:
    expected = dict(zip(record(*TEXTS), TEXTS, strict=True)) | dict(zip(record(*TEXTS, age=0.5), TEXTS, strict=True))
    assert READERS[reader]() == expected
    assert compact_old() == len(TEXTS)
    assert len(plain_rows(path)) == len(TEXTS)
    assert READERS[reader]() == expected


def test_data_is_parsed_from_a_compacted_text(usage_database: peewee.Database) -> None:  # noqa: ARG001
    record({"a": [1, None, 2.5]})
    assert compact_old() == 1
    assert UsageSnapshot.get().data == {"a": [1, None, 2.5]}


def test_only_rows_older_than_the_time_are_compacted(usage_database: peewee.SqliteDatabase, path: Path) -> None:
    UsageSession.register("s")
    ids = [UsageSnapshot.record("s", {"at": second}, timestamp=second).id for second in (1, 99, 100, 101)]
    assert finish(usage_database, lambda pace: compact(usage_database, 100, pace)) == 2
    assert plain_rows(path) == set(ids[2:])
    assert finish(usage_database, lambda pace: compact(usage_database, 100, pace)) == 0


def test_any_connection_of_python_s_has_usage_json_once_it_is_registered(path: Path) -> None:
    expected = dict(zip(record(*TEXTS), TEXTS, strict=True))
    compact_old()
    with raw(path) as connection:
        with pytest.raises(sqlite3.OperationalError, match="usage_json"):
            connection.execute(JSON)
        register_usage_json(connection)
        assert dict(connection.execute(JSON)) == expected
        found = connection.execute(
            "SELECT json_extract(usage_json(snapshot_data), '$.n[1][1].three') FROM usage_snapshots "
            "WHERE json_type(usage_json(snapshot_data)) = 'object' ORDER BY id DESC LIMIT 1"
        ).fetchone()
    assert found == (3,)


@pytest.mark.parametrize("how", ["adopted", "opened"])
def test_every_connection_of_the_bound_database_has_usage_json(
    usage_database: peewee.Database, tmp_path: Path, how: str
) -> None:
    database = init_database(usage_database if how == "adopted" else tmp_path / "own.db")
    expected = dict(zip(record(*TEXTS), TEXTS, strict=True))
    assert compact_old() == len(TEXTS)
    found: list[dict[int, str]] = []

    def ask() -> None:
        with database.connection_context():
            found.append(dict(database.execute_sql(JSON).fetchall()))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(TIMEOUT)
    database.close()
    ask()
    assert found == [expected] * 2


def test_a_row_keeps_a_reference_and_a_block_holds_texts_of_one_session_only(
    usage_database: peewee.SqliteDatabase, path: Path
) -> None:
    expected = {}
    for n in range(300):
        text = json.dumps({"n": n // 2, "filler": "x" * 500})
        session = "stu"[n % 3]
        expected[record(text, session=session, age=30 + n % 7)[0]] = (session, text.encode())
    assert compact_at_once(usage_database) == 300
    found = blocks(path)
    seen = {row: (session, block.texts[number]) for block in found.values() for row, session, number in block.rows}
    assert seen == expected
    assert stored(path) == {
        row: b"%d:%d" % (block, number) for block, (_, rows) in found.items() for row, _, number in rows
    }
    for texts, rows in found.values():
        assert len({session for _, session, _ in rows}) == 1
        assert len(set(texts)) == len(texts)
        assert sum(map(len, texts)) <= BLOCK_BYTES


def test_duplicates_share_a_text(usage_database: peewee.SqliteDatabase, path: Path) -> None:
    record(*['{"same": 1}', "[]"] * 20)
    compact_at_once(usage_database)
    [(texts, rows)] = blocks(path).values()
    assert sorted(texts) == [b"[]", b'{"same": 1}']
    assert len(rows) == 40


def test_a_text_larger_than_a_block_has_one_of_its_own(usage_database: peewee.SqliteDatabase, path: Path) -> None:
    huge = json.dumps("h" * 10 * 2**20)
    large, other = json.dumps(Random(1).randbytes(40_000).hex()), json.dumps("o" * 33_000)
    texts = ["1", large, "2", huge, large, "3", other, "4"]
    expected = dict(zip(record(*texts), texts, strict=True))
    assert compact_at_once(usage_database) == len(texts)
    assert texts_of(UsageSnapshot.of_session("s")) == expected
    for in_block, _ in blocks(path).values():
        assert len(in_block) == 1 or sum(map(len, in_block)) <= BLOCK_BYTES


def test_a_dump_holds_texts_and_loads_as_plain_rows(usage_database: peewee.Database, path: Path) -> None:
    expected = dict(zip(record(*TEXTS), TEXTS, strict=True))
    compact_old()
    dump_usage(usage_database, path.with_name("dump.json"))
    fixture = json.loads(path.with_name("dump.json").read_text(encoding="utf-8"))
    assert {row["id"]: row["snapshot_data"] for row in fixture["usage_snapshots"]} == expected
    load_usage(usage_database, path.with_name("dump.json"))
    assert stored(path) == expected
    assert blocks(path) == {}


@pytest.mark.parametrize("event", ["inserted", "updated", "deleted"])
def test_maintenance_refuses_a_database_without_the_triggers_that_count_references(path: Path, event: str) -> None:
    record(*TEXTS)
    script(path, f"DROP TRIGGER usage_snapshots_{event}")
    before = dump(path)
    with pytest.raises(ConfigurationError, match="usage tables or triggers of version 2 are missing"):
        maintain(compact_after_days=1, retention_days=1)
    assert dump(path) == before


def test_a_database_in_utf_16_is_not_compacted_and_a_line_says_why(tmp_path: Path) -> None:
    script(tmp_path / "wide.db", "PRAGMA encoding = 'UTF-16le'; CREATE TABLE host (a)")
    with opened(tmp_path / "wide.db") as database, database.bind_ctx(MODELS):
        MigrationRunner(database).migrate()
        expected = dict(zip(record(*TEXTS), TEXTS, strict=True))
        done = maintain(compact_after_days=1)
        assert done.compacted == 0
        assert "8 snapshots to be compacted, but this database is not UTF-8" in done.left
        assert texts_of(UsageSnapshot.of_session("s")) == expected
    assert stored(tmp_path / "wide.db") == expected
