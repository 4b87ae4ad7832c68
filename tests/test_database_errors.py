"""Errors by subject: what a locked, full or corrupt database raises, in functions, models and runs of migrations."""

from __future__ import annotations

import inspect
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peewee
import pytest

import usage_store as store
from tests.support.databases import fill, overwrite, raw
from tests.support.migrations import THREE, python, runner_of, write
from tests.support.postgresql_servers import for_drivers
from tests.support.snapshots import filled, new_store
from tests.support.stores import make_store
from tests.support.writes import SNAPSHOT, WRITES
from usage_store import UsageConfig, UsageSession, UsageSnapshot, errors, init_database
from usage_store.convert import convert_original
from usage_store.engines import name_of
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.engines.sqlite.copies.restore_backup import restore
from usage_store.migrate import MigrationRunner
from usage_store.models.postgresql.maintenance import short_transactions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.databases import Target
    from usage_store.migrate import Step

pytestmark = pytest.mark.quick

MODELS: dict[str, Callable[[], object]] = {
    "record": lambda: UsageSnapshot.record("s", {}),
    "update_active": lambda: UsageConfig.update_active({"plan": "max5"}),
    "create": lambda: UsageSession.create(session_id="t"),
    "delete": lambda: UsageSnapshot.delete().execute(),
}
OPENED: dict[str, Callable[[Target], Any]] = {
    "a path": str,
    "an object": lambda path: with_short_waits(path),  # noqa: PLW0108  it is defined below
}


@pytest.fixture
def used(store_target: Target) -> Target:
    """Name a database with a session and a snapshot."""
    make_store(store_target)
    with closing(init_database(store_target)):
        store.register_session("s")
        store.insert_usage_snapshot(SNAPSHOT)
    return store_target


def with_short_waits(target: Target) -> Any:
    """Make an application's own database, which waits for no lock."""
    if isinstance(target, str):
        return peewee.PostgresqlDatabase(f"{for_drivers(target)}%20-clock_timeout%3D1", prefer_psycopg3=True)
    return peewee.SqliteDatabase(str(target), timeout=0)


# What makes each write wait on a server; the lock is given back by the end of the connection.
_ALL_TABLES = "BEGIN; LOCK TABLE usage_snapshots, usage_sessions, usage_config IN ACCESS EXCLUSIVE MODE"


@pytest.fixture
def locked(used: Path) -> Iterator[Path]:
    """Name that database while another program writes to it."""
    with raw(used) as other:
        other.execute("BEGIN IMMEDIATE")
        yield used


def bound_to(path: Target, how: str) -> Any:
    """Bind the models to a database that is not locked yet."""
    made: Any = OPENED[how](path)
    return init_database(made, timeout=0) if isinstance(made, str) else init_database(made)


