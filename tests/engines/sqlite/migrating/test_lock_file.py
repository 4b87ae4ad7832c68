"""The migration lock file: no link is followed, nothing hangs, and a run stops when its lock file was removed."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import UNPRIVILEGED, besides_the_file, command
from tests.support.databases import rows, script
from tests.support.migrations import history, python, runner_of, sql, table, write
from tests.support.programs import READY, await_ready, finish, run_python, running, start, until
from usage_store import errors
from usage_store.engines.sqlite.migrating.migration_lock import exclusive

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from usage_store.migrate import Step

NOBODY = 65534
as_another_user = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root, and setpriv to drop its privileges"
)
FILES = {"001_one": table("one"), "002_two": table("two"), "003_three": table("three")}
MIGRATE = """
import sys
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.migrate import MigrationRunner
runner = MigrationRunner(open_database(sys.argv[1], timeout=300), sys.argv[2], "schema_migrations", wait=300)
try:
    print(*(step.migration.version for step in runner.migrate()))
except Exception as error:
    print(type(error).__name__, *(step.migration.version for step in error.applied))
    print(error, file=sys.stderr)
"""


@pytest.fixture
def lock(path: Path) -> Path:
    return path.with_name("app.db-migrate")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write(tmp_path / "own", FILES)


def migrate(path: Path, *words: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    options = ("--database", path, "--directory", "own", "--table", "schema_migrations")
    return command(*words, *options, cwd=path.parent, before=before)


def a_folder(lock: Path) -> None:
    lock.mkdir()


def a_link(lock: Path) -> None:
    target = lock.with_name("target")
    target.write_text("kept")
    target.chmod(0o600)
    lock.symlink_to(target)


def a_dangling_link(lock: Path) -> None:
    lock.symlink_to(lock.with_name("nowhere"))


def a_link_to_itself(lock: Path) -> None:
    lock.symlink_to(lock)


def a_pipe(lock: Path) -> None:
    os.mkfifo(lock)


def a_socket(lock: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as made:
        made.bind(str(lock))


@pytest.mark.parametrize("make", [a_folder, a_link, a_dangling_link, a_link_to_itself, a_pipe, a_socket])
@pytest.mark.usefixtures("directory")
def test_what_is_no_file_is_named_and_left_as_it_is(path: Path, lock: Path, make: Callable[[Path], None]) -> None:
    make(lock)
    before = beside(path)
    done = migrate(path)
    assert done.returncode == 8
    said = besides_the_file(done)
    assert said == f"error: {lock}: is no regular file, but the lock file of migrations must be one; remove it\n"
    assert beside(path) == before


def beside(path: Path) -> set[tuple[str, int]]:
    database = {path.name + suffix for suffix in ("", "-wal", "-shm")}
    return {(each.name, each.lstat().st_mode) for each in path.parent.iterdir() if each.name not in database}


@as_another_user
@pytest.mark.parametrize("mode", [0o644, 0o444])
@pytest.mark.usefixtures("directory")
def test_another_users_file_that_can_be_read_is_locked_as_it_is(path: Path, lock: Path, mode: int) -> None:
    given_away(lock, mode)
    done = migrate(path, before=UNPRIVILEGED)
    assert (done.returncode, besides_the_file(done)) == (0, "")
    assert history(path) == [1, 2, 3]


@as_another_user
@pytest.mark.usefixtures("directory")
def test_another_users_file_that_is_locked_is_waited_for(path: Path, lock: Path) -> None:
    given_away(lock, 0o644)
    with lock.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = migrate(path, "--wait", "0", before=UNPRIVILEGED)
    assert done.returncode == 6
    assert "another process is migrating this database; waited 0 s for app.db-migrate" in done.stderr


@as_another_user
@pytest.mark.usefixtures("directory")
def test_another_users_file_that_cannot_be_read_is_named(path: Path, lock: Path) -> None:
    given_away(lock, 0o600)
    done = migrate(path, before=UNPRIVILEGED)
    assert done.returncode == 8
    assert besides_the_file(done) == (
        f"error: {lock}: this lock file cannot be opened (Permission denied); let its owner remove it when no "
        "process is migrating\n"
    )


@as_another_user
@pytest.mark.usefixtures("directory")
def test_another_users_file_that_cannot_be_removed_stays_and_stops_nobody(path: Path, lock: Path) -> None:
    given_away(lock, 0o644)
    os.chown(path.parent, NOBODY, NOBODY)
    path.parent.chmod(0o1777)  # where each may remove what is his
    for _ in range(2):
        done = migrate(path, before=UNPRIVILEGED)
        assert (done.returncode, besides_the_file(done)) == (0, "")
    assert lock.exists()


@as_another_user
@pytest.mark.usefixtures("directory")
def test_a_file_that_cannot_be_made_is_named(path: Path, lock: Path) -> None:
    path.touch()
    path.parent.chmod(0o555)
    code = (
        "import sys\n"
        "from usage_store.engines.sqlite.migrating.migration_lock import exclusive\n"
        "from usage_store.errors import DatabaseUnreadable\n"
        "try:\n"
        "    exclusive(sys.argv[1], 0, print).__enter__()\n"
        "except DatabaseUnreadable as error:\n"
        "    print(error)\n"
    )
    done = run_python("-c", code, path, cwd=path.parent, before=UNPRIVILEGED)
    assert done.stdout == (
        f"{lock}: this lock file cannot be made (Permission denied); check that this user may write to the "
        "folder, and that the disk is not full\n"
    )


def given_away(lock: Path, mode: int) -> None:
    lock.touch()
    lock.chmod(mode)
    os.chown(lock, NOBODY, NOBODY)


def test_a_second_name_of_a_file_in_use_keeps_its_permissions(path: Path, lock: Path) -> None:
    path.touch(0o644)
    used = path.with_name("used")
    used.touch(0o600)
    lock.hardlink_to(used)
    with exclusive(str(path), 0, print):
        assert used.stat().st_mode & 0o777 == 0o600


def removed(lock: Path) -> None:
    lock.unlink()


def replaced(lock: Path) -> None:
    lock.rename(lock.with_name("old"))
    lock.touch()


def linked(lock: Path) -> None:
    lock.rename(lock.with_name("old"))
    lock.symlink_to("old")


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize("lose", [removed, replaced, linked])
def test_a_run_whose_lock_file_is_gone_stops_before_its_next_step(
    path: Path, tmp_path: Path, lock: Path, lose: Callable[[Path], None], *, atomic: bool
) -> None:
    head = "" if atomic else "atomic = False\n"
    directory = write(tmp_path / "own", {name: head + source for name, source in FILES.items()})

    def meddle(step: Step) -> None:
        if step.migration.version == 1:
            lose(lock)

    with runner_of(path, directory) as runner:
        with pytest.raises(
            errors.MigrationLocked, match=r"app\.db-migrate: this lock file was removed or repl"
        ) as caught:
            runner.migrate(on_step=meddle)
        assert [step.migration.version for step in caught.value.applied] == [1]
        assert history(path) == [1]
        assert os.path.lexists(lock) is (lose is not removed), "what stands there now is another holder's"
        if lose is linked:
            lock.unlink()
        assert len(runner.migrate()) == 2


@contextmanager
def in_its_first_step(path: Path, directory: Path) -> Iterator[subprocess.Popen[str]]:
    process = start(MIGRATE, path, directory, cwd=path.parent)
    await_ready(process)
    with running(process):
        yield process


def test_a_second_run_and_one_that_lost_its_lock_file_do_each_migration_once(
    path: Path, tmp_path: Path, lock: Path
) -> None:
    once = {name: source + "\nassert True\n" for name, source in FILES.items()}
    once["001_one"] = python(f"db.execute_sql('CREATE TABLE one (a)')\n{READY}")
    directory = write(tmp_path / "own", once)
    with in_its_first_step(path, directory) as first:
        lock.unlink()
        second = start(MIGRATE, path, directory, cwd=path.parent)
        with running(second):
            until(lock.exists, second)
            assert finish(first).out == "MigrationLocked 1\n"
            assert finish(second, "").out == "2 3\n"
    assert history(path) == [1, 2, 3]
    assert not lock.exists()


def test_of_two_runs_of_a_migration_outside_a_transaction_the_second_says_so(path: Path, tmp_path: Path) -> None:
    directory = write(tmp_path / "own", {"001_one": python(READY, atomic=False)})
    other = "INSERT INTO schema_migrations VALUES (1, 'one', 0)"
    with runner_of(path, directory) as runner, runner.connected():
        runner.records.create()
    with in_its_first_step(path, directory) as first:
        script(path, other)
        ended = finish(first)
    assert ended.out == "MigrationFailed\n"
    assert "another run ended the same migration meanwhile, so it may have run twice" in ended.err
    assert history(path) == [1]
    assert rows(path, "SELECT count(*) FROM schema_migration_log") == [(0,)]


def test_a_migration_that_removes_it_itself_is_the_last(path: Path, tmp_path: Path, lock: Path) -> None:
    files = {"001_one": python(f"import os\nos.unlink({str(lock)!r})"), "002_two": sql("CREATE TABLE two (a)")}
    with runner_of(path, write(tmp_path / "own", files)) as runner, pytest.raises(errors.MigrationLocked):
        runner.migrate()
    assert history(path) == [1]
