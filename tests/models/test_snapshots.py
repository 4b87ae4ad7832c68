"""Snapshots are read as they were stored, newest first. Refused input stores nothing."""

from __future__ import annotations

import json
import math
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import peewee
import pytest

from tests.support.databases import raw
from tests.support.programs import TIMEOUT
from tests.support.snapshots import texts_in
from usage_store import (
    UsageSnapshot,
    delete_old_usage_snapshots,
    get_usage_snapshots,
    get_usage_snapshots_by_session,
    insert_usage_snapshot,
    insert_usage_snapshots,
    register_session,
)
from usage_store.errors import InvalidValue, RejectedInput, UnknownField, UnknownSession
from usage_store.models import MODELS
from usage_store.models.fields import snapshot_input

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.databases import Target

pytestmark = pytest.mark.quick

HOUR = 3600
DAY = 24 * HOUR
START = 1_752_000_000  # 2025-07-08 18:40 UTC
SECONDS = [
    *((START + fraction, START) for fraction in (0, 0.999)),
    *((START * 1000 + fraction, START) for fraction in (0, 999, 999.5)),
    *((0, 0), (10**11, 10**8)),
    (datetime(2025, 7, 8, 18, 40, 0, 999_999, tzinfo=UTC), START),
    (datetime(2025, 7, 8, 20, 40, tzinfo=timezone(timedelta(hours=2))), START),
]
NO_SECONDS = [
    datetime(2025, 7, 8, 18, 40),  # noqa: DTZ001  naive is the point
    datetime(1969, 12, 31, tzinfo=UTC),
    datetime(9000, 1, 1, tzinfo=UTC),  # so far off that its seconds look like milliseconds
    *(START * 10**6, START * 10**9, -1, True, "2025-07-08", "1752000000", math.nan, math.inf, 10**400),
]
REFUSED: list[tuple[dict[str, Any], type[RejectedInput]]] = [
    *(({"snapshot_data": math.nan}, InvalidValue), ({"timestamp": -1}, InvalidValue)),
    *(({"session_id": "unheard of"}, UnknownSession), ({"colour": "red"}, UnknownField)),
]
TEXTS = ['{ "a" : 1.0,\n  "a":2 }\n', '"\\u00e9 é \\u0000 💥"', " 1e2 ", "null", '{"b":1,"a":2}']


@pytest.fixture(autouse=True)
def _sessions(usage_database: peewee.Database) -> None:  # noqa: ARG001
    register_session("s")
    register_session("t")


def add(age: float = 0, session: str = "s") -> int:
    snapshot = UsageSnapshot.record(session, {}, timestamp=time.time() - age)
    return int(snapshot.id)


def ids(snapshots: list[UsageSnapshot] | None) -> list[int]:
    assert snapshots is not None
    return [snapshot.id for snapshot in snapshots]


def stored() -> list[tuple[Any, ...]]:
    rows: peewee.ModelSelect[Any] = UsageSnapshot.select().order_by(UsageSnapshot.id).tuples()
    return list(rows)