def damage_pages(path: Path) -> None:
    """Overwrite the start of each page behind the first ones."""
    with raw(path) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = other.execute("PRAGMA page_size").fetchone()
        other.execute("PRAGMA journal_mode = DELETE")
    for page in range(30, path.stat().st_size // size):
        overwrite(path, page * size, b"\xff" * 64)


def test_every_error_has_one_subject() -> None:
    subjects = (errors.RejectedInput, errors.DatabaseError, errors.MigrationError)
    both = set()
    for name in errors.__all__:
        error = getattr(errors, name)
        assert error.__module__ == "usage_store.errors"
        assert str(inspect.getdoc(error)).endswith(".")
        if name not in ("UsageStoreError", "ConfigurationError", "CannotFill"):
            found = [subject for subject in subjects if issubclass(error, subject)]
            assert found, name
            if len(found) > 1:
                both.add(name)
    assert both == {"MigrationLocked", "DiskFailed", "DatabaseFailed"}  # those of a run


def test_storage_errors_are_the_errors_of_peewee_that_they_were() -> None:
    of_peewee = (errors.DatabaseLocked, errors.DatabaseFull, errors.ReadOnlyDatabase, errors.DatabaseUnreadable)
    assert all(issubclass(error, peewee.OperationalError) for error in of_peewee)
    assert issubclass(errors.CorruptDatabase, peewee.DatabaseError)
    codes = {error.exit_code for error in of_peewee} | {errors.DatabaseLocked.exit_code}
    assert codes == {6, 8}
    assert (errors.TransactionOpen.exit_code, errors.MigrationsPending.exit_code) == (2, 1)


@pytest.mark.parametrize(
    "name", [name for name in errors.__all__ if issubclass(getattr(errors, name), errors.DatabaseError)]
)
def test_peewee_lets_our_error_pass_where_it_translates_those_of_a_driver(name: str) -> None:
    error = getattr(errors, name)
    if error in (errors.DatabaseError, errors.DiskFailed, errors.DatabaseFailed):
        return
    with pytest.raises(error) as caught, peewee.__exception_wrapper__:  # type: ignore[attr-defined]
        raise error("x")
    assert type(caught.value) is error


@pytest.mark.parametrize("how", OPENED)
@pytest.mark.parametrize("name", WRITES)
def test_a_function_on_a_locked_database_raises_database_locked(
    used: Target, name: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_server = isinstance(used, str)
    monkeypatch.setattr(short_transactions, "_PATIENCE", 0)  # of functions that delete, which try for five seconds
    with closing(bound_to(used, how)) as database, raw(used) as other:
        other.execute(_ALL_TABLES if on_a_server else "BEGIN IMMEDIATE")
        with pytest.raises(errors.DatabaseLocked) as caught:
            WRITES[name]()
        named = name_of(database)
    assert isinstance(caught.value, peewee.OperationalError)
    assert not isinstance(caught.value, errors.MigrationError)
    assert str(caught.value).startswith(f"{named}: ")
    assert "\n" not in str(caught.value)
    if on_a_server:
        assert str(caught.value).endswith("sqlstate 55P03)")
    else:
        assert str(caught.value).startswith(f"{used}: another process holds the database's lock")
        assert str(caught.value).endswith("(database is locked)")
        assert type(caught.value.orig).__name__ == "OperationalError"


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_a_database_that_we_opened_does_so_too(used: Target, name: str) -> None:
    with closing(bound_to(used, "a path")), raw(used) as other:
        other.execute(_ALL_TABLES if isinstance(used, str) else "BEGIN IMMEDIATE")
        with pytest.raises(errors.DatabaseLocked):
            MODELS[name]()


@pytest.mark.only_on("sqlite", "files")
@pytest.mark.parametrize("how", OPENED)
def test_a_full_database_raises_database_full_and_stores_nothing(used: Path, how: str) -> None:
    with closing(bound_to(used, how)) as database:
        database.pragma("max_page_count", 1)  # SQLite makes that the pages that there are
        with pytest.raises(errors.DatabaseFull, match=r"usage\.db: the disk is full") as caught:
            store.insert_usage_snapshots({"session_id": "s", "snapshot_data": {"x": "x" * 5000}} for _ in range(200))
        assert isinstance(caught.value, peewee.OperationalError)
        assert len(store.get_usage_snapshots()) == 1


@pytest.mark.only_on("sqlite", "files")
@pytest.mark.parametrize("how", OPENED)
def test_a_damaged_page_raises_corrupt_database(used: Path, how: str) -> None:
    with closing(bound_to(used, how)):
        for number in range(200):
            store.insert_usage_snapshot({"session_id": "s", "snapshot_data": {"x": f"{number}" * 2000}})
    damage_pages(used)
    with (
        closing(bound_to(used, how)),
        pytest.raises(errors.CorruptDatabase, match=r"usage\.db: the database is corrupt"),
    ):
        store.get_usage_snapshots_by_session("s")


LARGE: dict[str, Any] = {"session_id": "s", "snapshot_data": {"x": "x" * 50_000}}
LARGE_WRITES: dict[str, Callable[[], object]] = {
    "record": lambda: UsageSnapshot.record(**LARGE),
    "record_many": lambda: UsageSnapshot.record_many([LARGE]),
    "register_many": lambda: UsageSession.register_many("t" * 5000 + str(number) for number in range(9)),
}


@pytest.mark.only_on("sqlite", "files")
@pytest.mark.parametrize("name", LARGE_WRITES)
def test_a_model_on_a_full_database_raises_database_full(used: Path, name: str) -> None:
    with closing(bound_to(used, "a path")) as database:
        database.pragma("max_page_count", 1)
        with pytest.raises(errors.DatabaseFull, match=r"usage\.db: the disk is full"):
            LARGE_WRITES[name]()
        assert not database.in_transaction()
        assert (UsageSnapshot.count_between(), UsageSession.select().count()) == (1, 1)


READS: dict[str, Callable[[], object]] = {
    "recent": lambda: UsageSnapshot.recent(limit=1000),
    "of_session": lambda: UsageSnapshot.of_session("s"),
    "rows_of_session": lambda: UsageSnapshot.rows_of_session("s"),
    "between": lambda: list(UsageSnapshot.between()),
}


@pytest.mark.only_on("sqlite", "files")
@pytest.mark.parametrize("how", OPENED)
@pytest.mark.parametrize("name", READS)
def test_what_reads_many_snapshots_of_a_damaged_file_raises_corrupt_database(used: Path, name: str, how: str) -> None:
    with closing(bound_to(used, how)):
        for number in range(200):
            UsageSnapshot.record("s", {"x": f"{number}" * 2000})
    damage_pages(used)
    with closing(bound_to(used, how)), pytest.raises(errors.CorruptDatabase, match=r"usage\.db: .+ corrupt") as caught:
        READS[name]()
    assert isinstance(caught.value, peewee.DatabaseError)


def test_an_error_that_is_not_the_database_s_stays_peewee_s(used: Target) -> None:
    with closing(bound_to(used, "a path")) as database:
        kind = peewee.ProgrammingError if isinstance(used, str) else peewee.OperationalError
        with pytest.raises(kind, match=r"no such table|does not exist") as caught:
            database.execute_sql("SELECT * FROM nowhere")
        assert type(caught.value) is kind
        with pytest.raises(peewee.IntegrityError):
            UsageSession.insert(session_id="s").execute()


@pytest.mark.only_on("sqlite", "files")
def test_maintain_and_opening_raise_no_migration_error(tmp_path: Path) -> None:
    old = filled(tmp_path / "old.db", 60)
    with raw(old) as writer, closing(open_database(old, timeout=0)) as database:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(errors.DatabaseLocked) as maintained:
            store.maintain(database, retention_days=1)
    other = tmp_path / "torn.db"
    fill(other)
    overwrite(other, 100, b"\xff" * 3000)
    with pytest.raises(errors.CorruptDatabase) as opening:
        init_database(other)
    assert not isinstance(maintained.value, errors.MigrationError)
    assert not isinstance(opening.value, errors.MigrationError)


def test_a_transaction_that_is_open_is_no_migration_error_to_maintain(used: Target) -> None:
    with closing(init_database(used)) as database, database.atomic(), pytest.raises(errors.TransactionOpen) as caught:
        store.maintain()
    assert not isinstance(caught.value, errors.MigrationError)


@pytest.mark.only_on("sqlite", "locks")
def test_restoring_into_a_locked_database_raises_database_locked(locked: Path, tmp_path: Path) -> None:
    backup = new_store(tmp_path / "backup.db")
    with pytest.raises(errors.DatabaseLocked) as caught:
        restore(locked, backup, wait=0)
    assert not isinstance(caught.value, errors.MigrationError)


@pytest.mark.only_on("sqlite", "locks")
def test_converting_a_locked_database_raises_database_locked(locked: Path) -> None:
    with closing(open_database(locked, timeout=0)) as database, pytest.raises(errors.DatabaseLocked):
        convert_original(database, wait=0)


@pytest.mark.only_on("sqlite", "files")
def test_what_validate_finds_wrong_with_the_file_is_of_the_database(used: Path) -> None:
    with raw(used) as other:
        other.execute("PRAGMA writable_schema = ON")
        other.execute("UPDATE sqlite_master SET rootpage = 7 WHERE name = 'idx_usage_snapshots_type'")
    with closing(open_database(used)) as database:
        problems = MigrationRunner(database).validate().problems
    assert {type(problem) for problem in problems} == {errors.CorruptDatabase}
    assert not issubclass(errors.CorruptDatabase, errors.MigrationError)


# What a run raised before as a MigrationError is one still, and a DatabaseError as well.


def lock_held(runner: MigrationRunner) -> None:
    with raw(Path(runner.database.database)) as other:
        other.execute("BEGIN IMMEDIATE")
        runner.migrate()


def within_a_transaction(runner: MigrationRunner) -> None:
    with runner.database.atomic():
        runner.migrate()


def on_damage(runner: MigrationRunner) -> None:
    runner.migrate(1)
    runner.database.execute_sql("PRAGMA writable_schema = ON")
    runner.database.execute_sql("UPDATE sqlite_master SET rootpage = 99 WHERE name = 'one'")
    runner.database.close()
    runner.migrate()


def without_a_folder_for_the_lock(runner: MigrationRunner) -> None:
    Path(f"{runner.database.database}-migrate").mkdir()
    runner.migrate()


def read_only(runner: MigrationRunner) -> None:
    runner.database.execute_sql("PRAGMA query_only = ON")
    runner.migrate()


IN_A_RUN: dict[Callable[[MigrationRunner], None], type[errors.DatabaseError]] = {
    lock_held: errors.DatabaseLocked,
    within_a_transaction: errors.TransactionOpen,
    on_damage: errors.CorruptDatabase,
    without_a_folder_for_the_lock: errors.DatabaseUnreadable,
    read_only: errors.ReadOnlyDatabase,
}


@pytest.mark.only_on("sqlite", "files")
@pytest.mark.parametrize("run", IN_A_RUN, ids=lambda run: run.__name__)
def test_what_a_run_meets_of_the_database_is_a_migration_error_too(
    tmp_path: Path, run: Callable[[MigrationRunner], None]
) -> None:
    directory = write(tmp_path / "own", THREE)
    with runner_of(tmp_path / "app.db", directory, wait=0) as runner, pytest.raises(IN_A_RUN[run]) as caught:
        run(runner)
    assert isinstance(caught.value, errors.MigrationError)
    assert caught.value.applied == ()
    assert "\n" not in str(caught.value)
    assert type(caught.value).__name__ in (IN_A_RUN[run].__name__, "MigrationLocked")


@pytest.mark.only_on("sqlite", "files")
def test_a_run_that_is_locked_out_half_way_carries_what_was_applied(tmp_path: Path) -> None:
    directory = write(tmp_path / "own", THREE)
    with raw(tmp_path / "app.db") as other, runner_of(tmp_path / "app.db", directory, wait=0) as runner:

        def lock(_: Step) -> None:
            other.execute("BEGIN IMMEDIATE")

        with pytest.raises(errors.MigrationLocked) as caught:
            runner.migrate(on_step=lock)
    assert isinstance(caught.value, errors.DatabaseLocked)
    assert [str(step.migration) for step in caught.value.applied] == ["001_one"]


@pytest.mark.only_on("sqlite", "files")
def test_a_statement_of_a_migration_that_finds_its_database_full_fails_the_migration(tmp_path: Path) -> None:
    up = """
        db.execute_sql("CREATE TABLE t (x)")
        db.pragma("max_page_count", 20)
        db.execute_sql("INSERT INTO t SELECT zeroblob(1000000)")
    """
    directory = write(tmp_path / "own", {"001_full": python(up)})
    with runner_of(tmp_path / "app.db", directory) as runner, pytest.raises(errors.DiskFailed) as caught:
        runner.migrate()
    assert isinstance(caught.value, (errors.MigrationFailed, errors.DatabaseFull))
    assert (caught.value.version, caught.value.exit_code) == (1, 8)
    assert caught.value.statement == "INSERT INTO t SELECT zeroblob(1000000)"
