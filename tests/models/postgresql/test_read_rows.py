"""Rows that are read from a PostgreSQL server: lists, pages, Peewee's queries, and texts that cannot be read."""

from __future__ import annotations

import json
import time
from itertools import islice
from typing import TYPE_CHECKING, Any

import peewee
import psycopg
import pytest
from peewee import fn
from psycopg.rows import dict_row

from tests.support.databases import raw
from tests.support.postgresql_servers import for_drivers
from usage_store.errors import DamagedSnapshot, InvalidValue
from usage_store.models import MODELS, UsageSession, UsageSnapshot
from usage_store.models.fields.time_window import checked_window
from usage_store.models.postgresql.rows import list_rows, pages_of_rows

if TYPE_CHECKING:
    from tests.support.databases import Target

pytestmark = pytest.mark.usefixtures("usage_database")
TEXT = '{"a": 1.10, "a": 2}'
INSERT = "INSERT INTO usage_snapshots (session_id, snapshot_data, timestamp) VALUES (%s, %s, %s)"


@pytest.fixture(autouse=True)
def _sessions(usage_database: peewee.Database) -> None:
    del usage_database
    UsageSession.register_many(["a", "b"])


def test_pages_give_each_row_once_in_both_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_of_rows, "_PAGE_ROWS", 7)
    UsageSnapshot.record_many(
        {"session_id": "ab"[number % 2], "snapshot_data": str(number), "timestamp": 1000 + number // 20}
        for number in range(100)
    )
    newest = [int(snapshot.snapshot_data) for snapshot in islice(UsageSnapshot.between(), 200)]
    assert newest == [*range(99, -1, -1)]
    assert [int(snapshot.snapshot_data) for snapshot in UsageSnapshot.between(newest_first=False)] == [*range(100)]
    some = UsageSnapshot.between(1001, 1003, session_id="b", snapshot_type="stats")
    assert [int(snapshot.snapshot_data) for snapshot in some] == [*range(59, 19, -2)]
    assert UsageSnapshot.count_between(1001, 1003, session_id="b") == 20


def test_a_page_ends_with_the_row_that_fills_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_of_rows, "_PAGE_BYTES", 10_000)
    UsageSnapshot.record_many(
        {"session_id": "a", "snapshot_data": f'"{"x" * size}"'} for size in (3000, 6000, 3000, 30_000, 10)
    )
    window = UsageSnapshot.between(newest_first=False)
    assert [len(snapshot.snapshot_data) - 2 for snapshot in window] == [3000, 6000, 3000, 30_000, 10]
    database: Any = UsageSnapshot._db()
    found = pages_of_rows.pages(database, checked_window(None, None, None, None, False))
    assert [len(page) for page in found] == [3, 1, 1]


@pytest.mark.parametrize("session_id", [None, "a"])
def test_a_list_begins_at_its_second_and_ends_at_its_limit(session_id: str | None) -> None:
    UsageSnapshot.record_many(
        {"session_id": "a", "snapshot_data": str(second), "timestamp": second} for second in range(8, 13)
    )
    database: Any = UsageSnapshot._db()
    for most, texts in ((9, ["12", "11", "10"]), (2, ["12", "11"])):
        assert [row[2] for row in list_rows.recent(database, 10, most, session_id)] == texts


def test_an_id_that_no_server_can_hold_has_no_rows() -> None:
    assert list(UsageSnapshot.between(session_id="a\udcff")) == []
    assert UsageSnapshot.count_between(session_id="a\udcff") == 0


def test_a_reference_without_its_block_is_damage_and_other_rows_are_read(store_target: Target) -> None:
    with raw(store_target) as other:
        other.execute(INSERT, ("a", "12:3", 1))
        other.execute(INSERT, ("a", f"[{TEXT}]", 2))
    whole, broken = UsageSnapshot.of_session("a")
    assert whole.snapshot_data == f"[{TEXT}]"
    with pytest.raises(DamagedSnapshot, match=r"snapshot \d+: usage_snapshot_blocks: block 12, .* is gone"):
        _ = broken.data
    with pytest.raises(DamagedSnapshot, match="block 12"):
        UsageSnapshot.rows_of_session("a")
    assert [snapshot.id for snapshot in UsageSnapshot.between()] == [whole.id, broken.id]
    with pytest.raises(InvalidValue):  # as Peewee reads it, the text is not JSON
        _ = UsageSnapshot.get_by_id(broken.id).data


@pytest.mark.parametrize("kind", ["psycopg", "psycopg2", "dict rows"])
def test_rows_are_tuples_whatever_the_host_has_asked_its_driver_for(store_target: Target, kind: str) -> None:
    extras: Any = pytest.importorskip("psycopg2.extras")

    given: dict[str, Any] = {
        "psycopg2": {"cursor_factory": extras.RealDictCursor},
        "dict rows": {"row_factory": dict_row},
    }
    database = peewee.PostgresqlDatabase(
        for_drivers(str(store_target)), prefer_psycopg3=kind != "psycopg2", **given.get(kind, {})
    )
    with database.connection_context(), database.bind_ctx(MODELS, bind_refs=False, bind_backrefs=False):
        snapshot = UsageSnapshot.record("a", TEXT)
        assert UsageSnapshot.record_many([{"session_id": "a", "snapshot_data": "{}"}]) == 1
        assert UsageSnapshot.recent_rows()[1] == (snapshot.id, "a", TEXT, "stats", snapshot.timestamp)
        assert UsageSession.sizes("a")[0].snapshots == 2
        assert UsageSnapshot.count_between() == 2


