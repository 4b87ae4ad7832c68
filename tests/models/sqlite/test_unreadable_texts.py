"""An unreadable text affects only its own row: in lists, queries, sizes, dumps and maintenance."""

from __future__ import annotations

import os
import tracemalloc
import zlib
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from peewee import fn

from tests.support.databases import raw, rows
from tests.support.snapshots import compact_at_once, number_blocks_from_one, record, write_row
from usage_store import UsageSession, UsageSnapshot, maintain
from usage_store.errors import DamagedSnapshot, InvalidValue
from usage_store.models.sqlite.rows.block_format import BLOCK_BYTES, damaged_blocks, damaged_snapshots, pack
from usage_store.testing import dump_usage, load_usage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import peewee

S: Any = UsageSnapshot
YEAR = 365 * 24  # hours
GOOD = ['{"n": 0}', '{"n": 1}']
NOT_UTF8 = b'{"a":"\xff"}'


def packed(lengths: bytes, texts: bytes) -> bytes:
    return zlib.compress(lengths + b"\n" + texts)


BLOCKS: dict[str, Callable[[], bytes]] = {
    "lengths that are too small": lambda: packed(b"1 8", b'{"n": 0}{"n": 1}'),
    "lengths that are too large": lambda: packed(b"8 9", b'{"n": 0}{"n": 1}'),
    "a negative length": lambda: packed(b"-8 24", b'{"n": 0}{"n": 1}'),
    "lengths that are no numbers": lambda: packed(b"8 +8", b'{"n": 0}{"n": 1}'),
    "a number of too many digits": lambda: packed(b"8 " + b"9" * 5000, b'{"n": 0}{"n": 1}'),
    "no lengths": lambda: zlib.compress(b'{"n": 0}{"n": 1}'),
    "no texts": lambda: packed(b"", b""),
    "what inflates beyond its lengths": lambda: packed(b"0 0", b"0" * 2**28),
    "what inflates as far as its lengths say": lambda: packed(b"0 %d" % 2**28, b"0" * 2**28),
    "a line of lengths without an end": lambda: zlib.compress(b"1 " * 2**27),
    "what is cut off": lambda: pack([b'{"n": 0}', b'{"n": 1}'])[:-1],
    "texts that are not UTF-8": lambda: pack([NOT_UTF8, NOT_UTF8]),
}


@cache
def block(damage: str) -> bytes:
    """Create a block when a test needs it, because some take a second."""
    return BLOCKS[damage]()


@pytest.fixture
def path(usage_database: peewee.SqliteDatabase, tmp_path: Path) -> Path:
    """Create a database with rows 1 and 2 in block 1, rows 3 and 4 in block 2, and a plain row 5."""
    number_blocks_from_one(usage_database)
    for session in "ab":
        record(*GOOD, session=session)
    assert compact_at_once(usage_database) == 4
    record('{"n": 2}', session="b", age=0)
    return tmp_path / "usage.db"


def harm(path: Path, block: bytes) -> None:
    with raw(path) as connection:
        connection.execute("UPDATE usage_snapshot_blocks SET data = ? WHERE id = 1", (block,))


def outcome(snapshot: Any) -> Any:
    try:
        return snapshot.snapshot_data
    except DamagedSnapshot as error:
        named = str(error).startswith(f"snapshot {snapshot.id}: ") and "\n" not in str(error)
        return "damaged" if named else str(error)


EXPECTED = {1: "damaged", 2: "damaged", 3: GOOD[0], 4: GOOD[1], 5: '{"n": 2}'}


@pytest.mark.parametrize("damage", BLOCKS)
def test_a_damaged_block_affects_only_its_rows(usage_database: peewee.SqliteDatabase, path: Path, damage: str) -> None:
    harm(path, block(damage))
    for listed in (
        S.recent(hours_back=YEAR),
        list(S.select()),
        list(S.raw("SELECT * FROM usage_snapshots")),
    ):
        assert {snapshot.id: outcome(snapshot) for snapshot in listed} == EXPECTED
    numbers = S.select(S.id, fn.json_extract(S.snapshot_data, "$.n")).tuples()
    assert dict(numbers) == {1: None, 2: None, 3: 0, 4: 1, 5: 2}
    assert {row for row, _ in damaged_snapshots(usage_database)} == {1, 2}
    not_utf8 = damage == "texts that are not UTF-8"
    assert [line.split(" is damaged")[0] for line in damaged_blocks(usage_database)] == (
        [] if not_utf8 else ["usage_snapshot_blocks: block 1"]
    )


