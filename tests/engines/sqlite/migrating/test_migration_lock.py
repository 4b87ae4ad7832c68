"""Several processes migrate one file: each migration runs once, no process fails, and a dead process blocks nobody."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import command
from tests.support.databases import opened, rows, script
from tests.support.driver import sqlite3
from tests.support.migrations import history, migrate_all, python, runner_of, sql, table, write
from tests.support.programs import READY, TIMEOUT, Ended, await_ready, finish, running, start, together
from usage_store import errors
from usage_store.migrate import MigrationRunner, Step

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

MIGRATE = f"""
import sys
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.migrate import MigrationRunner
{READY}
database = open_database(sys.argv[1], timeout=300)
runner = MigrationRunner(database, sys.argv[2], "schema_migrations")
print(len(getattr(runner, sys.argv[3])(*map(int, sys.argv[4:]))))
database.close()
"""
HOLD = """
import sys
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.migrate import MigrationRunner
database = open_database(sys.argv[1])
MigrationRunner(database, sys.argv[2], "schema_migrations").migrate()
"""
# Each of these gives another result if it runs twice, or beside another one.
DATA = {
    "001_counter": sql("CREATE TABLE counter (n INTEGER)", "INSERT INTO counter VALUES (1)"),
    "002_double": sql("UPDATE counter SET n = n * 2"),
    "003_more": python("""
        (n,) = db.execute_sql("SELECT n FROM counter").fetchone()
        db.execute_sql("CREATE TABLE steps (n)")
        db.execute_sql("UPDATE counter SET n = ?", (n + 3,))
    """),
    "004_row": sql("INSERT INTO steps SELECT n FROM counter", "UPDATE counter SET n = n * 10"),
}
OUTSIDE = {name: f"atomic = False\n{source}" for name, source in DATA.items()}
COUNTS = (2, 4, 8)
FORGET = "DELETE FROM schema_migrations WHERE version = 2"


def check(path: Path, processes: list[Ended]) -> None:
    assert [(process.code, process.err) for process in processes] == [(0, "")] * len(processes)
    assert sum(int(process.out.split()[-1]) for process in processes) == 4
    assert history(path) == [1, 2, 3, 4]
    assert rows(path, "SELECT n FROM counter") == [(50,)]
    assert rows(path, "SELECT n FROM steps") == [(5,)]
    assert not path.with_name("app.db-migrate").exists()


@pytest.mark.parametrize("count", COUNTS)
def test_on_a_fresh_file_each_migration_runs_once(path: Path, count: int) -> None:
    directory = write(path.parent / "own", DATA)
    check(path, together(count, MIGRATE, path, directory, "migrate", cwd=path.parent))


@pytest.mark.parametrize("count", COUNTS)
def test_with_atomic_false_too_each_migration_runs_once(path: Path, count: int) -> None:
    directory = write(path.parent / "own", OUTSIDE)
    check(path, together(count, MIGRATE, path, directory, "migrate", cwd=path.parent))


@pytest.mark.parametrize("count", COUNTS)
def test_on_an_existing_file_without_wal_each_migration_runs_once(path: Path, count: int) -> None:
    directory = write(path.parent / "own", {"001_counter": DATA["001_counter"]})
    migrate_all(path, directory)
    script(path, "PRAGMA journal_mode = DELETE")
    write(directory, DATA)
    processes = together(count, MIGRATE, path, directory, "migrate", cwd=path.parent)
    assert sum(int(process.out.split()[-1]) for process in processes) == 3
    processes[0] = Ended(processes[0].code, str(int(processes[0].out.split()[-1]) + 1), processes[0].err)
    check(path, processes)


def test_rollbacks_at_once_undo_each_migration_once(path: Path) -> None:
    down = {
        "001_counter": sql("CREATE TABLE counter (n INTEGER)", "INSERT INTO counter VALUES (1)", down=[]),
        "002_double": sql(down=["UPDATE counter SET n = n + 5"]),
        "003_triple": sql(down=["UPDATE counter SET n = n * 3"]),
    }
    directory = write(path.parent / "own", down)
    migrate_all(path, directory)
    processes = together(4, MIGRATE, path, directory, "rollback", "0", cwd=path.parent)
    assert [(process.code, process.err) for process in processes] == [(0, "")] * 4
    assert sum(int(process.out.split()[-1]) for process in processes) == 3
    assert rows(path, "SELECT n FROM counter") == [(8,)]
    assert history(path) == []


@pytest.fixture(params=[True, False], ids=["atomic", "atomic = False"])
def holder(path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """Start a process that waits in the middle of its migration until the test lets it go on."""
    up = f"db.execute_sql('CREATE TABLE held (a)')\n{READY}"
    directory = write(path.parent / "own", {"001_hold": python(up, atomic=request.param)})
    process = start(HOLD, path, directory, cwd=path.parent)
    await_ready(process)
    with running(process):
        yield process


def test_a_wait_is_bounded_and_told(path: Path, holder: subprocess.Popen[str]) -> None:
    told: list[str] = []
    began = time.monotonic()
    with runner_of(path, path.parent / "own", wait=0.3, on_wait=told.append) as runner:
        with pytest.raises(errors.MigrationLocked, match=r"waited 0\.3 s") as caught:
            runner.migrate()
        assert runner.status().current_version == 0, "looking needs no lock"
    assert time.monotonic() - began >= 0.3
    assert told == ["another process is migrating this database; waiting up to 0.3 s"]
    assert caught.value.exit_code == 6
    assert finish(holder).code == 0
    assert history(path) == [1]


def test_a_wait_of_nothing_fails_at_once(path: Path, holder: subprocess.Popen[str]) -> None:
    with (
        runner_of(path, path.parent / "own", wait=0) as runner,
        pytest.raises(errors.MigrationLocked, match="waited 0 s"),
    ):
        runner.migrate()
    assert finish(holder).code == 0


def test_another_name_of_the_file_is_the_same_lock(path: Path, holder: subprocess.Popen[str]) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path)
    with (
        runner_of(link, path.parent / "own", wait=0.1) as runner,
        pytest.raises(errors.MigrationLocked, match="is migrating this database"),
    ):
        runner.migrate()
    assert finish(holder).code == 0


@pytest.mark.quick
def test_who_waited_finds_the_work_done(path: Path, holder: subprocess.Popen[str]) -> None:
    told: list[str] = []

    def release(line: str) -> None:
        told.append(line)
        assert holder.stdin is not None
        holder.stdin.write("\n")
        holder.stdin.flush()

    with runner_of(path, path.parent / "own", wait=TIMEOUT, on_wait=release) as runner:
        assert runner.migrate() == ()
        assert runner.status().current_version == 1
    assert len(told) == 1
    assert finish(holder, "").code == 0


def test_a_killed_holder_frees_the_lock(path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait(TIMEOUT)
    directory = write(path.parent / "own", {"001_hold": sql("CREATE TABLE IF NOT EXISTS held (a)")})
    with runner_of(path, directory, wait=0) as runner:
        assert len(runner.migrate()) == 1
    assert history(path) == [1]
    assert not path.with_name("app.db-migrate").exists()


def test_a_lock_file_that_somebody_left_behind_stops_nobody(path: Path) -> None:
    path.with_name("app.db-migrate").write_text("left")
    directory = write(path.parent / "own", {"001_one": table("one")})
    with runner_of(path, directory, wait=0) as runner:
        assert len(runner.migrate()) == 1


def test_the_lock_is_held_by_one_process_at_a_time(path: Path) -> None:
    # A holder deletes the file, so the next process may lock a deleted file while others make a new one.
    path.touch()
    take_turns = f"""
