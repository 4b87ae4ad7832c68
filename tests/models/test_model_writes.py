"""Peewee's own ways of writing check and encode values as the functions do. Comparisons bind values unchanged."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import peewee
import pytest
from peewee import fn

from tests.support.databases import rows
from tests.support.snapshots import compact_at_once, record
from usage_store import UsageSession, UsageSnapshot
from usage_store.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.databases import Target

S: Any = UsageSnapshot
MILLISECONDS = 1_752_856_654_907
MOMENT = datetime(2025, 7, 18, 16, 37, 34, tzinfo=UTC)
SECONDS = int(MOMENT.timestamp())


@pytest.fixture
def path(usage_database: peewee.Database, store_target: Target) -> Target:  # noqa: ARG001
    UsageSession.register("s")
    return store_target


def saved(values: dict[str, Any]) -> None:
    snapshot = UsageSnapshot()
    for name, value in values.items():
        setattr(snapshot, name, value)
    assert snapshot.save() == 1


def upserted(values: dict[str, Any]) -> None:
    number = record("[]")[0]
    update = {getattr(S, name): value for name, value in values.items()}
    S.insert(id=number, session="s", snapshot_data=[]).on_conflict(conflict_target=[S.id], update=update).execute()


def bulk_updated(values: dict[str, Any]) -> None:
    snapshot = UsageSnapshot.get_by_id(record("[]")[0])
    for name, value in values.items():
        setattr(snapshot, name, value)
    S.bulk_update([snapshot], list(values))


WRITES: dict[str, Callable[[dict[str, Any]], object]] = {
    "create": lambda values: S.create(**values),
    "insert": lambda values: S.insert(**values).execute(),
    "insert by fields": lambda values: S.insert({getattr(S, name): value for name, value in values.items()}).execute(),
    "insert_many": lambda values: S.insert_many([values, values]).execute(),
    "insert_many of tuples": lambda values: S.insert_many([tuple(values.values())], fields=list(values)).execute(),
    "replace": lambda values: S.replace(**values).execute(),
    "save": saved,
    "bulk_create": lambda values: S.bulk_create([S(**values)]),
    "upsert": upserted,
    "bulk_update": bulk_updated,
    "update": lambda values: record("[]") and S.update(**values).execute(),
    "save of one that is stored": lambda values: record("[]") and S.get().__class__.set_by_id(S.get().id, values),
}


def skip_if_unknown(write: str, path: Target) -> None:
    if write == "replace" and isinstance(path, str):
        pytest.skip("REPLACE is SQLite's")


GIVEN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # what is assigned, and what is stored
    "an object": ({"snapshot_data": {"a": [1.5, None, "é"]}}, {"snapshot_data": '{"a":[1.5,null,"é"]}'}),
    "a list": ({"snapshot_data": [1, 2]}, {"snapshot_data": "[1,2]"}),
    "a text": ({"snapshot_data": '{ "kept" : "as given" }'}, {"snapshot_data": '{ "kept" : "as given" }'}),
    "None": ({"snapshot_data": None}, {"snapshot_data": "null"}),
    "milliseconds": ({"timestamp": MILLISECONDS}, {"timestamp": SECONDS}),
    "a datetime": ({"timestamp": MOMENT}, {"timestamp": SECONDS}),
    "a type": ({"snapshot_type": "config"}, {"snapshot_type": "config"}),
    "a session": ({"session": "s"}, {"session_id": "s"}),
}


@pytest.mark.sample
@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("write", WRITES)
def test_assigned_values_are_stored_as_by_the_functions(path: Target, write: str, given: str) -> None:
    skip_if_unknown(write, path)
    assigned, expected = GIVEN[given]
    WRITES[write]({"session": "s", "snapshot_data": {}, **assigned})
    for column, value in expected.items():
        found = {stored for (stored,) in rows(path, f"SELECT {column} FROM usage_snapshots")}
        assert found == {value}


REFUSED: dict[str, dict[str, Any]] = {
    "no JSON": {"snapshot_data": "not json"},
    "NaN": {"snapshot_data": float("nan")},
    "a set": {"snapshot_data": {1}},
    "bytes": {"snapshot_data": b"1:0"},
    "a lone surrogate": {"snapshot_data": '"\ud800"'},
    "another type": {"snapshot_type": "other"},
    "a naive datetime": {"timestamp": MOMENT.replace(tzinfo=None)},
    "a text for a time": {"timestamp": "now"},
    "a negative time": {"timestamp": -1},
    "no session": {"session": ""},
    "a number for a session": {"session": 5},
}


@pytest.mark.sample
@pytest.mark.parametrize("refused", REFUSED)
@pytest.mark.parametrize("write", WRITES)
def test_values_that_the_functions_refuse_are_refused(path: Target, write: str, refused: str) -> None:
    skip_if_unknown(write, path)
    assigned = REFUSED[refused]
    [field] = assigned
    with pytest.raises(InvalidValue) as caught:
        WRITES[write]({"session": "s", "snapshot_data": {}, **assigned})
    assert caught.value.field == ("session_id" if field == "session" else field)
    assert rows(path, "SELECT snapshot_data FROM usage_snapshots WHERE snapshot_data <> '[]'") == []


def test_a_created_model_has_the_stored_values(path: Target) -> None:
    before = int(time.time())
    snapshot = UsageSnapshot.create(session="s", snapshot_data={"tokens": 1})
    assert before <= snapshot.timestamp <= time.time()
    assert (snapshot.snapshot_data, snapshot.data, snapshot.snapshot_type) == ('{"tokens":1}', {"tokens": 1}, "stats")
    assert snapshot.recorded_at.tzinfo is UTC
    other = UsageSnapshot.create(session=UsageSession.get(), snapshot_data="[]", timestamp=MILLISECONDS)
    assert (other.timestamp, other.session_id) == (SECONDS, "s")
    third = UsageSnapshot(session="s", snapshot_data=[], timestamp=MOMENT)
    UsageSnapshot.bulk_create([third])
    assert (third.timestamp, third.snapshot_data) == (SECONDS, "[]")
    fourth = UsageSnapshot.create(session="s", snapshot_data=[], timestamp=None)
    assert before <= fourth.timestamp <= time.time()
    said = [(row.timestamp, row.snapshot_data) for row in (snapshot, other, third, fourth)]
    assert said == rows(path, "SELECT timestamp, snapshot_data FROM usage_snapshots ORDER BY id")


@pytest.mark.only_on("sqlite", "compaction")
def test_saving_a_compacted_snapshot_writes_the_assigned_values(usage_database: peewee.Database, path: Target) -> None:
    [number] = record({"n": 1})
    assert compact_at_once(usage_database) == 1
    reference = rows(path, "SELECT snapshot_data FROM usage_snapshots")
    snapshot = UsageSnapshot.get_by_id(number)
    snapshot.snapshot_type = "config"
    snapshot.save()
    assert rows(path, "SELECT snapshot_data FROM usage_snapshots") == reference
    snapshot.snapshot_data = {"n": 2}
    assert snapshot.save() == 1
    assert snapshot.snapshot_data == '{"n":2}'
    assert rows(path, "SELECT snapshot_data, snapshot_type FROM usage_snapshots") == [('{"n":2}', "config")]
    assert rows(path, "SELECT count(*) FROM usage_snapshot_blocks") == [(0,)]


@pytest.mark.only_on("sqlite", "SQL of a host")
def test_an_sql_expression_can_be_assigned(path: Target) -> None:
    [number] = record({"n": 1})
    snapshot = UsageSnapshot.get_by_id(number)
    snapshot.timestamp = S.timestamp + 1
    snapshot.snapshot_data = fn.json_set(S.snapshot_data, "$.m", 2)
    before = rows(path, "SELECT timestamp + 1 FROM usage_snapshots")
    snapshot.save()
    assert rows(path, "SELECT timestamp FROM usage_snapshots") == before
    assert UsageSnapshot.get_by_id(number).data == {"n": 1, "m": 2}


def test_comparisons_bind_values_unchanged(path: Target) -> None:  # noqa: ARG001
    record('{"a": "%_\\\\"}', '{"b": 1}')
    for condition, expected in (
        (S.snapshot_data == '{"b": 1}', 1),
        (S.snapshot_data == "not json", 0),
        (S.snapshot_data != "not json", 2),
        (S.snapshot_data.contains("%_\\"), 1),
        (S.snapshot_data.startswith('{"a'), 1),
        (S.snapshot_data.in_(["", '{"b": 1}']), 1),
        (S.snapshot_data.between("{", "}"), 2),
        (S.snapshot_type == "other", 0),
        (S.timestamp > 0.5, 2),
        (S.timestamp < 10**12, 2),
        (S.timestamp < -1, 0),
        (S.session == "", 0),
        (S.session == UsageSession.get(), 2),
        (S.session.in_([UsageSession.get(), "t"]), 2),
        (S.session_id == "s", 2),
    ):
        assert S.select().where(condition).count() == expected
    assert S.update(snapshot_type="config").where(S.snapshot_data == "not json").execute() == 0
    assert S.get_or_none(snapshot_data="not json") is None
    with pytest.raises((peewee.InterfaceError, peewee.ProgrammingError)):
        S.select().where(S.snapshot_data == {"b": 1}).count()


def test_a_session_is_checked_when_it_is_written(path: Target) -> None:
    for session_id in ("", "a\0b", 5):
        with pytest.raises(InvalidValue, match="session_id"):
            UsageSession.create(session_id=session_id)
    sessions: Any = UsageSession
    assert sessions.get_or_create(session_id="t")[1]
    assert UsageSession.get_or_none(session_id="") is None
    assert rows(path, "SELECT session_id FROM usage_sessions ORDER BY 1") == [("s",), ("t",)]
