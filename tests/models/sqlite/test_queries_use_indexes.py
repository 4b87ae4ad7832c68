"""Every query of the usage tables uses an index: no scan of a table that grows, no sort."""

from __future__ import annotations

import re
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

import usage_store
from usage_store import UsageSession, UsageSnapshot
from usage_store.engines.interface.pace import Pace
from usage_store.engines.sqlite.file.short_transactions import Turns
from usage_store.models.sqlite.maintenance import delete_snapshots
from usage_store.models.sqlite.maintenance.compact_snapshots import compact
from usage_store.testing import seed_usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import peewee

    PlansOf = Callable[[Callable[[], object]], dict[str, list[str]]]

pytestmark = pytest.mark.quick

Plans = dict[str, list[str]]
COUNTS_ONE_TYPE = re.compile(r"SELECT count.* snapshot_type = .*")
# What a public call may run beside its queries.
OTHER = re.compile(r"BEGIN|COMMIT|SAVEPOINT|RELEASE|PRAGMA|-- ")


@pytest.fixture
def database(usage_database: peewee.SqliteDatabase) -> peewee.SqliteDatabase:
    """Return a filled database, half of it compacted."""
    seed_usage(usage_database, sessions=5, snapshots=400, days=60)
    usage_store.maintain(compact_after_days=30)
    return usage_database


@pytest.fixture(params=["as it is", "analyzed"])
def plans_of(
    request: pytest.FixtureRequest, database: peewee.SqliteDatabase
) -> Callable[[Callable[[], object]], Plans]:
    """Return a function that returns the statements of a call with their plans. Runs with and without statistics."""
    if request.param == "analyzed":
        database.execute_sql("ANALYZE")

    def plans(call: Callable[[], object]) -> Plans:
        statements: list[str] = []
        connection = database.connection()
        connection.set_trace_callback(statements.append)
        try:
            call()
        finally:
            connection.set_trace_callback(None)
        queries = [statement for statement in statements if not OTHER.match(statement)]
        found = {query: connection.execute(f"EXPLAIN QUERY PLAN {query}").fetchall() for query in queries}
        return {query: [detail for *_, detail in plan] for query, plan in found.items()}

    return plans


def _read_everything() -> Iterator[Callable[[], object]]:
    session_id = UsageSession.get().session_id
    for session in (None, session_id):
        yield partial(usage_store.get_usage_snapshots, session, hours_back=80_000)
        yield partial(UsageSnapshot.recent_rows, session, hours_back=80_000)
    yield lambda: usage_store.get_usage_snapshots_by_session(session_id)
    yield lambda: UsageSnapshot.rows_of_session(session_id)
    for session, kind, newest_first in product((None, session_id), (None, "stats", "config"), (True, False)):
        for limits in ((None, None), (1, None), (None, 9**10), (1, 9**10)):
            asked = (*limits, session, kind, newest_first)
            yield partial(_all_between, *asked)
            yield partial(UsageSnapshot.count_between, *asked)
    yield lambda: usage_store.get_session_sizes(session_id)
    yield usage_store.get_usage_config


def _all_between(*asked: Any) -> None:
    assert all(UsageSnapshot.between(*asked))


def _write_everything() -> Iterator[Callable[[], object]]:
    session_id = UsageSession.get().session_id
    snapshot = {"session_id": session_id, "snapshot_data": {}}
    yield lambda: usage_store.update_usage_config({"plan": "pro"})
    yield usage_store.reset_usage_config
    yield lambda: usage_store.register_sessions(["new"])
    yield lambda: usage_store.insert_usage_snapshot(snapshot)
    yield lambda: usage_store.insert_usage_snapshots([snapshot, snapshot])
    yield lambda: usage_store.delete_old_usage_snapshots(40)
    yield lambda: usage_store.remove_sessions([session_id])


def _check(plans: Plans) -> None:
    assert plans, "nothing was asked"
    for query, plan in plans.items():
        for step in plan:
            # `x IN (SELECT value FROM json_each(?))` scans only a list of the caller.
            # After ANALYZE, newer versions of SQLite scan to count a type that nearly all rows have.
            scans = step.startswith("SCAN") and not re.fullmatch(r"SCAN (json_each.*|CONSTANT ROW)", step)
            scans = scans and not COUNTS_ONE_TYPE.fullmatch(query)
            assert not scans, f"{query}: {plan}"
            assert "TEMP B-TREE" not in step, f"{query}: {plan}"
            assert "AUTOMATIC" not in step, f"{query}: {plan}"


def test_every_public_read_goes_by_an_index(plans_of: PlansOf) -> None:
    for read in _read_everything():
        _check(plans_of(read))


def test_every_public_write_goes_by_an_index(plans_of: PlansOf) -> None:
    for write in _write_everything():
        _check(plans_of(write))


def test_the_reads_of_one_session_go_by_session_and_time(
    plans_of: PlansOf,
) -> None:
    session_id = UsageSession.get().session_id
    plans = plans_of(lambda: usage_store.get_usage_snapshots(session_id))
    index = "SEARCH usage_snapshots USING INDEX idx_usage_snapshots_session_id (session_id=? AND timestamp>?)"
    assert [plan[0] for plan in plans.values()] == [index]


def test_each_page_of_a_long_history_starts_by_the_index_of_time(plans_of: PlansOf) -> None:
    session_id = UsageSession.get().session_id
    for session, index, equal in (
        (None, "idx_usage_snapshots_timestamp", ""),
        (session_id, "idx_usage_snapshots_session_id", "session_id=? AND "),
    ):
        for newest_first, after in ((True, "<"), (False, ">")):
            plans = plans_of(partial(_all_between, None, None, session, None, newest_first))
            search, rest = f"SEARCH usage_snapshots USING INDEX {index} ({equal}", f"timestamp=? AND rowid{after}?)"
            by_time = f"SEARCH usage_snapshots USING INDEX idx_usage_snapshots_timestamp ({rest}"
            starts = {plan[0] for plan in plans.values()}
            assert f"{search}timestamp>? AND timestamp<?)" in starts
            assert len(starts) == 2
            assert starts & {f"{search}{rest}", by_time}


def test_maintenance_goes_by_an_index(database: peewee.SqliteDatabase, plans_of: PlansOf) -> None:
    steps: list[tuple[Callable[[], object], str]] = [
        (
            lambda: list(delete_snapshots.prune(database, 10**9, Pace(Turns()))),
            "idx_usage_snapshots_timestamp (timestamp<?)",
        ),
        (lambda: next(compact(database, 10**10, Pace(Turns()))), "idx_usage_snapshots_plain (timestamp<?)"),
    ]
    for step, index in steps:
        plans = plans_of(step)
        _check(plans)
        assert any(index in line for plan in plans.values() for line in plan)