import sys
from pathlib import Path
from usage_store.engines.sqlite.migrating.migration_lock import exclusive
inside = Path(sys.argv[1] + "-inside")
{READY}
for turn in range(200):
    with exclusive(sys.argv[1], 300, lambda line: None):
        inside.touch(exist_ok=False)
        inside.unlink()
"""
    assert [ended.err for ended in together(4, take_turns, path, cwd=path.parent)] == [""] * 4


def test_a_writer_that_does_not_migrate_is_waited_for_only_so_long(path: Path) -> None:
    directory = write(path.parent / "own", {"001_one": table("one")})
    hold = f"""
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("BEGIN IMMEDIATE")
{READY}
connection.execute("COMMIT")
"""
    writer = start(hold, path, cwd=path.parent)
    await_ready(writer)
    began = time.monotonic()
    with runner_of(path, directory, wait=0.3) as runner:
        with pytest.raises(errors.MigrationLocked, match="another process holds the database's lock"):
            runner.migrate()
        assert time.monotonic() - began >= 0.3
        assert finish(writer).code == 0
        assert len(runner.migrate()) == 1


def test_a_writer_is_waited_for_longer_than_the_databases_own_timeout(path: Path) -> None:
    directory = write(path.parent / "own", {"001_one": table("one")})
    with (
        opened(path) as database,
        closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as writer,
    ):
        database.pragma("busy_timeout", 1)
        writer.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.3, writer.execute, ["COMMIT"])
        timer.start()
        assert len(MigrationRunner(database, directory, wait=TIMEOUT).migrate()) == 1
        timer.join(TIMEOUT)
        assert database.pragma("busy_timeout") == 1


@pytest.mark.parametrize("direction", ["up", "down"])
def test_what_a_runner_without_our_lock_does_between_two_steps_is_not_done_again(path: Path, direction: str) -> None:
    # Another machine on a shared disk, or a system without file locks: only the write lock and the history protect.
    up, down = ("INSERT INTO seen VALUES (2, 'up')", "INSERT INTO seen VALUES (2, 'down')")
    files = {
        "001_one": sql("CREATE TABLE IF NOT EXISTS seen (n, way)"),
        "002_two": sql(up, down=[down]),
        "003_three": sql(),
    }
    directory = write(path.parent / "own", files)

    def meddle(step: Step) -> None:
        if step.migration.version == (1 if direction == "up" else 3):
            script(path, "INSERT INTO schema_migrations VALUES (2, 'two', 0)" if direction == "up" else FORGET)

    with runner_of(path, directory) as runner:
        if direction == "up":
            steps = runner.migrate(on_step=meddle)
        else:
            runner.migrate()
            steps = runner.rollback(0, on_step=meddle)
    assert [step.migration.version for step in steps] == ([1, 3] if direction == "up" else [3, 1])
    assert rows(path, "SELECT way FROM seen") == ([] if direction == "up" else [("up",)])


def test_the_command_line_says_that_it_waits(path: Path, holder: subprocess.Popen[str]) -> None:
    done = command(
        "--database", path, "--directory", "own", "--table", "schema_migrations", "--wait", "0.2", cwd=path.parent
    )
    assert done.returncode == 6
    waiting, error = done.stderr.splitlines()
    assert waiting == "another process is migrating this database; waiting up to 0.2 s"
    assert error.startswith("error: another process is migrating this database; waited 0.2 s")
    assert finish(holder).code == 0