def test_inflating_a_block_stops_at_the_size_limit(usage_database: peewee.SqliteDatabase, path: Path) -> None:
    for damage in BLOCKS:
        harm(path, block(damage))
        tracemalloc.start()
        assert len(list(damaged_snapshots(usage_database))) == 2, damage
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 2**24, damage


ROWS: dict[str, Callable[[Any], Any]] = {
    "dicts": lambda query: query.dicts(),
    "tuples": lambda query: query.tuples(),
    "namedtuples": lambda query: query.namedtuples(),
    "objects": lambda query: query.objects(dict),
}


@pytest.mark.parametrize("kind", ROWS)
def test_reading_plain_rows_raises_an_error_with_the_id_of_the_damaged_row(path: Path, kind: str) -> None:
    harm(path, block("a negative length"))
    select = ROWS[kind]
    alias: Any = S.alias()
    found = iter(select(S.select().order_by(S.id.desc())).iterator())
    assert len([next(found) for _ in range(3)]) == 3
    with pytest.raises(DamagedSnapshot, match=r"^snapshot 2: .*block 1"):
        next(found)
    with pytest.raises(DamagedSnapshot, match=r"^a snapshot \(select its id to see which\): .*block 1"):
        list(select(S.select(S.snapshot_data)))
    for query in (
        S.select(S.snapshot_data.alias("text"), S.id),
        alias.select(alias.id, alias.snapshot_data),
        S.raw("SELECT snapshot_data, id FROM usage_snapshots"),
        UsageSession.select(UsageSession, S).join(S),
        S.select(S.id, S.snapshot_data).where(S.id < 2) | S.select(S.id, S.snapshot_data).where(S.id > 2),
    ):
        with pytest.raises(DamagedSnapshot, match=r"^snapshot 1: .*block 1"):
            list(select(query))


def test_an_outer_join_without_a_snapshot_does_not_count_as_damage(path: Path) -> None:
    harm(path, block("a negative length"))
    UsageSession.register("empty")
    query = UsageSession.select(UsageSession.session_id, S.snapshot_data).join(S, "LEFT OUTER JOIN")
    assert list(query.where(UsageSession.session_id == "empty").tuples()) == [("empty", None)]
    assert UsageSnapshot(session="empty").snapshot_data is None


