"""init_database(readonly=True): everything can be read, nothing is written, made or migrated."""

from __future__ import annotations

import gc
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import peewee
import pytest

import usage_store as store
from tests.support.databases import dump, files_of, raw
from tests.support.engines import empty_place
from tests.support.programs import TIMEOUT, environment, finish, forked, line_of, running
from tests.support.snapshots import new_store
from tests.support.stores import make_store
from tests.support.writes import SNAPSHOT, WRITES
from usage_store import UsageConfig, UsageSession, UsageSnapshot, close_database, errors, init_database, opened
from usage_store.engines import name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.databases import Target

pytestmark = pytest.mark.quick


def changed() -> UsageSnapshot:
    snapshot = UsageSnapshot.get()
    snapshot.snapshot_type = "config"
    return snapshot


REFUSED: dict[str, Callable[[], object]] = {
    **WRITES,
    "register_session, again": lambda: store.register_session("s"),
    "register_sessions, again": lambda: store.register_sessions(["s", "t"]),
    "maintain": store.maintain,
    "maintain with a rewrite": lambda: store.maintain(rewrite=True),
    "link_events": store.link_events,
    "rollback_migrations": store.rollback_migrations,
    "stamp": lambda: store.get_migration_runner().stamp(3),
    "record": lambda: UsageSnapshot.record("s", {}),
    "create": lambda: UsageSession.create(session_id="t"),
    "save": lambda: changed().save(),
    "update": lambda: UsageConfig.update(plan="max5").execute(),
    "delete": lambda: UsageSnapshot.delete().execute(),
    "a table": lambda: UsageConfig._meta.database.execute_sql("CREATE TABLE t (x INTEGER)"),
}


@pytest.fixture
def path(server: str, tmp_path: Path) -> Iterator[Target]:
    """Name a database with two sessions and a snapshot."""
    (tmp_path / "data").mkdir()
    with empty_place(server, tmp_path / "data" / "usage.db") as place:
        make_store(place)
        with closing(init_database(place)):
            store.register_sessions(["s", "t"])
            store.insert_usage_snapshot(SNAPSHOT)
        yield place


def everything_of(path: Target) -> Any:
    """Give the files of a database, byte by byte, or the rows and objects of a schema."""
    return dump(path) if isinstance(path, str) else files_of(path.parent)


def read_everything() -> list[Any]:
    return [
        store.get_usage_config() is not None,
        [snapshot.data for snapshot in store.get_usage_snapshots()],
        [snapshot.data for snapshot in store.get_usage_snapshots_by_session("s")],
        [(size.session_id, size.snapshots) for size in store.get_session_sizes()],
        [each.session_id for each in UsageSession.select().order_by(UsageSession.session_id)],
        store.get_migration_status().pending_count,
        store.validate_database(),
        store.run_migrations(),
        store.maintain(dry_run=True, retention_days=1).pruned,
    ]


READ = [True, [{"n": 1}], [{"n": 1}], [("s", 1), ("t", 0)], ["s", "t"], 0, True, (), 0]


def test_all_reads_work_and_the_folder_stays_as_it_is(path: Target) -> None:
    before = everything_of(path)
    with opened(path, readonly=True):
        assert read_everything() == READ
    assert everything_of(path) == before


@pytest.mark.only_on("sqlite", "files")
@pytest.mark.parametrize("target", ["path", "url", "relative"])
def test_a_path_of_any_kind_is_opened_so(path: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    monkeypatch.chdir(path.parent)
    named: Any = {"path": path, "url": f"sqlite:///{path}", "relative": path.name}[target]
    database = init_database(named, readonly=True)
    assert (database.is_closed(), read_everything()) == (True, READ)
    close_database()


@pytest.mark.parametrize("name", REFUSED)
def test_every_write_raises_one_sentence_that_names_the_file(path: Target, name: str) -> None:
    before = everything_of(path)
    with opened(path, readonly=True), pytest.raises(errors.ReadOnlyDatabase) as caught:
        REFUSED[name]()
    assert str(caught.value).startswith(
        f"{name_of(path)}: was opened for reading only, so nothing can be written to it"
    )
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, peewee.OperationalError)
    assert caught.value.exit_code == 8
    del caught  # with it, the statement that failed
    gc.collect()
    assert everything_of(path) == before


def test_threads_and_forked_children_read_and_cannot_write(path: Target) -> None:
    init_database(path, readonly=True)
    with ThreadPoolExecutor(2) as pool:
        assert pool.submit(read_everything).result(TIMEOUT) == READ
        with pytest.raises(errors.ReadOnlyDatabase):
            pool.submit(WRITES["register_session"]).result(TIMEOUT)
    close_database()
    init_database(path, readonly=True)
    assert store.get_usage_config() is not None  # it is open at the fork

    def in_child() -> None:
        assert read_everything() == READ
        with pytest.raises(errors.ReadOnlyDatabase):
            WRITES["register_session"]()

    assert forked(in_child) == 0
    assert read_everything() == READ
    close_database()


def test_it_reads_what_a_writer_commits_meanwhile(path: Target) -> None:
    with raw(path) as writer, opened(path, readonly=True):
        writer.execute("BEGIN")
        writer.execute("INSERT INTO usage_sessions (session_id) VALUES ('u')")
        assert [size.session_id for size in store.get_session_sizes()] == ["s", "t"]
        writer.execute("COMMIT")
        assert [size.session_id for size in store.get_session_sizes()] == ["s", "t", "u"]