def numbered(count: int, bad_at: int | None = None, bad: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
    for number in range(count):
        row = {"session_id": "s", "snapshot_data": {"n": number}, "timestamp": 1_000_000 + number}
        yield row | (bad or {}) if number == bad_at else row


def test_recording_a_snapshot_returns_it_as_stored() -> None:
    one = UsageSnapshot.record("s", {"tokens": 1}, "session", START)
    other = insert_usage_snapshot({"session_id": "t", "snapshot_data": "[1]", "timestamp": START + 1})
    assert other is not None
    assert stored() == [(1, "s", '{"tokens":1}', "session", START), (2, "t", "[1]", "stats", START + 1)]
    assert [one.__data__, other.__data__] == list(UsageSnapshot.select().dicts())


def test_data_is_parsed_and_recorded_at_is_aware() -> None:
    snapshot = UsageSnapshot.record("s", '{"a": [1, null, 2.5]}', timestamp=START)
    assert snapshot.data == {"a": [1, None, 2.5]}
    assert snapshot.recorded_at.isoformat() == "2025-07-08T18:40:00+00:00"
    foreign = UsageSnapshot(snapshot_data="{oops")
    with pytest.raises(InvalidValue, match="snapshot_data"):
        _ = foreign.data


@pytest.mark.parametrize("text", TEXTS)
def test_json_text_is_kept_byte_for_byte(store_target: Target, text: str) -> None:
    UsageSnapshot.record("s", text)
    insert_usage_snapshots([{"session_id": "s", "snapshot_data": text}])
    assert [kept for _, kept in texts_in(store_target)] == [text.encode()] * 2


@pytest.mark.parametrize("value", [{"b": [1, 2.5, None], "ü💥": {"a": True}}, [], {}, None, 0, False, 1.5, [[""]]])
def test_an_object_is_stored_as_json_without_spaces(value: Any) -> None:
    text = UsageSnapshot.record("s", value).snapshot_data
    assert text == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert UsageSnapshot.get().data == value


@pytest.mark.sample
@pytest.mark.parametrize(("given", "seconds"), SECONDS)
def test_a_timestamp_becomes_seconds(given: Any, seconds: int) -> None:
    assert UsageSnapshot.record("s", {}, timestamp=given).timestamp == seconds
    insert_usage_snapshots([{"session_id": "s", "snapshot_data": {}, "timestamp": given}])
    assert [row[4] for row in stored()] == [seconds, seconds]


def test_the_last_second_is_the_one_before_milliseconds_begin() -> None:
    snapshot = {"session_id": "s", "snapshot_data": {}, "timestamp": 10**11 - 1}
    assert UsageSnapshot.record_many([snapshot], ahead=True) == 1
    assert [row[4] for row in stored()] == [10**11 - 1]


@pytest.mark.sample
@pytest.mark.parametrize("given", NO_SECONDS, ids=lambda given: repr(given)[:30])
def test_an_invalid_timestamp_is_refused(given: Any) -> None:
    with pytest.raises(InvalidValue, match="an aware datetime, or seconds or milliseconds") as caught:
        UsageSnapshot.record("s", {}, timestamp=given)
    assert caught.value.field == "timestamp"
    assert stored() == []


def test_the_default_timestamp_is_the_current_time() -> None:
    assert int(time.time()) <= UsageSnapshot.record("s", {}).timestamp <= time.time()


@pytest.mark.sample
@pytest.mark.parametrize("field", ["id", "session", "data", "Timestamp", "", None])
def test_an_unknown_field_is_refused(field: Any) -> None:
    snapshot = {"session_id": "s", "snapshot_data": {}, field: 1}
    for refused in (lambda: UsageSnapshot.record_mapping(snapshot), lambda: UsageSnapshot.record_many([snapshot])):
        with pytest.raises(UnknownField, match="session_id, snapshot_data, snapshot_type, timestamp") as caught:
            refused()
        assert caught.value.field == field
    assert stored() == []


def test_a_generator_of_many_is_stored_in_its_order() -> None:
    assert insert_usage_snapshots(numbered(1203)) == 1203
    assert [row[1:] for row in stored()] == [("s", f'{{"n":{n}}}', "stats", 1_000_000 + n) for n in range(1203)]
    assert insert_usage_snapshots(iter(())) == 0


def test_many_snapshots_are_inserted_while_they_are_read_and_visible_after_the_last(store_target: Target) -> None:
    seen: list[tuple[int, int]] = []

    def watched() -> Iterator[dict[str, Any]]:
        for number, row in enumerate(numbered(5000)):
            if number == 4999:
                outside = other.execute("SELECT count(*) FROM usage_snapshots").fetchone()[0]
                seen.append((UsageSnapshot.select().count(), outside))
            yield row

    with raw(store_target) as other:
        UsageSnapshot.record_many(watched())
        ((sent, visible),) = seen
        assert sent > 3000
        assert visible == 0
        assert other.execute("SELECT count(*) FROM usage_snapshots").fetchone()[0] == 5000


@pytest.mark.sample
@pytest.mark.parametrize("position", [0, 499, 500, 1202])
@pytest.mark.parametrize(("bad", "error"), REFUSED)
def test_one_bad_snapshot_refuses_all_and_the_error_names_its_position(
    position: int, bad: dict[str, Any], error: type[RejectedInput]
) -> None:
    with pytest.raises(error, match=f"^snapshot {position}: "):
        UsageSnapshot.record_many(numbered(1203, position, bad))
    assert stored() == []
    assert insert_usage_snapshots(numbered(3)) == 3


def test_if_the_iterable_raises_nothing_is_stored() -> None:
    with pytest.raises(ZeroDivisionError):
        insert_usage_snapshots(row | {"timestamp": 1 // (1100 - n)} for n, row in enumerate(numbered(1200)))
    assert stored() == []


def test_refused_snapshots_leave_the_callers_transaction_alone(usage_database: peewee.Database) -> None:
    with usage_database.atomic():
        kept = add()
        assert insert_usage_snapshots(numbered(1203, 1202, {"session_id": "unheard of"})) is None
    assert ids(get_usage_snapshots()) == [kept]
    with usage_database.atomic() as transaction:
        assert insert_usage_snapshots(numbered(1203)) == 1203
        transaction.rollback()
    assert ids(get_usage_snapshots()) == [kept]


def test_lists_are_sorted_newest_first_and_within_a_second_by_id() -> None:
    now = time.time()
    rows = [{"session_id": "s", "snapshot_data": n, "timestamp": now - age} for n, age in enumerate((60, 5, 90, 5, 60))]
    insert_usage_snapshots(rows)
    for snapshots in (get_usage_snapshots(), get_usage_snapshots("s"), get_usage_snapshots_by_session("s")):
        assert ids(snapshots) == [4, 2, 5, 1, 3]


def test_by_default_a_list_has_at_most_100_snapshots_of_the_last_day() -> None:
    old = add(24 * HOUR + TIMEOUT)
    insert_usage_snapshots({"session_id": "s", "snapshot_data": n} for n in range(120))
    edge = add(24 * HOUR - TIMEOUT)
    assert ids(get_usage_snapshots()) == list(range(121, 21, -1))
    assert ids(get_usage_snapshots(limit=3)) == [121, 120, 119]
    assert ids(get_usage_snapshots(limit=1000))[-1] == edge
    assert ids(get_usage_snapshots(limit=1000, hours_back=25))[-1] == old
    assert ids(get_usage_snapshots(limit=1000, hours_back=0.5)) == list(range(121, 1, -1))


def test_a_session_is_listed_alone_and_whole() -> None:
    mine = [add(400 * DAY), add(2 * HOUR), add()]
    add(session="t")
    assert ids(get_usage_snapshots("s")) == mine[:0:-1]
    assert ids(get_usage_snapshots_by_session("s")) == mine[::-1]
    assert get_usage_snapshots_by_session("unheard of") == get_usage_snapshots("unheard of") == []


def test_pruning_deletes_older_snapshots_and_returns_their_number() -> None:
    kept = [add(30 * DAY - TIMEOUT), add()]
    for age in (30 * DAY + TIMEOUT, 31 * DAY, 400 * DAY):
        add(age, "t")
    assert [delete_old_usage_snapshots(), delete_old_usage_snapshots()] == [3, 0]
    assert [row[0] for row in stored()] == kept
    assert delete_old_usage_snapshots(0.5) == 1
    assert [row[0] for row in stored()] == kept[1:]


@pytest.mark.only_on("sqlite", "foreign keys")
def test_an_unknown_session_is_refused_also_without_foreign_keys(tmp_path: Path) -> None:
    host = peewee.SqliteDatabase(str(tmp_path / "usage.db"))
    with host.bind_ctx(MODELS), host.connection_context():
        assert host.pragma("foreign_keys") == 0
        with pytest.raises(UnknownSession, match="'unheard of' is unknown"):
            UsageSnapshot.record("unheard of", {})
        with pytest.raises(UnknownSession, match="snapshot 1: session 'unheard of'"):
            UsageSnapshot.record_many(numbered(3, 1, {"session_id": "unheard of"}))
        assert stored() == []


@pytest.mark.only_on("sqlite", "foreign keys")
@pytest.mark.parametrize("foreign_keys", ["ON", "OFF"])
def test_deleting_a_session_deletes_its_snapshots(store_target: Target, foreign_keys: str) -> None:
    add(session="s")
    kept = add(session="t")
    with raw(store_target) as host:
        host.execute(f"PRAGMA foreign_keys = {foreign_keys}")
        host.execute("DELETE FROM usage_sessions WHERE session_id = 's'")
    assert [row[0] for row in stored()] == [kept]
    assert insert_usage_snapshot({"session_id": "s", "snapshot_data": {}}) is None


def test_a_batch_is_limited_by_its_rows_and_by_its_size() -> None:
    small, large = (snapshot_input.row("s", text, "stats", 5) for text in ("[]", f'"{"x" * 2**20}"'))
    for row, sizes in ((small, [500, 500, 200]), (large, [8, 8, 4])):
        read: list[int] = []
        rows = (read.append(number) or row for number in range(sum(sizes)))  # type: ignore[func-returns-value]
        dealt = snapshot_input.batches(rows)
        assert len(next(dealt)) == len(read) == sizes[0], "no more is read than is sent"
        assert [len(batch) for batch in dealt] == sizes[1:]
