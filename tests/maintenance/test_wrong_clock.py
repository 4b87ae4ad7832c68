"""A wrong clock loses no snapshots: times far in the future are refused, and maintenance stops after a jump."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

import usage_store
from tests.support.databases import raw, rows
from tests.support.maintenance import take_steps_of
from tests.support.snapshots import DAY, FILL, SNAPSHOT, filled, ids_in, insert, on_disk
from tests.support.stores import filled_at
from usage_store import (
    UsageSession,
    UsageSnapshot,
    init_database,
    insert_usage_snapshot,
    maintain,
    maintenance_after_inserts,
)
from usage_store.engines import unwrap
from usage_store.errors import InvalidValue
from usage_store.models.fields.retention_limits import LEAST_BYTES
from usage_store.models.maintenance.wrong_clock import step_in_times
from usage_store.testing import dump_usage, load_usage, seed_usage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.engines import Place

NOW = 1_764_093_600  # 2025-11-25T18:00:00Z
TEN_YEARS = 3652 * DAY


class Clock:
    """The machine's clock as this process reads it."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Set the clock, and make no pauses between two transactions of maintenance."""
    faked = Clock()
    monkeypatch.setattr(time, "time", faked)
    take_steps_of(100, monkeypatch)
    monkeypatch.setattr(maintenance_after_inserts, "_PAUSE", 0)
    monkeypatch.setattr(maintenance_after_inserts, "_INTERVAL", 0)
    return faked


@pytest.fixture
def path(store_target: Place) -> Place:
    """Give the place of a database with 600 snapshots of the last 20 days."""
    return filled_at(store_target, days=20)


@pytest.mark.parametrize("given", [NOW + DAY + 1, (NOW + DAY + 1) * 1000, datetime.fromtimestamp(NOW + DAY + 1, UTC)])
def test_a_timestamp_more_than_a_day_ahead_is_refused_and_told_what_the_clock_says(path: Place, given: object) -> None:
    snapshot = {**SNAPSHOT, "timestamp": given}
    with closing(init_database(path)):
        for call in (
            lambda: UsageSnapshot.record("s", {}, timestamp=given),
            lambda: UsageSnapshot.record_mapping(snapshot),
            lambda: UsageSnapshot.record_many([snapshot]),
        ):
            with pytest.raises(InvalidValue, match=r"clock, which says 2025-11-25T18:00:00Z$"):
                call()
        assert insert_usage_snapshot(snapshot) is None
        assert usage_store.insert_usage_snapshots([SNAPSHOT, snapshot]) is None
        assert insert_usage_snapshot({**SNAPSHOT, "timestamp": NOW + DAY}) is not None
    assert len(ids_in(path)) == 601


def test_what_was_made_elsewhere_may_lie_ahead(path: Place, tmp_path: Path) -> None:
    ahead = NOW + TEN_YEARS
    with closing(init_database(path)) as database:
        seed_usage(database, snapshots=50, now=ahead)
        dump_usage(database, tmp_path / "fixture.json")
        load_usage(database, tmp_path / "fixture.json")
        assert UsageSnapshot.record_many([{**SNAPSHOT, "timestamp": ahead}], ahead=True) == 1
    with raw(path) as other:
        other.execute(FILL, ("{}", ahead))
    assert rows(path, f"SELECT count(*) FROM usage_snapshots WHERE timestamp > {NOW + DAY}") == [(52,)]


