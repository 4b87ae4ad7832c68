"""`between` returns every snapshot of a span once and in order, also if there are many and if others write."""

from __future__ import annotations

import os
import re
import threading
import tracemalloc
from datetime import UTC, datetime
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from peewee import SqliteDatabase

import usage_store
from tests.support.databases import opened, raw, rows, script
from tests.support.snapshots import compact_at_once, new_store
from usage_store import UsageSession, UsageSnapshot, init_database
from usage_store.engines import engine_of
from usage_store.errors import DamagedSnapshot, InvalidValue
from usage_store.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import peewee

    from tests.support.databases import Target

S: Any = UsageSnapshot
PAGE = 500  # rows of a page
START = 1_752_856_654
KINDS = ("stats", "config", "session")
FILL = """
WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < ? - 1)
INSERT INTO usage_snapshots (session_id, snapshot_data, snapshot_type, timestamp)
SELECT iif(n % 3, 'a', 'b'), printf('{"n":%d,"filler":"%s"}', n, ?),
  CASE n % 5 WHEN 0 THEN 'config' WHEN 1 THEN 'session' ELSE 'stats' END, ? + n / ?
FROM n ORDER BY n * 7919 % 1000
"""
FILL_SERVER = """
INSERT INTO usage_snapshots (session_id, snapshot_data, snapshot_type, timestamp)
SELECT CASE WHEN n %% 3 <> 0 THEN 'a' ELSE 'b' END, '{"n":' || n || ',"filler":"' || filler || '"}',
  CASE n %% 5 WHEN 0 THEN 'config' WHEN 1 THEN 'session' ELSE 'stats' END, start + n / per_second
FROM (SELECT %s::int, %s::text, %s::bigint, %s::int) AS given (count, filler, start, per_second),
  generate_series(0, count - 1) AS n
ORDER BY n * 7919 %% 1000
"""


def fill(database: peewee.Database, count: int, *, per_second: int, filler: str = "") -> None:
    """Store `count` snapshots of sessions a and b from START on, several in each second, with ids in random order."""
    for session in "ab":
        UsageSession.register(session)
    sql = FILL if isinstance(database, SqliteDatabase) else FILL_SERVER
    database.execute_sql(sql, (count, filler, START, per_second))


def keys(found: Iterator[UsageSnapshot]) -> list[tuple[int, int]]:
    return [(snapshot.timestamp, snapshot.id) for snapshot in found]


SECONDS = (None, START, START + 1, START + 2, START + 3)


@pytest.mark.parametrize("newest_first", [True, False])
def test_every_snapshot_is_returned_once_and_in_order_for_any_filter(
    usage_database: peewee.Database, store_target: Target, *, newest_first: bool
) -> None:
    fill(usage_database, 4 * PAGE, per_second=PAGE + 200)
    stored = rows(store_target, "SELECT timestamp, id, session_id, snapshot_type FROM usage_snapshots")
    stored.sort(reverse=newest_first)
    for since, until, session, kind in product(SECONDS, SECONDS, (None, "a", "b", "never"), (None, "stats", "config")):
        if since is not None and until is not None and since > until:
            continue
        expected = [
            (second, number)
            for second, number, its_session, its_kind in stored
            if (since is None or since <= second)
            and (until is None or second < until)
            and session in (None, its_session)
            and kind in (None, its_kind)
        ]
        asked = (since, until, session, kind, newest_first)
        assert keys(UsageSnapshot.between(*asked)) == expected, asked
        assert UsageSnapshot.count_between(*asked) == len(expected), asked