def test_a_plain_text_that_is_not_utf8_affects_only_its_row(
    usage_database: peewee.SqliteDatabase, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    UsageSession.register("s")
    with raw(path) as connection:
        assert write_row(connection, NOT_UTF8) == 6
    expected = {**dict(enumerate([*GOOD, *GOOD, '{"n": 2}'], 1)), 6: "damaged"}
    for _ in range(2):
        for listed in (S.recent(hours_back=YEAR), list(S.select()), list(S.alias().select())):
            assert {snapshot.id: outcome(snapshot) for snapshot in listed} == expected
        with pytest.raises(DamagedSnapshot, match=r"^snapshot 6: its text is not UTF-8"):
            UsageSnapshot.rows_of_session("s")
        with pytest.raises(DamagedSnapshot, match=r"^snapshot 6: its text is not UTF-8"):
            list(S.select().dicts())
        assert len(UsageSession.sizes()) == 3
        assert [row for row, line in damaged_snapshots(usage_database) if "not UTF-8" in line] == [6]
        dump_usage(usage_database, path.with_name("dump.json"))
        assert caplog.messages.pop().endswith("left out rows that cannot be read: usage_snapshots 6")
        caplog.clear()
        compact_at_once(usage_database)  # and once more, now that it stands in a block
    assert UsageSession.remove_many(["s"]) == 1
    assert list(damaged_snapshots(usage_database)) == []


@pytest.mark.parametrize("bad", [[1], [2], [1, 2], [5], [1, 3, 5], [1, 2, 3, 4, 5]])
def test_a_row_after_texts_that_are_not_utf8_is_never_lost(
    usage_database: peewee.SqliteDatabase,
    path: Path,  # noqa: ARG001  its rows are there
    bad: list[int],
) -> None:
    usage_database.execute_sql("UPDATE usage_snapshots SET snapshot_data = '[]'")
    for row in bad:
        change = "UPDATE usage_snapshots SET snapshot_data = CAST(? AS TEXT) WHERE id = ?"
        usage_database.execute_sql(change, (NOT_UTF8, row))
    lazy = S.select().order_by(S.id).iterator()
    for listed in (S.select().order_by(S.id), lazy, S.raw("SELECT * FROM usage_snapshots ORDER BY id")):
        assert [outcome(snapshot) for snapshot in listed] == ["damaged" if row in bad else "[]" for row in range(1, 6)]


def test_a_plain_text_that_is_not_json_is_returned_and_its_data_raises(
    usage_database: peewee.SqliteDatabase, path: Path
) -> None:
    UsageSession.register("s")
    with raw(path) as connection:
        write_row(connection, b"{oops")
    for _ in range(2):
        [snapshot] = UsageSnapshot.of_session("s")
        assert snapshot.snapshot_data == "{oops"
        with pytest.raises(InvalidValue, match=r"snapshot_data: '\{oops' is not allowed"):
            _ = snapshot.data
        [(row, line)] = damaged_snapshots(usage_database)
        assert (row, line[:33]) == (6, "snapshot 6: its text is not JSON ")
        compact_at_once(usage_database)
    assert list(damaged_blocks(usage_database)) == []


def test_a_session_whose_id_is_not_utf8_hides_no_other_session_and_can_be_removed(
    usage_database: peewee.SqliteDatabase, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    odd = os.fsdecode(b"\xffa")
    with raw(path) as connection:
        connection.execute("INSERT INTO usage_sessions (session_id) VALUES (CAST(x'ff61' AS TEXT))")
        connection.execute(
            "INSERT INTO usage_snapshots (session_id, snapshot_data, timestamp) VALUES (CAST(x'ff61' AS TEXT), '[]', 5)"
        )
    assert {size.session_id: size.snapshots for size in UsageSession.sizes()} == {"a": 2, "b": 3, odd: 1}
    assert {session.session_id for session in UsageSession.select()} == {"a", "b", odd}
    assert {s.session_id for s in S.select()} == {"a", "b", odd}
    assert {s.session_id for s in S.recent(hours_back=800_000)} == {"a", "b", odd}
    assert maintain(compact_after_days=1).compacted == 1
    assert [s.session_id for s in S.select().where(S.snapshot_data == "[]")] == [odd]
    dump_usage(usage_database, path.with_name("dump.json"))
    assert caplog.messages[0].endswith(f"usage_sessions {odd!r}, usage_snapshots 6")
    load_usage(usage_database, path.with_name("dump.json"))
    with raw(path) as connection:
        connection.execute("INSERT INTO usage_sessions (session_id) VALUES (CAST(x'ff61' AS TEXT))")
        connection.execute(
            "INSERT INTO usage_snapshots (session_id, snapshot_data, timestamp) VALUES (CAST(x'ff61' AS TEXT), '[]', 5)"
        )
    assert UsageSession.remove_many(["a", odd]) == 3
    assert rows(path, "SELECT session_id FROM usage_sessions") == [("b",)]


@pytest.mark.parametrize("session", ["\ud800", "\udcff\0"[1:], ""])
def test_an_id_that_cannot_exist_is_refused(path: Path, session: str) -> None:
    with pytest.raises(InvalidValue, match="session_id"):
        UsageSession.remove_many([session])
    assert len(rows(path, "SELECT 1 FROM usage_snapshots")) == 5


def test_a_blob_that_looks_like_a_reason_is_damage_in_hand_written_sql(path: Path) -> None:
    with raw(path) as connection:
        row = write_row(connection, b"\0\xff", kind="BLOB")
    (snapshot,) = S.raw("SELECT id, snapshot_data FROM usage_snapshots WHERE id = ?", row)
    with pytest.raises(DamagedSnapshot, match=r"^snapshot 6: "):
        _ = snapshot.snapshot_data


def test_inflated_blocks_in_memory_are_limited_by_their_bytes(usage_database: peewee.SqliteDatabase) -> None:
    large = [{"n": n, "filler": "x" * 2**20} for n in range(16)]
    record(*large, *({"n": n, "filler": "y" * (BLOCK_BYTES // 2 + 1)} for n in range(600)))
    assert compact_at_once(usage_database) == 616
    tracemalloc.start()
    for snapshot in S.select().order_by(S.id.desc()).iterator():
        assert snapshot.data["filler"]
    del snapshot
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < 5 * 2**20


def test_a_dump_is_loaded_unchanged_whatever_other_programs_stored(
    usage_database: peewee.SqliteDatabase, path: Path
) -> None:
    UsageSession.register("s")
    with raw(path) as connection:
        write_row(connection, b"{oops")
    before = rows(path, "SELECT id, session_id, snapshot_type, timestamp FROM usage_snapshots")
    dump_usage(usage_database, path.with_name("dump.json"))
    load_usage(usage_database, path.with_name("dump.json"))
    assert rows(path, "SELECT id, session_id, snapshot_type, timestamp FROM usage_snapshots") == before
    assert rows(path, "SELECT snapshot_data FROM usage_snapshots WHERE id = 6") == [("{oops",)]