def test_a_clock_ten_years_ahead_for_nine_seconds_costs_nothing(
    path: Place, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    before = ids_in(path)
    with closing(init_database(path, retention_days=30)):
        insert(3)
        clock.now += TEN_YEARS
        for _ in range(9):
            clock.now += 1
            insert(5)
        clock.now -= TEN_YEARS
        insert(30)
    assert ids_in(path)[: len(before)] == before
    (entry,) = caplog.records
    assert entry.levelname == "WARNING"
    assert entry.getMessage() == (
        "no snapshot is deleted because of its age until an hour after the gap: "
        "the stored times have a gap of 3,652 days that ended less than an hour ago; check the clock of this machine"
    )


def test_another_process_that_starts_with_the_wrong_clock_deletes_nothing_either(path: Place, clock: Clock) -> None:
    before = ids_in(path)
    clock.now += TEN_YEARS
    with closing(init_database(path, retention_days=30)):
        insert(30)
        UsageSnapshot.record("s", {}, timestamp=NOW)
        insert(30)
    assert ids_in(path)[: len(before)] == before


def test_after_an_hour_the_clock_is_believed(path: Place, clock: Clock) -> None:
    with closing(init_database(path, retention_days=30)):
        clock.now += 100 * DAY  # the machine was off for so long
        insert(1)
        clock.now += 3599
        insert(1)
        assert len(ids_in(path)) == 602
        clock.now += 1
        insert(30)
        assert ids_in(path) == list(range(601, 633))


def test_a_clock_that_goes_back_deletes_nothing_early(
    path: Place, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(init_database(path, retention_days=30)):
        insert(30)
        clock.now -= TEN_YEARS
        insert(30)
        clock.now += 1000
        insert(30)
    assert len(ids_in(path)) == 690
    assert caplog.records == []


@pytest.mark.only_on("sqlite", "steps of maintenance")
def test_a_limit_in_bytes_is_kept_to_all_the_same(tmp_path: Path, clock: Clock) -> None:
    path = filled(tmp_path / "usage.db", 5000, days=20)
    clock.now += TEN_YEARS
    with closing(init_database(path, retention_days=30, max_bytes=LEAST_BYTES)):
        for _ in range(5000):  # a slow machine needs more of them
            insert(1)
            if on_disk(path) <= LEAST_BYTES:
                break
    assert on_disk(path) <= LEAST_BYTES
    left = [number for number in ids_in(path) if number <= 5000]
    assert len(left) > 2000
    assert left == list(range(5001 - len(left), 5001)), "the oldest went, for the size"


@pytest.mark.parametrize("call", [lambda: maintain(retention_days=30).pruned, lambda: UsageSnapshot.prune(30)])
def test_whoever_asks_for_it_has_it_done_and_one_line(
    path: Place, clock: Clock, caplog: pytest.LogCaptureFixture, call: Callable[[], int]
) -> None:
    with closing(init_database(path)):
        maintain(retention_days=30)
        assert caplog.records == []
        clock.now += TEN_YEARS
        insert(1)
        maintain(retention_days=30, dry_run=True)
        assert caplog.records == []
        assert call() == 600
        assert ids_in(path) == [601]
        (entry,) = caplog.records
        assert entry.getMessage() == (
            "old snapshots are deleted, as asked, although the stored times have a gap of 3,652 days that ended less "
            "than an hour ago; check the clock of this machine"
        )
        assert call() == 0
        assert len(caplog.records) == 1, "nothing was deleted, so nothing is said"


@pytest.mark.sample
@pytest.mark.parametrize(
    ("ages", "retention", "found"),
    [
        ([], 30 * DAY, None),
        ([0], 30 * DAY, None),
        ([15 * DAY], 30 * DAY, None),
        ([15 * DAY + 1], 30 * DAY, "15 days"),
        ([15 * DAY, 0], 30 * DAY, None),
        ([15 * DAY + 1, 0], 30 * DAY, "15 days"),
        ([20 * DAY, 3599, 60, 0], 30 * DAY, "19 days"),
        ([20 * DAY, 3600, 60, 0], 30 * DAY, None),
        ([20 * DAY, 10 * DAY, 0], 30 * DAY, None),
        ([90 * DAY, 40 * DAY, 0], 30 * DAY, "40 days"),
        ([20 * DAY, -10 * DAY], 30 * DAY, "20 days"),
        ([20 * DAY, 0, -TEN_YEARS], 30 * DAY, "20 days"),
        ([1800, 900, 0], 1800, None),
        ([1801, 900, 0], 1800, "15 minutes"),
        ([3500, 2000, 1990, 1000, 100], 1800, "25 minutes"),
        ([20000, 9000, 100], 4 * 3600, "2 hours"),
        ([40, 0], 10, None),
        ([62, 0], 10, "1 minutes"),
    ],
)
def test_a_step_is_a_gap_of_more_than_half_the_retention_with_less_than_an_hour_after_it(
    path: Place, ages: list[float], retention: float, found: str | None
) -> None:
    with closing(init_database(path)) as database:
        UsageSnapshot.delete().execute()
        UsageSession.register("s")
        for age in ages:
            database.execute_sql(FILL.replace("?", database.param), ("{}", int(NOW - age)))
        told = step_in_times(unwrap(database), retention)
    assert (told is None) is (found is None)
    assert found is None or f"a gap of {found} that ended less than an hour ago" in str(told)


@pytest.mark.only_on("sqlite", "steps of maintenance")
def test_a_step_is_looked_for_by_two_look_ups_in_an_index(path: Place) -> None:
    with closing(init_database(path)) as database:
        inner = unwrap(database)
        statements: list[str] = []
        inner.connection().set_trace_callback(statements.append)
        step_in_times(inner, 2 * DAY)
        inner.connection().set_trace_callback(None)
        plans = [inner.execute_sql(f"EXPLAIN QUERY PLAN {one}").fetchall() for one in statements]
    assert len(plans) == 2
    assert all("idx_usage_snapshots_timestamp (timestamp" in str(plan) for plan in plans)