@pytest.mark.sample
@pytest.mark.parametrize("count", [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE])
@pytest.mark.parametrize("per_second", [1, PAGE // 2, PAGE, 10 * PAGE])
def test_pages_end_anywhere_within_a_second(usage_database: peewee.Database, count: int, per_second: int) -> None:
    if count:
        fill(usage_database, count, per_second=per_second)
    forwards = keys(UsageSnapshot.between(newest_first=False))
    assert forwards == sorted(forwards)
    assert len(set(forwards)) == count
    assert keys(UsageSnapshot.between()) == forwards[::-1]


@pytest.mark.parametrize("function", [usage_store.get_usage_snapshots, UsageSnapshot.recent, UsageSnapshot.recent_rows])
def test_the_docstring_of_a_list_cut_by_limit_says_so(usage_database: peewee.Database, function: Any) -> None:
    fill(usage_database, PAGE, per_second=10)
    assert len(function(limit=3, hours_back=876_000)) == 3
    said = " ".join(function.__doc__.split())
    assert "at most `limit`" in said
    assert re.search(r"the oldest (ones )?are left out", said)


def test_models_equal_those_of_the_lists(usage_database: peewee.Database) -> None:
    fill(usage_database, 20, per_second=3)
    if isinstance(usage_database, SqliteDatabase):
        assert compact_at_once(usage_database) == 20
    listed = UsageSnapshot.recent(hours_back=876_000)
    assert [snapshot.as_dict() for snapshot in UsageSnapshot.between()] == [snapshot.as_dict() for snapshot in listed]
    assert not next(UsageSnapshot.between()).is_dirty()


def test_fractions_of_seconds_are_cut_off_as_for_stored_timestamps(usage_database: peewee.Database) -> None:  # noqa: ARG001
    UsageSession.register("a")
    milliseconds = START * 1000 + 907
    snapshot = UsageSnapshot.record("a", {}, timestamp=milliseconds)
    moment = datetime.fromtimestamp(START, UTC).replace(microsecond=907_000)
    for since in (START, START + 0.907, milliseconds, moment):
        assert [found.id for found in UsageSnapshot.between(since)] == [snapshot.id]
        assert UsageSnapshot.count_between(until=since) == 0
        assert list(UsageSnapshot.between(since, since)) == []
    assert UsageSnapshot.count_between(START, START + 1) == 1
    assert UsageSnapshot.count_between(START + 1) == 0
    assert UsageSnapshot.count_between(until=datetime(5000, 1, 1, tzinfo=UTC)) == 1


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("since", {"since": "yesterday"}, "an aware datetime, or seconds or milliseconds since 1970"),
    ("since", {"since": datetime(2025, 7, 18)}, "an aware datetime"),  # noqa: DTZ001
    ("since", {"since": -1}, "seconds or milliseconds since 1970"),
    ("until", {"until": float("nan")}, "an aware datetime"),
    ("until", {"until": True}, "an aware datetime"),
    ("since", {"since": START + 1, "until": START}, f"a time that is not after until, which is {START}"),
    ("session_id", {"session_id": ""}, "a text of at least one character"),
    ("session_id", {"session_id": 5}, "a text of at least one character"),
    ("session_id", {"session_id": "\ud800"}, "a text of at least one character"),
    ("snapshot_type", {"snapshot_type": "stat"}, "stats, config, session"),
    ("newest_first", {"newest_first": "no"}, "True or False"),
]


@pytest.mark.parametrize("function", [UsageSnapshot.between, UsageSnapshot.count_between])
@pytest.mark.parametrize(("field", "arguments", "allowed"), REFUSED)
def test_a_bad_argument_is_refused_at_the_call(
    usage_database: peewee.Database,  # noqa: ARG001
    function: Any,
    field: str,
    arguments: dict[str, Any],
    allowed: str,
) -> None:
    with pytest.raises(InvalidValue) as refused:
        function(**arguments)
    assert refused.value.field == field
    assert allowed in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_datetime_before_or_after_all_that_can_be_stored_is_a_limit_like_any_other(
    usage_database: peewee.Database,  # noqa: ARG001
) -> None:
    UsageSession.register("s")
    UsageSnapshot.record("s", {}, timestamp=0)
    first, last = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert UsageSnapshot.count_between(first, last) == len(list(UsageSnapshot.between(first, last))) == 1
    assert UsageSnapshot.count_between(since=last) == UsageSnapshot.count_between(until=first) == 0
    assert UsageSnapshot.count_between(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), 1) == 1
    with pytest.raises(InvalidValue, match=r"^since: datetime.datetime\(1960, 1, 1, 0, 0\) is not allowed"):
        UsageSnapshot.count_between(since=datetime(1960, 1, 1))  # noqa: DTZ001


def test_changes_of_others_between_two_pages_neither_repeat_nor_hide_a_snapshot(
    usage_database: peewee.Database, store_target: Target
) -> None:
    for newest_first in (True, False):
        usage_database.execute_sql("DELETE FROM usage_snapshots")
        fill(usage_database, 5 * PAGE, per_second=PAGE + 200)
        at_first = set(keys(UsageSnapshot.between()))
        reading = UsageSnapshot.between(newest_first=newest_first)
        found = [next(reading) for _ in range(PAGE)]
        with raw(store_target) as other:
            if not isinstance(store_target, str):
                other.execute("PRAGMA foreign_keys = ON")
            other.execute("DELETE FROM usage_snapshots WHERE id = ?", (found[-1].id,))
            other.execute("DELETE FROM usage_snapshots WHERE id % 7 = 0")
            for second in (START - 1, found[-1].timestamp, START + 100):
                other.execute(
                    "INSERT INTO usage_snapshots (session_id, snapshot_data, timestamp) VALUES ('a', '0', ?)", (second,)
                )
        if not isinstance(store_target, str):
            assert compact_at_once(usage_database) > 4 * PAGE
        found += reading
        given = [(snapshot.timestamp, snapshot.id) for snapshot in found]
        assert given == sorted(given, reverse=newest_first)
        assert len(given) == len(set(given))
        assert at_first & set(keys(UsageSnapshot.between())) <= set(given)
        assert all(snapshot.data is not None for snapshot in found)


def test_others_write_between_two_pages_of_a_database_without_wal(tmp_path: Path) -> None:
    path = new_store(tmp_path / "app.db")
    script(path, "PRAGMA journal_mode = DELETE")
    database: Any = init_database(SqliteDatabase(str(path), timeout=0.1))  # there, a reader would lock writers out
    fill(database, 3 * PAGE, per_second=10)
    reading = UsageSnapshot.between()
    for number in range(3):
        for _ in range(PAGE):
            next(reading)
        with raw(path) as other:
            other.execute("PRAGMA busy_timeout = 0")
            other.execute("UPDATE usage_sessions SET created_at = ?", (number,))
        assert database.connection().in_transaction is False
    assert list(reading) == []