def test_peewees_own_ways_read_and_write() -> None:
    now = int(time.time())
    made = UsageSnapshot.create(session="a", snapshot_data={"n": 1})
    UsageSnapshot(session="a", snapshot_data=TEXT, snapshot_type="config", timestamp=now - 10).save()
    UsageSnapshot.bulk_create([UsageSnapshot(session="b", snapshot_data=[number]) for number in range(3)])
    UsageSnapshot.insert(session="b", snapshot_data="null").execute()
    assert UsageSnapshot.get_by_id(made.id).data == {"n": 1}
    assert UsageSnapshot.select().where(UsageSnapshot.snapshot_data == TEXT).get().snapshot_type == "config"
    assert UsageSnapshot.select().where(UsageSnapshot.snapshot_data.contains('"n"')).count() == 1
    json_of = fn.usage_json(UsageSnapshot.snapshot_data)
    texts: Any = UsageSnapshot.select(json_of.alias("text")).order_by(UsageSnapshot.id).tuples()
    assert [text for (text,) in texts] == ['{"n":1}', TEXT, "[0]", "[1]", "[2]", "null"]
    joined = (
        UsageSnapshot.select(UsageSnapshot, UsageSession)
        .join(UsageSession)
        .where(UsageSession.session_id == "a")
        .order_by(UsageSnapshot.id)
    )
    assert next((each.session.session_id, each.data) for each in joined) == ("a", {"n": 1})
    other = UsageSnapshot.alias()
    assert other.select(other.snapshot_data).where(other.session == "a").order_by(other.id).get().data == {"n": 1}
    both = UsageSnapshot.select(UsageSnapshot.snapshot_data).where(UsageSnapshot.session == "a") | (
        UsageSnapshot.select(UsageSnapshot.snapshot_data).where(UsageSnapshot.session == "b")
    )
    assert {each.snapshot_data for each in both} == {'{"n":1}', TEXT, "[0]", "[1]", "[2]", "null"}
    found = UsageSnapshot.raw("SELECT * FROM usage_snapshots WHERE session_id = %s ORDER BY id", "a")
    assert [each.data for each in found] == [{"n": 1}, json.loads(TEXT)]
    made.snapshot_data = {"n": 2}
    made.save()
    assert UsageSnapshot.get_by_id(made.id).snapshot_data == '{"n":2}'
    assert UsageSession.get_by_id("b").snapshots.count() == 4
    assert UsageSnapshot.delete().where(UsageSnapshot.session == "b").execute() == 4
    assert UsageSession.delete().where(UsageSession.session_id == "a").execute() == 1
    assert UsageSnapshot.select().count() == 0


def test_a_fraction_of_a_second_is_cut_off_before_it_is_sent() -> None:
    """The server would round it."""
    UsageSnapshot.record("a", "1", timestamp=10.9)
    UsageSnapshot.create(session="a", snapshot_data="1", timestamp=10.9)
    UsageSnapshot.insert(session="a", snapshot_data="1", timestamp=10.9).execute()
    UsageSnapshot.record_many([{"session_id": "a", "snapshot_data": "1", "timestamp": 10.9}])
    assert {snapshot.timestamp for snapshot in UsageSnapshot.select()} == {10}


def test_the_store_needs_no_key_of_the_id_alone(store_target: Target) -> None:
    """A distributed table has (session_id, id) for its key."""
    with raw(store_target) as owner:
        owner.execute(
            "ALTER TABLE usage_snapshots DROP CONSTRAINT usage_snapshots_pkey, ADD PRIMARY KEY (session_id, id)"
        )
        snapshot = UsageSnapshot.record("a", "1")
        owner.execute(
            "INSERT INTO usage_snapshots (id, session_id, snapshot_data) OVERRIDING USER VALUE VALUES (0, 'b', '2')"
        )
        owner.execute("UPDATE usage_snapshots SET id = %s", (snapshot.id,))
    assert UsageSnapshot.record_many([{"session_id": "b", "snapshot_data": "3"}]) == 1
    assert sorted(row.snapshot_data for row in UsageSnapshot.recent_rows()) == ["1", "2", "3"]
    assert sorted(row.snapshot_data for row in UsageSnapshot.rows_of_session("b")) == ["2", "3"]
    assert UsageSnapshot.count_between() == 3
    with pytest.raises(psycopg.errors.UniqueViolation), raw(store_target) as owner:
        owner.execute(
            "INSERT INTO usage_snapshots (id, session_id, snapshot_data) VALUES (%s, 'a', '2')", (snapshot.id,)
        )
