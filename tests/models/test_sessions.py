"""Sessions are registered all or none, and removed with their snapshots. Their sizes are listed."""

from __future__ import annotations

import logging
from contextlib import closing
from typing import TYPE_CHECKING, Any

import peewee
import pytest

import usage_store
from tests.support.databases import raw, rows, script
from tests.support.snapshots import TEXTS, blocks, commits, compact_old, filled, ids_in, record
from usage_store import UsageSession, UsageSnapshot, init_database, register_sessions, remove_sessions
from usage_store.engines.interface.pace import Pace
from usage_store.engines.sqlite.file.short_transactions import Turns
from usage_store.errors import InvalidValue
from usage_store.models.sqlite.maintenance import delete_snapshots

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.databases import Target


MANY = 2000


def test_sessions_are_registered_all_or_none(store_target: Target, usage_database: peewee.Database) -> None:  # noqa: ARG001
    assert usage_store.register_session("a")
    assert usage_store.register_sessions(str(n) for n in range(1000)) == 1000
    assert usage_store.register_sessions({"a": 1, "b": 2, "0": 3}) == 1
    assert usage_store.register_sessions([]) == 0
    assert usage_store.register_sessions(["c", "", "d"]) is None
    (count,) = rows(store_target, "SELECT count(*) FROM usage_sessions")
    assert count == (1002,)


@pytest.mark.parametrize("compacted", [False, True])
def test_removing_sessions_deletes_their_snapshots_and_no_others(
    usage_database: peewee.Database, store_target: Target, *, compacted: bool
) -> None:
    record(*({"n": n} for n in range(MANY)), session="big")
    for number in range(250):
        record({}, session=f"small {number}")
    kept = record(*TEXTS, session="kept")
    if compacted:
        compact_old()
    UsageSession.register("empty")
    gone = ["big", "empty", "never seen", *(f"small {number}" for number in range(250))]
    if isinstance(store_target, str):
        assert usage_store.remove_sessions(gone[:1]) == MANY
    else:
        assert commits(usage_database, lambda: usage_store.remove_sessions(gone[:1])) > 2
    assert usage_store.remove_sessions(iter(gone)) == 250
    path = store_target
    assert ids_in(path) == kept
    assert rows(path, "SELECT session_id FROM usage_sessions") == [("kept",)]
    assert [row.snapshot_data for row in UsageSnapshot.rows_of_session("kept")] == list(reversed(TEXTS))
    if not isinstance(path, str):
        kept_there = {session for block in blocks(path).values() for _, session, _ in block.rows}
        assert kept_there == set(["kept"][: int(compacted)])


@pytest.mark.only_on("sqlite", "steps of maintenance")
def test_a_snapshot_that_is_inserted_while_its_session_is_removed_is_deleted_too(
    usage_database: peewee.SqliteDatabase, tmp_path: Path
) -> None:
    path = tmp_path / "usage.db"
    record(*TEXTS)
    steps = delete_snapshots.remove_sessions(usage_database, ["s"], Pace(Turns()))
    assert next(steps) == len(TEXTS)
    with raw(path) as other:
        other.execute("INSERT INTO usage_snapshots (session_id, snapshot_data) VALUES ('s', '[]')")
    assert list(steps) == []
    assert ids_in(path) == []
    assert rows(path, "SELECT * FROM usage_sessions") == []


def test_the_host_s_events_stay_when_their_session_is_removed(
    store_target: Target, usage_database: peewee.Database
) -> None:
    usage_database.execute_sql("CREATE TABLE events (session_id TEXT NOT NULL)")
    usage_database.execute_sql("INSERT INTO events (session_id) VALUES ('s'), ('s')")
    usage_store.link_events()
    record(*TEXTS)
    assert usage_store.remove_sessions(["s"]) == len(TEXTS)
    assert rows(store_target, "SELECT session_id FROM events") == [("s",), ("s",)]


@pytest.mark.only_on("sqlite", "sizes of sessions")
def test_sizes_count_snapshots_and_the_bytes_of_their_texts(
    usage_database: peewee.SqliteDatabase, tmp_path: Path
) -> None:
    record(*TEXTS, session="a")
    record('"é"', session="b")
    UsageSession.register("empty")
    plain = {"a": sum(len(text.encode()) for text in TEXTS), "b": 4, "empty": 0}
    assert {size.session_id: size.bytes for size in UsageSession.sizes()} == plain
    assert [size.snapshots for size in UsageSession.sizes()] == [len(TEXTS), 1, 0]
    compact_old()
    sizes = {size.session_id: size for size in usage_store.get_session_sizes() or ()}
    references = rows(
        tmp_path / "usage.db", "SELECT session_id, sum(length(snapshot_data)) FROM usage_snapshots GROUP BY 1"
    )
    (packed,) = rows(tmp_path / "usage.db", "SELECT sum(length(data)) FROM usage_snapshot_blocks")
    assert sum(size.bytes for size in sizes.values()) == pytest.approx(packed[0] + sum(n for _, n in references), abs=3)
    assert sizes["a"].bytes < plain["a"]
    assert usage_store.get_session_sizes("a") == [sizes["a"]]
    assert usage_store.get_session_sizes("never seen") == []
    assert usage_database.connection().in_transaction is False


@pytest.mark.parametrize(
    ("function", "method", "given"),
    [
        (usage_store.register_sessions, UsageSession.register_many, "abc"),
        (usage_store.register_sessions, UsageSession.register_many, ["a", None]),
    ],
)
def test_bad_input_is_refused_and_nothing_changes(
    function: Callable[[Any], Any],
    method: Callable[[Any], Any],
    given: object,
    caplog: pytest.LogCaptureFixture,
    store_target: Target,
    usage_database: peewee.Database,  # noqa: ARG001
) -> None:
    ids = record(*TEXTS, age=60)
    with pytest.raises(InvalidValue) as caught:
        method(given)
    assert function(given) is None
    assert [(entry.levelno, entry.getMessage()) for entry in caplog.records] == [
        (logging.ERROR, f"{function.__name__} refused: {caught.value}")
    ]
    assert ids_in(store_target) == ids
    assert rows(store_target, "SELECT session_id FROM usage_sessions") == [("s",)]


@pytest.mark.only_on("sqlite", "SQL of a host")
def test_if_the_database_refuses_one_session_none_is_registered(tmp_path: Path) -> None:
    path = filled(tmp_path / "usage.db", 300)
    with closing(init_database(path)):
        script(
            path,
            "CREATE TRIGGER t BEFORE INSERT ON usage_sessions WHEN NEW.session_id = 'c' "
            "BEGIN SELECT RAISE(ABORT, 'not mine'); END",
        )
        with pytest.raises(peewee.IntegrityError, match="not mine"):
            UsageSession.register_many(["a", "b", "c", "d"])
    assert rows(path, "SELECT session_id FROM usage_sessions") == [("s",)]


@pytest.mark.parametrize("given", [5, None])
@pytest.mark.parametrize("function", [UsageSession.register_many, UsageSession.remove_many, remove_sessions])
def test_an_argument_that_cannot_be_iterated_is_refused(
    store_target: Target, function: Callable[[Any], object], given: object
) -> None:
    with closing(init_database(store_target)):
        with pytest.raises(InvalidValue, match="session_ids"):
            function(given)
        assert register_sessions(given) is None  # type: ignore[arg-type]  # a caller's mistake