@pytest.mark.only_on("sqlite", "files")
def test_a_file_that_is_replaced_is_noticed(path: Path) -> None:
    database: Any = init_database(path, readonly=True)
    database.connect()
    new_store(path.with_name("new.db")).replace(path)
    database.connection().look_again = 0  # as a second later
    with pytest.raises(errors.DatabaseReplaced):
        store.get_usage_config()
    database.close()
    assert store.get_session_sizes() == []
    close_database()


def test_what_is_pending_is_refused_with_the_command_that_runs_it(path: Target) -> None:
    with closing(init_database(path)):
        store.rollback_migrations()
    before = everything_of(path)
    with pytest.raises(errors.MigrationsPending, match="1 of 3 migrations are pending") as caught:
        init_database(path, readonly=True)
    named = f"'{name_of(path)}'" if isinstance(path, str) else path
    assert f"`usage-store migrate --database {named} --usage-tables`" in str(caught.value)
    assert (caught.value.exit_code, UsageConfig._meta.database is None) == (1, False)
    assert everything_of(path) == before


@pytest.mark.only_on("sqlite", "files")
def test_of_an_empty_file_everything_is_pending(tmp_path: Path) -> None:
    (tmp_path / "an empty file.db").touch()
    with pytest.raises(errors.MigrationsPending, match=r"--database '/.*an empty file\.db' --usage-tables`"):
        init_database(tmp_path / "an empty file.db", readonly=True)
    assert files_of(tmp_path) == {"an empty file.db": b""}


@pytest.mark.only_on("sqlite", "files")
def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    creates = r"no such database; `usage-store migrate --database /.*/nowhere\.db --usage-tables` creates it$"
    with pytest.raises(errors.DatabaseUnreadable, match=creates):
        init_database(tmp_path / "nowhere.db", readonly=True)
    assert not (tmp_path / "nowhere.db").exists()


def test_a_newer_database_is_refused(path: Target) -> None:
    with raw(path) as other:
        other.execute("INSERT INTO schema_migrations VALUES (9, 'later', 0)")
    with pytest.raises(errors.DatabaseNewer):
        init_database(path, readonly=True)


@pytest.mark.parametrize(
    ("target", "options", "says"),
    [
        (peewee.SqliteDatabase("app.db"), {}, "a database object is opened as you made it"),
        (peewee.DatabaseProxy(), {}, "a database object is opened as you made it"),
        (":memory:", {}, "a database in memory"),
        ("usage.db", {"mode": 0o600}, "takes no mode"),
        ("usage.db", {"retention_days": 3}, "takes no retention_days"),
        ("usage.db", {"compact_after_days": 3}, "takes no retention_days"),
    ],
)
def test_what_does_not_go_with_reading_is_said(target: Any, options: Any, says: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=says) as caught:
        init_database(target, readonly=True, **options)
    assert "\n" not in str(caught.value)


WHO_MAY_ONLY_READ = """
import sys
from usage_store import UsageSession, close_database, errors, get_session_sizes, init_database, register_session

def say(*words):
    print(*words, flush=True)
    input()

init_database(sys.argv[1], readonly=True)
rows = UsageSession.select().order_by(UsageSession.session_id).iterator()
say(next(rows).session_id)
try:
    say("read", *(row.session_id for row in rows))
except errors.DatabaseUnreadable as error:
    say(error)
del rows
say(*(size.session_id for size in get_session_sizes()))
for _ in range(3):
    say(*(size.session_id for size in get_session_sizes()))
try:
    register_session("s")
except errors.ReadOnlyDatabase as error:
    say(error)
close_database()
"""


@pytest.mark.only_on("sqlite", "files")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv, to drop root's privileges")
def test_who_may_not_write_the_file_reads_what_is_there_now_or_is_told(path: Path) -> None:
    path.chmod(0o444)
    path.parent.chmod(0o555)
    words = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner", "--", sys.executable)
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    reader = subprocess.Popen(
        [*words, "-c", WHO_MAY_ONLY_READ, path], cwd=path.parent, env=environment(), text=True, **pipes
    )

    def next_line() -> str:
        assert reader.stdin is not None
        reader.stdin.write("\n")
        reader.stdin.flush()
        return line_of(reader)

    add = "INSERT INTO usage_sessions (session_id) VALUES (?)"
    with running(reader):
        assert line_of(reader) == "s\n"  # the first row
        with raw(path) as writer:
            writer.execute(add, ("u",))
        assert next_line() == f"{path}: another user wrote to it while it was read; try again\n"
        assert next_line() == "s t u\n"
        assert next_line() == "s t u\n"
        with raw(path) as writer:
            writer.execute(add, ("v",))
            assert next_line() == "s t u v\n"  # while the writer has it open
        with raw(path) as writer:
            writer.execute(add, ("w",))
        assert next_line() == "s t u v w\n"  # nobody else has it open
        assert "nothing can be written to it" in next_line()
        ended = finish(reader)
    path.parent.chmod(0o755)
    assert (ended.code, ended.err) == (0, "")