def test_reading_inside_the_host_s_transaction_leaves_that_open(
    usage_database: peewee.Database, store_target: Target
) -> None:
    with usage_database.atomic() as transaction:
        fill(usage_database, PAGE + 1, per_second=10)
        assert len(keys(UsageSnapshot.between())) == UsageSnapshot.count_between() == PAGE + 1
        assert engine_of(usage_database).in_transaction(usage_database)
        transaction.rollback()
    assert rows(store_target, "SELECT * FROM usage_snapshots") == []


def test_each_thread_reads_by_a_connection_of_its_own(usage_database: peewee.Database) -> None:
    fill(usage_database, 3 * PAGE, per_second=PAGE)
    expected = keys(UsageSnapshot.between())
    shared = UsageSnapshot.between()
    found: list[list[tuple[int, int]]] = [keys(snapshot for snapshot, _ in zip(shared, range(PAGE + 7), strict=False))]

    def read() -> None:
        found.append(keys(shared))  # goes on where the first thread stopped
        found.append(keys(UsageSnapshot.between()))
        usage_database.close()

    threads = [threading.Thread(target=read)]
    threads[0].start()
    threads[0].join()
    assert found[0] + found[1] == expected[: PAGE + 7] + expected[PAGE + 8 :]  # zip took one that it did not give
    assert found[2] == expected


def test_the_iterator_reads_the_database_that_was_bound_at_the_call(tmp_path: Path) -> None:
    first: Any = init_database(tmp_path / "first.db")
    fill(first, 2 * PAGE, per_second=10)
    reading = UsageSnapshot.between()
    next(reading)
    second: Any = init_database(tmp_path / "second.db")
    fill(second, 1, per_second=1)
    assert len(list(reading)) == 2 * PAGE - 1
    assert UsageSnapshot.count_between() == 1
    first.close()


@pytest.mark.only_on("sqlite", "texts that are no JSON")
def test_a_damaged_snapshot_does_not_affect_other_snapshots(
    usage_database: peewee.Database, store_target: Target
) -> None:
    fill(usage_database, 3 * PAGE, per_second=10)
    with raw(store_target) as other:
        for number, text in ((7, "CAST(x'22ff22' AS TEXT)"), (PAGE + 1, "CAST('99:0' AS BLOB)")):
            other.execute("DROP TRIGGER IF EXISTS usage_snapshots_updated")
            other.execute(f"UPDATE usage_snapshots SET snapshot_data = {text} WHERE id = {number}")
    for newest_first in (True, False):
        found = {snapshot.id: snapshot for snapshot in UsageSnapshot.between(newest_first=newest_first)}
        for number in (7, PAGE + 1):
            with pytest.raises(DamagedSnapshot, match=f"^snapshot {number}: "):
                _ = found.pop(number).data
        assert {snapshot.data["filler"] for snapshot in found.values()} == {""}
    assert UsageSnapshot.count_between() == 3 * PAGE


@pytest.mark.only_on("sqlite", "texts that are no JSON")
def test_a_session_whose_id_is_not_utf8_is_found_by_its_id_in_the_lists(
    usage_database: peewee.Database,  # noqa: ARG001
    store_target: Target,
) -> None:
    with raw(store_target) as other:
        other.execute("INSERT INTO usage_sessions (session_id) VALUES (CAST(x'ff61' AS TEXT))")
        other.execute("INSERT INTO usage_snapshots (session_id, snapshot_data) VALUES (CAST(x'ff61' AS TEXT), '5')")
    (snapshot,) = UsageSnapshot.between()
    assert snapshot.session_id == os.fsdecode(b"\xffa")
    assert [found.data for found in UsageSnapshot.between(session_id=snapshot.session_id)] == [5]
    assert UsageSnapshot.count_between(session_id=os.fsdecode(b"\xffa")) == 1


def peak(path: Target) -> int:
    """Return the peak of memory while all snapshots are read, in bytes."""
    with opened(path) as database, database.bind_ctx(MODELS):
        next(UsageSnapshot.between())  # what is loaded once
        tracemalloc.start()
        count = sum(1 for _ in UsageSnapshot.between())
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == UsageSnapshot.count_between()
    return most


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_snapshots(tmp_path: Path) -> None:
    peaks = []
    for count in (10_000, 100_000):
        path = new_store(tmp_path / f"{count}.db")
        with opened(path) as database, database.bind_ctx(MODELS):
            fill(database, count, per_second=10, filler="x" * 400)
        peaks.append(peak(path))
    assert max(peaks) < 2**21
    assert peaks[1] < 1.1 * peaks[0]


def test_a_page_of_long_texts_has_few_rows(tmp_path: Path) -> None:
    path = new_store(tmp_path / "usage.db")
    with opened(path) as database, database.bind_ctx(MODELS):
        fill(database, 100, per_second=10, filler="x" * 2**20)
    assert peak(path) < 16 * 2**20
