"""A damaged or missing block is an error of one line for its snapshots, and for no others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import dump, raw, rows
from tests.support.snapshots import blocks, compact_at_once, number_blocks_from_one, record
from usage_store import UsageSession, UsageSnapshot, register_usage_json
from usage_store.errors import DamagedSnapshot, MigrationFailed
from usage_store.migrate import MigrationRunner
from usage_store.testing import dump_usage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import peewee

    from tests.support.driver import sqlite3

pytestmark = pytest.mark.quick

TEXTS = ['{"n": 0}', '{"n": 1}']
YEAR = 365 * 24  # hours


@pytest.fixture
def path(usage_database: peewee.SqliteDatabase, tmp_path: Path) -> Path:
    """Create a database: rows 1 and 2 of session a in block 1, 3 and 4 of session b in block 2, and a plain row 5."""
    number_blocks_from_one(usage_database)
    for session in "ab":
        record(*TEXTS, session=session)
    compact_at_once(usage_database)
    record("[]", session="b", age=0)
    assert set(blocks(tmp_path / "usage.db")) == {1, 2}
    return tmp_path / "usage.db"


def change(connection: sqlite3.Connection, data: bytes) -> None:
    connection.execute("UPDATE usage_snapshot_blocks SET data = ? WHERE id = 1", (data,))


def flip(connection: sqlite3.Connection, data: bytes) -> None:
    change(connection, data[:-1] + bytes([data[-1] ^ 1]))


def truncate(connection: sqlite3.Connection, data: bytes) -> None:
    change(connection, data[: len(data) // 2])


def delete(connection: sqlite3.Connection, _: bytes) -> None:
    connection.execute("DELETE FROM usage_snapshot_blocks WHERE id = 1")


def refer(connection: sqlite3.Connection, reference: bytes) -> None:
    """Change the references of rows 1 and 2."""
    connection.execute("UPDATE usage_snapshots SET snapshot_data = ? WHERE id < 3", (reference,))


def refer_to_nothing(connection: sqlite3.Connection, reference: bytes) -> None:
    """Do the same without the triggers, which would refuse it."""
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'usage_snapshots'"
    triggers = connection.execute(query).fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    refer(connection, reference)
    for _, sql in triggers:
        connection.execute(sql)


DAMAGES: dict[
    str, tuple[Callable[[sqlite3.Connection, bytes], None], str, str]
] = {  # what is done, block, what is said
    "flipped": (flip, "1", "damaged"),
    "truncated": (truncate, "1", "damaged"),
    "empty": (lambda connection, _: change(connection, b""), "1", "damaged"),
    "garbage": (lambda connection, _: change(connection, b"garbage" * 20_000), "1", "damaged"),
    "deleted": (delete, "1", "gone"),
    "no such text": (lambda connection, _: refer(connection, b"2:2"), "2", "damaged"),
    "no such block": (lambda connection, _: refer_to_nothing(connection, b"77:0"), "77", "gone"),
}
damaged = pytest.mark.parametrize("damage", DAMAGES)
# A text that looks like a reference to block 2. It has more digits than an integer of SQLite, or of Python by default.
BEYOND = [b"0" * 16 + b"2:0", b"2:" + b"9" * 18, b"2:" + b"9" * 19, b"2:" + b"9" * 5000, b"0" * 30 + b"2:0"]


def harm(path: Path, damage: str) -> tuple[str, str]:
    """Damage the block of rows 1 and 2, and return the number of the block and the expected message."""
    with raw(path) as connection:
        [data] = connection.execute("SELECT data FROM usage_snapshot_blocks WHERE id = 1").fetchone()
        DAMAGES[damage][0](connection, data)
    return DAMAGES[damage][1:]


def outcome(snapshot: UsageSnapshot) -> str:
    try:
        return str(snapshot.snapshot_data)
    except DamagedSnapshot as error:
        return f"damaged: {error}"


LISTS: list[Callable[[], list[UsageSnapshot]]] = [
    lambda: UsageSnapshot.recent(hours_back=YEAR),
    lambda: [*UsageSnapshot.of_session("a"), *UsageSnapshot.of_session("b")],
    lambda: list(UsageSnapshot.select()),
]


@damaged
def test_a_model_raises_on_access_and_the_others_of_its_list_read(path: Path, damage: str) -> None:
    block, what = harm(path, damage)
    for listed in LISTS:
        found = {snapshot.id: snapshot for snapshot in listed()}
        assert [outcome(found[row]) for row in (3, 4, 5)] == [*TEXTS, "[]"]
        for row in (1, 2):
            assert found[row].session_id == "a"
            for attribute in ("snapshot_data", "data"):
                with pytest.raises(DamagedSnapshot, match=f"^snapshot {row}: .*block {block}.* is {what}") as caught:
                    getattr(found[row], attribute)
                assert "\n" not in str(caught.value)


@damaged
def test_a_model_without_its_id_raises_too(path: Path, damage: str) -> None:
    harm(path, damage)
    found = list(UsageSnapshot.select(UsageSnapshot.snapshot_data).order_by(UsageSnapshot.id))
    assert [snapshot.snapshot_data for snapshot in found[2:]] == [*TEXTS, "[]"]
    for snapshot in found[:2]:
        with pytest.raises(DamagedSnapshot):
            _ = snapshot.snapshot_data


@damaged
def test_a_model_of_a_damaged_snapshot_can_be_saved_and_deleted(path: Path, damage: str) -> None:
    harm(path, damage)
    [snapshot] = [found for found in UsageSnapshot.of_session("a") if found.id == 1]
    snapshot.snapshot_type = "config"
    before = rows(path, "SELECT snapshot_data FROM usage_snapshots ORDER BY id")
    snapshot.save()
    assert rows(path, "SELECT snapshot_type FROM usage_snapshots WHERE id = 1") == [("config",)]
    assert rows(path, "SELECT snapshot_data FROM usage_snapshots ORDER BY id") == before
    snapshot.snapshot_data = "[1]"
    assert snapshot.data == [1]
    snapshot.save()
    assert UsageSnapshot.get_by_id(1).snapshot_data == "[1]"
    assert UsageSession.remove_many(["a"]) == 2
    assert [snapshot.snapshot_data for snapshot in UsageSnapshot.of_session("b")] == ["[]", *reversed(TEXTS)]


@damaged
def test_plain_rows_raise_the_same(path: Path, damage: str) -> None:
    block, what = harm(path, damage)
    raises = pytest.raises(DamagedSnapshot, match=f"^snapshot [12]: .*block {block}.* is {what}")
    with raises:
        UsageSnapshot.recent_rows(hours_back=YEAR)
    with raises:
        UsageSnapshot.rows_of_session("a")
    assert [row.snapshot_data for row in UsageSnapshot.rows_of_session("b")] == ["[]", *reversed(TEXTS)]


@damaged
def test_usage_json_returns_null_for_damaged_rows_only(path: Path, damage: str) -> None:
    harm(path, damage)
    with raw(path) as connection:
        register_usage_json(connection)
        query = (
            "SELECT usage_json(snapshot_data), json_extract(usage_json(snapshot_data), '$.n') "
            "FROM usage_snapshots ORDER BY id"
        )
        assert connection.execute(query).fetchall() == [(None, None)] * 2 + [(TEXTS[0], 0), (TEXTS[1], 1), ("[]", None)]


@damaged
def test_a_rollback_to_version_1_names_the_snapshot_and_changes_nothing(
    usage_database: peewee.SqliteDatabase, path: Path, damage: str
) -> None:
    harm(path, damage)
    MigrationRunner(usage_database).rollback(2)
    before = dump(path)
    with pytest.raises(MigrationFailed, match=r"snapshot 1\b.*block .*delete it first") as caught:
        MigrationRunner(usage_database).rollback(1)
    assert "\n" not in str(caught.value)
    assert dump(path) == before
    with raw(path) as connection:
        connection.execute("DELETE FROM usage_snapshots WHERE id < 3")
    MigrationRunner(usage_database).rollback(1)
    assert rows(path, "SELECT snapshot_data FROM usage_snapshots ORDER BY id") == [(text,) for text in [*TEXTS, "[]"]]


@damaged
def test_a_dump_leaves_out_damaged_rows_and_names_them(
    usage_database: peewee.SqliteDatabase, path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    harm(path, damage)
    dump_usage(usage_database, path.with_name("dump.json"))
    dumped = json.loads(path.with_name("dump.json").read_text(encoding="utf-8"))["usage_snapshots"]
    assert [(row["id"], row["snapshot_data"]) for row in dumped] == [(3, TEXTS[0]), (4, TEXTS[1]), (5, "[]")]
    [warning] = caplog.messages
    assert warning.endswith("left out rows that cannot be read: usage_snapshots 1, usage_snapshots 2")


def test_a_flipped_bit_never_changes_a_text_silently(path: Path) -> None:
    with raw(path) as connection:
        [data] = connection.execute("SELECT data FROM usage_snapshot_blocks WHERE id = 1").fetchone()
        outcomes = set()
        for bit in range(8 * len(data)):
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            change(connection, bytes(changed))
            found = outcome(UsageSnapshot.get_by_id(2))
            outcomes.add("damaged" if found.startswith("damaged: snapshot 2: ") else found)
    assert "damaged" in outcomes
    assert outcomes <= {"damaged", TEXTS[1]}


@pytest.mark.parametrize("reference", BEYOND, ids=range(len(BEYOND)))
def test_a_reference_with_too_many_digits_is_damage_of_its_own_row_only(
    usage_database: peewee.SqliteDatabase, path: Path, reference: bytes
) -> None:
    with raw(path) as connection:
        refer(connection, reference)
    for listed in LISTS:
        found = {snapshot.id: outcome(snapshot) for snapshot in listed()}
        assert [found[row] for row in (3, 4, 5)] == [*TEXTS, "[]"]
    if found[1].startswith("damaged: snapshot 1: "):
        with pytest.raises(MigrationFailed, match=r"snapshot 1\b.*block"):
            MigrationRunner(usage_database).rollback(1)
    else:
        MigrationRunner(usage_database).rollback(1)
        assert rows(path, "SELECT CAST(snapshot_data AS TEXT) FROM usage_snapshots WHERE id = 1") == [(found[1],)]
