"""A database that was opened with a limit is kept within it between inserts; other databases are not."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peewee
import pytest

from tests.support.clock import Clock
from tests.support.databases import is_there, opened, rows, script
from tests.support.maintenance import allow_deletions, refuse_deletions
from tests.support.programs import TIMEOUT
from tests.support.snapshots import DAY, SNAPSHOT, filled, ids_in, insert, on_disk, plain_rows, record
from tests.support.stores import filled_at
from usage_store import (
    UsageSession,
    UsageSnapshot,
    init_database,
    insert_usage_snapshot,
    insert_usage_snapshots,
    maintenance_after_inserts,
)
from usage_store.engines import unwrap
from usage_store.engines.interface.pace import HOLD
from usage_store.errors import InvalidValue
from usage_store.migrate import MigrationRunner
from usage_store.models import MODELS
from usage_store.models.fields.retention_limits import LEAST_BYTES

if TYPE_CHECKING:
    from tests.support.engines import Place


pytestmark = [pytest.mark.quick, pytest.mark.usefixtures("at_every_insert")]


def test_what_is_old_goes_and_what_is_older_than_a_week_gets_small_between_inserts(path: Place) -> None:
    before = path.stat().st_size if isinstance(path, Path) else 0
    with closing(init_database(path, retention_days=30)):
        insert()
        assert len(ids_in(path)) == 300 + 40
        if isinstance(path, Path):
            assert len(plain_rows(path)) == 70 + 40
    assert not isinstance(path, Path) or on_disk(path) < before / 2


@pytest.mark.only_on("sqlite", "steps of maintenance")
def test_one_insert_does_one_transaction_at_most(path: Place) -> None:
    with closing(init_database(path, retention_days=30)) as database:
        statements: list[str] = []
        unwrap(database).connection().set_trace_callback(statements.append)
        insert(1)
        unwrap(database).connection().set_trace_callback(None)
    assert statements.count("BEGIN IMMEDIATE") == 1
    assert 300 < len(ids_in(path)) < 601


def test_many_at_once_are_followed_by_it_too(path: Place) -> None:
    with closing(init_database(path, retention_days=30)):
        for _ in range(40):
            assert insert_usage_snapshots([SNAPSHOT]) == 1
        assert len(ids_in(path)) == 300 + 40


def test_without_being_asked_nothing_happens(path: Place) -> None:
    with closing(init_database(path)):
        insert()
    assert len(plain_rows(path)) == 640


def test_a_later_opening_without_a_limit_ends_it(path: Place) -> None:
    init_database(path, retention_days=30).close()
    with closing(init_database(path)):
        insert()
    assert len(plain_rows(path)) == 640


@pytest.mark.only_on("sqlite", "steps of maintenance")
@pytest.mark.slow
def test_a_limit_in_bytes_is_kept_while_more_and_more_comes(tmp_path: Path) -> None:
    # Only SQLite itself and maintenance copy the -wal to the file, as in a monitor that only inserts.
    path, sizes, start = tmp_path / "usage.db", [], time.time() - 8000
    with closing(init_database(path, max_bytes=LEAST_BYTES)):
        UsageSession.register("s")
        for number in range(3750):
            UsageSnapshot.record("s", f'"{os.urandom(4000).hex()}"', timestamp=start + number)
            sizes.append(on_disk(path))
    left = ids_in(path)
    assert left == list(range(3751 - len(left), 3751))
    assert min(sizes[2000:]) > LEAST_BYTES / 2
    assert max(sizes) <= LEAST_BYTES


@pytest.mark.only_on("sqlite", "steps of maintenance")
@pytest.mark.slow
@pytest.mark.parametrize("age", [0, 20])
def test_old_snapshots_that_keep_coming_do_not_put_off_the_limit(
    tmp_path: Path, age: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "monotonic", Clock(HOLD / 8).monotonic)  # by which pages are given back
    path = filled(tmp_path / "usage.db", 5000, days=1)
    with closing(init_database(path, max_bytes=LEAST_BYTES)):
        for _ in range(5000):  # a slow machine needs more of them
            UsageSnapshot.record("s", {}, timestamp=time.time() - age * DAY)
            if on_disk(path) <= LEAST_BYTES:
                break
        assert on_disk(path) <= LEAST_BYTES


@pytest.mark.parametrize("begin", ["atomic", "BEGIN"])
def test_nothing_happens_inside_a_transaction_of_the_host(
    path: Place, begin: str, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(init_database(path, retention_days=30)) as database:
        if begin == "atomic":
            with database.atomic() as transaction:
                insert()
                transaction.rollback()
        else:
            database.execute_sql("BEGIN")
            insert()
            database.execute_sql("ROLLBACK")
    assert len(plain_rows(path)) == 600
    assert caplog.records == []


@pytest.mark.parametrize("options", [{"retention_days": 0}, {"max_bytes": 1}, {"max_bytes": "16M"}])
def test_a_bad_limit_is_refused_before_anything_is_touched(store_target: Place, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=next(iter(options))):
        init_database(store_target, **options)
    assert not is_there(store_target)


def test_it_goes_on_after_the_database_was_closed_and_opened_again(path: Place) -> None:
    database = init_database(path, retention_days=30)
    insert(2)
    database.close()
    database.connect()
    insert()
    database.close()
    assert len(ids_in(path)) == 300 + 42


def test_threads_insert_and_one_of_them_does_it_at_a_time(path: Place) -> None:
    database = init_database(path, retention_days=30, timeout=TIMEOUT)

    def some(_: int) -> None:
        with database.connection_context():
            insert(20)

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(some, range(8))) == [None] * 8
    insert()  # does the rest, if the threads held the lock
    database.close()
    assert len(ids_in(path)) == 300 + 160 + 40
    if isinstance(path, Path):
        assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def test_another_database_to_which_the_models_are_bound_for_a_while_is_left_alone(
    path: Place, second_target: Place
) -> None:
    with closing(init_database(path, retention_days=30)), opened(second_target) as other:
        MigrationRunner(other).migrate()
        with other.bind_ctx(MODELS, bind_refs=False, bind_backrefs=False):
            record(*({"n": n} for n in range(20)), age=60)
            insert(20)
        assert len(ids_in(second_target)) == 40
        assert len(ids_in(path)) == 600


def test_a_proxy_is_kept_to_its_limit_once_it_is_initialised(path: Place) -> None:
    proxy = peewee.DatabaseProxy()
    init_database(proxy, retention_days=30)
    with opened(path) as database:
        proxy.initialize(database)
        insert()
        assert len(ids_in(path)) == 300 + 40


def test_a_proxy_s_former_database_is_left_alone_and_closed(path: Place, second_target: Place) -> None:
    filled_at(second_target)
    proxy = peewee.DatabaseProxy()
    init_database(proxy, retention_days=30)
    with opened(path) as former:
        proxy.initialize(former)
        insert(1)
    left = ids_in(path)
    with opened(second_target) as database:
        proxy.initialize(database)
        insert()
        assert (former.close(), ids_in(path)) == (False, left)
        assert len(ids_in(second_target)) == 300 + 40


def test_pauses_lie_between_two_transactions(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance_after_inserts, "_PAUSE", 3600)
    with closing(init_database(path, retention_days=30)):
        insert()
    assert 300 + 40 < len(ids_in(path)) < 640


def test_a_snapshot_inserted_old_is_taken_too(path: Place) -> None:
    with closing(init_database(path, retention_days=30)):
        insert()
        old = insert_usage_snapshot({**SNAPSHOT, "timestamp": time.time() - 90 * DAY})
        assert old is not None
        insert(3)
        assert old.id not in ids_in(path)


def test_the_same_database_opened_without_a_limit_has_none_any_more(path: Place) -> None:
    with opened(path) as database:
        init_database(database, retention_days=30)
        init_database(database)
        for _ in range(20):
            UsageSnapshot.record("s", {})
    assert len(ids_in(path)) == 600 + 20


def test_what_failed_is_done_once_it_can_be(path: Place) -> None:
    refuse_deletions(path)
    with closing(init_database(path, retention_days=30)):
        UsageSnapshot.record("s", {})
        assert len(ids_in(path)) == 600 + 1
        allow_deletions(path)
        for _ in range(40):
            UsageSnapshot.record("s", {})
    assert len(ids_in(path)) == 300 + 41


@pytest.mark.only_on("sqlite", "steps of maintenance")
def test_with_nothing_to_do_it_does_not_look_at_every_insert(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(init_database(path, retention_days=365)) as database:
        for _ in range(40):
            UsageSnapshot.record("s", {})
        monkeypatch.setattr(maintenance_after_inserts, "_INTERVAL", 3600)
        for _ in range(5):  # a check that finds nothing takes two steps
            UsageSnapshot.record("s", {})
        statements: list[str] = []
        unwrap(database).connection().set_trace_callback(statements.append)
        UsageSnapshot.record("s", {})
    assert {statement.split(" (")[0] for statement in statements} == {"INSERT INTO usage_snapshots"}


TRIGGERS = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'usage_snapshots_%'"


@pytest.mark.only_on("sqlite", "compaction")
def test_upkeep_compacts_nothing_where_the_triggers_are_missing(tmp_path: Path) -> None:
    # maintain() refuses this: without counted references, the first deleted row would delete its whole block.
    path = tmp_path / "usage.db"
    with closing(init_database(path)) as database:
        record(*({"n": n} for n in range(5)))
        triggers = rows(path, TRIGGERS)
        script(path, ";".join(f"DROP TRIGGER {name}" for name, _ in triggers))
        kept: Any = maintenance_after_inserts.Upkeep(database, 300, None)
        UsageSnapshot.upkeep = staticmethod(kept)
        for _ in range(5):
            UsageSnapshot.record("s", {})
        UsageSnapshot.upkeep = None
        for _, sql in triggers:
            unwrap(database).execute_sql(sql)
        UsageSnapshot.delete().where(UsageSnapshot.id == 1).execute()
        assert [UsageSnapshot.get_by_id(n + 1).data for n in range(1, 5)] == [{"n": n} for n in range(1, 5)]
